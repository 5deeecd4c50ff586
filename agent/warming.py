"""Reading ahead: the language model reads the history, and the user's words so far, before a reply is asked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from dragoman.agent.ports import Message, Responder

_EVERY = 2
"""Words of the user's turn after which they are read ahead, all but the last one: it may still change."""


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

    def heard(self, tasks: asyncio.TaskGroup, text: str) -> None:
        """The user's words so far; what was misheard costs no more than reading it again."""
        self._said = text
        words = text.split()[:-1]
        if len(words) >= self._read_words + _EVERY:
            self._read_words = len(words)
            self._read(tasks, " ".join(words), open_end=True)

    def pause(self, tasks: asyncio.TaskGroup) -> None:
        """The user fell silent: most often the last words that were shown are the turn's words already."""
        if self._said:
            self._read(tasks, self._said)

    def stop(self) -> None:
        """Make way for a reply."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _read(self, tasks: asyncio.TaskGroup, said: str | None, *, open_end: bool = False) -> None:
        self.stop()
        self._task = tasks.create_task(self._warm(self._prompt(said), open_end), name="warm")

    async def _warm(self, messages: Sequence[Message], open_end: bool) -> None:
        with contextlib.suppress(Exception):  # the reply will meet the same trouble, and say so
            await self._responder.warm(messages, open_end=open_end)
