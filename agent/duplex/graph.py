"""The duplex model as ONNX graphs with their state as inputs and outputs, built from plain arrays.

No torch is needed: a user's machine adds an adapter to the body and builds the graphs once. All have a leading batch
dimension.

- ``ear``: features [B, 8, ear] -> speech [B, d]
- ``body``: x [B, n, d], last int32 [B] (the length of each past and its new inputs, less one), longest int32 [] (of
  these lengths), and per layer past_keys_i and past_values_i [B, kv_heads, s, head] -> hidden [B, n, d], decided [B, n,
  5] (logits over ``FRAME_CONTROLS`` and that a turn ends soon), and keys_i and values_i [B, kv_heads, s, head]: bind
  them to the same memory as the past, and what is new is written into it, nothing else
- ``drafts``: hidden [B, d] -> logits [B, kept + 1]

Rows are quantized one by one, so that what a stream gets does not depend on those that step with it. Two operators of
ONNX Runtime's own (domain ``com.microsoft``) save hundreds of small ones: GroupQueryAttention and MatMulIntegerToFloat.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto

from dragoman.agent.duplex.adapter import Adapter, adapted
from dragoman.agent.duplex.body import Array, Body, Dims
from dragoman.agent.duplex.windows import DRAFT, SINK, WINDOW
from dragoman.asr.causal.features import BLOCK
from dragoman.audio.types import DragomanError
from dragoman.models.onnx_graph import Graph, Shape

FORMAT: Final = 1
"""Raised when what ``write`` writes changes: graphs kept from before are not used then."""

GRAPHS: Final = ("ear", "body", "drafts")

POSITIONS: Final = SINK + WINDOW + DRAFT
"""Tokens and frames that a past can hold."""


def build(body: Body, adapter: Adapter, *, quantized: bool = False) -> dict[str, onnx.ModelProto]:
    """The graphs by name; ``quantized``: 8-bit weights in all matrix products, their inputs quantized as they come.

    Raises ``DragomanError`` when adapter and body don't fit.
    """
    if body.dims.head % 16:
        raise DragomanError(f"this body's heads are {body.dims.head} wide: they must be multiples of 16")
    changed = adapted(body, adapter)
    return {
        "ear": _ear(adapter, changed.dims, quantized),
        "body": _body(changed, adapter, quantized),
        "drafts": _drafts(changed, adapter, quantized),
    }


def write(body: Body, adapter: Adapter, folder: Path, *, quantized: bool = True) -> None:
    """Build the graphs into ``folder`` as ``<name>.onnx``, and what else a run needs beside them. As ``build``."""
    folder.mkdir(parents=True, exist_ok=True)
    # Half precision holds more than the few bits that the body's file has.
    np.save(folder / "tokens.npy", body.arrays["tokens"].astype(np.float16))
    tables = {name: adapter.own[name] for name in ("controls", "sounding", "words")}
    about = {"dims": asdict(body.shortened(adapter.layers).dims), "merges": asdict(body.merges), "ear": adapter.ear}
    np.savez(
        folder / "tables.npz",
        allow_pickle=False,
        kept=np.asarray(adapter.kept, np.int32),
        about=np.frombuffer(json.dumps(about).encode(), np.uint8),
        **tables,
    )
    for name, model in build(body, adapter, quantized=quantized).items():
        onnx.save(model, str(folder / f"{name}.onnx"))


class _Graph(Graph):
    """With the pieces of the body."""

    def split(self, x: str, axis: int, *sizes: int) -> list[str]:
        return self.ops("Split", len(sizes), x, self.shape(*sizes), axis=axis)

    def norm(self, x: str, name: str, scale: Array, epsilon: float) -> str:
        """Root mean square norm."""
        # The simplified norm of ONNX Runtime, one kernel for six, is fused out of this pattern.
        mean = self.op("ReduceMean", self.op("Pow", x, self.number(2.0)), self.shape(-1), keepdims=1)
        root = self.op("Sqrt", self.op("Add", mean, self.number(epsilon)))
        return self.op("Mul", self.op("Div", x, root), self.constant(name, scale))

    def linear(self, x: str, name: str, weight: Array, bias: Array | None = None) -> str:
        """``x`` times a weight [out, in]."""
        y = self.product(x, name, np.ascontiguousarray(weight.T, np.float32))
        return y if bias is None else self.op("Add", y, self.constant(f"{name}.bias", bias.astype(np.float32)))


def _ear(adapter: Adapter, dims: Dims, quantized: bool) -> onnx.ModelProto:
    g, width = _Graph("ear", quantized=quantized), adapter.ear_width
    features = g.input("features", ["batch", BLOCK, width])
    ones, zeros = g.constant("ones", np.ones(width, np.float32)), g.constant("zeros", np.zeros(width, np.float32))
    normed = g.op("LayerNormalization", features, ones, zeros, axis=-1, epsilon=1e-5)
    joined = g.op("Reshape", normed, g.shape(0, BLOCK * width))
    inner = g.op("Gelu", g.linear(joined, "in", adapter.own["in"], adapter.own["in_bias"]))
    g.output("speech", g.linear(inner, "out", adapter.own["out"], adapter.own["out_bias"]), ["batch", dims.width])
    return g.model()


def _body(body: Body, adapter: Adapter, quantized: bool) -> onnx.ModelProto:
    g, dims, w = _Graph("body", quantized=quantized), body.dims, body.arrays
    x = g.input("x", ["batch", "new", dims.width])
    last, longest = g.input("last", ["batch"], TensorProto.INT32), g.input("longest", [], TensorProto.INT32)
    angles = np.arange(POSITIONS)[:, None] * dims.rope_base ** (-np.arange(dims.head // 2) / (dims.head // 2))
    turns = [g.constant(kind, f(angles).astype(np.float32)) for kind, f in (("cos", np.cos), ("sin", np.sin))]
    cache: Shape = ["batch", dims.kv_heads, "slots", dims.head]
    for i in range(dims.layers):
        past = [g.input(f"past_{kind}_{i}", cache) for kind in ("keys", "values")]
        normed = g.norm(x, f"{i}.attn.norm", w[f"{i}.attn.norm"], dims.epsilon)
        joined = g.linear(normed, f"{i}.attn.qkv", w[f"{i}.attn.qkv"], w.get(f"{i}.attn.qkv.bias"))
        attributes = {"num_heads": dims.heads, "kv_num_heads": dims.kv_heads, "do_rotary": 1}
        out, *kept = g.ops("GroupQueryAttention", 3, joined, "", "", *past, last, longest, *turns, **attributes)
        x = g.op("Add", x, g.linear(out, f"{i}.attn.out", w[f"{i}.attn.out"]))
        normed = g.norm(x, f"{i}.ffn.norm", w[f"{i}.ffn.norm"], dims.epsilon)
        gate, up = g.split(g.linear(normed, f"{i}.ffn.in", w[f"{i}.ffn.in"]), -1, dims.inner, dims.inner)
        inner = g.op("Mul", g.op("Mul", gate, g.op("Sigmoid", gate)), up)
        x = g.op("Add", x, g.linear(inner, f"{i}.ffn.out", w[f"{i}.ffn.out"]))
        for kind, source in zip(("keys", "values"), kept, strict=True):
            g.rename(source, f"{kind}_{i}", cache)
    hidden = g.norm(x, "norm", w["norm"], dims.epsilon)
    g.output("hidden", hidden, ["batch", "new", dims.width])
    table = g.constant("frames", adapter.own["frames"].T)
    decided = g.op("Add", g.op("MatMul", hidden, table), g.constant("frames_bias", adapter.own["frames_bias"]))
    g.output("decided", decided, ["batch", "new", len(adapter.own["frames_bias"])])
    return g.model()


def _drafts(body: Body, adapter: Adapter, quantized: bool) -> onnx.ModelProto:
    g = _Graph("drafts", quantized=quantized)
    hidden = g.input("hidden", ["batch", body.dims.width])
    output = body.arrays.get("output", body.arrays["tokens"])
    table = np.concatenate([output[list(adapter.kept)], adapter.own["end"][None]])
    logits = g.linear(hidden, "drafts", table)
    last = np.zeros(len(table), np.float32)
    last[-1] = adapter.own["end_bias"][0]
    g.output("logits", g.op("Add", logits, g.constant("end_bias", last)), ["batch", len(table)])
    return g.model()
