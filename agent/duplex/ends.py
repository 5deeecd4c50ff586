"""When a turn is over: what listens and what reads are weighed, and a silence counts by itself, the longer the more."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from dragoman.audio.types import INPUT_RATE

LONGEST_S: Final = 3.0
"""A longer silence tells no more than this one."""

_LEAST: Final = 1e-5
_KEPT: Final = 16
"""Frames that are remembered until it is known when the voice fell silent."""


def logit(probability: float) -> float:
    """Of a probability, at most some 11 to either side."""
    p = min(max(probability, _LEAST), 1 - _LEAST)
    return math.log(p / (1 - p))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known at a frame, as logits: ``begin`` of the duplex model (its highest since the voice fell silent),
    ``over`` of the endpointer, ``whole`` of the turn's words (None: not known); and how long the ``silence`` has lasted
    (seconds; 0 while a voice speaks).
    """

    begin: float
    over: float
    whole: float | None = None
    silence: float = 0.0


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
    need not wait for the next, where they tell so much as ``early`` more. No silence shorter than ``breath`` (seconds)
    is an end, whatever was said before it: people breathe between sentences, and after "Hello,".
    """

    read: Weights = Weights(0.05, 0.7, 0.8, 2.0, -0.5)
    unread: Weights = Weights(0.05, 0.65, 0.0, 2.5, -0.2)
    least: float = 2.0
    wait: float = 1.0
    early: float = 0.3
    breath: float = 0.2

    def over(self, known: Evidence, *, heeded: bool) -> bool:
        """Whether a turn is taken to be over; ``heeded``: its words will be read."""
        if known.whole is not None:
            return known.silence >= self.breath and self.read(known) >= self.least
        return self.unread(known) >= self.least + (self.wait if heeded else 0.0)

    def over_between(self, known: Evidence, whole: float, later: float) -> bool:
        """The same between two frames, when it is ``time_for`` it: ``known`` at the last one, and what words tell that
        were read by then, ``later`` by so many seconds.
        """
        now = replace(known, whole=whole, silence=known.silence + later)
        return self.read(now) >= self.least + self.early

    def time_for(self, known: Evidence) -> float:
        """How many seconds after a frame a turn may be over that was not at it; infinite where a voice spoke at it:
        nothing was known of the silence that is to be judged.
        """
        return max(0.0, self.breath - known.silence) if known.silence > 0 else math.inf


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

    def frame(self, end: int, begin: float, over: float, whole: float | None) -> Evidence:
        """What is known when a frame ends, of which the duplex model thinks ``begin`` and the endpointer ``over``."""
        self._begins.append((end, begin))
        if self._since is None:
            return Evidence(begin, over, whole)
        silence = max(0.0, (end - self._since) / INPUT_RATE)
        self._highest = max(self._highest, begin)
        return Evidence(self._highest, over, whole, silence)
