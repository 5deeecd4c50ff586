"""The English voice: hibari, a 24 kHz model of 14 MB, many times faster than speech on one thread.

Source: the ``hibari-tts`` package (Apache-2.0). Its interface has no word times; they are read from the
duration predictor inside its graph, in steps of 25 ms.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Final

import numpy as np
from hibari import Hibari, dsp

from dragoman.audio.types import DragomanError, Samples
from dragoman.tts.graphs import session_with_durations
from dragoman.tts.voice import Durations, Voice, spread

_LONG: Final = re.compile(r"\d{16,}")
"""Digits that nobody says as one number: its rules name quadrillions, and fail beyond undecillions."""
_ENDLESS: Final = re.compile(r"\S{40}(?=\S{20})")
"""Where a word without end ("ha-ha-ha-...") is cut: its rules take time by the cube of a word's parts."""


class HibariEngine:
    """hibari's graph and pronunciation rules."""

    longest = 400
    onward = "and"

    def __init__(self, *, threads: int = 1) -> None:
        try:
            self._hibari = Hibari()
        except (RuntimeError, OSError) as error:
            raise DragomanError(f"the English voice can't be opened: {error}") from error
        self._session = session_with_durations(self._hibari.model_path, threads=threads)
        self._lock = threading.Lock()  # the pronunciation keeps caches

    @property
    def symbols(self) -> frozenset[str]:
        """The phonemes and marks that the model knows."""
        return frozenset(self._hibari.vocab)

    def pronounce(self, words: Sequence[str]) -> list[str]:
        """Phonemes per word of a sentence."""
        with self._lock:
            return spread(words, self._read(" ".join(words)), self._read)

    def _read(self, text: str) -> str:
        """Phonemes of a text. Its rules fail on some odd numerals: such a word is left unspoken, not the sentence."""
        try:
            said = _ENDLESS.sub(r"\g<0> ", _LONG.sub(lambda digits: " ".join(digits.group()), text))
            return str(self._hibari.g2p(said))
        except (ValueError, LookupError, TypeError, AttributeError):
            words = text.split()
            return " ".join(map(self._read, words)) if len(words) > 1 else ""

    def render(self, symbols: str, rate: float) -> tuple[Samples, Durations]:
        """Sound and durations, see ``Engine``."""
        ids = np.asarray([self._hibari.ids(symbols)], np.int64)
        *spectrum, durations = self._session.run(None, {"ids": ids, "speed": np.asarray([rate], np.float32)})
        pcm = dsp.synth(*(part[0] for part in spectrum), np.random.default_rng(0))
        return np.asarray(pcm, np.float32), np.asarray(durations, np.float32).ravel()


def open_hibari(*, threads: int = 1) -> Voice:
    """The English voice, loaded: takes under a second."""
    return Voice(HibariEngine(threads=threads), "en", "heart")
