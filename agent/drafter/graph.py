"""The drafter as ONNX graphs: the body, and the table of what it writes. No torch is needed to build them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx

from dragoman.agent.drafter.prompt import POSITIONS
from dragoman.agent.duplex.adapter import Adapter, adapted
from dragoman.agent.duplex.body import Body
from dragoman.agent.duplex.body_graph import body_graph, drafts_graph


def write(body: Body, adapter: Adapter, folder: Path, *, quantized: bool = True) -> None:
    """Build ``body.onnx`` and ``drafts.onnx`` into ``folder``, and what else a run needs.

    Raises ``DragomanError`` when adapter and body don't fit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    changed, own = adapted(body, adapter), adapter.own
    # Half precision holds more than the few bits that the body's file has.
    np.save(folder / "tokens.npy", body.arrays["tokens"].astype(np.float16))
    about = {"dims": asdict(changed.dims), "merges": asdict(body.merges)}
    np.savez(
        folder / "tables.npz",
        allow_pickle=False,
        kept=np.asarray(adapter.kept, np.int32),
        about=np.frombuffer(json.dumps(about).encode(), np.uint8),
    )
    end = float(own["end_bias"][0])
    onnx.save(body_graph(changed, POSITIONS, quantized=quantized), str(folder / "body.onnx"))
    drafts = drafts_graph(changed, adapter.kept, own["end"], end, quantized=quantized)
    onnx.save(drafts, str(folder / "drafts.onnx"))
