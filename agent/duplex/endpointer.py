"""An endpointer that listens to pauses: at each frame, whether the user's turn is over.

The duplex model has all of a conversation to learn, and silence is most of it. This one hears the same features, and
the voice's prosody beside them, and learns a single thing, how turns end and how pauses begin, from every frame of
either; so small a recurrent network does that in minutes, and costs a session next to nothing. It belongs to one ear,
whose digest it names.

Several may listen together, and their opinions are averaged: what one has learned by heart the others have not (deep
ensembles, Lakshminarayanan et al., arXiv 1612.01474). NumPy alone, and a state of some hundred numbers a session: it
runs for ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.audio.reading import expecting
from dragoman.audio.types import DragomanError, Json
from dragoman.models.arrays import load_arrays, save_arrays

Array = npt.NDArray[np.float32]

STRIDE: Final = 2
"""Features that are averaged, and then steps of the convolution from one to the next of the recurrent layer."""

TAPS: Final = 5
"""Steps that the convolution sees."""

RECENT: Final = 6
"""Steps of the recurrent layer's input that are averaged for the answer: half a second."""

EPSILON: Final = 1e-5


@dataclass(frozen=True)
class Endpointer:
    """``weights`` by name (``WEIGHTS``), those of all members along the first axis; ``ear``: digest of the recognizer
    whose features it hears.
    """

    weights: Mapping[str, Array]
    ear: str
    card: Mapping[str, Json]

    @property
    def members(self) -> int:
        """How many listen together."""
        return len(self.weights["over"])

    def joined(self, other: Endpointer) -> Endpointer:
        """Both together. Raises ``DragomanError`` when they hear different ears or differ in width."""
        other.check(self.ear)
        try:
            weights = {name: np.concatenate([array, other.weights[name]]) for name, array in self.weights.items()}
        except ValueError as error:
            raise DragomanError(f"endpointers of different widths can't be joined ({error})") from error
        before = self.card.get("joined")
        others = before if isinstance(before, list) else []
        return Endpointer(weights, self.ear, {**self.card, "joined": [*others, other.card]})

    def open(self) -> EndpointStream:
        """A session's."""
        return EndpointStream(self.weights)

    def digest(self) -> str:
        """A short name of all that is in it but the card."""
        found = hashlib.sha256(self.ear.encode())
        for name, array in sorted(self.weights.items()):
            found.update(name.encode())
            found.update(array.astype(np.float16).tobytes())
        return found.hexdigest()[:16]

    def check(self, ear: str) -> None:
        """Raise ``DragomanError`` when it was trained on another ear than this."""
        if self.ear != ear:
            raise DragomanError(
                f"the endpointer was trained on another ear ({self.ear}), not on this one ({ear}): "
                "train it anew with `dragoman train endpointer`"
            )


class EndpointStream:
    """One session's state. Frames are given in order."""

    def __init__(self, weights: Mapping[str, Array]) -> None:
        self._weights = weights
        members, width = weights["in_bias"].shape
        self._mix = np.ascontiguousarray(weights["mix"].swapaxes(2, 3)).reshape(members, width, -1)
        self._tail = np.zeros((members, TAPS - STRIDE, width), np.float32)
        self._hidden = np.zeros((members, width), np.float32)
        self._recent = np.zeros((members, RECENT, width), np.float32)

    def push(self, features: npt.NDArray[np.floating], prosody: npt.NDArray[np.floating], sounding: bool) -> float:
        """Logit that the turn is over, after a frame's features [8, d] and prosody [8, PROSODY]; ``sounding``: the
        agent's voice is audible.
        """
        w = self._weights
        heard = features.astype(np.float32).reshape(-1, STRIDE, features.shape[-1]).mean(1)
        heard = heard - heard.mean(-1, keepdims=True)
        heard /= np.sqrt((heard**2).mean(-1, keepdims=True) + EPSILON)
        bias = w["in_bias"] + w["sounding"] if sounding else w["in_bias"]
        tone = prosody.astype(np.float32).reshape(len(heard), -1) @ w["tone"].swapaxes(1, 2)
        known = np.concatenate([self._tail, _gelu(heard @ w["in"].swapaxes(1, 2) + tone + bias[:, None])], 1)
        self._tail = known[:, -self._tail.shape[1] :]
        for end in range(TAPS, known.shape[1] + 1, STRIDE):
            step = _gelu(_times(self._mix, known[:, end - TAPS : end].reshape(len(known), -1)) + w["mix_bias"])
            self._recent = np.concatenate([self._recent[:, 1:], step[:, None]], 1)
            self._hidden = _step(w, step, self._hidden)
        seen = np.concatenate([self._hidden, self._recent.mean(1)], -1)
        inner = _gelu(_times(w["judge"], seen) + w["judge_bias"])
        return float(((w["over"] * inner).sum(-1) + w["over_bias"]).mean())


def _times(matrices: Array, vectors: Array) -> Array:
    """Of each member [m, a, b] and [m, b]: [m, a]."""
    return np.asarray((matrices @ vectors[..., None])[..., 0], np.float32)


def _step(w: Mapping[str, Array], x: Array, hidden: Array) -> Array:
    """A gated recurrent unit (Cho et al., arXiv 1406.1078), in the form that cuDNN and PyTorch have."""
    reset_x, update_x, new_x = np.split(_times(w["gates_x"], x) + w["gates_x_bias"], 3, -1)
    reset_h, update_h, new_h = np.split(_times(w["gates_h"], hidden) + w["gates_h_bias"], 3, -1)
    reset, update = _sigmoid(reset_x + reset_h), _sigmoid(update_x + update_h)
    new = np.tanh(new_x + reset * new_h)
    return np.asarray((1 - update) * new + update * hidden, np.float32)


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))), np.float32)


def _gelu(x: npt.NDArray[np.floating]) -> Array:
    """By the tangent, which PyTorch has too."""
    return np.asarray(0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3))), np.float32)


def save_endpointer(path: Path, endpointer: Endpointer) -> None:
    """Write it, float16; the file appears whole or not at all."""
    header = {"ear": endpointer.ear, "card": endpointer.card}
    save_arrays(path, header, {name: array.astype(np.float16) for name, array in endpointer.weights.items()})


def load_endpointer(path: Path) -> Endpointer:
    """Read it. Raises ``DragomanError`` when it is none."""
    with expecting("an endpointer", path):
        header, arrays = load_arrays(path)
        weights = {name: array.astype(np.float32) for name, array in arrays.items()}
        if missing := set(WEIGHTS) - set(weights):
            raise KeyError(sorted(missing)[0])
        return Endpointer(weights, **header)


WEIGHTS: Final = (
    *("in", "in_bias", "tone", "sounding", "mix", "mix_bias", "gates_x", "gates_x_bias", "gates_h", "gates_h_bias"),
    *("judge", "judge_bias", "over", "over_bias"),
)
"""What a member is made of: ``in`` [h, d], ``tone`` [h, STRIDE * PROSODY], ``sounding`` [h], ``mix`` [h, h, TAPS],
gates [3h, h] (reset, update, new), ``judge`` [h, 2h], ``over`` [h], and biases; all of them behind an axis of members.
"""
