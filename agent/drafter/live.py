"""The drafter as sessions use it: one model for all on a thread of its own, a reading for each."""

from __future__ import annotations

from collections.abc import Sequence

from dragoman.agent.drafter.drafts import Draft
from dragoman.agent.drafter.runtime import DrafterRuntime, Reading
from dragoman.agent.workers import Worker

Dialogue = Sequence[tuple[str, str]]


class LiveDrafter:
    """The drafter, loaded once."""

    language = "en"
    """What it reads and writes."""

    def __init__(self, runtime: DrafterRuntime) -> None:
        self.runtime = runtime
        self._worker = Worker("drafting")

    def open(self) -> TurnDrafter:
        """Drafts for a session."""
        return TurnDrafter(self.runtime, self._worker)

    def close(self) -> None:
        """Free the thread."""
        self._worker.close()


class TurnDrafter:
    """Drafts of one session. What was read of a turn is kept until another dialogue stands before it."""

    def __init__(self, runtime: DrafterRuntime, worker: Worker) -> None:
        self._runtime, self._worker = runtime, worker
        self._reading: Reading | None = None

    async def read(self, dialogue: Dialogue, text: str) -> None:
        """Read ahead: the user's turn so far, after a dialogue of turns (role, text)."""
        await self._worker.run(self._follow, dialogue, text)

    async def draft(self, dialogue: Dialogue, text: str, words: int) -> Draft:
        """The first words of a reply to ``text``, so many at most."""
        return await self._worker.run(lambda: self._runtime.draft(self._follow(dialogue, text), words))

    def _follow(self, dialogue: Dialogue, text: str) -> Reading:
        if self._reading is None or self._reading.dialogue != tuple(dialogue):
            self._reading = self._runtime.open(dialogue)
        self._runtime.read(self._reading, text)
        return self._reading
