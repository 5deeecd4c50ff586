"""From probabilities to decisions: thresholds, and what can be decided at all at a moment; and the model's own past.

Events are rare and are given more weight in training than silence, so their probabilities are high; the thresholds are
where it is set how eager the agent is.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.agent.duplex.frames import Control

FRAME_CONTROLS: Final = (Control.SIL, Control.BOS, Control.STP, Control.BOC)
"""What a frame may be decided as, in the order of the model's probabilities."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Probabilities from which on a reply begins, is stopped, or a sign of attention is given.

    ``arm``: from which on the turn is taken to end soon, so that first words are made ready. ``release``: from which on
    the next silence is taken for its end, and they are said; None: never, it takes a ``begin``. A head that can't tell
    the end of a turn from a pause in it must not release.
    ``read``: from which on a reply begins where it is known what the turn's words tell of its end, to which so many
    times as ``words`` their logit is added; 0: it is not heeded. ``unread``: from which on it begins where they are
    heeded and not known yet.
    """

    begin: float = 0.5
    stop: float = 0.5
    attend: float = 0.7
    arm: float = 0.3
    release: float | None = None
    read: float = 0.97
    unread: float = 0.975
    words: float = 1.25

    def decide(
        self, probabilities: npt.NDArray[np.floating], busy: bool, whole: float | None = None, *, heeded: bool = False
    ) -> Control:
        """The decision for probabilities [4]; ``busy``: a reply was begun and is not over; ``whole``: logit that the
        turn is whole by its words, where they are known in a pause; ``heeded``: they will be, if it is one.

        Who speaks can only stop, and who is silent can't.
        """
        _, begin, stop, attend = (float(p) for p in probabilities)
        if busy:
            return Control.STP if stop >= self.stop else Control.SIL
        least = self.unread if heeded and self.words else self.begin
        if whole is not None and self.words:
            begin, least = _sigmoid(_logit(begin) + self.words * whole), self.read
        if begin >= least:
            return Control.BOS
        return Control.BOC if attend >= self.attend else Control.SIL


def _logit(probability: float) -> float:
    p = min(max(probability, _LEAST), 1 - _LEAST)
    return math.log(p / (1 - p))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-min(max(x, -60.0), 60.0)))


_LEAST: Final = 1e-5


class OwnTokens:
    """The model's own output as it is fed back: decisions at once, the words of its reply one a frame after them."""

    def __init__(self, whole: int) -> None:
        """``whole``: tokens of the body's vocabulary (``Vocabulary.whole``); controls are numbered behind them."""
        self._whole = whole
        self._waiting: deque[int] = deque()
        self.previous = whole + Control.SIL
        """The token that the next frame is given."""

    def decided(self, control: Control) -> None:
        """A frame was decided. Any decision but silence ends the words that were waiting."""
        if control != Control.SIL:
            self._waiting.clear()
            self.previous = self._whole + control
        else:
            self.previous = self._waiting.popleft() if self._waiting else self._whole + Control.SIL

    def say(self, tokens: Iterable[int]) -> None:
        """The words that are being spoken, in place of those that were waiting; ``EOS`` behind them if they are all."""
        self._waiting = deque(tokens)
