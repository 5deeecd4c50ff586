"""Threads that compute only where nobody is waited for: a second opinion must not slow down the first answer.

A thread's own priority exists on Linux; elsewhere all threads stay equal.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

_LATER: Final = 10
"""Niceness: beside a thread of usual priority it gets a tenth of a core, and a core that is free as a whole."""


def yield_processor() -> None:
    """Let other threads go before this one and those that it starts from now on; for the rest of its life."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LATER)


def made_to_yield(make: Callable[[], T]) -> T:
    """What ``make`` gives; the threads that it starts let others go first."""
    made: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        yield_processor()
        try:
            made.append(make())
        except BaseException as error:  # the caller's to handle
            failed.append(error)

    thread = threading.Thread(target=run, name="dragoman-making")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]
