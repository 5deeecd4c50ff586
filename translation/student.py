"""A small distilled translator as Marian trains them: transformer encoder, decoder of simpler recurrent units (SSRU).

Forward pass in float32, of one sentence. What it gives beside other engines: a translation may be made to begin with
given words, and may be drawn towards an earlier translation. The earlier one is checked whole, in one pass over all of
its tokens, and is decoded further from where it no longer holds, so that to translate a sentence again after each new
word costs less than to translate it anew.

Sources: SSRU, Kim et al. 2019, "From Research to Production and Back: Ludicrously Fast Neural Machine Translation";
bias towards the last translation, Arivazhagan et al. 2020 (arXiv 2004.03643, section 3.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.audio.types import DragomanError
from dragoman.translation.marian import Floats, Ids, Shortlist, Weights

END: Final = 0
"""The token that ends a sentence."""
_MOST: Final = 2.5
"""A translation has at most so many tokens per source token."""
_EPSILON: Final = np.float32(1e-6)


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A sentence that was read."""

    length: int
    """Tokens, the end among them."""
    memory: tuple[tuple[Floats, Floats], ...]
    """Keys [heads, width, length] and values [heads, length, width] for each layer of the decoder."""
    candidates: Ids
    """Target tokens that may come of it, sorted, shape [n]."""
    output: Floats
    """Their embeddings, shape [width of the model, n]."""
    bias: Floats


@dataclass(frozen=True, slots=True)
class Decoded:
    """A translation: tokens without the end, and for each the source token that it attended to most."""

    tokens: list[int]
    sources: list[int]


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """How a translation is to begin. Without one it is what the model finds most likely, word by word."""

    forced: Sequence[int] = ()
    """Tokens that it begins with, come what may."""
    draft: Sequence[int] = ()
    """Tokens of an earlier translation that would follow; a token counts while all before it were kept."""
    bias: float = 0.0
    """Share of probability in [0, 1) that is laid on the draft's next token: 0 keeps what is most likely anyway."""
    openers: npt.NDArray[np.bool_] | None = None
    """Which tokens of the vocabulary may follow what is forced; None: any."""


