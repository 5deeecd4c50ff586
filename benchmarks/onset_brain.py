"""The language model of the reckoned machine: what it wrote to a prompt once, it writes again, piece by piece, at what
each piece cost.

What a prompt costs depends on what the model has read before, so that is part of the key; before it is really asked, it
is made to read that, at no charge.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from dragoman.agent.llm.llamacpp import LlamaCppResponder
from dragoman.agent.llm.prompts import TURN_END, chatml
from dragoman.agent.ports import Message, Responder, unnoticed
from dragoman.audio.clock import busy
from dragoman.audio.types import DragomanError
from dragoman.benchmarks.onset_cores import Cores
from dragoman.benchmarks.onset_recall import Recall

_BUSY_S: Final = 0.05
"""A thread that computed so long while the language model read its prompt is the language model's."""


@dataclass(slots=True)
class _Written:
    """A reply as far as it was written: pieces with their costs; the last one of a whole reply is empty."""

    pieces: list[tuple[str, float]] = field(default_factory=list)
    whole: bool = False
    source: AsyncGenerator[str, None] | None = None
    stamps: list[float] = field(default_factory=list)
    before: int = 0
    """Pieces that were there when the source was opened."""


@dataclass(frozen=True, slots=True)
class _Prompt:
    messages: tuple[Message, ...]
    prefix: str | None = None
    """Words to go on from; None: it is read ahead."""
    open_end: bool = False

    @property
    def text(self) -> str:
        """As the model reads it."""
        if self.prefix is not None:
            return chatml(self.messages, self.prefix)
        if self.open_end:
            return chatml(self.messages, None).removesuffix(TURN_END)
        return chatml(self.messages, "" if self.messages and self.messages[-1].role == "user" else None)


