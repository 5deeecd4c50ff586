"""Folders of CTranslate2 translators: OPUS-MT (a pair each), NLLB-200 and MADLAD-400 (any language into any other).

A folder as ``ct2-transformers-converter`` makes it (``model.bin``, ``config.json``, a vocabulary), with the model's
SentencePiece files copied into it: ``source.spm`` and ``target.spm`` (OPUS-MT), ``sentencepiece.bpe.model`` (NLLB) or
``spiece.model`` (MADLAD). Which family it is, its vocabulary tells. What is committed is a hard ``target_prefix``; a
wish to stay close to the last translation is ``prefix_bias_beta``, which needs a beam of two.

Licences are the models': OPUS-MT CC BY 4.0, MADLAD-400 Apache-2.0, NLLB-200 CC BY-NC 4.0 (not for commerce).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import ctranslate2

from dragoman.audio.types import DragomanError
from dragoman.translation.languages import ALL_PAIRS, LANGUAGES
from dragoman.translation.sentences import sentences
from dragoman.translation.steering import Steering, Translation

_END: Final = "</s>"
_PIECES: Final = ("source.spm", "sentencepiece.bpe.model", "spiece.model", "sentencepiece.model")
_TARGET_PIECES: Final = ("target.spm",)
_BEAM: Final = 2


class _Pieces(Protocol):
    def encode(self, text: str, *, out_type: type[str]) -> list[str]:
        """Text to pieces."""

    def decode(self, pieces: list[str]) -> str:
        """And back."""


@dataclass(frozen=True, slots=True)
class _Marks:
    """What a family wants around the pieces of a pair: pieces before and after the source, and before the target."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    target: tuple[str, ...] = ()


class CTranslateTranslator:
    """Implements ``Translator`` and ``Steerable``; safe to call from several threads."""

    def __init__(
        self, folder: Path, source: str, target: str, *, threads: int = 1, compute_type: str = "default"
    ) -> None:
        """``source`` and ``target`` say what a folder of one pair translates, where its name does not.

        Raises ``DragomanError`` for a folder that holds no such model, or one for another pair.
        """
        self._vocabulary = _vocabulary(folder)
        self._pieces = _opened(folder, _PIECES)
        self._target_pieces = _opened(folder, _TARGET_PIECES, self._pieces)
        try:
            self._translator = ctranslate2.Translator(
                str(folder), device="auto", inter_threads=1, intra_threads=threads, compute_type=compute_type
            )
        except (RuntimeError, ValueError) as error:
            raise DragomanError(f"{folder}: CTranslate2 can't open it ({error})") from error
        self._adds_end = bool(_config(folder).get("add_source_eos"))
        self.pairs: frozenset[tuple[str, str]] = self._known_pairs(folder, source, target)

    def translate(self, text: str, source: str, target: str) -> str:
        """Translate one segment, sentence by sentence."""
        parts = (self.steered(part, source, target, Steering()).text for part in sentences(text))
        return " ".join(filter(None, parts))

    def steered(self, text: str, source: str, target: str, steering: Steering) -> Translation:
        """Translate one sentence as asked."""
        if (source, target) not in self.pairs:
            raise DragomanError(f"this translator can't translate from {source} to {target}")
        line = " ".join(text.split())
        if not any(c.isalnum() for c in line):
            return Translation(line, tuple(range(len(line.split()))))
        marks = self._marks(source, target)
        pieces = [*marks.before, *self._encoded(self._pieces, line), *marks.after]
        # The bias holds for the target's mark too, which is no wish but a must: then only what is committed counts.
        drawn = bool(steering.bias and len(steering.last) > len(steering.prefix) and not marks.target)
        begun = self._encoded(self._target_pieces, steering.last if drawn else steering.prefix)
        result = self._translator.translate_batch(
            [pieces],
            target_prefix=[[*marks.target, *begun]],
            beam_size=_BEAM if drawn else 1,
            prefix_bias_beta=min(steering.bias, 0.99) if drawn else 0.0,
            max_decoding_length=max(32, 3 * len(pieces)),
        )[0]
        spoken = [piece for piece in result.hypotheses[0] if piece not in marks.target and piece != _END]
        return Translation(" ".join(self._target_pieces.decode(spoken).split()))

    def _known_pairs(self, folder: Path, source: str, target: str) -> frozenset[tuple[str, str]]:
        marked = {code: before for code in LANGUAGES if (before := self._marks("en", code).before)}
        if any(mark.startswith(">>") for (mark,) in marked.values()):
            return frozenset((source, code) for code in marked if code != source)
        if marked:
            return frozenset(pair for pair in ALL_PAIRS if pair[1] in marked)
        named = re.search(r"(?:^|[-_])([a-z]{2,3})[-_]([a-z]{2,3})$", folder.resolve().name)
        three = {language.three: code for code, language in LANGUAGES.items()}
        pair = (three.get(named[1], named[1]), three.get(named[2], named[2])) if named else (source, target)
        return frozenset({pair})

    def _marks(self, source: str, target: str) -> _Marks:
        """By the vocabulary: MADLAD names the target before the source, NLLB both, OPUS-MT the target or nothing."""
        end = () if self._adds_end else (_END,)
        if f"<2{target}>" in self._vocabulary:
            return _Marks((f"<2{target}>",), end)
        names = LANGUAGES.get(source), LANGUAGES.get(target)
        if names[0] and names[1]:
            if names[1].flores in self._vocabulary:
                return _Marks((names[0].flores,), end, (names[1].flores,))
            if (mark := f">>{names[1].three}<<") in self._vocabulary:
                return _Marks((mark,), end)
        return _Marks((), end)

    @staticmethod
    def _encoded(pieces: _Pieces, text: str) -> list[str]:
        return pieces.encode(text, out_type=str) if text else []


def is_folder(path: Path) -> bool:
    """Whether it looks like a CTranslate2 translator's."""
    return (path / "model.bin").is_file() and bool(list(path.glob("*vocabulary*")))


def _vocabulary(folder: Path) -> frozenset[str]:
    known: set[str] = set()
    for path in folder.glob("*vocabulary.*"):
        text = path.read_text(encoding="utf-8")
        known |= set(json.loads(text)) if path.suffix == ".json" else set(text.splitlines())
    if not known or not (folder / "model.bin").is_file():
        raise DragomanError(f"{folder}: no CTranslate2 translator (model.bin and a vocabulary) is there")
    return frozenset(known)


def _config(folder: Path) -> dict[str, object]:
    path = folder / "config.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DragomanError(f"{path}: not JSON ({error})") from error
    return found if isinstance(found, dict) else {}


def _opened(folder: Path, names: Iterable[str], otherwise: _Pieces | None = None) -> _Pieces:
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        if otherwise is not None:
            return otherwise
        raise DragomanError(f"{folder}: copy the model's SentencePiece file into it ({', '.join(names)})")
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        raise DragomanError(
            "CTranslate2 translators need the package sentencepiece: run `pip install 'dragoman[ctranslate]'`"
        ) from error
    try:
        pieces: _Pieces = SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError) as error:
        raise DragomanError(f"{path}: no SentencePiece model ({error})") from error
    return pieces
