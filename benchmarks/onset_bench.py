"""The order in which systems take turns, so that whatever time there is, all of them took the same ones.

First, without delay, all that listens as relay does, turn by turn; then ``cascade-vad``, whose silence is tuned to what
was seen; then fewer turns with a slow path that is late; last, in real time, some turns that are not too long. Between
two systems nothing is carried over but what the language model has read of the dialogue, which both get.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from dragoman.agent.parts import Parts
from dragoman.audio.clock import busy
from dragoman.audio.types import DragomanError
from dragoman.benchmarks.onset_figures import Run
from dragoman.benchmarks.onset_modes import SLOW, Clock, Mode, System
from dragoman.benchmarks.onset_ports import Meter, metered
from dragoman.benchmarks.onset_run import SETTLE_S, Goal, perform
from dragoman.benchmarks.onset_tuning import WITHIN, corrected, shortest, silences
from dragoman.benchmarks.onset_turns import HeldOut
from dragoman.models.catalog import Progress

SHARES: Final = (0.52, 0.67, 0.79, 0.95)
"""Of the time, that is over when each part ends; the rest is for counting."""

LONG_S: Final = 6.0
"""Longer turns are not taken in real time."""

CORES: Final = 2
"""That everything competes for in real time."""

LISTENED: Final = 60
"""Replies whose seam is listened to."""

_TRIES: Final = 2
_REAL_SETTLE_S: Final = 1.5


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done: ``turns`` without delay, ``delayed`` of them with each of ``delays_s``, ``real`` of them in
    real time, all before ``until`` (``time.monotonic``).
    """

    modes: tuple[Mode, ...]
    delays_s: tuple[float, ...]
    turns: int
    delayed: int
    real: int
    until: float


@contextmanager
def real_time() -> Iterator[None]:
    """No wait is skipped, and all threads of this process share two cores (where the system lets us say so)."""
    with _pinned(), busy():
        yield


