"""The body: a small language model's weights as NumPy arrays under plain names, out of a GGUF file.

Decoders of the Llama family are read (``llama`` and ``qwen2``: rotary positions, RMS norms, gated feed-forward, shared
keys and values). Plain names: ``tokens`` [vocabulary, d], ``output`` (where it is not ``tokens``), ``norm``,
``0.attn.norm``, ``0.attn.qkv`` (query, key and value rows joined) and its ``.bias`` where there is one, ``0.attn.out``,
``0.ffn.norm``, ``0.ffn.in`` (gate and up joined), ``0.ffn.out``; matrices are [out, in].
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dragoman.agent.duplex.vocabulary import Merges
from dragoman.audio.types import DragomanError

Array = npt.NDArray[np.float32]

FAMILIES: Final = ("llama", "qwen2")
LINEARS: Final = ("attn.qkv", "attn.out", "ffn.in", "ffn.out")
"""The matrices of a layer."""


@dataclass(frozen=True, slots=True)
class Dims:
    """Sizes of a body."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    inner: int
    vocabulary: int
    rope_base: float
    epsilon: float

    @property
    def shared(self) -> int:
        """How many query heads read one head of keys and values."""
        return self.heads // self.kv_heads


@dataclass(frozen=True)
class Body:
    """Weights, sizes and the pieces of the tokenizer; ``sha256`` of the file: an adapter belongs to one."""

    arrays: Mapping[str, Array]
    dims: Dims
    merges: Merges
    sha256: str

    def shortened(self, layers: int) -> Body:
        """Its first layers alone."""
        if not 1 <= layers <= self.dims.layers:
            raise DragomanError(f"this body has {self.dims.layers} layers, not {layers}")
        arrays = {
            name: array
            for name, array in self.arrays.items()
            if not name[0].isdigit() or int(name.split(".")[0]) < layers
        }
        return replace(self, arrays=arrays, dims=replace(self.dims, layers=layers))

    def upper(self, first: int) -> Body:
        """Its layers from ``first`` on alone, which read what stands behind the others."""
        arrays = {}
        for name, array in self.arrays.items():
            layer, _, rest = name.partition(".")
            if not layer.isdigit():
                arrays[name] = array
            elif int(layer) >= first:
                arrays[f"{int(layer) - first}.{rest}"] = array
        return replace(self, arrays=arrays, dims=replace(self.dims, layers=self.dims.layers - first))


def body_sha256(path: Path) -> str:
    """SHA-256 of a body's file. Raises ``DragomanError``."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DragomanError(f"{path}: no language model that can be read ({error})") from error


def load_body(path: Path) -> Body:
    """Read a GGUF file, whatever its quantization: some seconds for 135 M weights. Raises ``DragomanError``."""
    from gguf import GGUFReader, dequantize  # half a second, for training and for a first start alone

    sha256 = body_sha256(path)
    try:
        reader = GGUFReader(path)
        fields = {name: field.contents() for name, field in reader.fields.items()}
        dims = _dims(fields)
        raw = {tensor.name: tensor for tensor in reader.tensors}
        arrays = _plain(
            {name: np.asarray(dequantize(t.data, t.tensor_type), np.float32) for name, t in raw.items()}, dims, fields
        )
    except (OSError, ValueError, KeyError, IndexError, NotImplementedError) as error:
        raise DragomanError(f"{path}: not a language model in a GGUF file that can be used ({error})") from error
    return Body(arrays, dims, Merges.of_gguf(fields), sha256)


def _dims(fields: Mapping[str, Any]) -> Dims:
    family = fields["general.architecture"]
    if family not in FAMILIES:
        raise ValueError(f"its family is {family}, and known are {', '.join(FAMILIES)}")

    def field(name: str, otherwise: object = None) -> Any:
        value = fields.get(f"{family}.{name}", otherwise)
        if value is None:
            raise KeyError(f"{family}.{name}")
        return value

    width, heads = int(field("embedding_length")), int(field("attention.head_count"))
    return Dims(
        width=width,
        layers=int(field("block_count")),
        heads=heads,
        kv_heads=int(field("attention.head_count_kv", heads)),
        head=int(field("attention.key_length", width // heads)),
        inner=int(field("feed_forward_length")),
        vocabulary=len(fields["tokenizer.ggml.tokens"]),
        rope_base=float(field("rope.freq_base", 10_000.0)),
        epsilon=float(field("attention.layer_norm_rms_epsilon")),
    )


def _plain(raw: Mapping[str, Array], dims: Dims, fields: Mapping[str, Any]) -> dict[str, Array]:
    out = {"tokens": raw["token_embd.weight"], "norm": raw["output_norm.weight"]}
    if "output.weight" in raw:
        out["output"] = raw["output.weight"]
    paired = fields["general.architecture"] == "llama"
    for i in range(dims.layers):
        theirs, ours = f"blk.{i}", f"{i}"
        q, k, v = (raw[f"{theirs}.attn_{kind}.weight"] for kind in "qkv")
        if paired:
            q, k = _halves(q, dims.heads), _halves(k, dims.kv_heads)
        out[f"{ours}.attn.qkv"] = np.concatenate([q, k, v])
        if f"{theirs}.attn_q.bias" in raw:
            out[f"{ours}.attn.qkv.bias"] = np.concatenate([raw[f"{theirs}.attn_{kind}.bias"] for kind in "qkv"])
        out[f"{ours}.attn.out"] = raw[f"{theirs}.attn_output.weight"]
        out[f"{ours}.ffn.in"] = np.concatenate([raw[f"{theirs}.ffn_{kind}.weight"] for kind in ("gate", "up")])
        out[f"{ours}.ffn.out"] = raw[f"{theirs}.ffn_down.weight"]
        for kind in ("attn", "ffn"):
            out[f"{ours}.{kind}.norm"] = raw[f"{theirs}.{kind}_norm.weight"]
    return out


def _halves(weight: Array, heads: int) -> Array:
    """llama.cpp rotates neighbouring rows of a head; here, as in the original, the first half with the second."""
    out, inner = weight.shape
    return weight.reshape(heads, out // heads // 2, 2, inner).swapaxes(1, 2).reshape(out, inner)
