"""The drafter in PyTorch. Needs the ``train`` extra."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dragoman.agent.duplex.adapted import AdaptedBody
from dragoman.agent.duplex.body import Body


class DrafterNetwork(AdaptedBody):
    """The adapted body, which reads text, and writes: with a part of the body's tokens, and an end behind them."""

    def __init__(self, body: Body, kept: Sequence[int], *, rank: int = 16) -> None:
        """``kept``: tokens that are written with (``Vocabulary.kept``)."""
        own = {"end": nn.Parameter(torch.zeros(body.dims.width)), "end_bias": nn.Parameter(torch.zeros(1))}
        super().__init__(body, own, rank=rank)
        self.keep(kept)

    def keep(self, kept: Sequence[int]) -> None:
        """Write with these tokens."""
        output = self.stock.get("output", self.stock["tokens"])
        self.stock["drafts"] = output[torch.tensor(list(kept), device=output.device)]

    def forward(self, tokens: Tensor) -> Tensor:
        """Hidden states [B, n, d] of texts [B, n]."""
        return self.read_text(tokens)

    def drafts(self, hidden: Tensor) -> Tensor:
        """Logits over the drafts' table and, last, the end: [..., kept + 1]."""
        end = (hidden * self.own["end"]).sum(-1, keepdim=True) + self.own["end_bias"]
        return torch.cat([F.linear(hidden, self.stock["drafts"].to(hidden.dtype)), end.to(hidden.dtype)], -1)
