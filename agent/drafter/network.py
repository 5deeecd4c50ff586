"""The drafter in PyTorch. Needs the ``train`` extra."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dragoman.agent.duplex.adapted import AdaptedBody


class DrafterNetwork(AdaptedBody):
    """The adapted body, which reads text and writes."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Hidden states [B, n, d] of texts [B, n]."""
        n = tokens.shape[1]
        positions = torch.arange(n, device=tokens.device)[None].expand_as(tokens)
        seen = torch.ones(1, n, n, dtype=torch.bool, device=tokens.device).tril()
        return self.read(F.embedding(tokens, self.stock["tokens"]), positions, seen)[0]
