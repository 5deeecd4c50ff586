"""One held-out turn spoken to a session, and what came of it: when the reply began, with what, and how it went on.

The loop decides how time passes: a ``SkippingLoop`` advances it by what is computed, a real one does not wait for
anybody. Everything is read from the session's events and from the track that its playout writes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np

from dragoman.agent import events as ev
from dragoman.agent.parts import Parts
from dragoman.agent.session import Session
from dragoman.agent.settings import SessionSettings
from dragoman.audio.clock import sleep_until
from dragoman.audio.frames import in_frames
from dragoman.audio.track import LevelTrack
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, Samples
from dragoman.benchmarks.onset_machine import Machine
from dragoman.benchmarks.onset_turns import HeldOut

FRAME: Final = INPUT_RATE // 50
_FRAME_S: Final = FRAME / INPUT_RATE

SETTLE_S: Final = 3.0
"""Before the sound begins: the agent has had its last words to read the dialogue."""

WAIT_S: Final = 12.0
"""A reply that has not begun so long after the end of the turn is none; one that has is watched no longer either."""

_SOUNDED_S: Final = 0.4
"""Of a reply or its continuation, so that its loudest part is known."""


class Goal(IntEnum):
    """How much of a reply is wanted."""

    ONSET = 0
    """Its beginning."""
    SEAM = 1
    """The beginning of what follows the first words."""
    WHOLE = 2
    """All of its text and sound."""


@dataclass(frozen=True, slots=True)
class Take:
    """A turn as one system took it.

    ``onset_ms``: from the true end of the turn to the first audible sample of the reply; None where there was none
    in time, or it was ``cut``: a reply sounded before the turn was over. ``prefix``: the first words that the fast
    path said, "" for none. ``armed``: the reply's first sound was ready when the turn was found to be over.
    ``gap_ms``: silence between the first words and what follows. ``speech``: the reply's sound at 24 kHz, where all
    of it was wanted. ``cpu_s``: processor time.
    """

    onset_ms: float | None
    cut: bool
    armed: bool
    prefix: str
    trust: float | None
    text: str
    heard: str
    """What was recognized."""
    whole: bool
    """``text`` is the whole reply."""
    gap_ms: float | None
    cpu_s: float
    speech: Samples = field(repr=False, compare=False)
    problems: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether the reply began with words of the fast path."""
        return bool(self.prefix)


class AgentTrack:
    """The agent's track: its loudness, and when each frame of 20 ms was wanted."""

    latency_s: Final = 0.0

    def __init__(self) -> None:
        self.levels = LevelTrack(OUTPUT_RATE)
        self.times: list[float] = []

    def write(self, frame: Samples) -> None:
        """Take the next 20 ms."""
        self.times.append(asyncio.get_running_loop().time())
        self.levels.add(frame)

    def when(self, position: float) -> float:
        """The loop's time at which a position of the track sounded, however late its frame was."""
        number = min(len(self.times) - 1, int(position / _FRAME_S + 1e-6))
        return self.times[number] + position - number * _FRAME_S


