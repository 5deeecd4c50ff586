"""Translators that have a model for each direction, loaded when it is first asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Protocol

from dragoman.audio.types import DragomanError
from dragoman.translation.sentences import sentences
from dragoman.translation.steering import Steering, Translation

_REMEMBERED: Final = 256


class Direction(Protocol):
    """A model of one direction; several threads may use it at once."""

    def translate(self, line: str, steering: Steering) -> Translation:
        """One sentence, with something to translate in it, as asked."""


class DirectedTranslator:
    """Implements ``Translator`` and ``Steerable``; safe to call from several threads."""

    def __init__(self, pairs: frozenset[tuple[str, str]], load: Callable[[str, str], Direction]) -> None:
        """``load`` opens one of the ``pairs``. Raises ``DragomanError`` where a package is missing."""
        one_thread()
        self.pairs = pairs
        self._load = load
        self._directions: dict[tuple[str, str], Direction] = {}
        self._loading = threading.Lock()
        self._remembered = lru_cache(_REMEMBERED)(self._sentence)

    def warm(self, source: str, target: str) -> None:
        """Load the direction: half a second, once."""
        self._direction(source, target)

    def translate(self, text: str, source: str, target: str) -> str:
        """Translate one segment. Text without a letter or a digit is given back as it is."""
        self._known(source, target)
        return " ".join(self._remembered(sentence, source, target) for sentence in sentences(text))

    def steered(self, text: str, source: str, target: str, steering: Steering) -> Translation:
        """Translate one sentence as asked."""
        line = " ".join(text.split())
        if not any(c.isalnum() for c in line):
            return Translation(line, tuple(range(len(line.split()))))
        return self._direction(source, target).translate(line, steering)

    def _sentence(self, text: str, source: str, target: str) -> str:
        return self.steered(text, source, target, Steering()).text

    def _known(self, source: str, target: str) -> None:
        if (source, target) not in self.pairs:
            raise DragomanError(f"this translator can't translate from {source} to {target}")

    def _direction(self, source: str, target: str) -> Direction:
        self._known(source, target)
        with self._loading:
            if (source, target) not in self._directions:
                self._directions[source, target] = self._load(source, target)
            return self._directions[source, target]


def one_thread() -> None:
    """One thread per engine, for the whole process: numpy would take all cores for matrices of this size."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise DragomanError(
            "translating needs the package threadpoolctl: run `pip install 'dragoman[translate]'`"
        ) from error
    threadpool_limits(1, user_api="blas")
