"""Who takes turns for the benchmark: the models of one process, on the reckoned machine or in real time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol, TypeVar

from dragoman.agent.config import Config, load_parts
from dragoman.agent.parts import Parts
from dragoman.audio.clock import run_virtual
from dragoman.benchmarks.onset_cores import CORES
from dragoman.benchmarks.onset_figures import Run
from dragoman.benchmarks.onset_machine import Machine, reckoned
from dragoman.benchmarks.onset_modes import Clock, System
from dragoman.benchmarks.onset_ports import Meter, metered
from dragoman.benchmarks.onset_run import SETTLE_S, perform
from dragoman.benchmarks.onset_turns import HeldOut
from dragoman.models.catalog import Progress

T = TypeVar("T")

_REAL_SETTLE_S: Final = 1.5


@dataclass(frozen=True, slots=True)
class Models:
    """Names as for ``dragoman talk``; ``seed`` of the language model."""

    llm: str
    asr: str
    seed: int

    async def load(self, progress: Progress) -> Parts:
        """Load them. Raises ``DragomanError``."""
        # One slot: what a system reads of a turn must not lie ready in another for the next system.
        return await load_parts(Config(recognizer=self.asr, llm=self.llm, slots=1, seed=self.seed), progress)


@dataclass(frozen=True, slots=True)
class Job:
    """A turn, for some systems in this order. ``whole``: what their replies say counts; ``listened``: so does how the
    first one's with first words sounds; ``again``: the last one takes it once more, and everything is computed anew.
    """

    turn: HeldOut
    systems: tuple[System, ...]
    whole: bool = False
    listened: bool = False
    again: bool = False


class Taker(Protocol):
    """Takes turns on the virtual clock, each job's runs together; jobs may come back in another order."""

    def take(self, jobs: Iterable[Job]) -> Iterator[Sequence[Run]]:
        """The runs of each job."""


class Here:
    """This process takes them. ``machine`` None: what is computed takes no time."""

    def __init__(self, loaded: Parts, machine: Machine | None = None) -> None:
        self.loaded, self.machine = loaded, machine

    def take(self, jobs: Iterable[Job]) -> Iterator[Sequence[Run]]:
        """See ``Taker.take``."""
        for job in jobs:
            yield run_virtual(self._take(job, "virtual"), measured=False)

    async def real(self, job: Job) -> Sequence[Run]:
        """The same in real time, on the running loop."""
        return await self._take(job, "real")

    async def _take(self, job: Job, clock: Clock) -> Sequence[Run]:
        if self.machine is not None and clock != "real":
            self.machine.recall.turn(job.turn.name)
            self.machine.cores.restart()
        runs = [await self._run(job, system, clock) for system in job.systems]
        if job.again and self.machine is not None:
            self.machine.recall.turn(f"{job.turn.name} again")
            runs.append(await self._run(job, job.systems[-1], "again"))
        return runs

    async def _run(self, job: Job, system: System, clock: Clock) -> Run:
        machine = None if clock == "real" else self.machine
        parts = self.loaded if machine is None else machine.parts
        meter = Meter() if machine is None else Meter(spent_s=lambda: machine.bill.total)
        made = system.parts(metered(parts, await parts.voice("en"), meter))  # a delay is no work
        goal = system.goal(whole=job.whole)
        settle_s = _REAL_SETTLE_S if clock == "real" else SETTLE_S
        take = await perform(made, job.turn, system.settings(), goal, settle_s=settle_s, machine=machine)
        # Sound is kept of the replies that are listened to later, no more: it would fill the memory.
        if not (job.listened and take.kept and system.mode == "relay" and not system.delay_s):
            take = replace(take, speech=take.speech[:0])
        judge_s = tuple(one.seconds for one in meter.spent if one.stage == "judge")
        return Run(system, clock, job.turn, take, meter.wasted(take.text), judge_s if system.mode == "relay" else ())


def here(models: Models, progress: Progress) -> Here:
    """Load models on a reckoned machine. Raises ``DragomanError``."""

    async def made() -> Here:
        loaded = await models.load(progress)
        return Here(loaded, await reckoned(loaded))

    return run_virtual(made(), measured=False)


@contextmanager
def two_cores() -> Iterator[None]:
    """Every thread of this process on two cores of those that it may use, where the system lets us say so."""
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


def in_real_time(
    loading: Callable[[], Coroutine[None, None, Here]],
    jobs: Iterable[Job],
    around: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[Sequence[Run]]:
    """Take turns with everything competing for the cores."""
    with asyncio.Runner() as runner:
        taker = runner.run(loading())
        try:
            with around():
                for job in jobs:
                    yield runner.run(taker.real(job))
        finally:
            runner.run(taker.loaded.aclose())
