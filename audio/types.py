"""The few types that every folder shares: samples, words in time, JSON, and the two sample rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Samples: TypeAlias = npt.NDArray[np.float32]
"""Mono sound, shape [n], float32 in [-1, 1]."""

Json: TypeAlias = "bool | int | float | str | list[Json] | Mapping[str, Json] | None"
"""What can be written as JSON."""

INPUT_RATE: Final = 16_000
"""Samples per second of everything that is heard. The conversation's time is counted in these."""

OUTPUT_RATE: Final = 24_000
"""Samples per second of everything that is spoken."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word in time.

    ``start`` and ``end`` are seconds from the origin that the holder names (a turn's audio, a reply's audio,
    a file); ``p`` is a probability in [0, 1], or None where the source has none.
    """

    text: str
    start: float
    end: float
    p: float | None = None

    def shifted(self, seconds: float) -> Word:
        """The same word, ``seconds`` later."""
        return replace(self, start=self.start + seconds, end=self.end + seconds)


@dataclass(frozen=True, slots=True)
class Speech:
    """Synthesized speech: ``pcm`` at ``OUTPUT_RATE``, and when each word of the text sounds in it.

    The words, joined by single spaces, are the text that was spoken; times count from the first sample.
    """

    pcm: Samples
    words: tuple[Word, ...]

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.pcm) / OUTPUT_RATE


class DragomanError(Exception):
    """An error for a person: one line that names what is wrong and what to do.

    The command line prints it and exits with status 1; the server sends it and keeps the session.
    """


def finite(pcm: Samples) -> Samples:
    """The same sound. Raises ``DragomanError`` for integers, and for what is no number: one such sample deafens a model
    that listens on for good.
    """
    if not (np.issubdtype(pcm.dtype, np.floating) and np.isfinite(pcm).all()):
        raise DragomanError("this is no sound that can be heard: give finite floats, from -1 to 1")
    return pcm
