"""Several processes that take turns at once, each with models of its own and what it remembers of its turns.

A turn always goes to the same process: what was computed for it lies there. Processor time does not depend on how many
there are, so neither do the figures; the benchmark is over sooner.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Final

from dragoman.audio.types import DragomanError
from dragoman.benchmarks.onset_figures import Run
from dragoman.benchmarks.onset_taking import Job, Taker

_ENDED_S: Final = 10.0


class Pool:
    """``processes`` that take turns, each with what ``opened`` gives there (it must be picklable). Close it."""

    def __init__(self, opened: Callable[[], Taker], processes: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._ends: list[Connection] = []
        self._processes = []
        self._of: dict[str, Connection] = {}
        for _ in range(processes):
            own, other = context.Pipe()
            process = context.Process(target=_serve, args=(other, opened), daemon=True)
            process.start()
            other.close()
            self._ends.append(own)
            self._processes.append(process)

    def take(self, jobs: Iterable[Job]) -> Iterator[Sequence[Run]]:
        """See ``Taker.take``. Raises ``DragomanError``."""
        waiting: dict[Connection, list[Job]] = {end: [] for end in self._ends}
        idle, source, more = set(self._ends), iter(jobs), True
        while more or len(idle) < len(self._ends) or any(waiting.values()):
            for end in list(idle):
                job = waiting[end].pop(0) if waiting[end] else None
                while job is None and more:
                    new = next(source, None)
                    if new is None:
                        more = False
                        break
                    owner = self._of.setdefault(new.turn.name, end)
                    if owner is end:
                        job = new
                    else:
                        waiting[owner].append(new)
                if job is not None:
                    self._tell(end, job)
                    idle.remove(end)
            if len(idle) == len(self._ends):
                continue
            ready = wait([end for end in self._ends if end not in idle])
            for end in (end for end in self._ends if end in ready):
                try:
                    found = end.recv()
                except (EOFError, OSError) as error:
                    raise DragomanError("a process of the benchmark has ended: is there enough memory?") from error
                if isinstance(found, DragomanError):
                    raise found
                idle.add(end)
                yield found

    def _tell(self, end: Connection, job: Job) -> None:
        try:
            end.send(job)
        except OSError as error:
            raise DragomanError("a process of the benchmark has ended: is there enough memory?") from error

    def close(self) -> None:
        """End the processes."""
        for end in self._ends:
            end.close()
        for process in self._processes:
            process.join(_ENDED_S)
            if process.is_alive():
                process.terminate()


def _serve(end: Connection, opened: Callable[[], Taker]) -> None:
    try:
        taker = opened()
        while True:
            for runs in taker.take([end.recv()]):
                end.send(runs)
    except (EOFError, OSError, KeyboardInterrupt):
        return
    except DragomanError as error:
        end.send(error)
    except Exception as error:
        end.send(DragomanError(f"a process of the benchmark failed: {error!r}"))
