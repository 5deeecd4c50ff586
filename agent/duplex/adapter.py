"""What training makes of a body and an ear: one small file that names both by their hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from dragoman.agent.duplex.body import Array, Body
from dragoman.agent.duplex.policy import Policy
from dragoman.audio.reading import expecting
from dragoman.audio.types import DragomanError
from dragoman.models.arrays import load_arrays, save_arrays

LARGEST: Final = 40_000_000
"""Bytes that an adapter may have."""


@dataclass(frozen=True)
class Adapter:
    """``own``: adapter of the ear, tables and heads, under the module's names; ``changes``: weight name to (up [out,
    rank], down [rank, in]); ``kept``: tokens that are written with, for who writes. ``ear``: digest of the recognizer's
    adapter, if any; ``body``: SHA-256 of the language model's file, of which the first ``layers`` are used.
    """

    own: Mapping[str, Array]
    changes: Mapping[str, tuple[Array, Array]]
    kept: tuple[int, ...]
    ear: str
    ear_width: int
    body: str
    layers: int
    card: Mapping[str, object]

    @property
    def policy(self) -> Policy:
        """The thresholds that suit it, as its card says."""
        known = self.card.get("policy")
        return Policy.restored(known) if isinstance(known, dict) else Policy()

    def digest(self) -> str:
        """A short name of all that is in it but the card."""
        found = hashlib.sha256(f"{self.ear} {self.body} {self.layers} {self.kept}".encode())
        for name, array in sorted(self._arrays().items()):
            found.update(name.encode())
            found.update(array.astype(np.float16).tobytes())
        return found.hexdigest()[:16]

    def _arrays(self) -> dict[str, Array]:
        arrays = {f"own/{name}": array for name, array in self.own.items()}
        for name, (up, down) in self.changes.items():
            arrays[f"lora/{name}/up"], arrays[f"lora/{name}/down"] = up, down
        return arrays

    def check(self, ear: str, body: str) -> None:
        """Raise ``DragomanError`` when it was trained on another ear or another body than these."""
        if self.ear != ear:
            raise DragomanError(
                f"the duplex adapter was trained on another ear ({self.ear}), not on this one ({ear}): "
                "train it anew with `dragoman train duplex`, or take the ear that it was trained on"
            )
        if self.body != body:
            raise DragomanError(
                f"the duplex adapter belongs to another language model (SHA-256 {self.body[:12]}...), "
                f"not to this one ({body[:12]}...)"
            )


def save_adapter(path: Path, adapter: Adapter) -> None:
    """Write it, float16; the file appears whole or not at all. Raises ``DragomanError`` when it would be too large."""
    header = {name: getattr(adapter, name) for name in ("ear", "ear_width", "body", "layers", "card")}
    arrays = {name: array.astype(np.float16) for name, array in adapter._arrays().items()}
    if sum(array.nbytes for array in arrays.values()) > LARGEST:
        raise DragomanError(f"the adapter has more than {LARGEST // 10**6} MB: train with a smaller rank")
    save_arrays(path, header, {"kept": np.asarray(adapter.kept, np.int32), **arrays})


def load_adapter(path: Path) -> Adapter:
    """Read it. Raises ``DragomanError`` when it is none."""
    with expecting("an adapter of the duplex model", path):
        header, found = load_arrays(path)
        arrays = {name: array.astype(np.float32) for name, array in found.items() if "/" in name}
        return Adapter(
            own={name.removeprefix("own/"): array for name, array in arrays.items() if name.startswith("own/")},
            changes={
                name.removeprefix("lora/").removesuffix("/up"): (array, arrays[name.removesuffix("up") + "down"])
                for name, array in arrays.items()
                if name.startswith("lora/") and name.endswith("/up")
            },
            kept=tuple(map(int, found["kept"])),
            **header,
        )


def adapted(body: Body, adapter: Adapter) -> Body:
    """The body's first layers with the changes added. Raises ``DragomanError`` when they don't fit."""
    adapter.check(adapter.ear, body.sha256)
    body = body.shortened(adapter.layers)
    arrays = dict(body.arrays)
    for name, (up, down) in adapter.changes.items():
        if name not in arrays or arrays[name].shape != (up.shape[0], down.shape[1]):
            raise DragomanError(f"the duplex adapter changes {name}, which this body doesn't have in that shape")
        arrays[name] = arrays[name] + up @ down
    return replace(body, arrays=arrays)