@dataclass
class Bench:
    """Runs a plan. ``told`` is given each run when it is over."""

    loaded: Parts
    turns: Sequence[HeldOut]
    plan: Plan
    progress: Progress
    told: Callable[[Run], None] = lambda run: None
    real: Callable[[], AbstractContextManager[None]] = real_time
    runs: list[Run] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a reader of the figures must know."""
    _begun: float = field(default_factory=time.monotonic)
    _listened: int = 0

    async def run(self) -> None:
        """All parts of the plan. Raises ``DragomanError`` when nothing was measured."""
        taken = await self._at_once()
        silence_ms: int | None = None
        if "cascade-vad" in self.plan.modes:
            silence_ms = await self._tuned(taken)
        if not self.runs:
            raise DragomanError("nothing was measured in that time: give --max-s more")
        await self._late(taken[: self.plan.delayed], silence_ms)
        await self._in_real_time(taken, silence_ms)

    async def _at_once(self) -> list[HeldOut]:
        """Without delay: the turns that every system took."""
        listening = [mode for mode in self.plan.modes if mode != "cascade-vad"]
        wanted, taken = self.turns[: self.plan.turns], list[HeldOut]()
        for number, turn in enumerate(wanted):
            self.progress("turns on the virtual clock", number, len(wanted))
            if self._late_for(0):
                break
            first = number % len(listening)
            for mode in (*listening[first:], *listening[:first]):  # nobody always comes first
                await self._take(System(mode), turn, "virtual", whole=True)
            taken.append(turn)
        self.progress("turns on the virtual clock", 1, 1)
        if len(taken) < self.plan.turns:
            self.notes.append(
                f"{len(taken)} turns instead of {self.plan.turns}: "
                + ("there are no more" if len(taken) == len(self.turns) else "give --max-s more")
            )
        return taken

    async def _tuned(self, taken: Sequence[HeldOut]) -> int:
        """Let ``cascade-vad`` take the turns with a silence that breaks into as many as relay; gives that silence."""
        model: Mode = "relay" if "relay" in self.plan.modes else "cascade-same"
        known = [run.take.cut for run in self.runs if run.system.mode == model]
        rate = sum(known) / max(1, len(known))
        detector = self.loaded.voice_activity
        pauses = [silences(turn, detector()) for turn in taken]
        silence_ms = shortest(pauses, rate)
        for attempt in range(1, _TRIES + 1):
            made = list[Run]()
            for number, turn in enumerate(taken):
                self.progress(f"a silence of {silence_ms} ms", number, len(taken))
                if self._late_for(1):
                    break
                made.append(await self._taken(System("cascade-vad", silence_ms=silence_ms), turn, "virtual", False))
            self.progress(f"a silence of {silence_ms} ms", 1, 1)
            seen = sum(run.take.cut for run in made) / max(1, len(made))
            apart = abs(seen - rate)
            again = corrected(pauses, silence_ms, seen, rate)
            if apart <= WITHIN or attempt == _TRIES or again == silence_ms or self._late_for(1):
                break
            silence_ms = again
        for run in made:
            self._keep(run)
        if len(made) < len(taken):
            self.notes.append(f"cascade-vad took {len(made)} of {len(taken)} turns: give --max-s more")
        if apart > WITHIN:
            self.notes.append(
                f"cascade-vad breaks into {100 * seen:.1f} % of the turns, {model} into {100 * rate:.1f} %: "
                f"no silence that was tried is nearer"
            )
        return silence_ms

    async def _late(self, turns: Sequence[HeldOut], silence_ms: int | None) -> None:
        """With a slow path that is late."""
        delays = [delay for delay in self.plan.delays_s if delay]
        systems = [
            self._system(mode, delay, silence_ms) for delay in delays for mode in self.plan.modes if mode in SLOW
        ]
        if not systems:
            return
        for number, turn in enumerate(turns):
            self.progress("turns with a slow path that is late", number, len(turns))
            if self._late_for(2):
                break
            for system in systems:
                await self._take(system, turn, "virtual", whole=False)
        self.progress("turns with a slow path that is late", 1, 1)

    async def _in_real_time(self, taken: Sequence[HeldOut], silence_ms: int | None) -> None:
        """With everything competing for the cores."""
        turns = [turn for turn in taken if turn.end_s <= LONG_S][: self.plan.real]
        done = 0
        with self.real():
            for number, turn in enumerate(turns):
                self.progress("turns in real time", number, len(turns))
                if self._late_for(3):
                    break
                for mode in self.plan.modes:
                    await self._take(self._system(mode, 0.0, silence_ms), turn, "real", whole=False)
                done += 1
            self.progress("turns in real time", 1, 1)
        if done < self.plan.real:
            self.notes.append(f"{done} turns in real time instead of {self.plan.real}")

    def _system(self, mode: Mode, delay_s: float, silence_ms: int | None) -> System:
        return System(mode, delay_s, silence_ms if mode == "cascade-vad" else None)

    def _late_for(self, part: int) -> bool:
        return time.monotonic() > self._begun + SHARES[part] * (self.plan.until - self._begun)

    async def _take(self, system: System, turn: HeldOut, clock: Clock, *, whole: bool) -> None:
        self._keep(await self._taken(system, turn, clock, whole))

    def _keep(self, run: Run) -> None:
        self.runs.append(run)
        self.told(run)

    async def _taken(self, system: System, turn: HeldOut, clock: Clock, whole: bool) -> Run:
        meter = Meter()
        voice = await self.loaded.voice("en")
        parts = system.parts(metered(self.loaded, voice, meter))  # a delay is no work
        settle_s = _REAL_SETTLE_S if clock == "real" else SETTLE_S
        goal: Goal = system.goal(whole=whole)
        take = await perform(parts, turn, system.settings(), goal, settle_s=settle_s)
        # Sound is kept of the replies that are listened to later, no more: it would fill the memory.
        if not take.kept or system.mode != "relay" or self._listened >= LISTENED:
            take = replace(take, speech=take.speech[:0])
        self._listened += bool(len(take.speech))
        judge_s = tuple(one.seconds for one in meter.spent if one.stage == "judge")
        return Run(system, clock, turn, take, meter.wasted(take.text), judge_s if system.mode == "relay" else ())


@contextmanager
def _pinned() -> Iterator[None]:
    """Every thread of this process on two cores of those that it may use."""
    threads = Path("/proc/self/task")
    if not hasattr(os, "sched_setaffinity") or not threads.is_dir():
        yield
        return
    allowed = os.sched_getaffinity(0)
    chosen = set(sorted(allowed)[:CORES])
    _pin(threads, chosen)
    try:
        yield
    finally:
        _pin(threads, allowed)


def _pin(threads: Path, cores: set[int]) -> None:
    for thread in threads.iterdir():
        try:
            os.sched_setaffinity(int(thread.name), cores)
        except OSError:  # it has just ended
            continue
