"""Whether a turn is whole, as its words tell: a line through the drafter's states at its last word.

The drafter reads every turn while it is heard. In the middle of its layers it knows whether more has to come ("I was on
my", "the best thing is") without having been taught to; a few hundred numbers read it off, and cost nothing. They
belong to one drafter, whose digest they name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.agent.drafter.drafts import Array
from dragoman.audio.reading import expecting
from dragoman.audio.types import DragomanError, Json
from dragoman.models.arrays import load_arrays, save_arrays
from dragoman.models.shares import share_of
from dragoman.verifier.calibration import logistic, scaling
from dragoman.verifier.features import normed
from dragoman.verifier.figures import auroc, calibration_error

Flags = npt.NDArray[np.bool_]

PENALTIES: Final = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
"""What the square of a weight may cost: the best of them on turns that were not learned from is taken."""

HELD: Final = 0.2
"""Share of the conversations that are not learned from."""


@dataclass(frozen=True)
class Endings:
    """``weights`` [d] of a normed state, and ``shift``: their sum is the logit that the turn is whole. ``drafter``:
    digest of the adapter whose states it reads.
    """

    weights: Array
    shift: float
    drafter: str
    card: Mapping[str, Json]

    def whole(self, state: Array) -> float:
        """Logit that a turn is whole whose last token has this ``state`` [d] (``Reading.states``)."""
        return float(normed(state) @ self.weights + self.shift)

    def check(self, drafter: str) -> None:
        """Raise ``DragomanError`` when it was made for another drafter than this."""
        if self.drafter != drafter:
            raise DragomanError(
                f"the ends of turns were learned with another drafter ({self.drafter}), not with this one ({drafter}): "
                "learn them anew with `dragoman train endings`"
            )


def fit(states: Array, over: Flags, conversations: Sequence[str], drafter: str) -> Endings:
    """Learn from states [n, d] at the last words of turns, ``over`` or not.

    Raises ``DragomanError`` when there are none of either kind, among those that are learned from or among the others.
    """
    held = np.array([share_of(f"{name}/endings") < HELD for name in conversations], np.bool_)
    for part in (held, ~held):
        if len(set(over[part].tolist())) < 2:
            raise DragomanError(f"{len(over)} pauses are too few: make more with `dragoman data pauses`")
    x = normed(states).astype(np.float64)
    tried = {penalty: logistic(x[~held], over[~held], penalty) for penalty in PENALTIES}
    best = max(PENALTIES, key=lambda penalty: auroc(x[held] @ tried[penalty][:-1], over[held]) or 0.0)
    found = tried[best]
    scale, shift = scaling(x[held] @ found[:-1] + found[-1], over[held])
    weights = (scale * found[:-1]).astype(np.float32)
    shift = float(scale * found[-1] + shift)
    logits = x[held] @ weights + shift
    card: dict[str, Json] = {
        "pauses": len(over),
        "conversations": len(set(conversations)),
        "over": float(over.mean()),
        "penalty": best,
        "held": {
            "pauses": int(held.sum()),
            "auroc": auroc(logits, over[held]),
            "ece": calibration_error(1 / (1 + np.exp(-logits)), over[held]),
        },
    }
    return Endings(weights, shift, drafter, card)


def save_endings(path: Path, endings: Endings) -> None:
    """Write it; the file appears whole or not at all."""
    header = {"shift": endings.shift, "drafter": endings.drafter, "card": endings.card}
    save_arrays(path, header, {"weights": endings.weights.astype(np.float32)})


def load_endings(path: Path) -> Endings:
    """Read it. Raises ``DragomanError`` when it is none."""
    with expecting("what ends of turns are told by", path):
        header, arrays = load_arrays(path)
        return Endings(weights=arrays["weights"], **header)
