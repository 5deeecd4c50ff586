"""Requests from several threads, answered together: while one batch is computed, the next one gathers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")


class Together(Generic[Ask, Answer]):
    """Callable by many threads. A request that comes alone is computed at once."""

    def __init__(self, compute: Callable[[Sequence[Ask]], Sequence[Answer]], most: int = 16) -> None:
        """``compute`` answers up to ``most`` requests, in their order; it is never called twice at a time."""
        self._compute, self._most = compute, most
        self._waiting: list[_Request[Ask, Answer]] = []
        self._queue = threading.Lock()
        self._computing = threading.Lock()

    def __call__(self, ask: Ask) -> Answer:
        """Answer one request; what ``compute`` raises, each of its batch is told."""
        request = _Request[Ask, Answer](ask)
        with self._queue:
            self._waiting.append(request)
        with self._computing:
            # Whoever computed before may have answered this one too.
            while not (request.answers or request.error):
                with self._queue:
                    batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                self._answer(batch)
        if request.error:
            raise request.error
        return request.answers[0]

    def _answer(self, batch: list[_Request[Ask, Answer]]) -> None:
        try:
            for request, answer in zip(batch, self._compute([one.ask for one in batch]), strict=True):
                request.answers.append(answer)
        except Exception as error:
            for request in batch:
                request.error = error


class _Request(Generic[Ask, Answer]):
    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.answers: list[Answer] = []
        self.error: Exception | None = None
