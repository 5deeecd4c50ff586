"""Voices of Portuguese, Spanish, French, Italian and English: Kokoro-82M, int8.

Source: Kokoro v1.0 (Apache-2.0), phonemes by espeak-ng. The model is one; a voice is a table of styles. It takes a
third of the time that it speaks on one free thread. The packs that come with the model are Japanese voices: they
speak the phonemes of other languages intelligibly, with a foreign colour. Native packs (one file per voice,
``pf_dora.bin``) are used from the folder that the environment variable ``DRAGOMAN_VOICES`` names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.audio.text import CLOSERS, ends_clause, ends_sentence
from dragoman.audio.types import DragomanError, Samples
from dragoman.tts.espeak import espeak
from dragoman.tts.voice import Durations, session_with_durations, spread

Styles = npt.NDArray[np.float32]
"""One style per length of the text in symbols, shape [510, 256]."""

ESPEAK_VOICES: Final = {"pt": "pt-br", "es": "es", "fr": "fr", "it": "it", "en": "en-us"}
"""The languages, and what espeak-ng calls them."""

_ONWARD: Final = {"pt": "e", "es": "y", "fr": "et", "it": "e", "en": "and"}
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
_MARKS: Final = ".!?…,;:—"
_CURRENCIES: Final = {
    "pt": {"R$": "reais", "$": "dólares", "US$": "dólares", "€": "euros", "£": "libras"},
    "es": {"$": "dólares", "US$": "dólares", "€": "euros", "£": "libras"},
    "fr": {"$": "dollars", "€": "euros", "£": "livres"},
    "it": {"$": "dollari", "€": "euro", "£": "sterline"},
}
_AMOUNT: Final = re.compile(r"(?P<amount>\d[\d.,]*?)(?P<after>[^\w]*)")
_MONEY: Final = re.compile(r"(?P<sign>(?:R|US)?[$€£])(?P<amount>\d[\d.,]*?)?(?P<after>[^\w]*)")


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
        self._language = language
        self.onward = _ONWARD[language]
        self._voice = ESPEAK_VOICES[language]
        self._styles = styles
        self._espeak = espeak()

    @property
    def symbols(self) -> frozenset[str]:
        """The phonemes and marks that the model knows."""
        return self._model.symbols

    def pronounce(self, words: Sequence[str]) -> list[str]:
        """Phonemes per word of a sentence; espeak loses the marks, so it is asked clause by clause."""
        pieces: list[str] = []
        clause: list[str] = []
        for index, word in enumerate(_readings(words, self._language)):
            clause.append(word)
            mark = _mark(word)
            if mark or index + 1 == len(words):
                sounds = spread(clause, self._phonemes(" ".join(clause)), self._phonemes)
                sounds[-1] = sounds[-1].rstrip() + mark + " "
                pieces += sounds
                clause = []
        return pieces

    def render(self, symbols: str, rate: float) -> tuple[Samples, Durations]:
        """Sound and durations, see ``Engine``."""
        return self._model.run(symbols, self._styles, rate)

    def _phonemes(self, text: str) -> str:
        ipa = self._espeak.phonemes(text, self._voice)
        for tied, symbol in _MERGED.items():
            ipa = ipa.replace(tied, symbol)
        return ipa.replace("^", "").replace("-", "")


def _readings(words: Sequence[str], language: str) -> list[str]:
    """The words with money as it is said: espeak-ng reads "R$ 50" as letters. As many as there were."""
    names = _CURRENCIES.get(language, {})
    read = list(words)
    for i, word in enumerate(read):
        match = _MONEY.fullmatch(word)
        if match and match["sign"] in names:
            if match["amount"]:
                read[i] = f"{match['amount']} {names[match['sign']]}{match['after']}"
            elif i + 1 < len(read) and (amount := _AMOUNT.fullmatch(read[i + 1])):
                # A word without a sound keeps its place.
                read[i], read[i + 1] = "", f"{amount['amount']} {names[match['sign']]}{amount['after']}"
    return read


def _mark(word: str) -> str:
    """The mark to speak after ``word``, if a clause or sentence ends with it."""
    bare = word.rstrip(CLOSERS)
    if not (ends_clause(word) or ends_sentence(word)):
        return ""
    return bare[-1] if bare[-1] in _MARKS else ","


def _vocabulary(path: Path) -> dict[str, int]:
    data = json.loads(path.read_text(encoding="utf-8"))
    return {str(symbol): int(number) for symbol, number in data.get("vocab", data).items()}


def _styles(data: npt.NDArray[np.float32], name: str) -> Styles:
    if data.size == 0 or data.size % _STYLE_WIDTH:
        raise DragomanError(f"{name} is not a voice pack: {data.size} numbers instead of rows of {_STYLE_WIDTH}")
    return np.ascontiguousarray(data, np.float32).reshape(-1, _STYLE_WIDTH)
