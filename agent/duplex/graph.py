"""The duplex model as ONNX graphs with their state as inputs and outputs, built from plain arrays.

No torch is needed: a user's machine adds an adapter to the body and builds the graphs once. All have a leading batch
dimension.

- ``ear``: features [B, 8, ear] -> speech [B, d]
- ``body``: as ``body_graph``, with the head ``decided`` [B, n, 5]: logits over ``FRAME_CONTROLS`` and that a turn ends
  soon
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx

from dragoman.agent.duplex.adapter import Adapter, adapted
from dragoman.agent.duplex.body import Body, Dims
from dragoman.agent.duplex.body_graph import BodyGraph, body_graph
from dragoman.agent.duplex.windows import POSITIONS
from dragoman.asr.causal.features import BLOCK


def build(body: Body, adapter: Adapter, *, quantized: bool = False) -> dict[str, onnx.ModelProto]:
    """The graphs by name; ``quantized``: 8-bit weights in all matrix products, their inputs quantized as they come.

    Raises ``DragomanError`` when adapter and body don't fit.
    """
    changed, own = adapted(body, adapter), adapter.own
    heads = {"decided": (own["frames"], own["frames_bias"])}
    return {
        "ear": _ear(adapter, changed.dims, quantized),
        "body": body_graph(changed, POSITIONS, quantized=quantized, heads=heads),
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
        about=np.frombuffer(json.dumps(about).encode(), np.uint8),
        **tables,
    )
    for name, model in build(body, adapter, quantized=quantized).items():
        onnx.save(model, str(folder / f"{name}.onnx"))


def _ear(adapter: Adapter, dims: Dims, quantized: bool) -> onnx.ModelProto:
    g, width = BodyGraph("ear", quantized=quantized), adapter.ear_width
    features = g.input("features", ["batch", BLOCK, width])
    ones, zeros = g.constant("ones", np.ones(width, np.float32)), g.constant("zeros", np.zeros(width, np.float32))
    normed = g.op("LayerNormalization", features, ones, zeros, axis=-1, epsilon=1e-5)
    joined = g.op("Reshape", normed, g.shape(0, BLOCK * width))
    inner = g.op("Gelu", g.linear(joined, "in", adapter.own["in"], adapter.own["in_bias"]))
    g.output("speech", g.linear(inner, "out", adapter.own["out"], adapter.own["out_bias"]), ["batch", dims.width])
    return g.model()
