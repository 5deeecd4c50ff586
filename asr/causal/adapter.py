"""Adapters: the trained low-rank changes, in one small file that names the weights they belong to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dragoman.asr.causal.weights import Array, Weights
from dragoman.audio.reading import expecting
from dragoman.audio.types import DragomanError
from dragoman.models.arrays import load_arrays, save_arrays


@dataclass(frozen=True)
class Adapter:
    """``changes``: weight name to (up [out, rank], down [rank, in]); ``card``: data, steps, figures; ``encoder``: the
    ``ear`` of the adapter whose encoder it kept when its decoder was trained on, empty where it was trained whole.
    """

    changes: dict[str, tuple[Array, Array]]
    base_sha256: str
    card: dict[str, object]
    encoder: str = ""

    def scaled(self, strength: float) -> Adapter:
        """A part of the changes: weights between the stock ones and the trained ones.

        They keep more of what the stock weights know of voices that the training lacks (Wortsman et al. 2022, "Robust
        fine-tuning of zero-shot models").
        """
        changes = {name: (up * np.float32(strength), down) for name, (up, down) in self.changes.items()}
        return replace(self, changes=changes)

    def mixed(self, other: Adapter, share: float) -> Adapter:
        """Weights between those of this adapter and of another one for the same stock weights, of which it takes
        ``share``. What both change alike stays as it is; elsewhere the ranks add up.
        """
        changes = dict(other.changes)
        for name, (up, down) in self.changes.items():
            ups, downs = other.changes[name]
            if np.array_equal(up, ups) and np.array_equal(down, downs):
                continue
            up, ups = up * np.float32(1 - share), ups * np.float32(share)
            changes[name] = np.concatenate([up, ups], 1), np.concatenate([down, downs], 0)
        return replace(other, changes=changes)

    @property
    def ear(self) -> str:
        """A short name of the encoder: what was trained on what one adapter hears belongs to all that have this."""
        return self.encoder or self.digest()

    def digest(self) -> str:
        """A short name of the changes."""
        found = hashlib.sha256(self.base_sha256.encode())
        for name, pair in sorted(self.changes.items()):
            found.update(name.encode())
            for array in pair:
                found.update(array.astype(np.float16).tobytes())
        return found.hexdigest()[:16]


def save_adapter(path: Path, adapter: Adapter) -> None:
    """Write it, float16; the file appears whole or not at all."""
    arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float16]]] = {}
    for name, (up, down) in adapter.changes.items():
        arrays[f"{name}/up"], arrays[f"{name}/down"] = up.astype(np.float16), down.astype(np.float16)
    header = {"base_sha256": adapter.base_sha256, "card": adapter.card, "encoder": adapter.encoder}
    save_arrays(path, header, arrays)


def load_adapter(path: Path) -> Adapter:
    """Read it. Raises ``DragomanError`` when it is none."""
    with expecting("an adapter of the causal recognizer", path):
        header, arrays = load_arrays(path)
        names = [key.removesuffix("/up") for key in arrays if key.endswith("/up")]
        changes = {
            name: (arrays[f"{name}/up"].astype(np.float32), arrays[f"{name}/down"].astype(np.float32)) for name in names
        }
        return Adapter(changes, header["base_sha256"], header["card"], header.get("encoder", ""))


def check_base(adapter: Adapter, sha256: str) -> None:
    """Raise ``DragomanError`` when an adapter was trained for other weights than those of this hash."""
    if adapter.base_sha256 != sha256:
        raise DragomanError(
            f"the adapter belongs to other weights (SHA-256 {adapter.base_sha256[:12]}...), "
            f"not to these ({sha256[:12]}...): give the model that it was trained for"
        )


def adapted(weights: Weights, adapter: Adapter) -> Weights:
    """The weights with the changes added. Raises ``DragomanError`` when they were trained for other weights."""
    check_base(adapter, weights.sha256)
    arrays = dict(weights.arrays)
    for name, (up, down) in adapter.changes.items():
        if name not in arrays or arrays[name].shape != (up.shape[0], down.shape[1]):
            raise DragomanError(f"the adapter changes {name}, which these weights don't have in that shape")
        arrays[name] = arrays[name] + up @ down
    return Weights(arrays, weights.dims, weights.alignment_heads, weights.sha256)
