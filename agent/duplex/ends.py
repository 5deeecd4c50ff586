"""When a turn is over: what listens and what reads are weighed, and a silence counts by itself, the longer the more."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from dragoman.audio.types import INPUT_RATE

LONGEST_S: Final = 3.0
"""A longer silence tells no more than this one."""

_FEW: Final = 2
"""Words of a turn that are few."""

_LEAST: Final = 1e-5
_KEPT: Final = 16
"""Frames that are remembered until it is known when the voice fell silent."""


def few(text: str) -> bool:
    """Whether a turn has so few words that a breath may follow them."""
    return len(text.split()) <= _FEW


def logit(probability: float) -> float:
    """Of a probability, at most some 11 to either side."""
    p = min(max(probability, _LEAST), 1 - _LEAST)
    return math.log(p / (1 - p))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known at a frame, as logits: ``begin`` of the duplex model (its highest since the voice fell silent),
    ``over`` of the endpointer, ``whole`` of the turn's words (None: not known); how long the ``silence`` has lasted
    (seconds; 0 while a voice speaks); and whether the words are ``few``.
    """

    begin: float
    over: float
    whole: float | None = None
    silence: float = 0.0
    few: bool = False


@dataclass(frozen=True, slots=True)
class Weights:
    """What each counts for a turn's being over, with a constant ``shift``."""

    begin: float
    over: float
    whole: float
    silence: float
    shift: float

    def __call__(self, known: Evidence) -> float:
        """Logit that the turn is over."""
        return (
            self.begin * known.begin
            + self.over * known.over
            + self.whole * (known.whole or 0.0)
            + self.silence * min(known.silence, LONGEST_S)
            + self.shift
        )


@dataclass(frozen=True, slots=True)
class Ends:
    """When a reply begins where an endpointer listens too; chosen on 358 turns of the verifier's split, those without
    the agent's echo, which follows the recorded agent there and not this one.

    ``read``: weights where the turn's words were read in its pause, ``unread``: where they were not. A reply begins at
    a logit of ``least``, and while words are still to come at ``wait`` more. Words that are read between two frames
    need not wait for the next, where they tell so much as ``early`` more. After a few words ("Hello, what ...") no
    silence shorter than ``breath`` (seconds) is an end, whatever they sound like.
    """

    read: Weights = Weights(0.05, 0.7, 0.8, 2.0, -0.5)
    unread: Weights = Weights(0.05, 0.65, 0.0, 2.5, -0.2)
    least: float = 2.0
    wait: float = 1.0
    early: float = 1.0
    breath: float = 0.16

    def over(self, known: Evidence, *, heeded: bool) -> bool:
        """Whether a turn is taken to be over; ``heeded``: its words will be read."""
        if known.whole is not None:
            return self.read(known) >= self.least and not self._breathes(known)
        return self.unread(known) >= self.least + (self.wait if heeded else 0.0)

    def over_between(self, known: Evidence, whole: float, later: float, *, few: bool = False) -> bool:
        """The same between two frames: ``known`` at the last one, and what words, ``few`` or not, tell that were read
        ``later`` by so many seconds. At a frame in which a voice spoke nothing was known of the silence that the words
        are of.
        """
        now = replace(known, whole=whole, silence=known.silence + later, few=few)
        return known.silence > 0 and self.read(now) >= self.least + self.early and not self._breathes(now)

    def _breathes(self, known: Evidence) -> bool:
        return known.few and known.silence < self.breath


class Silence:
    """How long the user has been silent, and what the duplex model thought since. Positions are samples."""

    def __init__(self) -> None:
        self._since: int | None = None
        self._begins: deque[tuple[int, float]] = deque(maxlen=_KEPT)
        self._highest = -math.inf

    def voice(self, speaking: bool, at: int) -> None:
        """The user's voice begins, or fell silent at a moment that lies back a little."""
        self._since = None if speaking else at
        self._highest = max((begin for end, begin in self._begins if end > at), default=-math.inf)

    def frame(self, end: int, begin: float) -> tuple[float, float]:
        """A frame ends with the duplex model's logit to ``begin``: the highest in this silence, and its seconds."""
        self._begins.append((end, begin))
        if self._since is None:
            return begin, 0.0
        self._highest = max(self._highest, begin)
        return self._highest, max(0.0, (end - self._since) / INPUT_RATE)
