"""One thread per engine: models compute there, and the event loop never waits for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from dragoman.audio.clock import busy
from dragoman.audio.priority import yield_processor

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    """A thread of its own for one model, shared by all sessions; calls are served in order."""

    def __init__(self, name: str, *, yields: bool = False) -> None:
        """``yields``: it computes only where no other thread of the system wants the processor."""
        self._pool = ThreadPoolExecutor(
            max_workers=1, thread_name_prefix=f"dragoman-{name}", initializer=yield_processor if yields else None
        )

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``call`` on the thread. A cancelled wait leaves the call to end by itself; its result is dropped."""
        with busy():
            return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: call(*args, **kwargs))

    def close(self) -> None:
        """Let the running call end and free the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)
