"""The embedded translator, many sentences at a time: it writes what the others learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dragoman.translation.bergamot import Base, read_base
from dragoman.translation.layers import END
from dragoman.translation.training.batches import padded
from dragoman.translation.training.network import StudentNetwork

TOKENS: Final = 1600
"""Source tokens of a batch, about."""
_MOST: Final = 2.5
"""A translation has at most so many tokens per source token."""


class Teacher:
    """One direction, greedy: what ``BergamotTranslator`` says, but for ties in the last bits."""

    def __init__(self, source: str, target: str, device: str = "cpu") -> None:
        """Raises ``DragomanError`` for another pair, and where the package is missing."""
        self._base = read_base(source, target)
        self._device = torch.device(device)
        self.network = network_of(self._base).to(self._device).eval()

    @torch.inference_mode()
    def translate(self, texts: Sequence[str]) -> list[str]:
        """One sentence each, in any order of length; empty texts give empty ones."""
        vocabulary = self._base.vocabulary
        tokens = [vocabulary.tokens(text) for text in texts]
        order = sorted((i for i, ids in enumerate(tokens) if ids), key=lambda i: len(tokens[i]))
        done = [""] * len(texts)
        for batch in _batches(order, tokens):
            for index, ids in zip(batch, self._decoded([tokens[i] for i in batch]), strict=True):
                done[index] = vocabulary.text(ids)
        return done

    def _decoded(self, sentences: Sequence[Sequence[int]]) -> list[list[int]]:
        network = self.network
        ended = [[*sentence, END] for sentence in sentences]
        tokens, mask = padded(ended, self._device)
        memory = network.encode(tokens, mask)
        lists = [self._base.shortlist.of(ids) for ids in ended]
        union = np.unique(np.concatenate(lists))
        allowed = np.full((len(lists), len(union)), -np.inf, np.float32)
        for row, candidates in zip(allowed, lists, strict=True):
            row[np.searchsorted(union, candidates)] = 0
        known = torch.from_numpy(union.astype(np.int64)).to(self._device)
        extra = torch.from_numpy(allowed).to(self._device)
        rows = network.embeddings[known].T.contiguous()
        bias = network.output_bias[known]
        states = [memory.new_zeros(len(ended), network.width) for _ in range(network.decoder)]
        seen = [network.keys_and_values(f"decoder_l{layer}_context", memory) for layer in range(1, network.decoder + 1)]
        previous: Tensor | None = None
        written: list[Tensor] = []
        over = torch.zeros(len(ended), dtype=torch.bool, device=self._device)
        longest = max(8, int(_MOST * tokens.shape[1]))
        while len(written) < longest and not bool(over.all()):
            x = memory.new_zeros(len(ended), network.width)
            if previous is not None:
                x = F.embedding(previous, network.embeddings) * network.width**0.5
            x = network.step(x + network.places[len(written)], states, seen, mask)
            previous = known[(x @ rows + bias + extra).argmax(-1)]
            over |= previous == END
            written.append(previous)
        table = torch.stack(written, dim=1).tolist() if written else [[] for _ in ended]
        return [row[: row.index(END)] if END in row else row for row in table]


def network_of(base: Base) -> StudentNetwork:
    """The base itself, in torch."""
    settings = base.weights.settings
    heads, encoder, decoder = (int(settings[name]) for name in ("transformer-heads", "enc-depth", "dec-depth"))
    return StudentNetwork(base.weights.arrays, heads, encoder, decoder)


def _batches(order: Sequence[int], tokens: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Neighbours in ``order``, up to ``TOKENS`` with padding."""
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) + 1) * (len(tokens[index]) + 1) > TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
