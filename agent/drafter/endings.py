"""Whether a turn is whole, as the words that the ear has of it tell: a line through what is known at the last of them.

The drafter reads every turn while it is heard. In the middle of its layers it knows something of whether more has to
come ("I was on my", "the best thing is"), and of what the ear's mark behind the last word is worth, without having been
taught to; a few hundred numbers read it off. Where layers of their own were taught (``completion``), what they say is
one number more, which tells most. The line belongs to one drafter and one ``completion``, whose digests it names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.agent.drafter.drafts import Array, LastWord
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
    """``weights`` [d] of a normed state, that of what ``complete`` says, and ``shift``: together the logit that the
    turn is whole. ``drafter`` and ``completion``: digests of the adapters whose words these are.
    """

    weights: Array
    shift: float
    drafter: str
    card: Mapping[str, Json]
    complete: float = 0.0
    completion: str = ""

    def whole(self, word: LastWord) -> float:
        """Logit that a turn is whole that ends with this word."""
        return float(normed(word.state) @ self.weights + self.complete * word.complete + self.shift)

    def check(self, drafter: str, completion: str = "") -> None:
        """Raise ``DragomanError`` when it was made for others than these."""
        if self.completion != completion:
            raise DragomanError(
                f"the ends of turns were learned with other layers ({self.completion or 'none'}) than there are "
                f"({completion or 'none'}): learn them anew with `dragoman train endings`"
            )
        if self.drafter != drafter:
            raise DragomanError(
                f"the ends of turns were learned with another drafter ({self.drafter}), not with this one ({drafter}): "
                "learn them anew with `dragoman train endings`"
            )


def fit(
    words: Sequence[LastWord], over: Flags, conversations: Sequence[str], drafter: str, completion: str = ""
) -> Endings:
    """Learn from the last words of turns, ``over`` or not [n].

    Raises ``DragomanError`` when there are none of either kind, among those that are learned from or among the others.
    """
    held = np.array([share_of(f"{name}/endings") < HELD for name in conversations], np.bool_)
    for part in (held, ~held):
        if len(set(over[part].tolist())) < 2:
            raise DragomanError(f"{len(over)} pauses are too few: make more with `dragoman data pauses`")
    states = normed(np.stack([word.state for word in words])).astype(np.float64)
    x = np.concatenate([states, [[word.complete] for word in words]], 1)
    tried = {penalty: logistic(x[~held], over[~held], penalty) for penalty in PENALTIES}
    best = max(PENALTIES, key=lambda penalty: auroc(x[held] @ tried[penalty][:-1], over[held]) or 0.0)
    found = tried[best]
    scale, shift = scaling(x[held] @ found[:-1] + found[-1], over[held])
    weights = scale * found[:-1]
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
    own, complete = weights[:-1].astype(np.float32), float(weights[-1])
    return Endings(own, shift, drafter, card, complete, completion)


def save_endings(path: Path, endings: Endings) -> None:
    """Write it; the file appears whole or not at all."""
    header = {name: getattr(endings, name) for name in ("shift", "drafter", "card", "complete", "completion")}
    save_arrays(path, header, {"weights": endings.weights.astype(np.float32)})


def load_endings(path: Path) -> Endings:
    """Read it. Raises ``DragomanError`` when it is none."""
    with expecting("what ends of turns are told by", path):
        header, arrays = load_arrays(path)
        return Endings(weights=arrays["weights"], **header)
