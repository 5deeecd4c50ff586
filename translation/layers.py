"""The layers of Marian's transformers as parts of an ONNX graph, float32: post-norm, ReLU, sines and cosines for
positions.

Arrays go by Marian's own names; a weight is [in, out]. States are [batch, n, width].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from dragoman.models.onnx_graph import Graph
from dragoman.translation.marian import Floats

END: Final = 0
"""The token that ends a sentence."""
_EPSILON: Final = 1e-6
_NEVER: Final = np.float32(-1e9)


class Layers(Graph):
    """A graph under construction, of named arrays."""

    def __init__(self, name: str, arrays: Mapping[str, Floats], heads: int) -> None:
        super().__init__(name)
        self.arrays = arrays
        self.heads = heads
        self.width = int(arrays["Wemb"].shape[1])

    def encoder(self, x: str, layers: int, mask: str = "") -> str:
        """What was embedded, read. ``mask``: see ``masked``; empty where all is seen."""
        for layer in range(1, layers + 1):
            x = self.forward(self.around(f"encoder_l{layer}_self", x, mask), f"encoder_l{layer}_ffn")
        return x

    def around(self, name: str, x: str, mask: str = "") -> str:
        """Self-attention over all of ``x``."""
        q, k, v = self.ops("Split", 3, self.linear(x, name, "qkv"), axis=-1, num_outputs=3)
        seen, _ = self.attend(q, self.split(k, keys=True), self.split(v), mask)
        return self.normed(self.op("Add", x, self.linear(seen, name, "o")), f"{name}_Wo")

    def memory(self, name: str, x: str) -> tuple[str, str]:
        """Keys [batch, heads, width of a head, m] and values [batch, heads, m, width of a head] of what was read."""
        k, v = self.ops("Split", 2, self.linear(x, name, "kv"), axis=-1, num_outputs=2)
        return self.split(k, keys=True), self.split(v)

    def context(self, name: str, x: str, memory: tuple[str, str], mask: str = "") -> tuple[str, str]:
        """Attention to what was read; and how much of what [batch, heads, n, m]."""
        seen, weights = self.attend(self.linear(x, name, "q"), *memory, mask)
        return self.normed(self.op("Add", x, self.linear(seen, name, "o")), f"{name}_Wo"), weights

    def attend(self, q: str, keys: str, values: str, mask: str) -> tuple[str, str]:
        """What queries see [batch, n, width], and how much of what [batch, heads, n, m]."""
        scores = self.op("MatMul", self.split(q), keys)
        scores = self.op("Mul", scores, self.number((self.width / self.heads) ** -0.5))
        weights = self.op("Softmax", self.op("Add", scores, mask) if mask else scores, axis=-1)
        seen = self.op("Transpose", self.op("MatMul", weights, values), perm=[0, 2, 1, 3])
        return self.op("Reshape", seen, self.shape(0, 0, self.width)), weights

    def split(self, x: str, *, keys: bool = False) -> str:
        """By head: [batch, heads, n, width of a head], or as ``keys`` [batch, heads, width of a head, n]."""
        parts = self.op("Reshape", x, self.shape(0, 0, self.heads, self.width // self.heads))
        return self.op("Transpose", parts, perm=[0, 2, 3, 1] if keys else [0, 2, 1, 3])

    def first_head(self, weights: str) -> str:
        """Of attention weights, [batch, n, m]: the base's last layer was trained to align words with it."""
        return self.op("Squeeze", self.op("Slice", weights, *map(self.shape, (0, 1, 1))), self.shape(1))

    def linear(self, x: str, name: str, parts: str) -> str:
        """Named weights and their biases; several read the same input as one product."""
        weight, bias = (
            np.concatenate([self.arrays[f"{name}_{kind}{part}"] for part in parts], axis=1) for kind in ("W", "b")
        )
        y = self.product(x, f"{name}_W{parts}", weight)
        return self.op("Add", y, self.constant(f"{name}_b{parts}", bias[0]))

    def forward(self, x: str, name: str) -> str:
        """The feed-forward layer."""
        inner = self.op("Relu", self.linear(x, name, "1"))
        return self.normed(self.op("Add", x, self.linear(inner, name, "2")), f"{name}_ffn")

    def normed(self, x: str, name: str) -> str:
        """Mean 0 and variance 1, scaled and shifted as named."""
        parts = [self.constant(f"{name}_ln_{kind}", self.arrays[f"{name}_ln_{kind}"][0]) for kind in ("scale", "bias")]
        return self.op("LayerNormalization", x, *parts, axis=-1, epsilon=_EPSILON)


def embedded(embeddings: Floats, tokens: Sequence[int] | Sequence[Sequence[int]], start: int = 0) -> Floats:
    """Tokens [..., n] that stand from position ``start`` on: [..., n, width]."""
    x: Floats = embeddings[np.asarray(tokens)] * np.float32(embeddings.shape[1] ** 0.5)
    return x + positions(start, x.shape[-2], embeddings.shape[1])


def positions(start: int, count: int, width: int) -> Floats:
    """Sines, then cosines, shape [count, width]; not to be written to."""
    return _positions(1 << max(9, (start + count - 1).bit_length()), width)[start : start + count]


@lru_cache
def _positions(count: int, width: int) -> Floats:
    half = width // 2
    angles = np.outer(np.arange(count), 10_000.0 ** (-np.arange(half) / (half - 1)))
    table = np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
    table.flags.writeable = False
    return table


def masked(lengths: Sequence[int], longest: int) -> Floats:
    """What is added to attention scores so that nothing behind a sentence's length is seen, shape
    [sentences, 1, 1, longest].
    """
    behind = np.arange(longest) >= np.asarray(lengths)[:, None]
    return np.where(behind, _NEVER, np.float32(0))[:, None, None]


def holding(chances: Floats, own: Floats, bias: float) -> int:
    """How many leading places of an earlier translation hold: its symbols have the probabilities ``own`` [n], of all
    ``chances`` [n, symbols].

    With the bias b its symbol is taken at p' = (1 - b) p + b, any other at (1 - b) p: it holds while no other is more
    probable by b / (1 - b) (arXiv 2004.03643, section 3.2).
    """
    holds = chances.max(axis=1) - own <= bias / (1 - bias)
    return len(own) if holds.all() else int(holds.argmin())
