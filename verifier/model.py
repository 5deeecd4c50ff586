"""The verifier on NumPy: hidden states gated by how sure the drafter was, pooled by attention, and judged.

After RelayS2S (arXiv 2603.23346): each token's state is projected, a gate made of its scalars lets it through, and one
vector of attention sums the tokens up; no token attends to another. A trained verifier is one small file that names the
drafter whose states it reads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from dragoman.audio.reading import expecting
from dragoman.audio.types import DragomanError
from dragoman.models.arrays import load_arrays, save_arrays
from dragoman.verifier.features import SCALARS, Array, Drafted, Features, features_of

LOOK: Final = 64
"""Width of what attention looks at."""

JUDGED: Final = 64
"""Width of the last layer but one."""

LEAST: Final = 70_000
MOST: Final = 170_000
"""Parameters that a verifier should have: one with more learns its drafts by heart."""


@dataclass(frozen=True, slots=True)
class Dims:
    """``width`` of the drafter's states, ``inner`` width of the verifier."""

    width: int
    inner: int

    @classmethod
    def of(cls, width: int) -> Dims:
        """The sizes for states of this width: 128 wide inside for 576, and narrower for wider states."""
        return cls(width, int(np.clip(_PROJECTION // width, 16, 128)))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The arrays by name; matrices are [out, in]."""
        n, scalars = self.inner, len(SCALARS)
        return {
            "states": (n, self.width),
            "states_bias": (n,),
            "gate": (n, scalars),
            "gate_bias": (n,),
            "look": (LOOK, n),
            "look_bias": (LOOK,),
            "weigh": (LOOK,),
            "judge": (JUDGED, n + 2 * scalars),
            "judge_bias": (JUDGED,),
            "say": (JUDGED,),
            "say_bias": (1,),
        }

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(int(np.prod(shape)) for shape in self.shapes().values())


_PROJECTION: Final = 80_000


@dataclass(frozen=True)
class Checkpoint:
    """``arrays`` as ``Dims.shapes`` has them, and ``middle`` and ``spread`` [len(SCALARS)], by which scalars are
    standardized. The logit times ``scale`` plus ``shift`` is calibrated; a draft is spoken from ``threshold`` on.
    ``drafter``: digest of the adapter whose states it was trained on.
    """

    arrays: Mapping[str, Array]
    dims: Dims
    drafter: str
    scale: float
    shift: float
    threshold: float
    card: Mapping[str, object]

    def digest(self) -> str:
        """A short name of all that is in it but the card."""
        found = hashlib.sha256(f"{self.drafter} {self.scale:.5f} {self.shift:.5f} {self.threshold:.5f}".encode())
        for name, array in sorted(self.arrays.items()):
            found.update(name.encode())
            found.update(array.astype(np.float32).tobytes())
        return found.hexdigest()[:16]

    def check(self, drafter: str) -> None:
        """Raise ``DragomanError`` when it was trained on the drafts of another drafter than this."""
        if self.drafter != drafter:
            raise DragomanError(
                f"the verifier was trained on another drafter ({self.drafter}), not on this one ({drafter}): "
                "train it anew with `dragoman data drafts` and `dragoman train verifier`"
            )


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write it, float32; the file appears whole or not at all."""
    header = {name: getattr(checkpoint, name) for name in _HEADER}
    header |= {"width": checkpoint.dims.width, "inner": checkpoint.dims.inner}
    save_arrays(path, header, {f"own/{name}": array.astype(np.float32) for name, array in checkpoint.arrays.items()})


def load_checkpoint(path: Path) -> Checkpoint:
    """Read it. Raises ``DragomanError`` when it is none."""
    with expecting("a verifier", path):
        header, found = load_arrays(path)
        arrays = {name.removeprefix("own/"): array for name, array in found.items() if name.startswith("own/")}
        dims = Dims(header.pop("width"), header.pop("inner"))
        shapes = {**dims.shapes(), "middle": (len(SCALARS),), "spread": (len(SCALARS),)}
        if {name: array.shape for name, array in arrays.items()} != shapes:
            raise ValueError("its arrays have other shapes")
        return Checkpoint(arrays=arrays, dims=dims, **header)


_HEADER: Final = ("drafter", "scale", "shift", "threshold", "card")


class Verifier:
    """Decides on drafts, in well under a millisecond. Safe to call from several threads."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.threshold = checkpoint.threshold
        """The probability from which on a draft is spoken."""

    def trust(self, draft: Drafted) -> float:
        """How likely it is that the draft is a sensible beginning of the reply; 0 for one without words."""
        if not len(draft.tokens):
            return 0.0
        found = self.checkpoint.scale * self.logit(features_of(draft)) + self.checkpoint.shift
        return float(1 / (1 + np.exp(-np.clip(found, -60, 60))))

    def logit(self, features: Features) -> float:
        """What the model says before it is calibrated. States of another width are a ``ValueError``."""
        w, width = self.checkpoint.arrays, self.checkpoint.dims.width
        if features.hidden.shape[1] != width:
            raise ValueError(f"states are {features.hidden.shape[1]} wide, and this verifier reads {width}")
        scalars = (features.scalars - w["middle"]) / w["spread"]
        gate = 1 / (1 + np.exp(-(scalars @ w["gate"].T + w["gate_bias"])))
        states = np.maximum(features.hidden @ w["states"].T + w["states_bias"], 0) * gate
        weight = np.tanh(states @ w["look"].T + w["look_bias"]) @ w["weigh"]
        weight = np.exp(weight - weight.max())
        pooled = (weight / weight.sum()) @ states
        joined = np.concatenate([pooled, scalars.mean(0), scalars.min(0)])
        judged = np.maximum(w["judge"] @ joined + w["judge_bias"], 0)
        return float(w["say"] @ judged + w["say_bias"][0])


def open_verifier(path: Path, drafter: str) -> Verifier:
    """Load the verifier of a drafter (the digest of its adapter).

    Raises ``DragomanError`` when there is none, or it belongs to another drafter.
    """
    checkpoint = load_checkpoint(path)
    checkpoint.check(drafter)
    return Verifier(checkpoint)
