"""What a speaker probably says next, and what that tells of a translation: words that more speech would change.

The source is translated as it is, and once more with its predicted continuation behind it. Words on which both agree
are likely to stay, whatever comes; the rest is held back: a mask whose length follows from the sentence.

Source: Yao and Haddow 2020, "Dynamic masking for improved stability in online spoken language translation" (arXiv
2006.00249).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dragoman.translation.retranslation import Request
from dragoman.translation.steering import Translation, Translator, steered


class Predictor(Protocol):
    """Continues texts; safe to call from several threads."""

    @property
    def languages(self) -> frozenset[str]:
        """ISO 639-1 codes of what it can continue."""

    def predict(self, text: str, words: int) -> str:
        """What follows right behind ``text``, a space or a mark first: at most so many words, none beyond the end of
        its sentence; empty where it knows nothing. Blocking.
        """


@dataclass(frozen=True, slots=True)
class Answer:
    """The translation that was asked for, and that of the text with its predicted continuation, where there is one."""

    translation: Translation
    foreseen: Translation | None = None


def answered(
    request: Request, translator: Translator, source: str, target: str, predictor: Predictor | None = None
) -> Answer:
    """Do what is requested. Blocking."""
    translation = steered(translator, request.text, source, target, request.steering)
    if not request.foresee or predictor is None or source not in predictor.languages:
        return Answer(translation)
    # A recognizer ends what it has heard so far like a sentence: the speaker has not.
    text = request.text.rstrip(" .!?…")
    ahead = predictor.predict(text, request.foresee) if text else ""
    if not ahead:
        return Answer(translation)
    return Answer(translation, steered(translator, text + ahead, source, target, request.steering))
