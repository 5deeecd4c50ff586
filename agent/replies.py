"""Writing one reply aloud: the language model's words become clauses, and clauses become sound, as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import numpy as np

from dragoman.agent.engine import inputs as on
from dragoman.agent.llm.amending import amended
from dragoman.agent.ports import Message, Responder, Synthesizer
from dragoman.agent.workers import Worker
from dragoman.audio.text import ends_clause, whole_sentence
from dragoman.audio.types import OUTPUT_RATE, DragomanError, Samples, Word
from dragoman.tts.clauses import Clause, ClauseSplitter

SENTENCE_GAP_S: Final = 0.22
CLAUSE_GAP_S: Final = 0.08
SEAM_GAP_S: Final = 0.1
"""After first words that are a sentence: a longer one would sound as if the agent had to think."""
_AHEAD = 4
"""Clauses that may wait for the voice."""
_LEAVES_S: Final = 1.0
"""A language model that does not let a stopped reply go sooner (a server that is gone, say) is not waited for."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a reply is made of."""

    reply: int
    messages: Sequence[Message]
    rate: float
    max_tokens: int
    prefix: str = ""
    """Words that are being said already; it goes on from them."""
    begun_s: float = 0.0
    """Seconds of their sound."""


class ReplyWriter:
    """Carries out orders, each in a task; every result goes to a callback on the event loop, with the reply's number.

    ``voice`` opens what reads replies aloud; None: they are text alone.
    """

    def __init__(
        self,
        responder: Responder,
        worker: Worker,
        voice: Callable[[], Awaitable[Synthesizer | None]],
        *,
        wrote: Callable[[int, str], None],
        spoke: Callable[[int, Samples, on.ReplySpeech], None],
        ended: Callable[[on.ReplyWritten | on.ReplyFailed], None],
    ) -> None:
        self._responder = responder
        self._worker = worker
        self._voice = voice
        self._wrote = wrote
        self._spoke = spoke
        self._ended = ended
        self._writing: dict[int, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def begin(self, tasks: asyncio.TaskGroup, order: Order) -> None:
        """Write ``order`` to its end. A failure is told, not raised."""
        task = tasks.create_task(self._write(order), name=f"reply {order.reply}")
        self._writing[order.reply] = task
        task.add_done_callback(lambda _: self._writing.pop(order.reply, None))

    def stop(self, reply: int | None = None) -> None:
        """Write no more of ``reply`` (None: of any), nor tell of it; one that ends by itself just now does so."""
        for number in [*self._writing] if reply is None else [reply]:
            task = self._writing.pop(number, None)
            if task is not None and task is not asyncio.current_task():
                task.cancel()
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)

    async def left(self) -> None:
        """Until the replies that were stopped have let the language model go, with what it has read of this
        conversation. Who asks before finds that taken, and has the whole of it read again.
        """
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=_LEAVES_S)

    async def _write(self, order: Order) -> None:
        clauses: asyncio.Queue[Clause | None] = asyncio.Queue(_AHEAD)
        limited = asyncio.Event()
        try:
            await self.left()
            voice = await self._voice()
            if voice is None:
                await self._show(order, limited.set)
            else:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._read(order, voice, clauses, limited.set))
                    group.create_task(self._speak(order, voice, clauses))
        except* DragomanError as errors:
            self._ended(on.ReplyFailed(order.reply, str(errors.exceptions[0])))
        except* Exception as errors:  # nor must a voice that can't be opened end the conversation
            self._ended(on.ReplyFailed(order.reply, f"internal error: {errors.exceptions[0]!r}"))
        else:
            self._ended(on.ReplyWritten(order.reply, limited.is_set()))

    async def _deltas(self, order: Order, limited: Callable[[], None]) -> AsyncGenerator[str, None]:
        deltas = self._responder.reply(
            order.messages, prefix=order.prefix, max_tokens=order.max_tokens, limited=limited
        )
        async with aclosing(amended(deltas, order.prefix)) as stream:  # closing it stops the model at once
            async for delta in stream:
                self._wrote(order.reply, delta)
                yield delta

    async def _show(self, order: Order, limited: Callable[[], None]) -> None:
        """Text alone: all that is written counts, as it is written."""
        rest = ""
        async with aclosing(self._deltas(order, limited)) as deltas:
            async for delta in deltas:
                *whole, rest = (rest + delta).split(" ")
                self._shown(order.reply, whole)
        self._shown(order.reply, [rest.rstrip()])

    def _shown(self, reply: int, words: Sequence[str]) -> None:
        if words:
            timed = tuple(Word(word, 0.0, 0.0) for word in words)
            self._spoke(reply, np.zeros(0, np.float32), on.ReplySpeech(reply, timed, 0.0))

    async def _read(
        self,
        order: Order,
        voice: Synthesizer,
        clauses: asyncio.Queue[Clause | None],
        limited: Callable[[], None],
    ) -> None:
        splitter = ClauseSplitter(voice.language)
        async with aclosing(self._deltas(order, limited)) as deltas:
            async for delta in deltas:
                for clause in splitter.feed(delta):
                    await clauses.put(clause)
        for clause in splitter.flush():
            await clauses.put(clause)
        await clauses.put(None)

    async def _speak(self, order: Order, voice: Synthesizer, clauses: asyncio.Queue[Clause | None]) -> None:
        seconds, gap = order.begun_s, _after(order.prefix)
        while (clause := await clauses.get()) is not None:
            speech = await self._worker.run(voice.synthesize, clause.text, rate=order.rate, final=clause.final)
            silence = np.zeros(round(gap * OUTPUT_RATE), np.float32)
            pcm = np.concatenate((silence, speech.pcm))
            offset = seconds + len(silence) / OUTPUT_RATE
            words = tuple(word.shifted(offset) for word in speech.words)
            length = len(pcm) / OUTPUT_RATE
            self._spoke(order.reply, pcm, on.ReplySpeech(order.reply, words, length))
            seconds += length
            gap = SENTENCE_GAP_S if clause.final else CLAUSE_GAP_S


def _after(prefix: str) -> float:
    """The silence between first words and what follows them."""
    words = prefix.split()
    if whole_sentence(words):
        return SEAM_GAP_S
    return CLAUSE_GAP_S if words and ends_clause(words[-1]) else 0.0
