"""Cutting a reply that is still being written into clauses to say, the first one as early as possible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dragoman.audio.text import belong_together, core, ends_clause, ends_sentence
from dragoman.tts.speakable import Cleaner, CleanWord

_JOINING_WORDS: Final = {
    "en": "and but or so because that which who when while where if although though since unless until "
    "before after with without for from to in on at by about into through than as",
    "pt": "e mas ou porque que quando enquanto onde se embora pois portanto para com sem por de em no na nos "
    "nas até desde sobre entre como",
    "es": "y pero o porque que cuando mientras donde si aunque para con sin por en hasta como",
    "fr": "et mais ou parce que qui quand où si pour avec sans par dans sur comme",
    "it": "e ma o perché che quando mentre dove se per con senza da in su come",
}
_JOINERS: Final = {language: frozenset(words.split()) for language, words in _JOINING_WORDS.items()}


@dataclass(frozen=True, slots=True)
class Clause:
    """A piece of a reply to say at once; ``final`` when a sentence ends with it."""

    text: str
    final: bool


@dataclass(frozen=True, slots=True)
class Lengths:
    """When a clause may be closed, in words."""

    mark: int
    """Least words before a comma or the like closes it."""
    stop: int
    """Least words before the end of a sentence closes it."""
    joiner: int
    """Words after which a conjunction or preposition begins the next one."""
    most: int
    """Words after which it is closed anywhere but inside a name or a number."""


FIRST: Final = Lengths(mark=2, stop=2, joiner=5, most=9)
"""The first clause is short: the listener waits for it."""
LATER: Final = Lengths(mark=5, stop=1, joiner=16, most=30)


class ClauseSplitter:
    """Fed with text as the model writes it, gives clauses; however the text is cut, the clauses are the same.

    A word is judged when white space follows it, so "3.5", "1,000" and "example.com" stay whole. All words of
    all clauses, joined by spaces, are ``speakable(text)``.
    """

    def __init__(self, language: str = "en", *, first: Lengths = FIRST, later: Lengths = LATER) -> None:
        self._joiners = _JOINERS.get(language, frozenset())
        self._first, self._later = first, later
        self._cleaner = Cleaner()
        self._words: list[str] = []
        self._lengths = first

    def feed(self, delta: str) -> list[Clause]:
        """Clauses that ``delta`` completed."""
        return [clause for word in self._cleaner.feed(delta) for clause in self._take(word)]

    def flush(self) -> list[Clause]:
        """The reply is over: the clauses that were left. The splitter is then ready for the next reply."""
        clauses = [clause for word in self._cleaner.flush() for clause in self._take(word)]
        if self._words:
            clauses.append(self._close(final=True))
        self._lengths = self._first
        return clauses

    def _take(self, word: CleanWord) -> list[Clause]:
        clauses = []
        if self._words and (word.breaks or self._is_boundary(word.text)):
            clauses.append(self._close(final=word.breaks))
        previous = self._words[-1] if self._words else ""
        self._words.append(word.text)
        count = len(self._words)
        if ends_sentence(word.text, previous):
            if count >= self._lengths.stop:
                clauses.append(self._close(final=True))
        elif ends_clause(word.text) and count >= self._lengths.mark:
            clauses.append(self._close(final=False))
        return clauses

    def _is_boundary(self, following: str) -> bool:
        """Whether the clause may be closed before ``following``, with no mark to close it."""
        count = len(self._words)
        if count >= self._lengths.most:
            # Beyond twice the limit even a name is cut: the buffer stays bounded.
            return not belong_together(self._words[-1], following) or count >= 2 * self._lengths.most
        return count >= self._lengths.joiner and core(following).lower() in self._joiners

    def _close(self, *, final: bool) -> Clause:
        clause = Clause(" ".join(self._words), final)
        self._words = []
        self._lengths = self._later
        return clause
