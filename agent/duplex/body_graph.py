"""The body as an ONNX graph with its past as inputs and outputs, built from plain arrays.

- ``body``: x [B, n, d], last int32 [B] (the length of each past and its new inputs, less one), longest int32 [] (of
  these lengths), and per layer past_keys_i and past_values_i [B, kv_heads, s, head] -> hidden [B, n, d], what heads of
  its own make of it, and keys_i and values_i [B, kv_heads, s, head]: bind them to the same memory as the past, and what
  is new is written into it, nothing else

Rows are quantized one by one, so that what a stream gets does not depend on those that step with it. Two operators of
ONNX Runtime's own (domain ``com.microsoft``) save hundreds of small ones: GroupQueryAttention and MatMulIntegerToFloat.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto

from dragoman.agent.duplex.body import Array, Body
from dragoman.audio.types import DragomanError
from dragoman.models.onnx_graph import Graph, Shape


class BodyGraph(Graph):
    """With the pieces of the body."""

    def split(self, x: str, axis: int, *sizes: int) -> list[str]:
        """Parts of ``sizes`` along an axis."""
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


def body_graph(
    body: Body,
    positions: int,
    *,
    quantized: bool,
    heads: Mapping[str, tuple[Array, Array]] | None = None,
    behind: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    """The body with room for so many ``positions``; ``heads``: outputs by name, (weight [out, d], bias [out]) each;
    ``behind``: outputs by name, each what stands behind so many layers.

    Raises ``DragomanError`` for a body that can't be built.
    """
    if body.dims.head % 16:
        raise DragomanError(f"this body's heads are {body.dims.head} wide: they must be multiples of 16")
    g, dims, w = BodyGraph("body", quantized=quantized), body.dims, body.arrays
    x = g.input("x", ["batch", "new", dims.width])
    last, longest = g.input("last", ["batch"], TensorProto.INT32), g.input("longest", [], TensorProto.INT32)
    angles = np.arange(positions)[:, None] * dims.rope_base ** (-np.arange(dims.head // 2) / (dims.head // 2))
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
        for name in (name for name, layers in (behind or {}).items() if layers == i + 1):
            g.output(name, g.op("Identity", x), ["batch", "new", dims.width])
    hidden = g.norm(x, "norm", w["norm"], dims.epsilon)
    g.output("hidden", hidden, ["batch", "new", dims.width])
    for name, (weight, bias) in (heads or {}).items():
        product = g.op("MatMul", hidden, g.constant(f"{name}_weight", weight.T))
        g.output(name, g.op("Add", product, g.constant(f"{name}_bias", bias)), ["batch", "new", len(bias)])
    return g.model()
