"""Sentences to vectors whose products tell what is about the same: all-MiniLM-L6-v2 on ONNX Runtime, without torch.

A BERT of six layers (arXiv 1810.04805) that sentence-transformers trained on pairs of sentences (Apache-2.0); a vector
is the mean of its last states. The graph is built from the weights as they are published.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto
from tokenizers import Tokenizer

from dragoman.audio.types import DragomanError
from dragoman.models.catalog import Progress, resolve
from dragoman.models.onnx_graph import Graph
from dragoman.models.onnx_session import open_session
from dragoman.verifier.features import Array

MODEL: Final = "minilm-l6"
"""Its name in the catalog."""

TOKENS: Final = 48
"""Tokens of a text that are read: its last ones."""

_AT_ONCE: Final = 32


class Sentences:
    """The encoder. Safe to call from several threads."""

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        """``folder``: ``model.safetensors``, ``config.json``, ``tokenizer.json``. Raises ``DragomanError``."""
        try:
            weights = _load(folder / "model.safetensors")
            heads = int(json.loads((folder / "config.json").read_text(encoding="utf-8"))["num_attention_heads"])
            graph = _graph(weights, heads)
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except (OSError, ValueError, KeyError, struct.error) as error:
            raise DragomanError(f"{folder}: not a sentence encoder of BERT's kind ({error})") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.width = len(weights["embeddings.LayerNorm.weight"])
        self._session = open_session(graph, threads=threads)

    def encode(self, texts: Sequence[str], told: Callable[[int, int], None] = lambda done, total: None) -> Array:
        """Vectors [n, width] of length 1; zeros for empty texts. ``told`` is given how many of how many are done."""
        tokens = [_shortened(encoding.ids) for encoding in self._tokenizer.encode_batch(list(texts))]
        out = np.zeros((len(texts), self.width), np.float32)
        order = sorted((i for i, text in enumerate(texts) if text.strip()), key=lambda i: len(tokens[i]))
        for first in range(0, len(order), _AT_ONCE):
            told(first, len(order))
            some = order[first : first + _AT_ONCE]
            out[some] = self._run([tokens[i] for i in some])
        told(len(order), len(order))
        return out

    def _run(self, tokens: Sequence[Sequence[int]]) -> Array:
        longest = max(map(len, tokens))
        ids, known = np.zeros((len(tokens), longest), np.int64), np.zeros((len(tokens), longest), np.float32)
        for i, row in enumerate(tokens):
            ids[i, : len(row)], known[i, : len(row)] = row, 1
        [states] = self._session.run(["states"], {"ids": ids, "places": np.arange(longest), "known": known})
        mean = (states * known[..., None]).sum(1) / known.sum(1, keepdims=True)
        return np.asarray(mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9), np.float32)


def open_sentences(*, threads: int = 1, progress: Progress | None = None) -> Sentences:
    """The encoder of the catalog. A second. Raises ``DragomanError`` when it is missing."""
    return Sentences(resolve(MODEL, progress=progress), threads=threads)


def _shortened(ids: Sequence[int]) -> list[int]:
    """The first token begins a text for the encoder, whatever is cut."""
    return [ids[0], *ids[1:][-(TOKENS - 1) :]]


def _load(path: Path) -> dict[str, Array]:
    """The float32 arrays of a safetensors file: the length of its JSON header, the header, the bytes."""
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + size])
    out = {}
    for name, about in header.items():
        if name != "__metadata__" and about["dtype"] == "F32":
            first, last = about["data_offsets"]
            array: Array = np.frombuffer(data, np.float32, (last - first) // 4, 8 + size + first)
            out[name] = array.reshape(about["shape"])
    return out


def _graph(w: Mapping[str, Array], heads: int) -> onnx.ModelProto:
    """ids int64 [B, n], places int64 [n], known [B, n] -> states [B, n, d]."""
    g = _Graph("sentences")
    g.weights = w
    ids, places = (g.input(*given, TensorProto.INT64) for given in (("ids", ["batch", "n"]), ("places", ["n"])))
    known = g.input("known", ["batch", "n"])
    words, where = (w[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position"))
    first = where + w["embeddings.token_type_embeddings.weight"][0]
    x = g.op("Add", g.op("Gather", g.constant("words", words), ids), g.op("Gather", g.constant("first", first), places))
    x = g.norm(x, "embeddings.LayerNorm")
    unknown = g.op("Mul", g.op("Sub", known, g.number(1.0)), g.number(1e9))
    unknown = g.op("Unsqueeze", unknown, g.shape(1, 2))
    d = words.shape[1]
    layers = 1 + max(int(name.split(".")[2]) for name in w if name.startswith("encoder.layer."))
    for name in (f"encoder.layer.{i}" for i in range(layers)):
        q, k, v = (
            g.op(
                "Transpose",
                g.op("Reshape", g.linear(x, f"{name}.attention.self.{kind}"), g.shape(0, 0, heads, d // heads)),
                perm=perm,
            )
            for kind, perm in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3]))
        )
        fit = g.op("Mul", g.op("MatMul", q, k), g.number((d // heads) ** -0.5))
        weight = g.op("Softmax", g.op("Add", fit, unknown), axis=-1)
        joined = g.op("Transpose", g.op("MatMul", weight, v), perm=[0, 2, 1, 3])
        out = g.linear(g.op("Reshape", joined, g.shape(0, 0, d)), f"{name}.attention.output.dense")
        x = g.norm(g.op("Add", x, out), f"{name}.attention.output.LayerNorm")
        inner = g.op("Gelu", g.linear(x, f"{name}.intermediate.dense"))
        x = g.norm(g.op("Add", x, g.linear(inner, f"{name}.output.dense")), f"{name}.output.LayerNorm")
    g.output("states", x, ["batch", "n", d])
    return g.model()


class _Graph(Graph):
    """With the pieces of BERT, by the names of its weights."""

    weights: Mapping[str, Array]

    def linear(self, x: str, name: str) -> str:
        weight, bias = (self.weights[f"{name}.{kind}"] for kind in ("weight", "bias"))
        return self.op("Add", self.product(x, name, np.ascontiguousarray(weight.T)), self.constant(f"{name}.b", bias))

    def norm(self, x: str, name: str) -> str:
        scale, bias = (self.constant(f"{name}.{kind}", self.weights[f"{name}.{kind}"]) for kind in ("weight", "bias"))
        return self.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-12)
