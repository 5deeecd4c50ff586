"""The drafter as sessions use it: one model for all on a thread of its own, a reading for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from dragoman.agent.drafter.drafts import Draft, LastWord
from dragoman.agent.drafter.endings import Endings
from dragoman.agent.workers import Worker

Dialogue = Sequence[tuple[str, str]]


class Reads(Protocol):
    """A turn that is read (``runtime.Reading``)."""

    @property
    def dialogue(self) -> tuple[tuple[str, str], ...]:
        """Turns (role, text) before it."""


R = TypeVar("R", bound=Reads)


class Runtime(Protocol[R]):
    """The model (``runtime.DrafterRuntime``). All its methods are blocking."""

    def open(self, dialogue: Dialogue = ()) -> R:
        """Begin to read the turn after a dialogue."""

    def read(self, reading: R, text: str) -> None:
        """The turn so far."""

    def last_word(self, reading: R) -> LastWord | None:
        """What is known at the last word that was read; None of nothing."""

    def draft(self, reading: R, words: int = 5) -> Draft:
        """The first words of the reply to the turn as it was read."""


class LiveDrafter(Generic[R]):
    """The drafter, loaded once."""

    language = "en"
    """What it reads and writes."""

    def __init__(self, runtime: Runtime[R], worker: Worker | None = None, endings: Endings | None = None) -> None:
        """``endings``: tells from what was read whether a turn is whole."""
        self.runtime = runtime
        self.endings = endings
        self._worker = worker or Worker("drafting")

    def open(self) -> TurnDrafter[R]:
        """Drafts for a session."""
        return TurnDrafter(self.runtime, self._worker, self.endings)

    def close(self) -> None:
        """Free the thread."""
        self._worker.close()


class TurnDrafter(Generic[R]):
    """Drafts of one session. What was read of a turn is kept until another dialogue stands before it."""

    def __init__(self, runtime: Runtime[R], worker: Worker, endings: Endings | None = None) -> None:
        self._runtime, self._worker, self._endings = runtime, worker, endings
        self._reading: R | None = None

    async def read(self, dialogue: Dialogue, text: str) -> None:
        """Read ahead: the user's turn so far, after a dialogue of turns (role, text)."""
        await self._worker.run(self._follow, dialogue, text)

    async def draft(self, dialogue: Dialogue, text: str, words: int) -> Draft:
        """The first words of a reply to ``text``, so many at most."""
        return await self._worker.run(lambda: self._runtime.draft(self._follow(dialogue, text), words))

    @property
    def tells_ends(self) -> bool:
        """Whether ``whole`` is known."""
        return self._endings is not None

    async def whole(self, dialogue: Dialogue, text: str) -> float | None:
        """Logit that the user's turn is whole; None where that can't be told."""
        if self._endings is None or not text.strip():
            return None
        word = await self._worker.run(lambda: self._runtime.last_word(self._follow(dialogue, text)))
        return None if word is None else self._endings.whole(word)

    def _follow(self, dialogue: Dialogue, text: str) -> R:
        if self._reading is None or self._reading.dialogue != tuple(dialogue):
            self._reading = self._runtime.open(dialogue)
        self._runtime.read(self._reading, text)
        return self._reading
