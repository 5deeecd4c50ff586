"""Requests of several threads, answered together."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from dragoman.translation.together import Together


class Doubling:
    """Doubles numbers; its first call waits until it may go on."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        if len(self.batches) == 1:
            self.began.set()
            self.go.wait(10)
        if -1 in numbers:
            raise ValueError("a number below 0")
        return [2 * number for number in numbers]


def test_alone_it_is_computed_at_once() -> None:
    """A batch of one."""
    doubling = Doubling()
    doubling.go.set()
    assert Together(doubling)(3) == 6
    assert doubling.batches == [[3]]


def test_what_gathers_meanwhile_is_the_next_batch() -> None:
    """Each gets its own answer, and the batches are as large as allowed."""
    doubling = Doubling()
    together = Together(doubling, most=3)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(together, 0)
        assert doubling.began.wait(10)
        others = [pool.submit(together, number) for number in range(1, 6)]
        while len(together._waiting) < 5:  # they wait for the first batch to be over
            threading.Event().wait(0.001)
        doubling.go.set()
        assert [first.result(10), *(other.result(10) for other in others)] == [0, 2, 4, 6, 8, 10]
    assert sorted(map(len, doubling.batches)) == [1, 2, 3]


def test_an_error_is_told_to_its_batch_alone() -> None:
    """And what comes later is answered."""
    doubling = Doubling()
    doubling.go.set()
    together = Together(doubling)
    with pytest.raises(ValueError, match="below 0"):
        together(-1)
    assert together(4) == 8
