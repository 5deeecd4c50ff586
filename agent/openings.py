"""The first words of a reply, ready before it is due: drafted by the fast path, judged, spoken, and held back.

The drafter reads along while the user speaks. A draft is begun when the user's words are there in a pause, together
with the slow path's reply, which is most often before it is known whether the turn is over. If the user goes on, both
are dropped without a sound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from dragoman.agent.engine import inputs as on
from dragoman.agent.engine.wording import same_meaning
from dragoman.agent.ports import Synthesizer
from dragoman.agent.workers import Worker
from dragoman.audio.text import belong_together, core, ends_clause, whole_sentence
from dragoman.audio.types import OUTPUT_RATE, Samples, Word
from dragoman.verifier.contradictions import contradiction, guesses, ignores_thanks
from dragoman.verifier.features import Drafted as Doubted

LEAST: Final = 3
MOST: Final = 7
"""Words of a prefix, unless the whole reply is shorter."""

_USUAL: Final = 5
"""Words of a prefix that has no place to breathe."""

_LEANING_WORDS: Final = (
    "a an the this that these those my your his her its our their some any no every each another "
    "i you he she we they there who which what how when where why whose if than as "
    "to of for in on at by with from about into onto over and or but nor so because while "
    "am is are was were be been being do does did have has had will would can could shall should may might must "
    "i'm i've i'd i'll you're you've you'd you'll he's she's it's we're we've we'll they're they've that's there's "
    "what's who's let let's don't doesn't didn't isn't aren't wasn't can't couldn't won't wouldn't shouldn't "
    "not very too quite really just also always never still even probably maybe such like"
)
_LEANING: Final = frozenset(_LEANING_WORDS.split())
"""English words that are said in one breath with the next, and sound broken off without it."""


Dialogue = Sequence[tuple[str, str]]
"""Turns (role, text) before the user's."""


class Drafted(Doubted, Protocol):
    """First words of a reply, as the drafter gives them, with its doubts (``drafter.drafts.Draft``)."""

    @property
    def text(self) -> str:
        """The words."""


class TurnDrafter(Protocol):
    """Writes the drafts of one session (``drafter.live.TurnDrafter``)."""

    async def read(self, dialogue: Dialogue, text: str) -> None:
        """Read ahead: the user's turn so far."""

    async def draft(self, dialogue: Dialogue, text: str, words: int) -> Drafted:
        """The first words of a reply to ``text``, so many at most."""

    @property
    def tells_ends(self) -> bool:
        """Whether ``whole`` is known."""

    async def whole(self, dialogue: Dialogue, text: str) -> float | None:
        """Logit that the user's turn is whole; None where that can't be told."""


class Drafter(Protocol):
    """A model that drafts, shared by all sessions (``drafter.live.LiveDrafter``)."""

    @property
    def language(self) -> str:
        """What it reads and writes, ISO 639-1."""

    def open(self) -> TurnDrafter:
        """Drafts for a session."""

    def close(self) -> None:
        """Free it."""


