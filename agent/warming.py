"""Reading ahead: the language model reads the history, and the user's words so far, before a reply is asked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from dragoman.agent.ports import Message, Responder
from dragoman.audio.types import DragomanError

_EVERY = 5
"""Settled words of the user's turn after which they are read ahead."""


class Warmer:
    """At most one reading at a time; a newer one, or the reply itself, stops it (what was read stays read).

    ``prompt`` gives the messages that a reply to the given words would read; None: the history alone.
    """

    def __init__(self, responder: Responder, prompt: Callable[[str | None], Sequence[Message]]) -> None:
        self._responder = responder
        self._prompt = prompt
        self._task: asyncio.Task[None] | None = None
        self._said = ""
        self._read_words = 0

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        """No one speaks: read the history."""
        self._said, self._read_words = "", 0
        self._read(tasks, None)

    def heard(self, tasks: asyncio.TaskGroup, text: str, stable: int) -> None:
        """The user's words so far: read the settled ones now and then."""
        self._said = text
        if stable >= self._read_words + _EVERY:
            self._read_words = stable
            self._read(tasks, " ".join(text.split()[:stable]))

    def pause(self, tasks: asyncio.TaskGroup) -> None:
        """The user fell silent: most often the last words that were shown are the turn's words already."""
        if self._said:
            self._read(tasks, self._said)

    def stop(self) -> None:
        """Make way for a reply."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _read(self, tasks: asyncio.TaskGroup, said: str | None) -> None:
        self.stop()
        self._task = tasks.create_task(self._warm(self._prompt(said)), name="warm")

    async def _warm(self, messages: Sequence[Message]) -> None:
        with contextlib.suppress(DragomanError):  # the reply will meet the same trouble, and say so
            await self._responder.warm(messages)
