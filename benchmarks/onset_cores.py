"""A machine of a few cores that is only reckoned: who computes, how long it takes when others compute at the same time.

Each piece of work is done alone, its processor time is taken, and the result is held back until a machine whose cores
are shared by all that is under way would have had it. So what else runs on this computer does not count, and what was
computed once can be used again at what it cost. Cores are shared as Linux shares them: equally among threads of the
usual priority; who yields gets what they leave, and a tenth beside them.

It wants a loop whose time stands still while something is computed (``run_virtual(..., measured=False)``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeVar

from dragoman.agent.workers import Worker

P = ParamSpec("P")
T = TypeVar("T")

CORES: Final = 2

_YIELDING: Final = 0.107
"""Weight of a thread that lets others go first (``audio.priority``)."""

_DONE_S: Final = 1e-9


@dataclass(eq=False, slots=True)
class _Job:
    left: float
    weight: float
    done: asyncio.Future[None]
    rate: float = 0.0


class Cores:
    """The machine. A job is a thread's: it can use one core, no more."""

    def __init__(self, count: int = CORES) -> None:
        self._count = count
        self._jobs: list[_Job] = []
        self._at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.spent_s = 0.0
        """Processor time of all work so far."""

    def restart(self) -> None:
        """Begin anew on another loop: what was under way on the last one is forgotten."""
        self._jobs, self._at, self._timer = [], 0.0, None

    async def work(self, seconds: float, *, yields: bool = False) -> None:
        """Compute for so long on one core. Whoever stops waiting does not stop the work: no thread can be stopped."""
        await asyncio.shield(self.begin(seconds, yields=yields))

    def begin(self, seconds: float, *, yields: bool = False) -> asyncio.Future[None]:
        """The same, to be waited for later or not at all."""
        loop = asyncio.get_running_loop()
        self._pass_time(loop.time())
        job = _Job(max(0.0, seconds), _YIELDING if yields else 1.0, loop.create_future())
        self.spent_s += job.left
        self._jobs.append(job)
        self._share(loop)
        return job.done

    def _pass_time(self, now: float) -> None:
        for job in self._jobs:
            job.left -= job.rate * (now - self._at)
        self._at = now

    def _share(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give each job its part of the cores, and wait for the first that is done."""
        for job in [job for job in self._jobs if job.left <= _DONE_S]:
            self._jobs.remove(job)
            if not job.done.done():
                job.done.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        left, cores = list(self._jobs), float(self._count)
        while left:
            part = cores / sum(job.weight for job in left)
            full = [job for job in left if job.weight * part >= 1]
            for job in full or left:
                job.rate = 1.0 if full else job.weight * part
            if not full:
                break
            cores -= len(full)
            left = [job for job in left if job not in full]
            if cores <= 0:
                for job in left:
                    job.rate = 0.0
                break
        if self._jobs:
            first = min(job.left / job.rate for job in self._jobs if job.rate > 0)
            self._timer = loop.call_later(first, self._due, loop)

    def _due(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._pass_time(loop.time())
        self._share(loop)


class Bill:
    """What calls cost: the processor time of this process, without that of threads that compute something else, and
    with that of results which did not have to be computed again.
    """

    def __init__(self) -> None:
        self.others: Callable[[], float] = lambda: 0.0
        """Processor time of threads that compute something else, so far."""
        self._more = 0.0
        self._inline = 0.0
        self._depth = 0

    @property
    def total(self) -> float:
        """Seconds that were spent so far, real ones and those of old results."""
        return time.process_time() - self.others() + self._more

    @property
    def inline(self) -> float:
        """Real seconds of the calling thread that went into calls."""
        return self._inline

    def add(self, seconds: float) -> None:
        """A result is used again that once cost so much."""
        self._more += seconds

    @contextmanager
    def free(self) -> Iterator[None]:
        """Nothing within it costs anything: a model is brought to where it was."""
        before = self.total
        try:
            yield
        finally:
            self._more -= self.total - before

    def of(self, call: Callable[[], T]) -> tuple[T, float]:
        """Make a call; its result and its cost."""
        before, thread = self.total, time.thread_time()
        self._depth += 1
        try:
            value = call()
        finally:
            self._depth -= 1
            if not self._depth:
                self._inline += time.thread_time() - thread
        return value, max(0.0, self.total - before)


class CoreWorker(Worker):
    """A worker whose thread is one of the machine's. Calls are made on the loop, where its time stands still."""

    def __init__(self, cores: Cores, bill: Bill, *, yields: bool = False) -> None:
        super().__init__("reckoned", yields=yields)
        self._cores, self._bill, self._yields = cores, bill, yields
        self._last: asyncio.Task[object] | None = None

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See ``Worker.run``."""
        loop, before = asyncio.get_running_loop(), self._last

        async def serve() -> T:
            # One of another loop is over with it.
            if before is not None and not before.done() and before.get_loop() is loop:
                await asyncio.wait([before])
            value, cost = self._bill.of(lambda: call(*args, **kwargs))
            await self._cores.work(cost, yields=self._yields)
            return value

        task = loop.create_task(serve())
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # whoever waited is told
        self._last = task
        return await asyncio.shield(task)
