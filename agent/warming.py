"""Reading ahead: the language model reads the history, and the user's settled words, before a reply is asked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from dragoman.agent.ports import Message, Responder
from dragoman.audio.types import DragomanError


class Warmer:
    """At most one reading at a time; a newer one, or the reply itself, stops it (what was read stays read)."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._task: asyncio.Task[None] | None = None

    def warm(self, tasks: asyncio.TaskGroup, messages: Sequence[Message]) -> None:
        """Begin to read ``messages`` in ``tasks``."""
        self.stop()
        self._task = tasks.create_task(self._read(messages), name="warm")

    def stop(self) -> None:
        """Make way for a reply."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _read(self, messages: Sequence[Message]) -> None:
        with contextlib.suppress(DragomanError):  # the reply will meet the same trouble, and say so
            await self._responder.warm(messages)
