"""The hand-off for any cascade: the first words of a reply, to be said at once, or none.

A cascade (recognizer, language model, voice) that is not this project's gets its first words here, as text, while its
language model has not begun yet::

    relay = open_relay()
    opening = await relay.begin([("user", "I got the job!")])
    prefix = opening.text if opening else ""
    ...                                                       # the voice says the prefix at once
    request = continued(messages, prefix, server_kind("vLLM"))  # the model goes on from it
    async for text in following(pieces, prefix, server_kind("vLLM")):
        ...                                                   # the voice says the rest

No prefix, and the language model answers alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from dragoman.agent.drafter.catalog import open_drafter
from dragoman.agent.drafter.runtime import DrafterRuntime
from dragoman.agent.llm import prefill
from dragoman.agent.llm.amending import amended
from dragoman.agent.llm.prefill import ASKED, Request, Seam, continued, server_kind
from dragoman.agent.llm.servers import Kind
from dragoman.agent.openings import MOST, Drafted, Judge, may_begin, says_all
from dragoman.agent.verifying import open_verifier
from dragoman.agent.workers import Worker
from dragoman.models.catalog import Progress

__all__ = [
    "ASKED",
    "Dialogue",
    "Drafted",
    "Judge",
    "Opening",
    "Relay",
    "Request",
    "Seam",
    "TextDrafter",
    "continued",
    "following",
    "open_relay",
    "server_kind",
]

Dialogue: TypeAlias = Sequence[tuple[str, str]]
"""Turns (role, text), the role "user" or "assistant"; the last is the user's, and is to be answered."""

LATE_S: Final = 0.5
"""Seconds to wait for a draft that takes a tenth of one: the language model waits too, and is rather let begin."""


class TextDrafter(Protocol):
    """Writes the first words of a reply. Called on one thread of the relay's, a call at a time."""

    def draft(self, dialogue: Dialogue, words: int) -> Drafted:
        """The first words, so many at most. Blocking, about 100 ms."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The first words of a reply, which may be said."""

    text: str
    trust: float
    """Probability that they are a good beginning."""
    complete: bool
    """The drafter would say no more; the language model may."""


class Reader:
    """The drafter that ships, as a ``TextDrafter``."""

    def __init__(self, runtime: DrafterRuntime) -> None:
        self._runtime = runtime

    def draft(self, dialogue: Dialogue, words: int) -> Drafted:
        """The first words of the reply to the last turn."""
        reading = self._runtime.open(dialogue[:-1])
        self._runtime.read(reading, dialogue[-1][1])
        return self._runtime.draft(reading, words)


class Relay:
    """Drafts and judges, for any number of conversations at a time; they are served in order.

    ``threshold``: speak a draft from this trust on, instead of the verifier's own. ``late_s``: seconds to wait for a
    draft at most. ``close`` when nobody drafts any more.
    """

    def __init__(
        self, drafter: TextDrafter, verifier: Judge, *, threshold: float | None = None, late_s: float = LATE_S
    ) -> None:
        self._drafter, self._verifier = drafter, verifier
        self._threshold, self._late_s = threshold, late_s
        self._worker = Worker("relay")
        self.asked = 0
        """How often first words were wanted."""
        self.opened = 0
        """How often there were some."""

    @property
    def threshold(self) -> float:
        """The trust from which on a draft is spoken."""
        return self._verifier.threshold if self._threshold is None else self._threshold

    async def begin(self, dialogue: Dialogue) -> Opening | None:
        """The first words of the reply to the last turn of ``dialogue``, cut where one can breathe.

        None where the language model is to answer alone: the draft is not trusted, plainly wrong, too short to be cut,
        or too late, or it is not the user who spoke last. It may be called before it is sure that the user's turn is
        over: who drops the result has said nothing. Cancelling drops it too. Raises what the drafter or the verifier
        raises.
        """
        if not dialogue or dialogue[-1][0] != "user" or not dialogue[-1][1].strip():
            return None
        self.asked += 1
        try:
            async with asyncio.timeout(self._late_s) as limit:
                opening = await self._worker.run(self._open, tuple(dialogue))
        except TimeoutError:
            if not limit.expired():  # the drafter's own
                raise
            return None
        if opening is None or opening.trust < self.threshold:
            return None
        self.opened += 1
        return opening

    def close(self) -> None:
        """Let the running draft end, and free the thread. The drafter stays its owner's."""
        self._worker.close()

    def _open(self, dialogue: Dialogue) -> Opening | None:
        draft = self._drafter.draft(dialogue, MOST + 1)
        text = may_begin(draft, dialogue)
        return Opening(text, self._verifier.trust(draft), says_all(draft, text)) if text else None


async def following(pieces: AsyncIterator[str], prefix: str, server: Kind) -> AsyncGenerator[str, None]:
    """What is said after ``prefix``, of a stream that ``server`` wrote for it: nothing twice, no space missing, and
    with a correction before what takes the prefix back.
    """
    async with aclosing(amended(prefill.following(pieces, prefix, server), prefix)) as rest:
        async for text in rest:
            yield text


def open_relay(language: str = "en", *, progress: Progress | None = None) -> Relay:
    """The drafter and the verifier that ship for a language, or those of the user's own. Some seconds.

    Raises ``DragomanError`` when one of them is missing.
    """
    verifier = open_verifier(language)
    return Relay(Reader(open_drafter(language, progress=progress)), verifier)
