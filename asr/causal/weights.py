"""Whisper's weights out of a CTranslate2 package, as NumPy arrays under plain names.

CTranslate2's ``model.bin`` (version 6, WhisperSpec revision 3): u32 version, string spec, u32 revision, u32 count;
then per variable a string name, u8 rank, u32 dimensions, u8 type, u32 bytes, data; then u32 count of aliases (name,
target). A string is u16 length and bytes with a trailing zero.

Plain names: ``encoder.conv1.weight``, ``encoder.0.attn.q.weight``, ``decoder.3.cross.out.bias``,
``decoder.0.fc1.weight``, ``decoder.norm.weight``, ``decoder.tokens``, ``decoder.positions`` and so on; linear weights
are [out, in].
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.audio.types import DragomanError

Array = npt.NDArray[np.float32]

_TYPES: Final = (np.float32, np.int8, np.int16, np.int32, np.float16)


@dataclass(frozen=True, slots=True)
class Dims:
    """Sizes of a Whisper model."""

    width: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    mels: int
    positions: int
    text_positions: int
    vocabulary: int

    @property
    def head(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads


@dataclass(frozen=True)
class Weights:
    """A model's arrays, its sizes, and which decoder heads follow the sound (layer, head)."""

    arrays: dict[str, Array]
    dims: Dims
    alignment_heads: tuple[tuple[int, int], ...]
    sha256: str
    """Of the ``model.bin`` that they came from: adapters belong to one."""


def weights_sha256(folder: Path) -> str:
    """SHA-256 of a folder's ``model.bin``. Raises ``DragomanError``."""
    try:
        with (folder / "model.bin").open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DragomanError(f"{folder}: not a CTranslate2 Whisper model ({error})") from error


def load_weights(folder: Path) -> Weights:
    """Read a CTranslate2 Whisper folder (float32 or float16). Raises ``DragomanError``."""
    try:
        data = (folder / "model.bin").read_bytes()
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        spec, raw = _variables(data)
    except (OSError, ValueError, struct.error, IndexError) as error:
        raise DragomanError(f"{folder}: not a CTranslate2 Whisper model ({error})") from error
    if spec != "WhisperSpec" or any(a.dtype not in (np.float32, np.float16) for a in raw.values() if a.ndim > 1):
        raise DragomanError(f"{folder}: needs a Whisper model in float16 or float32, this is a quantized {spec}")
    arrays = _plain(raw)
    width, mels = arrays["encoder.conv1.weight"].shape[:2]
    dims = Dims(
        width=width,
        heads=int(raw["encoder/num_heads"]) if "encoder/num_heads" in raw else width // 64,
        encoder_layers=_count(arrays, "encoder"),
        decoder_layers=_count(arrays, "decoder"),
        mels=mels,
        positions=len(arrays["encoder.positions"]),
        text_positions=len(arrays["decoder.positions"]),
        vocabulary=len(arrays["decoder.tokens"]),
    )
    heads = tuple((int(layer), int(head)) for layer, head in config["alignment_heads"])
    return Weights(arrays, dims, heads, hashlib.sha256(data).hexdigest())


def _variables(data: bytes) -> tuple[str, dict[str, npt.NDArray[np.generic]]]:
    at = 0

    def number(kind: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from("<" + kind, data, at)
        at += struct.calcsize(kind)
        return int(value)

    def string() -> str:
        nonlocal at
        length = number("H")
        at += length
        return data[at - length : at - 1].decode()

    if (version := number("I")) < 6:
        raise ValueError(f"version {version} of the format, 6 is needed")
    spec = string()
    number("I")  # the revision of the spec
    found: dict[str, npt.NDArray[np.generic]] = {}
    for _ in range(number("I")):
        name = string()
        shape = [number("I") for _ in range(number("B"))]
        kind = _TYPES[number("B")]
        size = number("I")
        found[name] = np.frombuffer(data[at : at + size], kind).reshape(shape)
        at += size
    for _ in range(number("I")):
        alias = string()
        found[alias] = found[string()]
    return spec, found


def _plain(raw: dict[str, npt.NDArray[np.generic]]) -> dict[str, Array]:
    out: dict[str, Array] = {}

    def take(name: str, source: str) -> None:
        out[name] = np.ascontiguousarray(raw[source], np.float32)

    def split(names: list[str], source: str) -> None:
        for kind in ("weight", "bias"):
            for name, part in zip(names, np.split(raw[f"{source}/{kind}"], len(names)), strict=True):
                out[f"{name}.{kind}"] = np.ascontiguousarray(part, np.float32)

    def both(name: str, source: str) -> None:
        take(f"{name}.weight", f"{source}/weight")
        take(f"{name}.bias", f"{source}/bias")

    def norm(name: str, source: str) -> None:
        take(f"{name}.weight", f"{source}/gamma")
        take(f"{name}.bias", f"{source}/beta")

    both("encoder.conv1", "encoder/conv1")
    both("encoder.conv2", "encoder/conv2")
    take("encoder.positions", "encoder/position_encodings/encodings")
    take("decoder.positions", "decoder/position_encodings/encodings")
    take("decoder.tokens", "decoder/embeddings/weight")
    for side in ("encoder", "decoder"):
        norm(f"{side}.norm", f"{side}/layer_norm")
        layer = 0
        while f"{side}/layer_{layer}/ffn/linear_0/weight" in raw:
            source, name = f"{side}/layer_{layer}", f"{side}.{layer}"
            norm(f"{name}.attn_norm", f"{source}/self_attention/layer_norm")
            split([f"{name}.attn.{x}" for x in "qkv"], f"{source}/self_attention/linear_0")
            both(f"{name}.attn.out", f"{source}/self_attention/linear_1")
            if side == "decoder":
                norm(f"{name}.cross_norm", f"{source}/attention/layer_norm")
                both(f"{name}.cross.q", f"{source}/attention/linear_0")
                split([f"{name}.cross.{x}" for x in "kv"], f"{source}/attention/linear_1")
                both(f"{name}.cross.out", f"{source}/attention/linear_2")
            norm(f"{name}.ffn_norm", f"{source}/ffn/layer_norm")
            both(f"{name}.fc1", f"{source}/ffn/linear_0")
            both(f"{name}.fc2", f"{source}/ffn/linear_1")
            layer += 1
    return out


def _count(arrays: dict[str, Array], side: str) -> int:
    return sum(name.startswith(f"{side}.") and name.endswith(".fc1.weight") for name in arrays)
