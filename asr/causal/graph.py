"""The causal recognizer as ONNX graphs with their state as inputs and outputs, built from plain arrays.

No torch is needed: a user's machine adds an adapter to the stock weights and builds the graphs once. All have a
leading batch dimension; masks are added to attention scores (0 or a large negative number).

- ``front``: mel [B, 2n + 2, mels], conv [B, d, 1], positions [n, d] -> x [B, n, d], conv_out [B, d, 1]
- ``encoder``: x [B, n, d] and per layer i kv_i [B, s, 2d], tail_i [B, t, d], mask_i [B, 1, q, s + r] -> features
  [B, q, d] and per layer new_i [B, r, 2d] (keys and values of the inputs), queries_i [B, q, d]
- ``cross``: features [B, m, d] -> cross [B, m, 2 d L], for all decoder layers
- ``decoder``: tokens [B, n], positions [n, d], past [B, p, 2 d L], cross [C, s, 2 d L], self_mask [C, 1, n, p + n],
  cross_mask [C, 1, 1, s] -> logits [B, n, vocabulary], new [B, n, 2 d L], attention [B, n, s] (mean of the heads that
  follow the sound); C is B, or 1: one sound for all
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from dragoman.asr.causal.weights import Weights
from dragoman.models.onnx_graph import FLOAT, Graph


def build(weights: Weights, *, quantized: bool = False) -> dict[str, onnx.ModelProto]:
    """The four graphs by name; ``quantized``: linears in 8 bits, their inputs quantized as they come."""
    return {
        "front": _front(weights),
        "encoder": _encoder(weights, quantized),
        "cross": _cross(weights, quantized),
        "decoder": _decoder(weights, quantized),
    }


def write(weights: Weights, folder: Path, *, quantized: bool = True) -> None:
    """Build the graphs into ``folder`` as ``<name>.onnx``, and what else a run needs as ``positions.npz``.

    ``quantized``: 8-bit weights in all matrix products.
    """
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / "positions.npz",
        sound=weights.arrays["encoder.positions"],
        text=weights.arrays["decoder.positions"],
        dims=np.frombuffer(json.dumps(asdict(weights.dims)).encode(), np.uint8),
    )
    for name, model in build(weights, quantized=quantized).items():
        onnx.save(model, str(folder / f"{name}.onnx"))


class _Graph(Graph):
    """With the pieces of Whisper."""

    def __init__(self, name: str, weights: Weights, quantized: bool = False) -> None:
        super().__init__(name, quantized=quantized)
        self.w = weights.arrays
        self.dims = weights.dims

    def norm(self, x: str, name: str) -> str:
        scale = self.constant(f"{name}.weight", self.w[f"{name}.weight"])
        bias = self.constant(f"{name}.bias", self.w[f"{name}.bias"])
        return self.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-5)

    def linear(self, x: str, *names: str, scales: Sequence[float] = ()) -> str:
        """One product for several linears that read the same input, their outputs joined."""
        factors = scales or [1.0] * len(names)
        weight = np.concatenate([self.w[f"{n}.weight"] * f for n, f in zip(names, factors, strict=True)])
        bias = np.concatenate([self.w[f"{n}.bias"] * f for n, f in zip(names, factors, strict=True)])
        label = "+".join(names)
        y = self.product(x, f"{label}.weight", weight.T.astype(np.float32))
        return self.op("Add", y, self.constant(f"{label}.bias", bias.astype(np.float32)))

    def query(self, x: str, name: str) -> str:
        return self.linear(x, f"{name}.q", scales=[self.dims.head**-0.5])

    def slice(self, x: str, start: int, stop: int) -> str:
        """Part of the last axis."""
        return self.op("Slice", x, self.shape(start), self.shape(stop), self.shape(-1))

    def heads(self, x: str, order: list[int]) -> str:
        split = self.op("Reshape", x, self.shape(0, 0, self.dims.heads, self.dims.head))
        return self.op("Transpose", split, perm=order)

    def attend(self, q: str, kv: str, mask: str) -> tuple[str, str]:
        """Attention's outcome [B, n, d] and its probabilities [B, heads, n, s]; ``kv`` is [B, s, 2d]."""
        d = self.dims.width
        k = self.heads(self.slice(kv, 0, d), [0, 2, 3, 1])
        v = self.heads(self.slice(kv, d, 2 * d), [0, 2, 1, 3])
        scores = self.op("Add", self.op("MatMul", self.heads(q, [0, 2, 1, 3]), k), mask)
        p = self.op("Softmax", scores, axis=-1)
        out = self.op("Transpose", self.op("MatMul", p, v), perm=[0, 2, 1, 3])
        return self.op("Reshape", out, self.shape(0, 0, d)), p

    def feed(self, x: str, name: str) -> str:
        inner = self.op("Gelu", self.linear(self.norm(x, f"{name}.ffn_norm"), f"{name}.fc1"))
        return self.op("Add", x, self.linear(inner, f"{name}.fc2"))