class Student:
    """The network. Several threads may call it at once."""

    def __init__(self, weights: Weights, shortlist: Shortlist) -> None:
        self._w = dict(weights.arrays)
        self._shortlist = shortlist
        try:
            self._heads = int(weights.settings["transformer-heads"])
            self._depth = int(weights.settings["enc-depth"]), int(weights.settings["dec-depth"])
            cell = weights.settings["transformer-decoder-autoreg"], weights.settings["dec-cell"]
            if cell != ("rnn", "ssru"):
                raise DragomanError(f"a translator whose decoder is {'/'.join(cell)} can't be run, only rnn/ssru")
            self._embeddings = self._w["Wemb"]
            self._output_bias = self._w["decoder_ff_logit_out_b"][0]
            self._width = self._embeddings.shape[1]
            for layer in range(1, self._depth[0] + 1):
                self._join(f"encoder_l{layer}_self", "qkv")
            for layer in range(1, self._depth[1] + 1):
                self._join(f"decoder_l{layer}_context", "kv")
                name = f"decoder_l{layer}_rnn"
                self._w[name] = np.concatenate([self._w[f"{name}_W"], self._w[f"{name}_Wf"]], axis=1)
        except KeyError as error:
            raise DragomanError(f"the translator's file lacks {error}") from error

    def encode(self, tokens: Sequence[int]) -> Encoded:
        """Read a sentence; the end is added."""
        ids = [*tokens, END]
        x: Floats = self._embeddings[ids] * np.float32(self._width**0.5) + self._positions(0, len(ids))
        for layer in range(1, self._depth[0] + 1):
            name = f"encoder_l{layer}_self"
            q, k, v = np.split(x @ self._w[f"{name}_qkv"] + self._w[f"{name}_qkv_bias"], 3, axis=1)
            seen, _ = self._attend(q, self._split(k).transpose(0, 2, 1), self._split(v))
            x = self._normed(x + self._linear(seen, name, "o"), f"{name}_Wo")
            x = self._forward(x, f"encoder_l{layer}_ffn")
        memory = []
        for layer in range(1, self._depth[1] + 1):
            name = f"decoder_l{layer}_context"
            k, v = np.split(x @ self._w[f"{name}_kv"] + self._w[f"{name}_kv_bias"], 2, axis=1)
            memory.append((self._split(k).transpose(0, 2, 1), self._split(v)))
        candidates = self._shortlist.of(ids)
        rows = np.ascontiguousarray(self._embeddings[candidates].T)
        return Encoded(len(ids), tuple(memory), candidates, rows, self._output_bias[candidates])

    def decode(self, encoded: Encoded, wish: Wish = Wish()) -> Decoded:
        """The most likely translation that is as wished."""
        known = [*wish.forced, *wish.draft]
        longest = len(known) + max(8, int(encoded.length * _MOST))
        states = [np.zeros(self._width, np.float32) for _ in range(self._depth[1])]
        scores, runs, attention = self._run(encoded, [END, *known], 0, states)
        kept = len(wish.forced)
        if wish.draft:
            kept += _held(scores[kept:-1], encoded.candidates, wish.draft, wish.bias)
        tokens = known[:kept]
        sources = [int(source) for source in attention[: kept + 1]]
        row = scores[kept]
        if wish.openers is not None and 0 < kept == len(wish.forced):
            row = np.where(wish.openers[encoded.candidates], row, -np.inf)
        states = [run[kept] for run in runs]
        while (token := int(encoded.candidates[row.argmax()])) != END and len(tokens) < longest:
            tokens.append(token)
            scores, runs, attention = self._run(encoded, [token], len(tokens), states)
            states = [run[0] for run in runs]
            sources.append(int(attention[0]))
            row = scores[0]
        return Decoded(tokens, sources[: len(tokens)])

    def _run(
        self, encoded: Encoded, previous: Sequence[int], start: int, states: Sequence[Floats]
    ) -> tuple[Floats, list[Floats], npt.NDArray[np.intp]]:
        """Decode a stretch at once: ``previous`` are the tokens before each position, from position ``start`` on.

        Gives scores [n, candidates], each layer's states [n, width], and the source token attended to [n].
        """
        x: Floats = self._embeddings[list(previous)] * np.float32(self._width**0.5)
        if start == 0:
            x[0] = 0.0  # nothing stands before the first token
        x += self._positions(start, len(previous))
        runs = []
        weights = np.zeros(0, np.float32)
        for layer, state in enumerate(states, 1):
            name = f"decoder_l{layer}_rnn"
            fresh, gate = np.split(x @ self._w[name], 2, axis=1)
            keep = 1 / (1 + np.exp(-(gate + self._w[f"{name}_bf"])))
            fresh *= 1 - keep
            run = np.empty_like(x)
            for i in range(len(x)):
                state = keep[i] * state + fresh[i]
                run[i] = state
            runs.append(run)
            x = self._normed(x + np.maximum(run, 0), f"{name}_ffn")
            name = f"decoder_l{layer}_context"
            seen, weights = self._attend(self._linear(x, name, "q"), *encoded.memory[layer - 1])
            x = self._normed(x + self._linear(seen, name, "o"), f"{name}_Wo")
            x = self._forward(x, f"decoder_l{layer}_ffn")
        # The first head of the last layer was trained to align words.
        aligned = weights[0, :, : max(1, encoded.length - 1)].argmax(axis=1)
        scores: Floats = x @ encoded.output + encoded.bias
        return scores, runs, aligned

    def _attend(self, q: Floats, keys: Floats, values: Floats) -> tuple[Floats, Floats]:
        scores = self._split(q) @ keys * np.float32((self._width / self._heads) ** -0.5)
        scores -= scores.max(axis=-1, keepdims=True)
        weights = np.exp(scores)
        weights /= weights.sum(axis=-1, keepdims=True)
        return (weights @ values).transpose(1, 0, 2).reshape(len(q), self._width), weights

    def _split(self, x: Floats) -> Floats:
        """[n, width] to [heads, n, width of a head]."""
        return x.reshape(len(x), self._heads, -1).transpose(1, 0, 2)

    def _linear(self, x: Floats, name: str, part: str) -> Floats:
        return x @ self._w[f"{name}_W{part}"] + self._w[f"{name}_b{part}"]

    def _forward(self, x: Floats, name: str) -> Floats:
        return self._normed(x + self._linear(np.maximum(self._linear(x, name, "1"), 0), name, "2"), f"{name}_ffn")

    def _normed(self, x: Floats, name: str) -> Floats:
        centred: Floats = x - x.mean(axis=-1, keepdims=True)
        centred /= np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + _EPSILON)
        return centred * self._w[f"{name}_ln_scale"] + self._w[f"{name}_ln_bias"]

    def _positions(self, start: int, count: int) -> Floats:
        """Sines, then cosines, shape [count, width]."""
        half = self._width // 2
        angles = np.outer(np.arange(start, start + count), 10_000.0 ** (-np.arange(half) / (half - 1)))
        return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)

    def _join(self, name: str, parts: str) -> None:
        """Matrices that read the same input, as one."""
        self._w[f"{name}_{parts}"] = np.concatenate([self._w[f"{name}_W{p}"] for p in parts], axis=1)
        self._w[f"{name}_{parts}_bias"] = np.concatenate([self._w[f"{name}_b{p}"] for p in parts], axis=1)


def _held(scores: Floats, candidates: Ids, draft: Sequence[int], bias: float) -> int:
    """How many leading tokens of ``draft`` hold: scores [len(draft), n] are those of its positions.

    With the bias b a token is taken at p' = (1 - b) p + b, any other at (1 - b) p: it holds while no other is more
    probable by b / (1 - b).
    """
    places = np.minimum(np.searchsorted(candidates, draft), len(candidates) - 1)
    known = candidates[places] == np.asarray(draft)
    chances = np.exp(scores - scores.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    own = np.where(known, chances[np.arange(len(draft)), places], 0.0)
    holds = chances.max(axis=1) - own <= bias / (1 - bias)
    return len(draft) if holds.all() else int(holds.argmin())
