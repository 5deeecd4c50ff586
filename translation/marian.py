"""Reading what Marian writes: a model's weights and its lexical shortlist, as arrays.

The weights' file (version 1): counts, a table of (name length, type, rank, byte length), names, shapes, padding, data.
8-bit matrices are stored transposed, embeddings excepted, with their scale behind them. The shortlist: for each source
token the target tokens that may come of it, beside the most frequent ones.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.audio.types import DragomanError

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.uint32]

_FLOAT32: Final = 0x404
_INT8: Final = 0x4101
_SHORTLIST: Final = 0xF11A48D5013417F5
_EMBEDDINGS: Final = "Wemb"
_SETTINGS: Final = "special:model.yml"
_UNUSED: Final = "_QuantMultA"  # scales of 8-bit activations: ours are floats


@dataclass(frozen=True, slots=True)
class Shortlist:
    """Which target tokens to consider."""

    frequent: int
    """The first so many tokens of the vocabulary, always."""
    offsets: npt.NDArray[np.uint64]
    """Shape [source tokens + 1]: where each one's target tokens begin in ``targets``."""
    targets: Ids

    def of(self, source: Iterable[int]) -> Ids:
        """The target tokens for a sentence, sorted."""
        lists = [self.targets[self.offsets[token] : self.offsets[token + 1]] for token in set(source)]
        return np.unique(np.concatenate([np.arange(self.frequent, dtype=np.uint32), *lists]))


@dataclass(frozen=True, slots=True)
class Weights:
    """Arrays by their names, as float32, and the settings that the file keeps."""

    arrays: Mapping[str, Floats]
    settings: Mapping[str, str]


def read_weights(path: Path) -> Weights:
    """Raises ``DragomanError`` for a file that is missing or not of this kind."""
    data = _read(path)
    try:
        version, count = struct.unpack_from("<QQ", data)
        if version != 1:
            raise ValueError(f"version {version}")
        at = 16 + 32 * count
        table = [struct.unpack_from("<4Q", data, 16 + 32 * i) for i in range(count)]
        names = []
        for length, _, _, _ in table:
            names.append(data[at : at + length].rstrip(b"\0").decode())
            at += length
        shapes = []
        for _, _, rank, _ in table:
            shapes.append(struct.unpack_from(f"<{rank}i", data, at))
            at += 4 * rank
        at += 8 + struct.unpack_from("<Q", data, at)[0]
        arrays: dict[str, Floats] = {}
        settings = ""
        for name, shape, (_, kind, _, size) in zip(names, shapes, table, strict=True):
            if name == _SETTINGS:
                settings = data[at : at + size].rstrip(b"\0").decode()
            elif not name.endswith(_UNUSED):
                arrays[name] = _array(name, kind, shape, data[at : at + size])
            at += size
    except (struct.error, ValueError, IndexError) as error:
        raise DragomanError(f"{path}: no model of Marian's that can be read ({error})") from error
    lines = (line.partition(": ") for line in settings.splitlines())
    return Weights(arrays, {key.strip(): value.strip() for key, _, value in lines})


def read_shortlist(path: Path) -> Shortlist:
    """Raises ``DragomanError`` for a file that is missing or not of this kind."""
    data = _read(path)
    try:
        magic, _, frequent, _, sources, length = struct.unpack_from("<6Q", data)
        if magic != _SHORTLIST:
            raise ValueError("it does not begin like one")
        offsets = np.frombuffer(data, "<u8", sources, 48)
        targets = np.frombuffer(data, "<u4", length, 48 + 8 * sources)
    except (struct.error, ValueError) as error:
        raise DragomanError(f"{path}: no shortlist of Marian's that can be read ({error})") from error
    return Shortlist(frequent, offsets, targets)


def _array(name: str, kind: int, shape: tuple[int, ...], data: bytes) -> Floats:
    size = int(np.prod(shape))
    if kind == _FLOAT32:
        return np.frombuffer(data, "<f4", size).reshape(shape).astype(np.float32)
    if kind != _INT8:
        raise ValueError(f"{name} is of type {kind:#x}")
    whole = np.frombuffer(data, np.int8, size).astype(np.float32)
    scale = np.float32(np.frombuffer(data, "<f4", 1, size)[0])
    stored = whole.reshape(shape) if name == _EMBEDDINGS else whole.reshape(shape[::-1]).T
    return np.ascontiguousarray(stored / scale)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DragomanError(f"{path}: can't be read ({error.strerror})") from error