def _front(weights: Weights) -> onnx.ModelProto:
    g = _Graph("front", weights)
    d = weights.dims.width
    mel = g.input("mel", ["batch", "mel_frames", weights.dims.mels])
    conv = g.input("conv", ["batch", d, 1])
    positions = g.input("positions", ["frames", d])

    def convolve(x: str, name: str, stride: int) -> str:
        parts = [g.constant(f"encoder.{name}.{kind}", g.w[f"encoder.{name}.{kind}"]) for kind in ("weight", "bias")]
        return g.op("Gelu", g.op("Conv", x, *parts, kernel_shape=[3], strides=[stride]))

    first = convolve(g.op("Transpose", mel, perm=[0, 2, 1]), "conv1", 1)
    second = convolve(g.op("Concat", conv, first, axis=2), "conv2", 2)
    g.output("x", g.op("Add", g.op("Transpose", second, perm=[0, 2, 1]), positions), ["batch", "frames", d])
    g.output("conv_out", g.slice(first, -1, np.iinfo(np.int32).max), ["batch", d, 1])
    return g.model()


def _encoder(weights: Weights, quantized: bool) -> onnx.ModelProto:
    g = _Graph("encoder", weights, quantized)
    d = weights.dims.width
    x = g.input("x", ["batch", "frames", d])
    for i in range(weights.dims.encoder_layers):
        name = f"encoder.{i}"
        cached = g.input(f"kv_{i}", ["batch", f"cached_{i}", 2 * d])
        tail = g.input(f"tail_{i}", ["batch", f"tail_{i}", d])
        mask = g.input(f"mask_{i}", ["batch", 1, f"queries_{i}", f"keys_{i}"])
        new = g.linear(g.norm(x, f"{name}.attn_norm"), f"{name}.attn.k", f"{name}.attn.v")
        queries = g.op("Concat", tail, x, axis=1)
        q = g.query(g.norm(queries, f"{name}.attn_norm"), f"{name}.attn")
        seen, _ = g.attend(q, g.op("Concat", cached, new, axis=1), mask)
        x = g.feed(g.op("Add", queries, g.linear(seen, f"{name}.attn.out")), name)
        g.output(f"new_{i}", new, ["batch", f"inputs_{i}", 2 * d])
        g.output(f"queries_{i}", queries, ["batch", f"queries_{i}", d])
    g.output("features", g.norm(x, "encoder.norm"), ["batch", "features", d])
    return g.model()


def _cross(weights: Weights, quantized: bool) -> onnx.ModelProto:
    g = _Graph("cross", weights, quantized)
    d, layers = weights.dims.width, weights.dims.decoder_layers
    features = g.input("features", ["batch", "frames", d])
    names = [f"decoder.{i}.cross.{kind}" for i in range(layers) for kind in "kv"]
    g.output("cross", g.linear(features, *names), ["batch", "frames", 2 * d * layers])
    return g.model()


def _decoder(weights: Weights, quantized: bool) -> onnx.ModelProto:
    g = _Graph("decoder", weights, quantized)
    dims = weights.dims
    d, total = dims.width, 2 * dims.width * dims.decoder_layers
    tokens = g.input("tokens", ["batch", "tokens"], TensorProto.INT64)
    positions = g.input("positions", ["tokens", d])
    past = g.input("past", ["batch", "past", total])
    cross = g.input("cross", ["sounds", "frames", total])
    self_mask = g.input("self_mask", ["masks", 1, "tokens", "all_tokens"])
    cross_mask = g.input("cross_mask", ["sounds", 1, 1, "frames"])
    # Half precision holds the stock values exactly: that is how they come.
    table = g.constant("table", g.w["decoder.tokens"].astype(np.float16))
    x = g.op("Add", g.op("Cast", g.op("Gather", table, tokens), to=FLOAT), positions)
    news, followed = [], []
    for i in range(dims.decoder_layers):
        name = f"decoder.{i}"
        normed = g.norm(x, f"{name}.attn_norm")
        new = g.linear(normed, f"{name}.attn.k", f"{name}.attn.v")
        news.append(new)
        kv = g.op("Concat", g.slice(past, 2 * d * i, 2 * d * (i + 1)), new, axis=1)
        seen, _ = g.attend(g.query(normed, f"{name}.attn"), kv, self_mask)
        x = g.op("Add", x, g.linear(seen, f"{name}.attn.out"))
        q = g.query(g.norm(x, f"{name}.cross_norm"), f"{name}.cross")
        seen, p = g.attend(q, g.slice(cross, 2 * d * i, 2 * d * (i + 1)), cross_mask)
        x = g.op("Add", x, g.linear(seen, f"{name}.cross.out"))
        chosen = [head for layer, head in weights.alignment_heads if layer == i]
        if chosen:
            followed.append(g.op("Gather", p, g.shape(*chosen), axis=1))
        x = g.feed(x, name)
    x = g.norm(x, "decoder.norm")
    logits = g.product(x, "projection", g.w["decoder.tokens"].T)
    g.output("logits", logits, ["batch", "tokens", dims.vocabulary])
    g.output("new", g.op("Concat", *news, axis=2), ["batch", "tokens", total])
    joined = g.op("Concat", *followed, axis=1) if len(followed) > 1 else followed[0]
    g.output("attention", g.op("ReduceMean", joined, g.shape(1), keepdims=0), ["batch", "tokens", "frames"])
    return g.model()
