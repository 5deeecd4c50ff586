"""The layers that tell when a turn is complete, in PyTorch. Needs the ``train`` extra."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dragoman.agent.duplex.adapted import AdaptedBody
from dragoman.agent.duplex.body import Body


class CompletionNetwork(AdaptedBody):
    """A drafter's body: its layers before ``first`` as they are, those behind changed, and a head on the last."""

    def __init__(self, body: Body, *, first: int, rank: int = 16) -> None:
        """``body``: with the drafter's changes (``duplex.adapter.adapted``), as many layers as are read."""
        own = {"head": nn.Parameter(torch.zeros(body.dims.width)), "bias": nn.Parameter(torch.zeros(1))}
        super().__init__(body, own, rank=rank, first=first)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits [B, n] that a turn is complete at each token of texts [B, n]."""
        return F.linear(self.read_text(tokens).float(), self.own["head"][None], self.own["bias"])[..., 0]
