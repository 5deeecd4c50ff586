"""The models of a session, wrapped: slowed down as a benchmark wants, and with what each result cost beside it.

Nothing here changes what is said. Costs are seconds: a voice's and a judge's by processor time, a language model's
and a drafter's by the loop's clock while they are waited for.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

import numpy as np

from dragoman.agent.drafter.drafts import Draft
from dragoman.agent.openings import Dialogue, Drafted, Drafter, Judge, TurnDrafter
from dragoman.agent.parts import Parts
from dragoman.agent.ports import Message, Responder, Synthesizer, unnoticed
from dragoman.audio.types import Speech

Stage: TypeAlias = Literal["draft", "judge", "voice", "brain"]

_SILENT_S: Final = 30.0
"""Longer than any reply is waited for."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a stage made, and what that cost. A brain's ``text`` comes after the words that it was given to continue."""

    stage: Stage
    text: str
    seconds: float


@dataclass(slots=True)
class Meter:
    """All that was made for one turn. ``spent_s``: processor time so far, of who is asked."""

    spent: list[Spent] = field(default_factory=list)
    spent_s: Callable[[], float] = time.thread_time

    def wasted(self, said: str) -> float:
        """Seconds that went into words that are no part of the reply that was ``said``."""
        return sum(one.seconds for one in self.spent if not _used(one, said))


def _used(one: Spent, said: str) -> bool:
    words, reply = (re.findall(r"\w+", text.lower()) for text in (one.text, said))
    if not words:
        return False
    if one.stage == "brain":
        return reply[-len(words) :] == words
    if one.stage == "voice":
        return any(reply[i : i + len(words)] == words for i in range(len(reply) - len(words) + 1))
    # A draft is a word or more longer than what is said of it, and whoever goes on says something else after that.
    return reply[: min(3, len(words))] == words[:3]


def metered(parts: Parts, voice: Synthesizer, meter: Meter) -> Parts:
    """The same models, for one session; ``voice`` is the one that it speaks with."""
    made = replace(
        parts,
        responder=_MeteredResponder(parts.responder, meter),
        drafter=None if parts.drafter is None else _MeteredDrafter(parts.drafter, meter),
        judge=None if parts.judge is None else _MeteredJudge(parts.judge, meter),
        _voices={},  # not the process's own: another session must not be metered
    )
    made.keep({(voice.language, None): _MeteredVoice(voice, meter)})
    return made


class Delayed:
    """A responder whose first token comes so many seconds later, as from a server far away."""

    def __init__(self, inner: Responder, seconds: float) -> None:
        self._inner, self._seconds = inner, seconds

    async def reply(
        self,
        messages: Sequence[Message],
        *,
        prefix: str = "",
        max_tokens: int = 160,
        limited: Callable[[], None] = unnoticed,
    ) -> AsyncGenerator[str, None]:
        """The inner one's text, later."""
        await asyncio.sleep(self._seconds)
        rest = self._inner.reply(messages, prefix=prefix, max_tokens=max_tokens, limited=limited)
        async with aclosing(rest) as pieces:
            async for piece in pieces:
                yield piece

    async def warm(self, messages: Sequence[Message], *, open_end: bool = False) -> None:
        """As the inner one."""
        await self._inner.warm(messages, open_end=open_end)

    async def aclose(self) -> None:
        """As the inner one."""
        await self._inner.aclose()


class Mute:
    """No slow path: whoever asks it for a whole reply waits in vain, and nothing follows the first words."""

    async def reply(
        self,
        messages: Sequence[Message],
        *,
        prefix: str = "",
        max_tokens: int = 160,
        limited: Callable[[], None] = unnoticed,
    ) -> AsyncGenerator[str, None]:
        """No words."""
        if not prefix:
            await asyncio.sleep(_SILENT_S)
        yield ""

    async def warm(self, messages: Sequence[Message], *, open_end: bool = False) -> None:
        """Nothing to do."""

    async def aclose(self) -> None:
        """Nothing to do."""


class Trusting:
    """No verifier: every draft is good."""

    threshold: Final = 0.0

    def trust(self, draft: Drafted) -> float:
        """Certainty."""
        return 1.0


