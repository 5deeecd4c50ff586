"""A translator that writes all words at once: re-translation in a few milliseconds, whatever the length.

FReTNA-style: encoder, states upsampled, a decoder that sees all frames, and connectionist temporal classification
(Gu and Kong 2021, arXiv 2012.15833), trained on whole sentences and on beginnings. Several sentences, those of many
rooms, go through as one batch. Forward pass in float32, with the embedded translator's shortlist of words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from dragoman.audio.types import DragomanError
from dragoman.models.onnx_session import open_session
from dragoman.translation.ctc import BLANK
from dragoman.translation.layers import END, Layers, embedded, masked, positions
from dragoman.translation.marian import Floats, Ids, Shortlist, Weights


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """What the network makes of a sentence."""

    logp: Floats
    """Log-probabilities [frames, candidates]; the first candidate is the blank."""
    candidates: Ids
    """Target tokens that may come of it, sorted, the first being ``END``, which is the blank."""
    sources: npt.NDArray[np.intp]
    """The source token that each frame attends to most [frames]."""


class Parallel:
    """The network. Several threads may call it at once."""

    def __init__(self, weights: Weights, shortlist: Shortlist) -> None:
        """Raises ``DragomanError`` where the weights are not those of such a network."""
        self._shortlist = shortlist
        try:
            w = weights.arrays
            self._embeddings = w["Wemb"]
            self._width = int(self._embeddings.shape[1])
            self._upsampling = w["up_W"].shape[1] // self._width
            self._output_bias = w["decoder_ff_logit_out_b"][0].copy()
            self._output_bias[END] = w["blank_b"][0, 0]
            self._blank = w["blank_W"][0]
            self._network = open_session(_graph(weights), lengths_vary=True)
        except KeyError as error:
            raise DragomanError(f"the translator's file lacks {error}") from error

    def __call__(self, sentences: Sequence[Sequence[int]]) -> list[Frames]:
        """Read sentences, without their ends, and say what each frame says; at least one sentence."""
        ended = [[*sentence, END] for sentence in sentences]
        lengths = [len(tokens) for tokens in ended]
        longest = max(lengths)
        count = longest * self._upsampling
        states, seen = self._network.run(
            None,
            {
                "x": embedded(self._embeddings, [tokens + [END] * (longest - len(tokens)) for tokens in ended]),
                "places": positions(0, count, self._width),
                "unread": masked(lengths, longest),
                "unseen": masked([n * self._upsampling for n in lengths], count),
            },
        )
        return [self._frames(states[i], seen[i], tokens) for i, tokens in enumerate(ended)]

    def _frames(self, states: Floats, seen: Floats, tokens: Sequence[int]) -> Frames:
        count = len(tokens) * self._upsampling
        sources = seen[:count, : max(1, len(tokens) - 1)].argmax(axis=1)
        candidates = self._shortlist.of(tokens)
        rows = self._embeddings[candidates]
        rows[BLANK] = self._blank
        scores = states[:count] @ rows.T + self._output_bias[candidates]
        scores -= scores.max(axis=1, keepdims=True)
        return Frames(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)), candidates, sources)


def _graph(weights: Weights) -> onnx.ModelProto:
    """x [batch, n, width], places [frames, width] and two masks -> states [batch, frames, width], and what of the
    source each frame sees [batch, frames, n].
    """
    heads, encoder, decoder = (int(weights.settings[k]) for k in ("transformer-heads", "enc-depth", "dec-depth"))
    g = Layers("parallel", weights.arrays, heads)
    unread, unseen = g.input("unread", ["batch", 1, 1, "n"]), g.input("unseen", ["batch", 1, 1, "frames"])
    memory = g.encoder(g.input("x", ["batch", "n", g.width]), encoder, unread)
    up = g.op("Add", g.product(memory, "up_W", g.arrays["up_W"]), g.constant("up_b", g.arrays["up_b"][0]))
    x = g.op("Add", g.op("Reshape", up, g.shape(0, -1, g.width)), g.input("places", ["frames", g.width]))
    seen = ""
    for layer in range(1, decoder + 1):
        name = f"decoder_l{layer}"
        x = g.around(f"{name}_self", x, unseen)
        x, seen = g.context(f"{name}_context", x, g.memory(f"{name}_context", memory), unread)
        x = g.forward(x, f"{name}_ffn")
    g.output("states", x, ["batch", "frames", g.width])
    g.output("seen", g.first_head(seen), ["batch", "frames", "n"])
    return g.model()
