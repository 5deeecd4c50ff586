"""Threads that let others go first."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from dragoman.agent.workers import Worker
from dragoman.audio.clock import run_virtual
from dragoman.audio.priority import made_to_yield, yield_processor

linux = pytest.mark.skipif(sys.platform != "linux", reason="a thread's own priority exists on Linux")


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@linux
def test_what_is_made_starts_threads_that_yield() -> None:
    """Whoever makes it does not."""
    before, found = niceness(), list[int]()

    def make() -> threading.Thread:
        thread = threading.Thread(target=lambda: found.append(niceness()))
        thread.start()
        return thread

    made_to_yield(make).join()
    assert found[0] > before
    assert niceness() == before


@linux
def test_a_worker_yields_where_it_is_told_to() -> None:
    """The others stay as they are."""
    before = niceness()
    for yields, later in ((False, False), (True, True)):
        worker = Worker("test", yields=yields)
        assert (run_virtual(worker.run(niceness), measured=False) > before) is later
        worker.close()
    assert niceness() == before


def test_what_fails_fails_here() -> None:
    """The error is the maker's."""

    def make() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        made_to_yield(make)


def test_yielding_twice_is_no_error() -> None:
    """On any system."""

    def twice() -> None:
        yield_processor()
        yield_processor()

    made_to_yield(twice)
