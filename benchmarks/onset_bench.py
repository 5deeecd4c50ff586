"""The order in which systems take turns, so that whatever time there is, all of them took the same ones.

First all that listens as relay does, turn by turn: without delay, some turns with each delay too; then ``cascade-vad``,
whose silence is tuned to what was seen; then the probes; last, in real time, some turns that are not too long. Between
two systems nothing is carried over but what the language model has read of the dialogue, which both get.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from dragoman.agent.ports import VoiceActivity
from dragoman.audio.types import DragomanError
from dragoman.benchmarks.onset_figures import Run
from dragoman.benchmarks.onset_modes import SLOW, Mode, System
from dragoman.benchmarks.onset_probes import ASKED
from dragoman.benchmarks.onset_taking import Job, Taker
from dragoman.benchmarks.onset_tuning import WITHIN, corrected, shortest, silences
from dragoman.benchmarks.onset_turns import HeldOut
from dragoman.models.catalog import Progress

SHARES: Final = (0.5, 0.6, 0.8, 0.95)
"""Of the time, that is over when each part ends; the rest is for counting."""

LONG_S: Final = 6.0
"""Longer turns are not taken in real time."""

LISTENED: Final = 60
"""Turns whose reply's seam is listened to, if it has one."""

CHECKED: Final = 3
"""Turns that a system takes once more with nothing recalled."""

