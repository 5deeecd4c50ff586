"""ONNX graphs built node by node from plain arrays, with 8-bit matrix products where they are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET: Final = 20

FLOAT: Final = TensorProto.FLOAT

_THEIRS: Final = "com.microsoft"
_OWN_OPERATORS: Final = ("GroupQueryAttention", "MatMulIntegerToFloat")
"""Of ONNX Runtime's own, not of the standard."""

Array = npt.NDArray[np.float32]
Shape = Sequence[int | str]


class Graph:
    """A graph under construction; most methods give the name of what they compute.

    ``quantized``: products have 8-bit weights with a scale for each output, and rows that are rounded as they come,
    one by one, so that what a row gives does not depend on those beside it.
    """

    def __init__(self, name: str, *, quantized: bool = False) -> None:
        self.name = name
        self.quantized = quantized
        self._nodes: list[onnx.NodeProto] = []
        self._rounded: dict[str, tuple[str, str]] = {}
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Shape, kind: int = FLOAT) -> str:
        """An input of the graph; sizes that are names may differ from run to run."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def output(self, name: str, source: str, shape: Shape) -> None:
        """Give out what ``source`` is."""
        self._nodes.append(helper.make_node("Identity", [source], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, FLOAT, list(shape)))

    def rename(self, source: str, name: str, shape: Shape) -> None:
        """Give out what a node computes under a name of its own, without a copy."""
        for node in self._nodes:
            for i, out in enumerate(node.output):
                if out == source:
                    node.output[i] = name
        self._outputs.append(helper.make_tensor_value_info(name, FLOAT, list(shape)))

    def op(self, kind: str, *inputs: str, **attributes: int | float | list[int]) -> str:
        """An operator with one output."""
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, count: int, *inputs: str, **attributes: int | float | list[int]) -> list[str]:
        """An operator with ``count`` outputs."""
        outs = [f"{kind.lower()}_{len(self._nodes)}_{i}" for i in range(count)]
        node = helper.make_node(kind, list(inputs), outs, domain=_THEIRS if kind in _OWN_OPERATORS else "")
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self._nodes.append(node)
        return outs

    def constant(self, name: str, array: npt.NDArray[np.generic]) -> str:
        """An array of the graph's own; under a name that is known already, the one of before."""
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def shape(self, *sizes: int) -> str:
        """Whole numbers, as shapes, axes and indices are given."""
        return self.constant("shape_" + "_".join(map(str, sizes)), np.array(sizes, np.int64))

    def number(self, value: float) -> str:
        """One number."""
        return self.constant(f"number_{value}", np.array(value, np.float32))

    def product(self, x: str, name: str, weight: Array) -> str:
        """``x`` times a weight [in, out]."""
        if not self.quantized:
            return self.op("MatMul", x, self.constant(name, weight))
        # Both sides unsigned: with signed weights, processors without VNNI add pairs of products in 16 bits, which
        # overflow.
        scale = np.maximum(np.abs(weight).max(axis=0), 1e-12) / 127
        whole = self.constant(f"{name}.uint8", (np.round(weight / scale) + 128).astype(np.uint8))
        rounded, largest = self._round(x)
        step, factor = self.number(1 / 127), self.constant(f"{name}.scale", scale.astype(np.float32))
        y = self.op("MatMulIntegerToFloat", rounded, whole, step, factor, self._zero(), self._zero())
        return self.op("Mul", y, largest)

    def _round(self, x: str) -> tuple[str, str]:
        """Each row as parts of its largest value, in 8 bits, and that value."""
        if x not in self._rounded:
            largest = self.op("ReduceMax", self.op("Abs", x), self.shape(-1), keepdims=1)
            largest = self.op("Max", largest, self.number(1e-12))
            whole = self.op("QuantizeLinear", self.op("Div", x, largest), self.number(1 / 127), self._zero())
            self._rounded[x] = whole, largest
        return self._rounded[x]

    def _zero(self) -> str:
        return self.constant("zero", np.array(128, np.uint8))

    def model(self) -> onnx.ModelProto:
        """The finished graph."""
        constants = list(self._constants.values())
        graph = helper.make_graph(self._nodes, self.name, self._inputs, self._outputs, constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(_THEIRS, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)
