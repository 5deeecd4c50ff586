"""What the embedded translator holds likely at each place of a text: softer targets than the text alone.

It was written by that translator, so for each of its tokens there is a whole distribution to learn from (word-level
distillation, Kim and Rush 2016, section 3.1), and a rare word is told by its likes. Students learn it at each place. A
network that writes all words at once learns it at the frames which the likeliest alignment gives to the token; there
the blank is left out of account.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dragoman.translation.bergamot import Base
from dragoman.translation.training.lessons import Batch
from dragoman.translation.training.teacher import network_of


class Guide:
    """The embedded translator, told what it wrote."""

    def __init__(self, base: Base, device: torch.device) -> None:
        self._network = network_of(base).to(device).eval().requires_grad_(False)

    @torch.no_grad()
    def scores(self, batch: Batch) -> Tensor:
        """Of every candidate at every place and at the end [batch, longest target + 1, candidates]."""
        network = self._network
        memory = network.encode(batch.source, batch.mask)
        return network.scores(network.decode(batch.candidates[batch.target], memory, batch.mask), batch.candidates)


def of_places(guided: Tensor, scores: Tensor, counted: Tensor) -> Tensor:
    """Cross-entropy of a student's ``scores`` with what it is ``guided`` to, both [batch, places, candidates], at the
    places that are ``counted`` [batch, places]."""
    wanted, logp = guided[counted].softmax(-1), scores[counted].log_softmax(-1)
    return -(wanted * logp).sum(-1).mean()


def of_frames(guided: Tensor, logp: Tensor, places: Tensor, counted: Tensor) -> Tensor:
    """The same for frames [batch, frames, candidates], each of the target's place [batch, frames] that it writes; only
    those ``counted`` [batch, frames]. The first candidate, blank and end, is left out."""
    rows, frames = counted.nonzero(as_tuple=True)
    if not len(rows):
        return logp.sum() * 0
    wanted = guided[rows, places[rows, frames], 1:].softmax(-1)
    own = logp[rows, frames, 1:].log_softmax(-1)
    return -(wanted * own).sum(-1).mean()
