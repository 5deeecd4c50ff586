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
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from dragoman.agent.duplex.adapter import Adapter, adapted
from dragoman.agent.duplex.body import Array, Body, Dims
from dragoman.agent.duplex.windows import DRAFT, SINK, WINDOW
from dragoman.asr.causal.features import BLOCK
from dragoman.audio.types import DragomanError

OPSET: Final = 20
FORMAT: Final = 1
"""Raised when what ``write`` writes changes: graphs kept from before are not used then."""

GRAPHS: Final = ("ear", "body", "drafts")

POSITIONS: Final = SINK + WINDOW + DRAFT
"""Tokens and frames that a past can hold."""

_FLOAT: Final = TensorProto.FLOAT
_THEIRS: Final = "com.microsoft"
_OWN_OPERATORS: Final = ("GroupQueryAttention", "MatMulIntegerToFloat")
Shape = Sequence[int | str]


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


class _Graph:
    """A graph under construction; every method gives the name of what it computes."""

    def __init__(self, name: str, quantized: bool) -> None:
        self.name = name
        self.quantized = quantized
        self.nodes: list[onnx.NodeProto] = []
        self.rounded: dict[str, tuple[str, str]] = {}
        self.constants: dict[str, onnx.TensorProto] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Shape, kind: int = _FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def output(self, name: str, source: str, shape: Shape) -> None:
        self.nodes.append(helper.make_node("Identity", [source], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, _FLOAT, list(shape)))

    def rename(self, source: str, name: str, shape: Shape) -> None:
        """Give out what a node computes under a name of its own, without a copy."""
        for node in self.nodes:
            for i, out in enumerate(node.output):
                if out == source:
                    node.output[i] = name
        self.outputs.append(helper.make_tensor_value_info(name, _FLOAT, list(shape)))

    def op(self, kind: str, *inputs: str, **attributes: int | float | list[int]) -> str:
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, count: int, *inputs: str, **attributes: int | float | list[int]) -> list[str]:
        outs = [f"{kind.lower()}_{len(self.nodes)}_{i}" for i in range(count)]
        node = helper.make_node(kind, list(inputs), outs, domain=_THEIRS if kind in _OWN_OPERATORS else "")
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes.append(node)
        return outs

    def constant(self, name: str, array: npt.NDArray[np.generic]) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def shape(self, *sizes: int) -> str:
        return self.constant("shape_" + "_".join(map(str, sizes)), np.array(sizes, np.int64))

    def number(self, value: float) -> str:
        return self.constant(f"number_{value}", np.array(value, np.float32))

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
        y = self._product(x, name, np.ascontiguousarray(weight.T, np.float32))
        return y if bias is None else self.op("Add", y, self.constant(f"{name}.bias", bias.astype(np.float32)))

    def _product(self, x: str, name: str, weight: Array) -> str:
        if not self.quantized:
            return self.op("MatMul", x, self.constant(name, weight))
        # Both sides unsigned: with signed weights, processors without VNNI add pairs of products in 16 bits, which
        # overflow.
        scale = np.maximum(np.abs(weight).max(axis=0), 1e-12) / 127
        whole = self.constant(f"{name}.uint8", (np.round(weight / scale) + 128).astype(np.uint8))
        rounded, largest = self._round(x)
        step, factor = self.number(1 / 127), self.constant(f"{name}.scale", scale.astype(np.float32))
        y = self.op("MatMulIntegerToFloat", rounded, whole, step, factor, self._middle(), self._middle())
        return self.op("Mul", y, largest)

    def _round(self, x: str) -> tuple[str, str]:
        """Each row as parts of its largest value, in 8 bits, and that value."""
        if x not in self.rounded:
            largest = self.op("ReduceMax", self.op("Abs", x), self.shape(-1), keepdims=1)
            largest = self.op("Max", largest, self.number(1e-12))
            whole = self.op("QuantizeLinear", self.op("Div", x, largest), self.number(1 / 127), self._middle())
            self.rounded[x] = whole, largest
        return self.rounded[x]

    def _middle(self) -> str:
        return self.constant("middle", np.array(128, np.uint8))

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, list(self.constants.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(_THEIRS, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def _ear(adapter: Adapter, dims: Dims, quantized: bool) -> onnx.ModelProto:
    g, width = _Graph("ear", quantized), adapter.ear_width
    features = g.input("features", ["batch", BLOCK, width])
    ones, zeros = g.constant("ones", np.ones(width, np.float32)), g.constant("zeros", np.zeros(width, np.float32))
    normed = g.op("LayerNormalization", features, ones, zeros, axis=-1, epsilon=1e-5)
    joined = g.op("Reshape", normed, g.shape(0, BLOCK * width))
    inner = g.op("Gelu", g.linear(joined, "in", adapter.own["in"], adapter.own["in_bias"]))
    g.output("speech", g.linear(inner, "out", adapter.own["out"], adapter.own["out_bias"]), ["batch", dims.width])
    return g.model()


def _body(body: Body, adapter: Adapter, quantized: bool) -> onnx.ModelProto:
    g, dims, w = _Graph("body", quantized), body.dims, body.arrays
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
    g = _Graph("drafts", quantized)
    hidden = g.input("hidden", ["batch", body.dims.width])
    output = body.arrays.get("output", body.arrays["tokens"])
    table = np.concatenate([output[list(adapter.kept)], adapter.own["end"][None]])
    logits = g.linear(hidden, "drafts", table)
    last = np.zeros(len(table), np.float32)
    last[-1] = adapter.own["end_bias"][0]
    g.output("logits", g.op("Add", logits, g.constant("end_bias", last)), ["batch", len(table)])
    return g.model()
