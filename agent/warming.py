"""Reading ahead: the language model reads the history, and the user's words so far, before a reply is asked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from dragoman.agent.ports import Message, Responder

_EVERY = 2
"""Words of the user's turn after which they are read ahead, all but the last one: it may still change."""


class Warmer:
    """At most one reading at a time; a newer one, or the reply itself, stops it (what was read stays read).

    ``prompt`` gives the messages that a reply to the given words would read; None: the history alone. ``after`` lasts
    while a reply that was stopped still holds the model. Where there are no ``tasks``, nothing may be read now.
    """

    def __init__(
        self,
        responder: Responder,
        prompt: Callable[[str | None], Sequence[Message]],
        *,
        after: Callable[[], Awaitable[None]],
    ) -> None:
        self._responder = responder
        self._prompt = prompt
        self._after = after
        self._task: asyncio.Task[None] | None = None
        self._said = ""
        self._read_words = 0
        self._guess = ""
        self._guessed = False
        """The words that were shown in the last pause were the turn's words."""

    def begin(self, tasks: asyncio.TaskGroup | None) -> None:
        """No one speaks: read the history."""
        if tasks is not None:
            self._said, self._read_words = "", 0
            self._read(tasks, None)

    def heard(self, tasks: asyncio.TaskGroup, text: str) -> None:
        """The user's words so far; what was misheard costs no more than reading it again."""
        self._said = text
        words = text.split()[:-1]
        if len(words) >= self._read_words + _EVERY:
            self._read_words = len(words)
            self._read(tasks, " ".join(words), open_end=True)

    def pause(self, tasks: asyncio.TaskGroup | None) -> None:
        """The user fell silent. A slow recognizer has shown all words by then, and they can be read while it makes sure
        of them; one that hears as the user speaks has the last word yet to come, sooner than others would be read.
        """
        if tasks is not None:
            self._guess = self._said
            if self._said and self._guessed:
                self._read(tasks, self._said)

    def answers(self, text: str) -> None:
        """A reply to these words begins: make way for it. They came in that pause: whether those that were shown before
        it are worth reading in the next.
        """
        self.stop()
        if self._guess:
            self._guessed, self._guess = self._guess == text, ""

    def stop(self) -> None:
        """Make way for a reply."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _read(self, tasks: asyncio.TaskGroup, said: str | None, *, open_end: bool = False) -> None:
        self.stop()
        self._task = tasks.create_task(self._warm(self._prompt(said), open_end), name="warm")

    async def _warm(self, messages: Sequence[Message], open_end: bool) -> None:
        await self._after()
        with contextlib.suppress(Exception):  # the reply will meet the same trouble, and say so
            await self._responder.warm(messages, open_end=open_end)
