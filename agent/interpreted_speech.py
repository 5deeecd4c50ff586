"""The speech of a translation that is still growing: which clauses are said, when, and how fast. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dragoman.translation.retranslation import Update
from dragoman.tts.clauses import ClauseSplitter

PAUSE_S: Final = 0.25
"""Silence after a sentence."""
_BREATH_S: Final = 0.05
"""Silence between two clauses of one."""
FASTEST: Final = 1.25
_PATIENT_S: Final = 0.5
_HURRIED_S: Final = 2.5


@dataclass(frozen=True, slots=True)
class Saying:
    """A clause to say; ``final`` when a sentence ends with it."""

    segment: int
    text: str
    final: bool


class Sayings:
    """Makes clauses of what is committed: it is said once and in order, and never taken back."""

    def __init__(self, language: str) -> None:
        self._splitter = ClauseSplitter(language)
        self._given = 0

    def push(self, update: Update) -> list[Saying]:
        """The clauses that an update completed; what is committed comes segment by segment."""
        words = update.stable_text.split()
        fresh, self._given = words[self._given :], max(self._given, len(words))
        clauses = self._splitter.feed("".join(f"{word} " for word in fresh))
        if update.final:
            clauses += self._splitter.flush()
            self._given = 0
        return [Saying(update.segment, clause.text, clause.final) for clause in clauses]


class Timeline:
    """Where speech is heard, in seconds of the playout: one piece after the other, never two at once."""

    def __init__(self) -> None:
        self._next = 0.0
        self.end = 0.0
        """Where the last piece ends."""

    def late(self, ready: float) -> float:
        """How long a piece that is ready then has to wait for those before it."""
        return max(0.0, self._next - ready)

    def place(self, ready: float, seconds: float, *, final: bool = True) -> float:
        """The start of a piece that is ready then and lasts so long; a longer silence follows a ``final`` one."""
        start = max(ready, self._next)
        self.end = start + seconds
        self._next = self.end + (PAUSE_S if final else _BREATH_S)
        return start


def catch_up(late: float) -> float:
    """The speaking rate for a piece that comes so many seconds late: up to 1.25 times the voice's own pace."""
    hurry = (late - _PATIENT_S) / (_HURRIED_S - _PATIENT_S)
    return 1.0 + (FASTEST - 1.0) * min(1.0, max(0.0, hurry))