@dataclass
class _Watch:
    """What is known of the reply so far."""

    turn: HeldOut
    goal: Goal
    track: AgentTrack
    end: float = 0.0
    """The loop's time at the true end of the turn."""
    phase: str = "idle"
    armed: bool = False
    cut: bool = False
    playing: float | None = None
    """The loop's time."""
    at: float = 0.0
    """Where the reply begins in the track."""
    prefix: str = ""
    trust: float | None = None
    text: str = ""
    heard: str = ""
    sounds: list[tuple[float, Samples]] = field(default_factory=list)
    """The loop's time, and the sound."""
    written: bool = False
    done: bool = False
    problems: list[str] = field(default_factory=list)

    def add(self, event: ev.SessionEvent, now: float) -> None:
        match event:
            case ev.PhaseChanged(phase, _):
                if phase == "speaking" and self.playing is None:
                    self.armed = self.phase != "replying"
                self.phase = phase
            case ev.UserTurn(_, text, _, _, _):
                self.heard = f"{self.heard} {text}".strip()
            case ev.ReplyOpened(_, text, trust):
                self.prefix, self.trust = text, trust
            case ev.ReplyText(_, text):
                self.text += text
            case ev.ReplyAudio(_, pcm, _):
                self.sounds.append((now, pcm))
            case ev.ReplyPlaying(_, _, track) if self.playing is None:
                self.playing, self.at = self.track.when(track), track
                self.cut = self.playing < self.end
            case ev.ReplyWritten():
                self.written = True
            case ev.ReplyDone():
                self.done = True
                if event.status == "failed":
                    self.problems.append(event.reason)
            case ev.Problem(message, _):
                self.problems.append(message)
            case _:
                pass

    @property
    def prefix_s(self) -> float:
        return len(self.sounds[0][1]) / OUTPUT_RATE if self.prefix and self.sounds else 0.0

    def over(self, now: float) -> bool:
        """Whether all that is wanted is known."""
        if self.cut or self.done or now > (self.end if self.playing is None else self.playing) + WAIT_S:
            return True
        if self.playing is None or now < self.playing + _SOUNDED_S:
            return False
        if self.goal is Goal.WHOLE and not self.written:
            return False
        if self.goal is Goal.ONSET or not self.prefix or (self.written and len(self.sounds) == 1):
            return True
        return len(self.sounds) > 1 and now >= max(self.sounds[1][0], self.playing + self.prefix_s) + _SOUNDED_S

    def take(self, cpu_s: float) -> Take:
        onset = None if self.cut or self.playing is None else self._onset(self.playing)
        whole = self.goal is Goal.WHOLE and self.written and not self.cut
        return Take(
            onset_ms=onset,
            cut=self.cut,
            armed=self.armed and not self.cut,
            prefix=self.prefix,
            trust=self.trust,
            text=self.text.strip(),
            heard=self.heard,
            whole=whole,
            gap_ms=self._gap() if onset is not None else None,
            cpu_s=cpu_s,
            speech=np.concatenate([pcm for _, pcm in self.sounds])
            if whole and self.sounds
            else np.zeros(0, np.float32),
            problems=tuple(self.problems),
        )

    def _onset(self, playing: float) -> float:
        span = self.track.levels.audible(self.at, self.at + _SOUNDED_S)
        first = playing if span is None else self.track.when(span[0])
        return round((first - self.end) * 1000, 1)

    def _gap(self) -> float | None:
        """From the last audible sound of the first words to the first one of what follows, by the track."""
        if not self.prefix or len(self.sounds) < 2:
            return None
        seam = self.at + self.prefix_s
        before, after = self.track.levels.audible(self.at, seam), self.track.levels.audible(seam, seam + 2 * WAIT_S)
        return None if before is None or after is None else round(max(0.0, after[0] - before[1]) * 1000, 1)


async def perform(
    parts: Parts,
    turn: HeldOut,
    settings: SessionSettings,
    goal: Goal,
    *,
    settle_s: float = SETTLE_S,
    machine: Machine | None = None,
) -> Take:
    """Speak a turn to a new session that remembers the dialogue before it, at the running loop's pace.

    ``machine``: what the parts compute on, where that is reckoned; what the loop itself does counts there, too.
    """
    for worker in (parts.hearing, parts.refining, parts.speaking):
        await worker.run(lambda: None)  # what the last session left behind is not this one's to wait for
    clock = asyncio.get_running_loop()
    track = AgentTrack()
    watch = _Watch(turn, goal, track)
    session = Session(parts, settings, sink=track)
    for role, text in turn.dialogue:
        session.remember(role, text)
    cpu_s = 0.0

    def spent() -> float:
        return time.process_time() if machine is None else machine.cores.spent_s

    async def speak() -> None:
        nonlocal cpu_s
        await asyncio.sleep(settle_s)
        begun, begin = spent(), clock.time()
        own = time.thread_time() - (machine.bill.inline if machine else 0.0)
        watch.end = begin + turn.end_s
        for count, frame in enumerate(_sound(turn), 1):
            await sleep_until(begin + count * _FRAME_S)
            if watch.over(clock.time()):
                break
            await session.hear(frame)
            if machine is not None:
                own, before = time.thread_time() - machine.bill.inline, own
                machine.cores.begin(max(0.0, own - before))
        cpu_s = spent() - begun
        session.close()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(session.run())
        tasks.create_task(speak())
        async for event in session.events():
            watch.add(event, clock.time())
    return watch.take(cpu_s)


def _sound(turn: HeldOut) -> Iterator[Samples]:
    after = len(turn.pcm) - round(turn.end_s * INPUT_RATE)
    rest = turn.background(max(0, round(2 * WAIT_S * INPUT_RATE) - after))
    return in_frames((turn.pcm, rest), FRAME)