class RecalledBrain:
    """A ``Responder`` on the machine's cores, one request at a time. ``clock``: its processor time so far."""

    def __init__(self, inner: LlamaCppResponder, cores: Cores, recall: Recall, clock: Callable[[], float]) -> None:
        self._inner, self._cores, self._recall, self._clock = inner, cores, recall, clock
        self._read = _Prompt(())
        self._slot = ""
        """What it would have read and written last."""
        self._real = ""
        """What it has."""
        self._last: asyncio.Future[None] | None = None
        self._open: _Written | None = None

    async def warm(self, messages: Sequence[Message], *, open_end: bool = False) -> None:
        """See ``Responder.warm``."""
        prompt = _Prompt(tuple(messages), None, open_end)
        before, done = self._in_line()
        job: asyncio.Future[None] | None = None
        try:
            await self._alone(before)
            text, read = prompt.text, self._known(prompt)
            key = "warm", text, read
            if (cost := self._recall.find(key)) is None:
                await self._restore(prompt, read)
                begun = self._clock()
                await self._inner.warm(messages, open_end=open_end)
                cost = self._clock() - begun
                self._recall.keep(key, cost)
                self._real = text
            self._read, self._slot = prompt, text
            job = self._cores.begin(cost)
            await asyncio.shield(job)
        finally:
            _free(done, job)

    async def reply(
        self,
        messages: Sequence[Message],
        *,
        prefix: str = "",
        max_tokens: int = 160,
        limited: Callable[[], None] = unnoticed,
    ) -> AsyncGenerator[str, None]:
        """See ``Responder.reply``."""
        prompt = _Prompt(tuple(messages), prefix)
        before, done = self._in_line()
        job: asyncio.Future[None] | None = None
        written: _Written | None = None
        try:
            await self._alone(before)
            text, read = prompt.text, self._known(prompt)
            key = "reply", text, read, max_tokens
            written = self._recall.find(key)
            if written is None:
                written = self._recall.keep(key, _Written())
            number = 0
            while not written.whole or number < len(written.pieces):
                if number == len(written.pieces):
                    await self._write(written, prompt, read, max_tokens)
                    continue
                if not number:
                    self._read, self._slot = prompt, text
                piece, cost = written.pieces[number]
                number += 1
                job = self._cores.begin(cost)
                await asyncio.shield(job)
                self._slot += piece
                if piece:
                    yield piece
        finally:
            _free(done, job)
            if written is not None and written is self._open:
                await self._close()

    async def aclose(self) -> None:
        """As the inner one."""
        await self._close()
        await self._inner.aclose()

    def _in_line(self) -> tuple[asyncio.Future[None] | None, asyncio.Future[None]]:
        before, self._last = self._last, asyncio.get_running_loop().create_future()
        return before, self._last

    async def _alone(self, before: asyncio.Future[None] | None) -> None:
        # One of another loop is over with it.
        if before is not None and not before.done() and before.get_loop() is asyncio.get_running_loop():
            await asyncio.wait([before])

    def _known(self, prompt: _Prompt) -> int:
        return _common(self._slot, prompt.text)

    async def _restore(self, prompt: _Prompt, read: int) -> None:
        """Let the model have read what it would have read, where that matters to what comes."""
        await self._close()
        if _common(self._real, prompt.text) == read:
            return
        if self._read.prefix is None:
            await self._inner.warm(self._read.messages, open_end=self._read.open_end)
        else:
            await self._read_reply(self._read)
        self._real = self._read.text

    async def _read_reply(self, prompt: _Prompt) -> None:
        async with aclosing(self._inner.reply(prompt.messages, prefix=prompt.prefix or "", max_tokens=1)) as some:
            async for _ in some:
                pass

    async def _write(self, written: _Written, prompt: _Prompt, read: int, max_tokens: int) -> None:
        """One more piece, really."""
        if written.source is None:
            # It was written so far for someone who wanted no more. Asked anew, the model may write something else.
            beginning = (prompt.prefix or "") + "".join(piece for piece, _ in written.pieces)
            if written.pieces:
                await self._close()
                await self._read_reply(replace(prompt, prefix=beginning))
            else:
                await self._restore(prompt, read)
            written.stamps = stamps = [self._clock()]
            written.before = len(written.pieces)
            self._inner.watch = lambda: stamps.append(self._clock())
            written.source = self._inner.reply(
                prompt.messages, prefix=beginning, max_tokens=max(1, max_tokens - written.before)
            )
            self._open, self._real = written, prompt.text
        try:
            piece = await anext(written.source, None)
        except BaseException:
            await self._close()
            raise
        number, stamps = len(written.pieces) - written.before + 1, written.stamps
        if piece is None or number >= len(stamps):
            written.pieces.append((piece or "", max(0.0, self._clock() - stamps[-1])))
            written.whole = piece is None
        else:
            written.pieces.append((piece, stamps[number] - stamps[number - 1]))
        if written.whole:
            await self._close()

    async def _close(self) -> None:
        opened, self._open = self._open, None
        if opened is not None and opened.source is not None:
            source, opened.source = opened.source, None
            await source.aclose()


def _common(first: str, second: str) -> int:
    """Characters at the beginning of two texts that are the same."""
    shorter = min(len(first), len(second))
    return next((i for i in range(shorter) if first[i] != second[i]), shorter)


def _free(done: asyncio.Future[None], job: asyncio.Future[None] | None) -> None:
    """The next request's turn comes when the token in hand is done."""
    if job is None or job.done():
        done.set_result(None)
    else:
        job.add_done_callback(lambda _: done.set_result(None))


async def engine_clock(responder: Responder) -> Callable[[], float]:
    """The processor time of an embedded language model, which has threads of its own. Raises ``DragomanError``."""
    if sys.platform != "linux" or not isinstance(responder, LlamaCppResponder):
        raise DragomanError("processor time can be told apart on Linux alone, and of an embedded language model")
    before = _threads()
    with busy():
        await responder.warm([Message("system", "Count to three, and then a little further, and say each number.")])
    own = [thread for thread, spent in _threads().items() if spent - before.get(thread, 0.0) > _BUSY_S]
    if not own:
        raise DragomanError("the language model's threads can't be found: it did not compute anything")
    return lambda: sum(map(_spent, own))


def _threads() -> dict[int, float]:
    own = int(Path("/proc/thread-self").resolve().name)
    numbers = (int(task.name) for task in Path("/proc/self/task").iterdir())
    return {number: _spent(number) for number in numbers if number != own}


def _spent(thread: int) -> float:
    """Processor time of a thread by its number, as Linux names its clock."""
    try:
        return time.clock_gettime((~thread << 3) | 6)
    except OSError:  # it has ended
        return 0.0
