"""What a live interpreter may ask of a translator beyond a translation: where it begins, and what it stays close to.

An engine that can't be steered is a ``Translator`` all the same: ``steered`` then gives its plain translation, and who
asked must put up with another beginning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


class Translator(Protocol):
    """Text to text; safe to call from several threads."""

    @property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """(source, target) language codes that it can do."""

    def translate(self, text: str, source: str, target: str) -> str:
        """Translate one segment. Blocking. Empty text gives empty text."""


@dataclass(frozen=True, slots=True)
class Steering:
    """How a translation is to begin."""

    prefix: str = ""
    """Whole words that it begins with: they were given out and can't be taken back."""
    last: str = ""
    """What was shown of the last translation, ``prefix`` included."""
    bias: float = 0.0
    """How strongly to stay close to ``last``: the share of probability, in [0, 1), that is laid on its next token as
    long as it is followed (arXiv 2004.03643). 0 translates anew."""


@dataclass(frozen=True, slots=True)
class Translation:
    """A translation, and for each of its words the source word (an index) that it was made from most; none where the
    engine does not tell."""

    text: str
    sources: tuple[int, ...] = ()


@runtime_checkable
class Steerable(Protocol):
    """A translator that can be steered."""

    def steered(self, text: str, source: str, target: str, steering: Steering) -> Translation:
        """Translate one segment as asked. Blocking; several threads may call it."""


def steered(translator: Translator, text: str, source: str, target: str, steering: Steering) -> Translation:
    """Translate as asked where the translator can, and plainly where it can't."""
    if isinstance(translator, Steerable):
        return translator.steered(text, source, target, steering)
    return Translation(translator.translate(text, source, target))
