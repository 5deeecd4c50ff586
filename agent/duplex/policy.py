"""From probabilities to decisions: thresholds, and what can be decided at all at a moment; and the model's own past.

Events are rare and are given more weight in training than silence, so their probabilities are high; the thresholds are
where it is set how eager the agent is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.agent.duplex.ends import Ends, Evidence, logit
from dragoman.agent.duplex.frames import Control

FRAME_CONTROLS: Final = (Control.SIL, Control.BOS, Control.STP, Control.BOC)
"""What a frame may be decided as, in the order of the model's probabilities."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Probabilities from which on a reply begins, is stopped, or a sign of attention is given.

    ``arm``: from which on the turn is taken to end soon, so that first words are made ready. ``release``: from which on
    the next silence is taken for its end, and they are said; None: never, it takes a ``begin``. A head that can't tell
    the end of a turn from a pause in it must not release. ``ends`` stands in for ``begin`` where an endpointer listens.
    """

    begin: float = 0.5
    stop: float = 0.5
    attend: float = 0.7
    arm: float = 0.3
    release: float | None = None
    ends: Ends = field(default_factory=Ends)

    @classmethod
    def restored(cls, card: Mapping[str, object]) -> Policy:
        """As ``asdict`` wrote it; what is not known any more is left out."""
        known = {f.name: card[f.name] for f in fields(cls) if f.name in card and f.name != "ends"}
        ends = card.get("ends")
        if isinstance(ends, dict):
            known["ends"] = Ends(**{f.name: ends[f.name] for f in fields(Ends) if f.name in ends})
        return cls(**known)  # type: ignore[arg-type]

    def beginning(self, probability: float) -> Policy:
        """The same, but a reply begins from this probability on that the turn is over."""
        return replace(self, begin=probability, ends=self.ends.beginning(logit(probability)))

    def decide(
        self,
        probabilities: npt.NDArray[np.floating],
        busy: bool,
        known: Evidence | None = None,
        *,
        heeded: bool = False,
    ) -> Control:
        """The decision for probabilities [4]; ``busy``: a reply was begun and is not over; ``known``: of the end of the
        turn, where an endpointer listens; ``heeded``: the turn's words will be read in its pauses.

        Who speaks can only stop, and who is silent can't.
        """
        _, begin, stop, attend = (float(p) for p in probabilities)
        if busy:
            return Control.STP if stop >= self.stop else Control.SIL
        if begin >= self.begin if known is None else self.ends.ended(known, heeded=heeded):
            return Control.BOS
        return Control.BOC if attend >= self.attend else Control.SIL


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
