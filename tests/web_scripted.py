"""Helpers for the web tests: a session whose events are scripted, and checks against the reference's types."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable

from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from dragoman.agent.events import SessionEvent
from dragoman.agent.ports import Role
from dragoman.agent.settings import SessionSettings
from dragoman.audio.types import DragomanError, Samples
from dragoman.web.events import ServerEvent

_reference: TypeAdapter[object] = TypeAdapter(RealtimeServerEvent)


def valid(events: list[ServerEvent]) -> list[ServerEvent]:
    """``events``, each proved against the reference's own type for it, and each with an id."""
    for each in events:
        parsed = _reference.validate_python(each, strict=True)
        assert parsed.type == each["type"]
        assert str(each["event_id"]).startswith("event_")
    return events


def numbered() -> Callable[[str], str]:
    """Ids that count: item_1, item_2, resp_1 ..."""
    counts: dict[str, itertools.count[int]] = {}
    return lambda prefix: f"{prefix}_{next(counts.setdefault(prefix, itertools.count(1)))}"


class ScriptedControl:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.reply = 0
        """The reply that a cancel stops."""
        self._messages = itertools.count(1)

    def commit(self) -> None:
        self.calls.append(("commit",))

    def clear(self) -> None:
        self.calls.append(("clear",))

    def respond(self, *, instructions: str | None = None, max_tokens: int | None = None) -> None:
        self.calls.append(("respond", instructions, max_tokens))

    def cancel(self) -> int:
        self.calls.append(("cancel",))
        return self.reply

    def truncate(self, reply: int, seconds: float) -> None:
        self.calls.append(("truncate", reply, round(seconds, 3)))

    def remember(self, role: Role, text: str) -> int:
        self.calls.append(("remember", role, text))
        return next(self._messages)

    def forget(self, entry: int) -> bool:
        self.calls.append(("forget", entry))
        return True

    def configure(self, settings: object) -> None:
        self.calls.append(("configure", settings))


class ScriptedSession(ScriptedControl):
    """Stands where a session stands; notes what it is told, and ``tell`` makes it say things."""

    def __init__(self, settings: SessionSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or SessionSettings()
        self.heard = 0
        self._events: asyncio.Queue[SessionEvent | None] = asyncio.Queue()
        self._closing = asyncio.Event()
        self._failure: DragomanError | None = None

    async def run(self) -> None:
        await self._closing.wait()
        self._events.put_nowait(None)
        if self._failure is not None:
            raise self._failure

    async def hear(self, pcm: Samples) -> None:
        self.heard += len(pcm)

    async def events(self) -> AsyncIterator[SessionEvent]:
        while (event := await self._events.get()) is not None:
            yield event

    def tell(self, *events: SessionEvent) -> None:
        for event in events:
            self._events.put_nowait(event)

    def fail(self, error: DragomanError) -> None:
        self._failure = error
        self._closing.set()

    def close(self) -> None:
        self._closing.set()

    async def commit(self) -> None:  # type: ignore[override]
        super().commit()

    async def clear(self) -> None:  # type: ignore[override]
        super().clear()
