"""When a turn is over: what listens and what reads are weighed, and who is not sure waits a little longer."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from dragoman.audio.types import INPUT_RATE

_LEAST: Final = 1e-5

LISTENED_S: Final = 1.0
"""An endpointer has heard what there is to hear of a silence. It learned from talk in which somebody answers, so that
what it says of a long silence has little to do with the turn before it.
"""


def logit(probability: float) -> float:
    """Of a probability, at most some 11 to either side."""
    p = min(max(probability, _LEAST), 1 - _LEAST)
    return math.log(p / (1 - p))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known at a moment, as logits: ``over`` of the endpointer, ``whole`` of the turn's words (None: not
    known); and how long the ``silence`` has lasted (seconds; 0 while a voice speaks).
    """

    over: float
    whole: float | None = None
    silence: float = 0.0


@dataclass(frozen=True, slots=True)
class Ends:
    """When a reply begins where an endpointer listens too; chosen on 641 turns of the verifier's split.

    ``over`` and ``whole``: what the endpointer and the words count, ``alone``: what the endpointer counts without them.
    No silence shorter than ``breath`` (seconds) is an end, whatever was said before it: people breathe between
    sentences, and after "Hello,". Who is ``sure`` by then (a logit) begins. Who is not waits for ``patience``, as many
    pauses are over by then, and so does who has no words yet and is to have them. After that it is enough that the end
    is ``likely``, and less by ``haste`` with each further second. In a noise the voice detector may hear no silence at
    all; there the endpointer must be ``certain``.
    """

    over: float = 0.7
    whole: float = 0.9
    alone: float = 1.0
    breath: float = 0.22
    sure: float = 2.4
    patience: float = 0.44
    likely: float = 0.5
    haste: float = 1.0
    certain: float = 3.2

    def ended(self, known: Evidence, *, heeded: bool) -> bool:
        """Whether a turn is taken to be over; ``heeded``: its words will be read."""
        if not known.silence:
            return self.alone * known.over >= self.certain
        shortest = self.patience if heeded and known.whole is None else self.breath
        return known.silence >= shortest and self._enough(known)

    def ended_between(self, known: Evidence, whole: float, later: float) -> bool:
        """The same between two frames, when it is ``time_for`` it: ``known`` at the last one, and what words tell that
        were read by then, ``later`` by so many seconds.
        """
        return self._enough(replace(known, whole=whole, silence=known.silence + later))

    def _enough(self, known: Evidence) -> bool:
        tells = self.alone * known.over if known.whole is None else self.over * known.over + self.whole * known.whole
        waited = known.silence - self.patience
        return tells >= (self.sure if waited < 0 else self.likely - self.haste * waited)

    def time_for(self, known: Evidence) -> float:
        """How many seconds after a frame a turn may be over that was not at it; infinite where a voice spoke at it:
        nothing was known of the silence that is to be judged.
        """
        return max(0.0, self.breath - known.silence) if known.silence > 0 else math.inf

    def beginning(self, sure: float) -> Ends:
        """The same for who must be so sure, and as much surer or less sure everywhere else."""
        more = sure - self.sure
        return replace(self, sure=sure, likely=self.likely + more, certain=self.certain + more)


class Silence:
    """How long the user has been silent, and what that tells. Positions are samples."""

    def __init__(self) -> None:
        self._since: int | None = None
        self._over: float | None = None

    def voice(self, speaking: bool, at: int) -> None:
        """The user's voice begins, or fell silent at a moment that lies back a little."""
        self._since = None if speaking else at

    def seconds(self, now: int) -> float:
        """Since the voice fell silent; 0 while it speaks, or has not spoken yet."""
        return 0.0 if self._since is None else max(0.0, (now - self._since) / INPUT_RATE)

    def evidence(self, over: float, whole: float | None, now: int) -> Evidence:
        """What is known after a frame that ends ``now``, of which the endpointer says ``over``: it is heeded for
        ``LISTENED_S`` of a silence, and what it said last in them stands.
        """
        silence = self.seconds(now)
        if self._over is None or silence <= LISTENED_S:
            self._over = over
        return Evidence(self._over, whole, silence)