class _Along:
    """A drafter that is the inner one but for its drafts."""

    def __init__(self, inner: Drafter) -> None:
        self._inner = inner

    @property
    def language(self) -> str:
        """As the inner one's."""
        return self._inner.language

    def close(self) -> None:
        """As the inner one."""
        self._inner.close()


class _TurnsAlong:
    """A session's drafts, read along and judged for ends of turns as by the inner ones."""

    def __init__(self, inner: TurnDrafter) -> None:
        self._inner = inner

    async def read(self, dialogue: Dialogue, text: str) -> None:
        await self._inner.read(dialogue, text)

    @property
    def tells_ends(self) -> bool:
        return self._inner.tells_ends

    async def whole(self, dialogue: Dialogue, text: str) -> float | None:
        return await self._inner.whole(dialogue, text)


class Wordless(_Along):
    """A drafter that reads along and tells ends of turns as the inner one does, and drafts nothing."""

    def open(self) -> TurnDrafter:
        """For a session."""
        return _WordlessTurns(self._inner.open())


class _WordlessTurns(_TurnsAlong):
    async def draft(self, dialogue: Dialogue, text: str, words: int) -> Drafted:
        nothing = np.zeros(0, np.float32)
        return Draft("", (), False, nothing[:, None], nothing, nothing, nothing)


class _MeteredResponder:
    def __init__(self, inner: Responder, meter: Meter) -> None:
        self._inner, self._meter = inner, meter

    async def reply(
        self,
        messages: Sequence[Message],
        *,
        prefix: str = "",
        max_tokens: int = 160,
        limited: Callable[[], None] = unnoticed,
    ) -> AsyncGenerator[str, None]:
        clock = asyncio.get_running_loop()
        text, spent, asked = "", 0.0, clock.time()
        try:
            written = self._inner.reply(messages, prefix=prefix, max_tokens=max_tokens, limited=limited)
            async with aclosing(written) as pieces:
                async for piece in pieces:
                    spent, text = spent + clock.time() - asked, text + piece
                    yield piece
                    asked = clock.time()
        finally:
            self._meter.spent.append(Spent("brain", text, spent if text else clock.time() - asked))

    async def warm(self, messages: Sequence[Message], *, open_end: bool = False) -> None:
        await self._inner.warm(messages, open_end=open_end)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _MeteredDrafter(_Along):
    def __init__(self, inner: Drafter, meter: Meter) -> None:
        super().__init__(inner)
        self._meter = meter

    def open(self) -> TurnDrafter:
        return _MeteredTurnDrafter(self._inner.open(), self._meter)


class _MeteredTurnDrafter(_TurnsAlong):
    def __init__(self, inner: TurnDrafter, meter: Meter) -> None:
        super().__init__(inner)
        self._meter = meter

    async def draft(self, dialogue: Dialogue, text: str, words: int) -> Drafted:
        clock = asyncio.get_running_loop()
        began = clock.time()
        drafted = await self._inner.draft(dialogue, text, words)
        self._meter.spent.append(Spent("draft", drafted.text, clock.time() - began))
        return drafted


class _MeteredJudge:
    def __init__(self, inner: Judge, meter: Meter) -> None:
        self._inner, self._meter = inner, meter

    @property
    def threshold(self) -> float:
        return self._inner.threshold

    def trust(self, draft: Drafted) -> float:
        began = self._meter.spent_s()
        found = self._inner.trust(draft)
        self._meter.spent.append(Spent("judge", draft.text, self._meter.spent_s() - began))
        return found


class _MeteredVoice:
    def __init__(self, inner: Synthesizer, meter: Meter) -> None:
        self._inner, self._meter = inner, meter

    @property
    def language(self) -> str:
        return self._inner.language

    def synthesize(self, text: str, *, rate: float = 1.0, final: bool = True) -> Speech:
        began = self._meter.spent_s()
        speech = self._inner.synthesize(text, rate=rate, final=final)
        self._meter.spent.append(Spent("voice", text, self._meter.spent_s() - began))
        return speech
