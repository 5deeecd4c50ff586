"""Opening ONNX graphs on the CPU, in one way for all."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime as ort


def open_session(
    graph: Path | onnx.ModelProto, *, threads: int = 1, lengths_vary: bool = False
) -> ort.InferenceSession:
    """A session that computes on so many threads. Calls release the interpreter lock and may come from several threads.

    ``lengths_vary``: its inputs have many sizes; a plan of the memory would be kept for every size that ever came.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    options.enable_mem_pattern = not lengths_vary
    source = str(graph) if isinstance(graph, Path) else graph.SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
