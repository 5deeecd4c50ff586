"""The event loop that skips idle waits."""

from __future__ import annotations

import asyncio
import threading

import pytest

from dragoman.audio.clock import run_virtual


@pytest.mark.parametrize("measured", [True, False])
def test_threads_are_waited_for_at_the_end(measured: bool) -> None:
    """In real time: Python's own limit of five minutes would be skipped to, and the threads left behind."""
    begun, ended = threading.Event(), list[int]()

    def work() -> None:
        begun.set()
        ended.append(sum(range(2_000_000)))

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, work)
        begun.wait()

    run_virtual(main(), measured=measured)
    assert len(ended) == 1
