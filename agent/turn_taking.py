"""Turn-taking by a model that listens: at each frame it is asked who should have the floor, and told who has it.

The engine has the last word. Where it decided without the model (a client's hand, a long silence), the model is told
so as if the decision had been its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from dragoman.agent.duplex.ends import Evidence, Silence
from dragoman.agent.duplex.frames import BEGIN_AFTER_S, FRAME, Control
from dragoman.agent.duplex.policy import Policy
from dragoman.agent.engine import inputs as on
from dragoman.audio.types import INPUT_RATE, Samples

_SAID: Final = 12
"""Words of a reply that the model is told."""

_EARLY: Final = 4
"""Words of a reply that are worth telling before all of it is known."""

_LATE: Final = 25
"""Frames of sound that may wait; beyond, the oldest are dropped: an old decision is worth nothing."""

_TURNS: Final = 8
"""Turns of the dialogue that are kept."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the conversation stands."""

    turn: bool
    """A turn of the user's is open, and may be found to be over."""
    busy: bool
    """A reply was begun and is not over, or it begins as soon as there is one."""
    sounding: bool
    """The agent's voice is audible."""
    text: str
    """Of the reply, as far as it is written."""
    written: bool
    """There is no more of it."""


class Opinion(Protocol):
    """What the model thinks of a frame."""

    @property
    def probabilities(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """Of silence, begin, stop, attend, shape [4]."""

    @property
    def ends(self) -> float:
        """Probability that the user's turn ends within a third of a second."""

    @property
    def over(self) -> float | None:
        """Logit that it is over, of an endpointer, where one listens."""


class Frames(Protocol):
    """A session's stream of the model (``duplex.live.FrameStream``)."""

    @property
    def policy(self) -> Policy:
        """Its thresholds."""

    @property
    def ahead(self) -> int:
        """Samples that it hears after a frame before it is done with it."""

    @property
    def frames(self) -> int:
        """Frames that it remembers."""

    async def frame(self, pcm: Samples, *, sounding: bool) -> Opinion | None:
        """Hear what is needed for the next frame: ``ahead`` more than it at first, and then as much as a frame has."""

    def read(self, words: Sequence[str]) -> None:
        """Words that were recognized."""

    def tell(self, control: Control) -> None:
        """What was done at the frame."""

    def say(self, text: str, *, complete: bool) -> None:
        """First words of the reply that was begun."""

    async def remember(self, dialogue: Sequence[tuple[str, str]]) -> None:
        """The dialogue before the remembered frames."""


class TurnModel(Protocol):
    """A model of turn-taking, shared by all sessions (``duplex.live.LiveDuplex``)."""

    @property
    def language(self) -> str:
        """What it understands, ISO 639-1."""

    async def open(self, dialogue: Sequence[tuple[str, str]] = ()) -> Frames:
        """A stream for a session that begins after a dialogue of turns (role, text)."""

    def close(self) -> None:
        """Free it."""


class TurnTaker:
    """Hears all sound of a session, frame by frame. ``told`` is called on the event loop with inputs for the engine;
    ``whole`` gives the logit that a turn of these words is whole, where that can be told.
    """

    def __init__(
        self,
        stream: Frames,
        floor: Callable[[], Standing],
        told: Callable[[on.Input], None],
        whole: Callable[[str], Awaitable[float | None]] | None = None,
    ) -> None:
        self._stream = stream
        self._floor = floor
        self._told = told
        self._tell_whole = whole
        self._voiced = False
        self._silence = Silence()
        self._stretch = 0
        """Counts the edges of the user's voice."""
        self._heeded = -1
        """The silence whose words were heeded last, numbered as a stretch."""
        self._paused = ""
        """Words of a pause that were not read yet."""
        self._whole: float | None = None
        """What they told, until a voice goes on."""
        self._unjudged = False
        """Whether they may still end the turn before the next frame."""
        self._known: tuple[Evidence, int] | None = None
        """Of the turn's end at the last frame, and where that ended."""
        self._read_on = asyncio.Event()
        self._sound: deque[tuple[Samples, int]] = deque(maxlen=_LATE)
        """What is heard for each frame that waits, and where the frame ends."""
        self._rest: Samples = np.zeros(0, np.float32)
        self._wake = asyncio.Event()
        self._lead = stream.ahead
        """Samples that the next frame needs beyond its own: those of the first one."""
        self._now = 0
        """Up to where the ear is done with what was heard."""
        self._busy = False
        """What the model believes."""
        self._unsaid = False
        self._turn, self._read = 0, 0
        self._count = 0
        self._dialogue: deque[tuple[int, str, str]] = deque(maxlen=_TURNS)
        self._remembered: list[tuple[str, str]] = []

    def hear(self, pcm: Samples, at: int) -> None:
        """Take sound at 16 kHz, any length; its first sample is the conversation's ``at``: not all of it need be heard
        here.
        """
        sound = np.concatenate((self._rest, pcm)) if len(self._rest) else pcm
        self._now = at + len(pcm) - self._stream.ahead
        while len(sound) >= (size := FRAME + self._lead):
            heard, sound, self._lead = sound[:size], sound[size:], 0
            self._sound.append((heard, self._now - len(sound)))
            self._wake.set()
        self._rest = sound.copy()
        self._between()

    def read(self, turn: int, text: str, stable: int) -> None:
        """The recognizer's words of a turn so far; those that are new among the ``stable`` ones are passed on."""
        if turn != self._turn:
            self._turn, self._read = turn, 0
        words = text.split()[:stable]
        self._stream.read(words[self._read :])
        self._read = max(self._read, len(words))

    def voice(self, speaking: bool, at: int) -> None:
        """The user's voice begins, or fell silent ``at`` a sample."""
        self._silence.voice(speaking, at)
        self._voiced, self._stretch = speaking, self._stretch + 1
        self._paused, self._whole, self._known = "", None, None

    def pause(self, text: str) -> None:
        """All words of the turn, in a pause: they may tell whether it is over. What a second pass makes of them tells
        less: it likes to finish sentences that are not.
        """
        if text and not self._voiced and self._tell_whole is not None and self._heeded != self._stretch:
            self._paused, self._heeded = text, self._stretch
            self._read_on.set()

    def said(self, role: str, text: str) -> None:
        """A turn that is over, as the history has it."""
        if text:
            self._dialogue.append((self._count, role, text))

    async def run(self) -> None:
        """Decide until cancelled. Raises what the model raises, in a group."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._decide(), name="decide frames")
            if self._tell_whole is not None:
                tasks.create_task(self._read_pauses(self._tell_whole), name="read pauses")

    async def _decide(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._sound:
                await self._frame(*self._sound.popleft())

    async def _frame(self, pcm: Samples, end: int) -> None:
        before = self._stream.frames
        opinion = await self._stream.frame(pcm, sounding=self._floor().sounding)
        if opinion is None:
            return
        self._count += 1
        policy = self._stream.policy
        known = None
        if opinion.over is not None:
            known = self._silence.evidence(opinion.over, self._whole, end)
            self._known = known, end
        heeded = self._tell_whole is not None
        wanted = policy.decide(opinion.probabilities, self._floor().busy, known, heeded=heeded)
        control = self._done(wanted, end)
        if control == Control.SIL and opinion.ends >= policy.arm and self._floor().turn:
            self._told(on.EndsSoon(policy.release is not None and opinion.ends >= policy.release))
        self._stream.tell(control)
        if control != Control.SIL:
            self._unsaid = control == Control.BOS
        self._say()
        if self._stream.frames <= before:
            await self._remember()

    async def _read_pauses(self, tell_whole: Callable[[str], Awaitable[float | None]]) -> None:
        """Beside the frames: what is known of the words when a frame is decided counts, and none waits for them."""
        while True:
            await self._read_on.wait()
            self._read_on.clear()
            text, self._paused = self._paused, ""
            stretch = self._stretch
            if text and self._floor().turn:
                whole = await tell_whole(text)
                if stretch == self._stretch:  # nothing was said meanwhile
                    self._whole, self._unjudged = whole, whole is not None
                    self._between()

    def _between(self) -> None:
        """Words were read, or sound came since: where the turn's end is plain by them, the next frame is not waited
        for. That is judged once in a silence, as soon as there is time for it. The model is told with the next frame.
        """
        if not self._unjudged or self._whole is None or self._known is None:
            return
        known, end = self._known
        ends = self._stream.policy.ends
        later = max(0, self._now - end) / INPUT_RATE
        if later < ends.time_for(known):
            return  # more sound has to come
        self._unjudged = False
        floor = self._floor()
        if floor.turn and not floor.busy and ends.ended_between(known, self._whole, later):
            self._told(on.TurnOver(self._now - round(BEGIN_AFTER_S * INPUT_RATE)))

    def _done(self, wanted: Control, end: int) -> Control:
        """Pass on what the model wants, and give what happened: it may have been decided without it."""
        floor = self._floor()
        if floor.busy != self._busy:
            self._busy = floor.busy
            if floor.busy:
                return Control.BOS
            if floor.turn:
                return Control.STP
        if wanted == Control.BOS and floor.turn:
            self._told(on.TurnOver(end - round(BEGIN_AFTER_S * INPUT_RATE)))
            self._busy = True
            return Control.BOS
        if wanted == Control.STP:
            self._told(on.Interrupted())
            if not self._floor().busy:
                self._busy = False
                return Control.STP
        elif wanted == Control.BOC and floor.turn:
            self._told(on.Attend())
            return Control.BOC
        return Control.SIL

    def _say(self) -> None:
        """Tell the model the words of its reply, when there are some."""
        if not self._unsaid:
            return
        floor = self._floor()
        words = floor.text.split()
        if len(words) > _EARLY or (words and floor.written):
            self._unsaid = False
            self._stream.say(" ".join(words[:_SAID]), complete=floor.written and len(words) <= _SAID)

    async def _remember(self) -> None:
        """Old frames were dropped: what was said in them is read as text from now on."""
        first = self._count - self._stream.frames
        dialogue = [(role, text) for frame, role, text in self._dialogue if frame < first]
        if dialogue != self._remembered:
            self._remembered = dialogue
            await self._stream.remember(dialogue)