_TRIES: Final = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done: ``turns`` without delay, ``delayed`` of them with each of ``delays_s``, ``real`` of them in
    real time, all before ``until`` (``time.monotonic``). Of ``whole`` of them the whole replies are looked at; of the
    others, what follows the first words is enough.
    """

    modes: tuple[Mode, ...]
    delays_s: tuple[float, ...]
    turns: int
    delayed: int
    real: int
    until: float
    whole: int = 120


@dataclass
class Bench:
    """Runs a plan. ``told`` is given each run when it is over; ``real`` takes jobs in real time; the runs of ``probes``
    are kept apart, in ``probed``.
    """

    taker: Taker
    turns: Sequence[HeldOut]
    plan: Plan
    detector: Callable[[], VoiceActivity]
    progress: Progress
    real: Callable[[Iterator[Job]], Iterator[Sequence[Run]]]
    told: Callable[[Run], None] = lambda run: None
    probes: Sequence[HeldOut] = ()
    runs: list[Run] = field(default_factory=list)
    probed: list[Run] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a reader of the figures must know."""
    _begun: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """All parts of the plan. Raises ``DragomanError`` when nothing was measured."""
        taken = self._listening()
        if not self.runs:
            raise DragomanError("nothing was measured in that time: give --max-s more")
        silence_ms = self._tuned(taken) if "cascade-vad" in self.plan.modes else None
        self._probe()
        self._in_real_time(taken, silence_ms)

    def _listening(self) -> list[HeldOut]:
        """The turns that every system took."""
        modes = [mode for mode in self.plan.modes if mode != "cascade-vad"]
        wanted, taken = self.turns[: self.plan.turns], list[HeldOut]()

        def jobs() -> Iterator[Job]:
            for number, turn in enumerate(wanted):
                if self._late_for(0):
                    return
                systems = _in_turn(modes, number)
                if number < self.plan.delayed:
                    systems += [System(m, delay) for delay in self.plan.delays_s if delay for m in modes if m in SLOW]
                yield Job(
                    turn,
                    tuple(systems),
                    whole=number < self.plan.whole,
                    listened=number < LISTENED,
                    again=number < CHECKED,
                )

        apart: list[float] = []
        for runs in self.taker.take(jobs()):
            if runs[-1].clock == "again":
                *runs, anew = runs
                if (one := runs[-1].take.onset_ms) is not None and (other := anew.take.onset_ms) is not None:
                    apart.append(abs(one - other))
            self._keep(runs)
            taken.append(runs[0].turn)
            self.progress("turns on the virtual clock", len(taken), len(wanted))
        self.progress("turns on the virtual clock", 1, 1)
        if len(taken) < self.plan.turns:
            self.notes.append(
                f"{len(taken)} turns instead of {self.plan.turns}: "
                + (
                    "there are no more, or there was no time to make them"
                    if len(taken) == len(self.turns)
                    else "give --max-s more"
                )
            )
        if apart:
            self.notes.append(
                f"{len(apart)} turns that were taken again with nothing recalled: onsets apart by "
                f"{np.median(apart):.0f} ms (median), {max(apart):.0f} ms at most"
            )
        place = {turn.name: number for number, turn in enumerate(wanted)}
        return sorted(taken, key=lambda turn: place[turn.name])

    def _tuned(self, taken: Sequence[HeldOut]) -> int:
        """Let ``cascade-vad`` take the turns with a silence that breaks into as many as relay; gives that silence."""
        model: Mode = "relay" if "relay" in self.plan.modes else "cascade-same"
        known = [run.take.cut for run in self.runs if run.system == System(model)]
        rate = sum(known) / max(1, len(known))
        pauses = [silences(turn, self.detector()) for turn in taken]
        silence_ms = shortest(pauses, rate)
        for attempt in range(1, _TRIES + 1):
            made = self._silent(taken, silence_ms)
            at_once = [run for run in made if not run.system.delay_s]
            seen = sum(run.take.cut for run in at_once) / max(1, len(at_once))
            apart = abs(seen - rate)
            again = corrected(pauses, silence_ms, seen, rate)
            if apart <= WITHIN or attempt == _TRIES or again == silence_ms or self._late_for(1):
                break
            silence_ms = again
        self._keep(made)
        if len(at_once) < len(taken):
            self.notes.append(f"cascade-vad took {len(at_once)} of {len(taken)} turns: give --max-s more")
        if apart > WITHIN:
            self.notes.append(
                f"cascade-vad breaks into {100 * seen:.1f} % of the turns, {model} into {100 * rate:.1f} %: "
                f"no silence that was tried is nearer"
            )
        return silence_ms

    def _silent(self, taken: Sequence[HeldOut], silence_ms: int) -> list[Run]:
        """How ``cascade-vad`` takes them, late too."""

        def jobs() -> Iterator[Job]:
            for number, turn in enumerate(taken):
                if self._late_for(1):
                    return
                delays = [0.0, *(d for d in self.plan.delays_s if d and number < self.plan.delayed)]
                yield Job(turn, tuple(System("cascade-vad", delay, silence_ms) for delay in delays))

        made: list[Run] = []
        for number, runs in enumerate(self.taker.take(jobs())):
            made += runs
            self.progress(f"a silence of {silence_ms} ms", number, len(taken))
        self.progress(f"a silence of {silence_ms} ms", 1, 1)
        return made

    def _probe(self) -> None:
        """Have the probes answered."""
        modes = [mode for mode in ASKED if mode in self.plan.modes]

        def jobs() -> Iterator[Job]:
            for number, turn in enumerate(self.probes if modes else ()):
                if self._late_for(2):
                    return
                yield Job(turn, tuple(_in_turn(modes, number)), whole=True)

        done = 0
        for runs in self.taker.take(jobs()):
            done += 1
            self.progress("probes", done, len(self.probes))
            self._keep(runs, self.probed)
        self.progress("probes", 1, 1)
        if modes and done < len(self.probes):
            self.notes.append(f"{done} probes instead of {len(self.probes)}: give --max-s more")

    def _in_real_time(self, taken: Sequence[HeldOut], silence_ms: int | None) -> None:
        """With everything competing for the cores."""
        turns = [turn for turn in taken if turn.end_s <= LONG_S][: self.plan.real]
        modes = [mode for mode in self.plan.modes if mode != "fast"]

        def jobs() -> Iterator[Job]:
            for number, turn in enumerate(turns):
                self.progress("turns in real time", number, len(turns))
                if self._late_for(3):
                    return
                yield Job(turn, tuple(System(m, 0.0, silence_ms if m == "cascade-vad" else None) for m in modes))

        done = 0
        if turns and not self._late_for(3):
            for runs in self.real(jobs()):
                self._keep(runs)
                done += 1
        self.progress("turns in real time", 1, 1)
        if done < self.plan.real:
            self.notes.append(f"{done} turns in real time instead of {self.plan.real}")

    def _late_for(self, part: int) -> bool:
        return time.monotonic() > self._begun + SHARES[part] * (self.plan.until - self._begun)

    def _keep(self, runs: Sequence[Run], among: list[Run] | None = None) -> None:
        for run in runs:
            (self.runs if among is None else among).append(run)
            self.told(run)


def _in_turn(modes: Sequence[Mode], number: int) -> list[System]:
    """The systems of some modes without delay, in an order in which nobody always comes first."""
    first = number % len(modes)
    return [System(mode) for mode in (*modes[first:], *modes[:first])]
