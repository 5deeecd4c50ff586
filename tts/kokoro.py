"""Voices of Portuguese, Spanish, French, Italian and English: Kokoro-82M, int8.

Source: Kokoro v1.0 (Apache-2.0), phonemes by espeak-ng. The model is one; a voice is a table of styles. It takes a
third of the time that it speaks on one free thread. The packs that come with the model are Japanese voices: they
speak the phonemes of other languages intelligibly, with a foreign colour. Native packs (one file per voice,
``pf_dora.bin``) are used from the folder that the environment variable ``DRAGOMAN_VOICES`` names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.audio.reading import expecting
from dragoman.audio.types import DragomanError, Samples
from dragoman.tts.graphs import session_with_durations
from dragoman.tts.pronunciation import Pronunciation
from dragoman.tts.voice import Durations

Styles = npt.NDArray[np.float32]
"""One style per length of the text in symbols, shape [510, 256]."""

_STYLE_WIDTH: Final = 256
# Kokoro writes tied pairs of IPA as one symbol of its own.
_MERGED: Final = {
    "d^ʒ": "ʤ",
    "t^ʃ": "ʧ",
    "d^z": "ʣ",
    "t^s": "ʦ",
    "s^s": "S",
    "a^ɪ": "I",
    "a^ʊ": "W",
    "e^ɪ": "A",
    "o^ʊ": "O",
    "ə^ʊ": "Q",
    "ɔ^ɪ": "Y",
}


class KokoroModel:
    """The acoustic model: shared by all its voices and languages."""

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        try:
            self._ids: dict[str, int] = _vocabulary(folder / "vocab.json")
            with np.load(folder / "voices.npz") as packs:
                self._packs = {name: _styles(packs[name], name) for name in packs.files}
        except (OSError, ValueError, KeyError) as error:
            raise DragomanError(f"the Kokoro voices in {folder} can't be read: {error}") from error
        self._session = session_with_durations(folder / "model.onnx", threads=threads)

    @property
    def symbols(self) -> frozenset[str]:
        """The phonemes and marks that the model knows."""
        return frozenset(self._ids)

    def styles(self, voice: str, packs: Path | None) -> Styles:
        """The pack of a voice: from the folder ``packs`` if there, else one of the model's own."""
        for suffix in (".npy", ".bin"):
            path = packs / f"{voice}{suffix}" if packs else None
            if path and path.is_file():
                with expecting("a voice pack", path):
                    data = np.load(path) if suffix == ".npy" else np.fromfile(path, np.float32)
                    return _styles(data, path.name)
        if voice in self._packs:
            return self._packs[voice]
        raise DragomanError(f"no voice named {voice!r}: there are {', '.join(sorted(self._packs))}")

    def run(self, symbols: str, style: Styles, rate: float) -> tuple[Samples, Durations]:
        """Sound at 24 kHz, and the frames that each symbol lasts with the silence before and after."""
        ids = [0, *(self._ids[c] for c in symbols), 0]
        audio, durations = self._session.run(
            None,
            {
                "tokens": np.asarray([ids], np.int64),
                "style": style[min(len(symbols), len(style)) - 1][None],
                "speed": np.asarray([rate], np.float32),
            },
        )
        return np.asarray(audio, np.float32).ravel(), np.asarray(durations, np.float32).ravel()


class KokoroEngine:
    """One voice of the model in one language."""

    longest = 300

    def __init__(self, model: KokoroModel, language: str, styles: Styles) -> None:
        self._model = model
        self._styles = styles
        self._pronunciation = Pronunciation(language, self._spelled)
        self.onward = self._pronunciation.onward

    @property
    def symbols(self) -> frozenset[str]:
        """The phonemes and marks that the model knows."""
        return self._model.symbols

    def pronounce(self, words: Sequence[str]) -> list[str]:
        """Phonemes per word of a sentence."""
        return self._pronunciation.words(words)

    def render(self, symbols: str, rate: float) -> tuple[Samples, Durations]:
        """Sound and durations, see ``Engine``."""
        return self._model.run(symbols, self._styles, rate)

    @staticmethod
    def _spelled(ipa: str) -> str:
        for tied, symbol in _MERGED.items():
            ipa = ipa.replace(tied, symbol)
        return ipa.replace("^", "").replace("-", "")


def _vocabulary(path: Path) -> dict[str, int]:
    data = json.loads(path.read_text(encoding="utf-8"))
    return {str(symbol): int(number) for symbol, number in data.get("vocab", data).items()}


def _styles(data: npt.NDArray[np.float32], name: str) -> Styles:
    if data.size == 0 or data.size % _STYLE_WIDTH:
        raise DragomanError(f"{name} is not a voice pack: {data.size} numbers instead of rows of {_STYLE_WIDTH}")
    if not np.isfinite(data).all():
        raise DragomanError(f"{name} is not a voice pack: it holds values that are not numbers")
    return np.ascontiguousarray(data, np.float32).reshape(-1, _STYLE_WIDTH)
