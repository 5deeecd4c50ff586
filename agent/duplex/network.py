"""The duplex model in PyTorch: as it is trained. Needs the ``train`` extra.

After RelayS2S (arXiv 2603.23346, section 3): the input of a frame is the sum of the ear's features through an adapter,
the embedding of the model's previous token, whether its voice is sounding, and the words that were newly recognized. A
small language model, frozen but for low-rank changes, reads it. Frames are decided over the control tokens alone: the
words of its replies are given to it, not guessed: they are the drafter's and the slow path's.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dragoman.agent.duplex.adapted import AdaptedBody
from dragoman.agent.duplex.body import Body
from dragoman.agent.duplex.frames import Control
from dragoman.agent.duplex.policy import FRAME_CONTROLS
from dragoman.agent.duplex.windows import Batch
from dragoman.asr.causal.features import BLOCK

HIDDEN: Final = 1024
"""Width inside the adapter."""


class DuplexNetwork(AdaptedBody):
    """The adapted body with the adapter of the ear, tables and heads as its own."""

    def __init__(self, body: Body, ear_width: int, *, rank: int = 16, dropout: float = 0.0) -> None:
        """``ear_width``: of a feature; ``dropout``: in the ear's adapter, while it is trained."""
        width = body.dims.width
        scale = float(np.sqrt((body.arrays["tokens"] ** 2).mean()))
        own = {
            "in": nn.Parameter(torch.randn(HIDDEN, BLOCK * ear_width) / (BLOCK * ear_width) ** 0.5),
            "in_bias": nn.Parameter(torch.zeros(HIDDEN)),
            "out": nn.Parameter(torch.randn(width, HIDDEN) * scale / HIDDEN**0.5),
            "out_bias": nn.Parameter(torch.zeros(width)),
            "controls": nn.Parameter(torch.randn(len(Control), width) * scale),
            "sounding": nn.Parameter(torch.zeros(width)),
            "words": nn.Parameter(torch.full((width,), 0.3)),
            "frames": nn.Parameter(torch.zeros(len(FRAME_CONTROLS) + 1, width)),
            "frames_bias": nn.Parameter(torch.tensor([2.0, -2.0, -2.0, -2.0, -2.0])),
        }
        super().__init__(body, own, rank=rank)
        self.ear_width, self.dropout = ear_width, dropout
        self.naming = nn.Parameter(torch.eye(width))

    # --- inputs --------------------------------------------------------------------------------------------------

    def embed(self, tokens: Tensor) -> Tensor:
        """Tokens of the body's vocabulary, and controls behind it: [..., d]."""
        text = F.embedding(tokens.clamp(max=self.dims.vocabulary - 1), self.stock["tokens"])
        controls = F.embedding((tokens - self.dims.vocabulary).clamp(min=0), self.own["controls"])
        return torch.where((tokens < self.dims.vocabulary)[..., None], text, controls)

    def heard(self, features: Tensor, sounding: Tensor, words: Tensor) -> Tensor:
        """What is added to the previous token's embedding at frames: features [B, t, 8, ear], sounding [B, t] and
        words [B, t, WORDS] to [B, t, d].
        """
        normed = F.layer_norm(features, (self.ear_width,)).flatten(2)
        normed = F.dropout(normed, self.dropout, self.training)
        inner = F.gelu(F.linear(normed, self.own["in"], self.own["in_bias"]))
        inner = F.dropout(inner, self.dropout, self.training)
        speech = F.linear(inner, self.own["out"], self.own["out_bias"])
        known = (words >= 0)[..., None].to(speech.dtype)
        text = (F.embedding(words.clamp(min=0), self.stock["tokens"]) * known).sum(2) / known.sum(2).clamp(min=1)
        return speech + sounding[..., None].to(speech.dtype) * self.own["sounding"] + text * self.own["words"]

    def frames(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Logits over ``FRAME_CONTROLS`` [..., 4], and the logit that a turn ends soon [...]."""
        logits = F.linear(hidden, self.own["frames"], self.own["frames_bias"])
        return logits[..., :-1], logits[..., -1]

    def named(self, hidden: Tensor) -> Tensor:
        """Logits over the body's vocabulary of the words that the user has just said [..., vocabulary].

        For training alone: who can name what was said knows better whether it was all.
        """
        return F.linear(F.linear(hidden, self.naming), self.stock["tokens"])

    def forward(self, batch: Batch) -> Tensor:
        """Hidden states [B, n, d] of a batch, in one pass."""
        device = self.own["in"].device

        def given(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Tensor:
            return torch.from_numpy(array).to(device)

        x = self.embed(given(batch.tokens))
        heard = self.heard(given(batch.features), given(batch.sounding), given(batch.words))
        x = torch.cat([x[:, : batch.first], x[:, batch.first :] + heard], 1)
        return self.read(x, given(batch.positions), given(batch.seen))