class Judge(Protocol):
    """The verifier."""

    @property
    def threshold(self) -> float:
        """The probability from which on a draft is said."""

    def trust(self, draft: Drafted) -> float:
        """Probability that a draft is a good beginning. Under a millisecond: called on the event loop."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """What may be said, and its sound at 24 kHz."""

    text: str
    trust: float
    pcm: Samples
    words: tuple[Word, ...]


def sayable(text: str, *, complete: bool) -> str:
    """The part of a draft to say: up to the last place to breathe within ``MOST`` words, never inside a name or number.

    Where there is no mark, words that belong to what follows ("to", "a", "it's") are left to it. Empty where the draft
    is too short to be cut.
    """
    words = text.split()
    if complete and len(words) <= MOST:
        return " ".join(words)
    if len(words) <= LEAST:
        return ""
    marked = next((n for n in range(min(MOST, len(words)), LEAST - 1, -1) if _breathes(words[:n])), None)
    if marked is not None:
        return " ".join(words[:marked])
    last = min(MOST, len(words) - 1)
    able = [
        n
        for n in (*range(min(_USUAL, last), LEAST - 1, -1), *range(_USUAL + 1, last + 1))
        if not belong_together(words[n - 1], words[n])
    ]
    cut = next((n for n in able if core(words[n - 1]).lower() not in _LEANING), able[0] if able else 0)
    return " ".join(words[:cut])


def may_begin(draft: Drafted, dialogue: Dialogue) -> str:
    """What of a draft may be said to the last turn of a dialogue: its sayable part, unless that is plainly wrong, a
    guess at what the language model may know, or no answer to thanks.

    A verifier judges how a draft was come by; that nobody said a name, it can't know.
    """
    words = sayable(draft.text, complete=draft.complete)
    amiss = contradiction(words, dialogue) or guesses(words, dialogue) or ignores_thanks(words, dialogue)
    return "" if amiss else words


def says_all(draft: Drafted, words: str) -> bool:
    """Whether the drafter would say no more than these words of its draft."""
    return draft.complete and words.split() == draft.text.split()


def _breathes(words: Sequence[str]) -> bool:
    """Whether a clause or a sentence ends with these words."""
    return ends_clause(words[-1]) or whole_sentence(words)


class Opener:
    """At most one draft at a time; a newer one stops it. ``told`` is called on the event loop."""

    def __init__(
        self,
        drafter: TurnDrafter,
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
        self._reading: asyncio.Task[None] | None = None
        self._newest: tuple[Dialogue, str] | None = None
        self._for: tuple[int, str] | None = None
        """Turn and words that the newest draft answers."""
        self._count = 0
        self._held: dict[int, Prefix] = {}
        self.drafted = 0
        """Drafts that were written."""
        self.wasted = 0
        """Drafts that were dropped: their words were never said."""

    def hear(self, tasks: asyncio.TaskGroup, dialogue: Dialogue, text: str) -> None:
        """The user's turn so far: it is read while the user speaks. Of what comes meanwhile the newest is read next."""
        self._newest = dialogue, text
        if self._reading is None or self._reading.done():
            self._reading = tasks.create_task(self._read(), name="reading ahead")

    def begin(self, tasks: asyncio.TaskGroup, turn: int, dialogue: Dialogue, text: str, rate: float) -> None:
        """``turn`` may be over: draft the beginning of the answer to ``text``, spoken at ``rate``.

        What was drafted for the same words already, or is just being, is not drafted again.
        """
        if self._for is not None and self._for[0] == turn and same_meaning(self._for[1], text):
            return
        self.stop()
        self._newest, self._for = None, (turn, text)
        self._task = tasks.create_task(self._open(turn, dialogue, text, rate), name="opening")

    def stop(self) -> None:
        """No draft is wanted any more; those that are held stay."""
        self._for = None
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def close(self) -> None:
        """Neither draft nor read ahead any more."""
        self.stop()
        self._newest = None
        if self._reading is not None:
            self._reading.cancel()

    def drop(self, draft: int) -> None:
        """It will not be said."""
        if self._held.pop(draft, None) is not None:
            self.wasted += 1
            if draft == self._count:
                self._for = None

    def take(self, draft: int) -> Prefix:
        """It is said now."""
        self._for = None
        return self._held.pop(draft)

    async def _read(self) -> None:
        while self._newest is not None:
            (dialogue, text), self._newest = self._newest, None
            try:
                await self._drafter.read(dialogue, text)
            except Exception:  # the draft will tell, once
                return

    async def _open(self, turn: int, dialogue: Dialogue, text: str, rate: float) -> None:
        try:
            draft = await self._drafter.draft(dialogue, text, MOST + 1)
            self.drafted += 1
            # Shorter than the way to a thread and back, where the language model has the processor.
            trust = self._judge.trust(draft)
            words = may_begin(draft, (*dialogue, ("user", text)))
            # What will not be said is not spoken either: the language model needs the processor.
            if not words or trust < self._judge.threshold:
                self.wasted += 1
                return
            voice = await self._voice()
            ends = says_all(draft, words) or whole_sentence(words.split())
            speech = await self._speaking.run(voice.synthesize, words, rate=rate, final=ends)
        except Exception as error:  # the slow path answers alone
            self._failed(error)
            return
        self._count += 1
        self._held[self._count] = Prefix(words, trust, speech.pcm, tuple(speech.words))
        seconds = len(speech.pcm) / OUTPUT_RATE
        self._told(on.Opening(self._count, turn, tuple(speech.words), seconds, trust, text))
