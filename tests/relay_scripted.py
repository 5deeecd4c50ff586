"""A scripted drafter and judge of first words, for tests of the hand-off."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


def nothing() -> np.ndarray:
    return np.zeros(0, np.float32)


@dataclass(frozen=True)
class Written:
    """A draft without doubts."""

    text: str
    complete: bool = False
    tokens: Sequence[int] = ()
    hidden: np.ndarray = field(default_factory=nothing, repr=False)
    entropy: np.ndarray = field(default_factory=nothing, repr=False)
    logp: np.ndarray = field(default_factory=nothing, repr=False)
    margin: np.ndarray = field(default_factory=nothing, repr=False)


@dataclass
class ScriptedDrafter:
    """Writes the next draft of its script, and remembers what it read; an exception in the script is raised.

    ``gate`` holds a draft back until it is set.
    """

    script: list[Written | Exception]
    read: list[tuple[tuple[tuple[str, str], ...], int]] = field(default_factory=list)
    gate: threading.Event | None = None
    began: threading.Event = field(default_factory=threading.Event)

    def draft(self, dialogue: Sequence[tuple[str, str]], words: int) -> Written:
        self.read.append((tuple(dialogue), words))
        self.began.set()
        if self.gate is not None:
            assert self.gate.wait(10)
        written = self.script.pop(0)
        if isinstance(written, Exception):
            raise written
        return written


@dataclass
class Trusting:
    """Trusts every draft alike."""

    value: float = 0.9
    threshold: float = 0.5

    def trust(self, draft: object) -> float:
        return self.value
