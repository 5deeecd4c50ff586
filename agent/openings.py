"""The first words of a reply, ready before it is due: drafted by the fast path, judged, spoken, and held back.

A draft is begun when the user falls silent, which is most often before it is known whether the turn is over. If the
user goes on, it is dropped without a sound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from dragoman.agent.engine import inputs as on
from dragoman.agent.ports import Synthesizer
from dragoman.agent.workers import Worker
from dragoman.audio.text import belong_together, ends_clause
from dragoman.audio.types import OUTPUT_RATE, Samples, Word

LEAST: Final = 3
MOST: Final = 7
"""Words of a prefix, unless the whole reply is shorter."""

_USUAL: Final = 5
"""Words of a prefix that has no place to breathe."""


Array = npt.NDArray[np.float32]


class Drafted(Protocol):
    """First words of a reply, as the drafter gives them, with its doubts (``duplex.drafts.Draft``)."""

    @property
    def text(self) -> str:
        """The words."""

    @property
    def complete(self) -> bool:
        """The reply has no more."""

    @property
    def tokens(self) -> Sequence[int]:
        """What they were written with, n of them."""

    @property
    def hidden(self) -> Array:
        """The state that each token was guessed from, shape [n, d]."""

    @property
    def entropy(self) -> Array:
        """Of each guess, shape [n]."""

    @property
    def logp(self) -> Array:
        """Log-probability of each token, shape [n]."""

    @property
    def margin(self) -> Array:
        """To the second best, in nats, shape [n]."""


class Drafter(Protocol):
    """Writes drafts for one session (``duplex.live.FrameStream``)."""

    async def draft(self, words: int) -> Drafted:
        """The first words of a reply that would begin now, so many at most."""


class Judge(Protocol):
    """The verifier."""

    def trust(self, draft: Drafted) -> float:
        """Probability that a draft is a good beginning. Blocking, some milliseconds."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """What may be said, and its sound at 24 kHz."""

    text: str
    trust: float
    pcm: Samples
    words: tuple[Word, ...]


def sayable(text: str, *, complete: bool) -> str:
    """The part of a draft to say: up to the last place to breathe within ``MOST`` words, never inside a name or number.

    Empty where the draft is too short to be cut.
    """
    words = text.split()
    if complete and len(words) <= MOST:
        return " ".join(words)
    if len(words) <= LEAST:
        return ""
    marked = next((n for n in range(min(MOST, len(words)), LEAST - 1, -1) if ends_clause(words[n - 1])), None)
    if marked is not None:
        return " ".join(words[:marked])
    for n in (*range(min(_USUAL, len(words) - 1), LEAST - 1, -1), *range(_USUAL + 1, min(MOST, len(words) - 1) + 1)):
        if not belong_together(words[n - 1], words[n]):
            return " ".join(words[:n])
    return ""


class Opener:
    """At most one draft at a time; a newer one stops it. ``told`` is called on the event loop."""

    def __init__(
        self,
        drafter: Drafter,
        judge: Judge,
        voice: Callable[[], Awaitable[Synthesizer]],
        speaking: Worker,
        told: Callable[[on.Opening], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._drafter, self._judge = drafter, judge
        self._voice, self._speaking = voice, speaking
        self._told, self._failed = told, failed
        self._task: asyncio.Task[None] | None = None
        self._count = 0
        self._held: dict[int, Prefix] = {}
        self.drafted = 0
        """Drafts that were written."""
        self.wasted = 0
        """Drafts that were dropped: their words were never said."""

    def begin(self, tasks: asyncio.TaskGroup, turn: int, rate: float) -> None:
        """``turn`` may be over: draft the beginning of its answer, spoken at ``rate``."""
        self.stop()
        self._task = tasks.create_task(self._open(turn, rate), name="opening")

    def stop(self) -> None:
        """No draft is wanted any more; those that are held stay."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def drop(self, draft: int) -> None:
        """It will not be said."""
        if self._held.pop(draft, None) is not None:
            self.wasted += 1

    def take(self, draft: int) -> Prefix:
        """It is said now."""
        return self._held.pop(draft)

    async def _open(self, turn: int, rate: float) -> None:
        try:
            draft = await self._drafter.draft(MOST + 1)
            self.drafted += 1
            trust = await asyncio.to_thread(self._judge.trust, draft)
            text = sayable(draft.text, complete=draft.complete)
            if not text:
                self.wasted += 1
                return
            voice = await self._voice()
            speech = await self._speaking.run(voice.synthesize, text, rate=rate, final=draft.complete)
        except Exception as error:  # the slow path answers alone
            self._failed(error)
            return
        self._count += 1
        self._held[self._count] = Prefix(text, trust, speech.pcm, tuple(speech.words))
        self._told(on.Opening(self._count, turn, tuple(speech.words), len(speech.pcm) / OUTPUT_RATE, trust))
