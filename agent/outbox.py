"""What a session tells the outside, in order; of a reply nothing, until it is sure to be spoken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from dragoman.agent import events as ev

_MOST = 4096


class Outbox:
    """The events of a session, for one reader. ``full`` is called when they are not read fast enough."""

    def __init__(self, full: Callable[[], None]) -> None:
        self._full = full
        self._events: asyncio.Queue[ev.SessionEvent | None] = asyncio.Queue(_MOST)
        self._withheld: list[ev.SessionEvent] = []
        self._announced = 0

    async def events(self) -> AsyncIterator[ev.SessionEvent]:
        """All that is put in, until ``end``."""
        while (event := await self._events.get()) is not None:
            yield event

    def end(self) -> None:
        """The reader gets no more; where it is hopelessly behind, it loses the rest."""
        while self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(None)

    def put(self, event: ev.SessionEvent) -> None:
        """Tell it now."""
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            self._full()

    def put_of(self, reply: int, event: ev.SessionEvent) -> None:
        """Tell it when ``reply`` has been announced, or never."""
        if self._announced == reply:
            self.put(event)
        else:
            self._withheld.append(event)

    def announce(self, reply: int, event: ev.SessionEvent) -> None:
        """From now on ``reply`` is known outside; ``event`` says so first."""
        if self._announced != reply:
            self._announced = reply
            self.put(event)
            withheld, self._withheld = self._withheld, []
            for one in withheld:
                self.put(one)

    def forget(self) -> None:
        """Drop what was withheld."""
        self._withheld.clear()
