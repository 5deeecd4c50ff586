"""How the graphs of voices are opened: the same numbers, only sooner."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dragoman.models.catalog import resolve
from dragoman.models.onnx_session import open_session
from dragoman.tts import graphs
from dragoman.tts.graphs import multiplies_signed, round_to_signed, session_with_output

Floats = npt.NDArray[np.float32]


def convolution(*, own_zero: bool = False) -> onnx.ModelProto:
    """Two 8-bit convolutions of one sound, as quantizers write them."""
    rng = np.random.default_rng(0)
    arrays = {f"w{i}": rng.integers(0, 256, (8, 6, 3)).astype(np.uint8) for i in range(2)} | {"wz": np.uint8(131)}
    nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"])]
    if own_zero:
        arrays["mine"] = np.uint8(7)
    zero = "mine" if own_zero else "zero"
    nodes += [
        helper.make_node("ConvInteger", ["q", f"w{i}", zero, "wz"], [f"y{i}"], kernel_shape=[3], pads=[1, 1])
        for i in range(2)
    ]
    graph = helper.make_graph(
        nodes,
        "convolutions",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 6, "time"])],
        [helper.make_tensor_value_info(f"y{i}", TensorProto.INT32, [1, 8, "time"]) for i in range(2)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


SOUNDS: tuple[Callable[[np.random.Generator], Floats], ...] = (
    lambda rng: rng.normal(0, 3, (1, 6, 40)).astype(np.float32),
    lambda rng: rng.uniform(0, 1, (1, 6, 40)).astype(np.float32),
    lambda rng: rng.uniform(-1, -0.5, (1, 6, 40)).astype(np.float32),
    lambda rng: np.zeros((1, 6, 40), np.float32),
    lambda rng: (np.round(rng.uniform(0, 255, (1, 6, 40))) + 0.5).astype(np.float32),
)


@pytest.mark.skipif(not multiplies_signed(), reason="this processor or run time has no such products")
@pytest.mark.parametrize("sound", SOUNDS, ids=["both signs", "positive", "negative", "silence", "halves"])
def test_signed_sound_gives_the_same_products(sound: Callable[[np.random.Generator], Floats]) -> None:
    """To the last bit, wherever its zero lies; the sound is rounded once."""
    x = sound(np.random.default_rng(1))
    model = convolution()
    before = open_session(model).run(None, {"x": x})
    assert round_to_signed(model.graph) == 2
    assert [node.op_type for node in model.graph.node].count("QuantizeLinear") == 1
    after = open_session(model).run(None, {"x": x})
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_convolution_with_a_zero_of_its_own_is_left_alone() -> None:
    """The rule is for what quantizers write."""
    model = convolution(own_zero=True)
    before = model.SerializeToString()
    assert round_to_signed(model.graph) == 0
    assert model.SerializeToString() == before


def test_where_products_are_cut_off_the_graph_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor without them gives the sound that it always gave."""
    monkeypatch.setattr(graphs, "multiplies_signed", lambda: False)
    model = convolution()
    session_with_output(model, "scale", threads=1)
    assert "QuantizeLinear" not in {node.op_type for node in model.graph.node}


@pytest.mark.slow
@pytest.mark.skipif(not multiplies_signed(), reason="this processor or run time has no such products")
@pytest.mark.usefixtures("portuguese_voice")
def test_the_voice_of_other_languages_says_the_same() -> None:
    """Every convolution of the real model is made so, and its speech does not change by a bit."""
    model = onnx.load(str(resolve("kokoro") / "model.onnx"))
    feed = {
        "tokens": np.array([[0, *range(43, 63), 0]], np.int64),
        "style": np.linspace(-0.3, 0.3, 256, dtype=np.float32)[None],
        "speed": np.ones(1, np.float32),
    }
    before = open_session(model).run(None, feed)[0]
    convolutions = sum(node.op_type == "ConvInteger" for node in model.graph.node)
    assert round_to_signed(model.graph) == convolutions > 0
    np.testing.assert_array_equal(open_session(model).run(None, feed)[0], before)
