"""A small distilled translator as ONNX graphs: reading a sentence, and writing its translation.

- ``reading``: x [1, m, width] -> for each layer of the decoder keys_i [1, heads, width of a head, m] and values_i
  [1, heads, m, width of a head]
- ``writing``: x [1, n, width], for each layer state_i [1, 1, width], keys_i and values_i -> out [1, n, width], seen
  [1, n, m] (how much of which source token), and for each layer states_i [1, n, width]. Of several tokens at once it
  takes later [n, n, 1] besides: 0, and a large negative number for what comes later than what reads it.
"""

from __future__ import annotations

import numpy as np
import onnx

from dragoman.translation.layers import Layers
from dragoman.translation.marian import Weights

_AXIS = np.array(1, np.int64)


def reading_graph(weights: Weights) -> onnx.ModelProto:
    """Raises ``KeyError`` for an array or a setting that is missing."""
    g, encoder, decoder = _layers("reading", weights)
    x = g.encoder(g.input("x", [1, "m", g.width]), encoder)
    for layer in range(1, decoder + 1):
        keys, values = g.memory(f"decoder_l{layer}_context", x)
        g.output(f"keys_{layer}", keys, [1, g.heads, g.width // g.heads, "m"])
        g.output(f"values_{layer}", values, [1, g.heads, "m", g.width // g.heads])
    return g.model()


def writing_graph(weights: Weights, *, at_once: bool) -> onnx.ModelProto:
    """``at_once``: of several tokens, else of one. Raises ``KeyError`` as above."""
    g, _, decoder = _layers("writing", weights)
    x, later = g.input("x", [1, "n", g.width]), g.input("later", ["n", "n", 1]) if at_once else ""
    runs, seen = [], ""
    for layer in range(1, decoder + 1):
        name = f"decoder_l{layer}"
        run = _units(g, f"{name}_rnn", x, g.input(f"state_{layer}", [1, 1, g.width]), later)
        runs.append(run)
        x = g.normed(g.op("Add", x, g.op("Relu", run)), f"{name}_rnn_ffn")
        keys = g.input(f"keys_{layer}", [1, g.heads, g.width // g.heads, "m"])
        values = g.input(f"values_{layer}", [1, g.heads, "m", g.width // g.heads])
        x, seen = g.context(f"{name}_context", x, (keys, values))
        x = g.forward(x, f"{name}_ffn")
    g.output("out", x, [1, "n", g.width])
    g.output("seen", g.first_head(seen), [1, "n", "m"])
    for layer, run in enumerate(runs, 1):
        g.output(f"states_{layer}", run, [1, "n", g.width])
    return g.model()


def _layers(name: str, weights: Weights) -> tuple[Layers, int, int]:
    settings = weights.settings
    g = Layers(name, weights.arrays, int(settings["transformer-heads"]))
    return g, int(settings["enc-depth"]), int(settings["dec-depth"])


def _units(g: Layers, name: str, x: str, state: str, later: str) -> str:
    """The simpler recurrent units: s' = k s + (1 - k) W x, where k = sigmoid(Wf x + bf). Of several tokens at once:
    each state is the sum of what was added before it, times all that was kept since.
    """
    fresh = g.product(x, f"{name}_W", g.arrays[f"{name}_W"])
    gate = g.product(x, f"{name}_Wf", g.arrays[f"{name}_Wf"])
    gate = g.op("Add", gate, g.constant(f"{name}_bf", g.arrays[f"{name}_bf"][0]))
    added = g.op("Mul", fresh, g.op("Sigmoid", g.op("Neg", gate)))
    if not later:
        return g.op("Add", g.op("Mul", g.op("Sigmoid", gate), state), added)
    # Products as sums of logarithms: the quotient of two products may be 0 / 0, a difference is not.
    kept = g.op("CumSum", g.op("Neg", g.op("Softplus", g.op("Neg", gate))), g.constant("axis", _AXIS))
    since = g.op("Sub", g.op("Unsqueeze", kept, g.shape(2)), g.op("Unsqueeze", kept, g.shape(1)))
    shares = g.op("Exp", g.op("Add", since, later))
    sums = g.op("ReduceSum", g.op("Mul", shares, g.op("Unsqueeze", added, g.shape(1))), g.shape(2), keepdims=0)
    return g.op("Add", g.op("Mul", g.op("Exp", kept), state), sums)
