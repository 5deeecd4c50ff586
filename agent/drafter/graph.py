"""The drafter as ONNX graphs: the body, the table of what it writes, and the layers that tell whether a turn is
complete. No torch is needed to build them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx

from dragoman.agent.drafter.completion import first_layer
from dragoman.agent.drafter.prompt import POSITIONS
from dragoman.agent.duplex.adapter import Adapter, adapted
from dragoman.agent.duplex.body import Array, Body
from dragoman.agent.duplex.body_graph import BodyGraph, body_graph


def write(
    body: Body, adapter: Adapter, folder: Path, *, quantized: bool = True, completion: Adapter | None = None
) -> None:
    """Build ``body.onnx`` and ``drafts.onnx`` into ``folder``, with ``completion`` (see there) ``completion.onnx`` too,
    and what else a run needs.

    Raises ``DragomanError`` when adapters and body don't fit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    changed, own = adapted(body, adapter), adapter.own
    # Half precision holds more than the few bits that the body's file has.
    np.save(folder / "tokens.npy", body.arrays["tokens"].astype(np.float16))
    about = {
        "drafter": adapter.digest(),
        "dims": asdict(changed.dims),
        "merges": asdict(body.merges),
        "completion": None,
    }
    behind = {"middle": max(1, changed.dims.layers * 3 // 5)}
    if completion is not None:
        first = first_layer(completion)
        upper = adapted(changed, completion).upper(first)
        heads = {"complete": (completion.own["head"][None], completion.own["bias"])}
        branch = body_graph(upper, POSITIONS, quantized=quantized, heads=heads)
        onnx.save(branch, str(folder / "completion.onnx"))
        about["completion"] = {"digest": completion.digest(), "dims": asdict(upper.dims)}
        behind["trunk"] = first
    np.savez(
        folder / "tables.npz",
        allow_pickle=False,
        kept=np.asarray(adapter.kept, np.int32),
        about=np.frombuffer(json.dumps(about).encode(), np.uint8),
    )
    end = float(own["end_bias"][0])
    onnx.save(body_graph(changed, POSITIONS, quantized=quantized, behind=behind), str(folder / "body.onnx"))
    drafts = _drafts(changed, adapter.kept, own["end"], end, quantized)
    onnx.save(drafts, str(folder / "drafts.onnx"))


def _drafts(body: Body, kept: Sequence[int], end: Array, end_bias: float, quantized: bool) -> onnx.ModelProto:
    """Hidden states [B, d] to logits [B, kept + 1]: one of the tokens ``kept`` or, last, the end."""
    g = BodyGraph("drafts", quantized=quantized)
    hidden = g.input("hidden", ["batch", body.dims.width])
    output = body.arrays.get("output", body.arrays["tokens"])
    table = np.concatenate([output[list(kept)], end[None]])
    logits = g.linear(hidden, "drafts", table)
    last = np.zeros(len(table), np.float32)
    last[-1] = end_bias
    g.output("logits", g.op("Add", logits, g.constant("end_bias", last)), ["batch", len(table)])
    return g.model()
