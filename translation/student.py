"""A small distilled translator as Marian trains them: transformer encoder, decoder of simpler recurrent units (SSRU).

Forward pass in float32, of one sentence. What it gives beside other engines: a translation may be made to begin with
given words, and may be drawn towards an earlier translation. The earlier one is checked whole, in one pass over all of
its tokens, and is decoded further from where it no longer holds, so that to translate a sentence again after each new
word costs less than to translate it anew.

Sources: SSRU, Kim et al. 2019, "From Research to Production and Back: Ludicrously Fast Neural Machine Translation";
bias towards the last translation, Arivazhagan et al. 2020 (arXiv 2004.03643, section 3.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.audio.types import DragomanError
from dragoman.models.onnx_session import open_session
from dragoman.translation.layers import END, embedded, holding, positions
from dragoman.translation.marian import Floats, Ids, Shortlist, Weights
from dragoman.translation.student_graphs import reading_graph, writing_graph

_MOST: Final = 2.5
"""A translation has at most so many tokens per source token."""
_NEVER: Final = np.float32(-1e9)


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A sentence that was read."""

    length: int
    """Tokens, the end among them."""
    memory: Mapping[str, Floats]
    """Keys and values for each layer of the decoder, as its graph takes them."""
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
        """Raises ``DragomanError`` where the weights are not those of such a network."""
        self._shortlist = shortlist
        try:
            cell = weights.settings["transformer-decoder-autoreg"], weights.settings["dec-cell"]
            if cell != ("rnn", "ssru"):
                raise DragomanError(f"a translator whose decoder is {'/'.join(cell)} can't be run, only rnn/ssru")
            self._embeddings = weights.arrays["Wemb"]
            self._output_bias = weights.arrays["decoder_ff_logit_out_b"][0]
            self._depth = int(weights.settings["dec-depth"])
            self._reading = open_session(reading_graph(weights), lengths_vary=True)
            self._writing = open_session(writing_graph(weights, at_once=True), lengths_vary=True)
            self._going_on = open_session(writing_graph(weights, at_once=False), lengths_vary=True)
        except KeyError as error:
            raise DragomanError(f"the translator's file lacks {error}") from error

    def encode(self, tokens: Sequence[int]) -> Encoded:
        """Read a sentence; the end is added."""
        ids = [*tokens, END]
        memory = self._reading.run(None, {"x": embedded(self._embeddings, [ids])})
        candidates = self._shortlist.of(ids)
        rows = np.ascontiguousarray(self._embeddings[candidates].T)
        named = dict(zip((output.name for output in self._reading.get_outputs()), memory, strict=True))
        return Encoded(len(ids), named, candidates, rows, self._output_bias[candidates])

    def decode(self, encoded: Encoded, wish: Wish = Wish()) -> Decoded:
        """The most likely translation that is as wished."""
        known = [*wish.forced, *wish.draft]
        longest = len(known) + max(8, int(encoded.length * _MOST))
        states = [np.zeros(self._embeddings.shape[1], np.float32)] * self._depth
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
        x = embedded(self._embeddings, previous, start)
        if start == 0:
            x[0] = positions(0, 1, x.shape[1])  # nothing stands before the first token
        feed = {"x": x[None], **encoded.memory}
        feed |= {f"state_{layer}": state[None, None] for layer, state in enumerate(states, 1)}
        if len(previous) == 1:
            x, seen, *runs = self._going_on.run(None, feed)
        else:
            feed["later"] = np.triu(np.full((len(previous),) * 2, _NEVER), 1)[..., None]
            x, seen, *runs = self._writing.run(None, feed)
        aligned = seen[0, :, : max(1, encoded.length - 1)].argmax(axis=1)
        scores: Floats = x[0] @ encoded.output + encoded.bias
        return scores, [run[0] for run in runs], aligned


def _held(scores: Floats, candidates: Ids, draft: Sequence[int], bias: float) -> int:
    """How many leading tokens of ``draft`` hold: scores [len(draft), n] are those of its positions."""
    places = np.minimum(np.searchsorted(candidates, draft), len(candidates) - 1)
    known = candidates[places] == np.asarray(draft)
    chances = np.exp(scores - scores.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    own = np.where(known, chances[np.arange(len(draft)), places], 0.0)
    return holding(chances, own, bias)
