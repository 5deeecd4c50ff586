"""Opening the graphs of voices: the durations that they keep inside come out, and they run as fast as they can.

The convolutions of 8-bit voices multiply unsigned weights by unsigned sound. Processors with instructions for it (VNNI)
multiply unsigned by signed numbers two to three times as fast. The sound is therefore rounded to signed numbers, with
its zero moved by 128: the products, and so the speech, are the same to the last bit. Processors that would cut such
products off at 16 bits are found by trying, and keep the graph as it is.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from dragoman.audio.types import DragomanError
from dragoman.models.onnx_session import open_session

_SHIFT: Final = "signed/shift"


def session_with_durations(model: str | Path, *, threads: int = 1) -> ort.InferenceSession:
    """Open a voice model with one more output, its last: how many frames each symbol lasts.

    StyleTTS-like graphs compute them inside, as the only ``Round`` that goes into a ``Clip`` (at least one
    frame), before the symbols are stretched to frames. Raises ``DragomanError`` for a graph without it.
    """
    graph = onnx.load(str(model))
    rounded = {name for node in graph.graph.node if node.op_type == "Round" for name in node.output}
    durations = [n.output[0] for n in graph.graph.node if n.op_type == "Clip" and n.input[0] in rounded]
    if len(durations) != 1:
        raise DragomanError(f"{Path(model).name} is not a voice model whose durations can be read")
    return session_with_output(graph, durations[0], threads=threads)


def session_with_output(model: onnx.ModelProto, name: str, *, threads: int) -> ort.InferenceSession:
    """Open a graph that gives one of its inner values too, as its last output."""
    model.graph.output.append(onnx.ValueInfoProto(name=name))
    if multiplies_signed():
        round_to_signed(model.graph)
    return open_session(model, threads=threads, lengths_vary=True)


def round_to_signed(graph: onnx.GraphProto) -> int:
    """Make the sound that 8-bit convolutions read signed; gives how many there were. The results are the same."""
    rounded = {node.output[0]: node for node in graph.node if node.op_type == "DynamicQuantizeLinear"}
    nodes: list[onnx.NodeProto] = []
    signed: set[str] = set()
    count = 0
    for node in graph.node:
        source = rounded.get(node.input[0]) if node.op_type == "ConvInteger" else None
        if source is not None and list(node.input[2:3]) == [source.output[2]]:
            name = source.output[0]
            if name not in signed:
                nodes += _signed(source, name)
                signed.add(name)
            node.input[0], node.input[2] = f"{name}/signed", f"{name}/signed_zero"
            count += 1
        nodes.append(node)
    if count:
        graph.initializer.append(numpy_helper.from_array(np.array(128, np.int32), _SHIFT))
        del graph.node[:]
        graph.node.extend(nodes)
    return count


def _signed(source: onnx.NodeProto, name: str) -> list[onnx.NodeProto]:
    """The same rounding with the zero moved by 128."""
    _, scale, zero = source.output
    return [
        helper.make_node("Cast", [zero], [f"{name}/wide"], to=TensorProto.INT32),
        helper.make_node("Sub", [f"{name}/wide", _SHIFT], [f"{name}/moved"]),
        helper.make_node("Cast", [f"{name}/moved"], [f"{name}/signed_zero"], to=TensorProto.INT8),
        helper.make_node("QuantizeLinear", [source.input[0], scale, f"{name}/signed_zero"], [f"{name}/signed"]),
    ]


@cache
def multiplies_signed() -> bool:
    """Whether unsigned weights times signed sound are exact here, tried with the largest numbers there are."""
    channels, length = 64, 64
    weights = np.full((16, channels, 1), 255, np.uint8)
    sound = np.full((1, channels, length), 127, np.int8)
    sound[:, :, 1::2] = -128
    node = helper.make_node("ConvInteger", ["sound", "weights", "zero"], ["products"], kernel_shape=[1])
    graph = helper.make_graph(
        [node],
        "products",
        [helper.make_tensor_value_info("sound", TensorProto.INT8, sound.shape)],
        [helper.make_tensor_value_info("products", TensorProto.INT32, None)],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.array(0, np.int8), "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    try:
        products = open_session(model).run(None, {"sound": sound})[0]
    except Exception:  # its errors have no common base; one that lacks the operator needs none of this
        return False
    return bool(
        np.array_equal(products, np.broadcast_to(sound[:, :1].astype(np.int32) * 255 * channels, (1, 16, length)))
    )
