"""The duplex model in PyTorch: one module that trains and streams. Needs the ``train`` extra.

After RelayS2S (arXiv 2603.23346, section 3): the input of a frame is the sum of the ear's features through an adapter,
the embedding of the model's previous token, whether its voice is sounding, and the words that were newly recognized. A
small language model, frozen but for low-rank changes, reads it. Frames are decided over the control tokens alone: the
words of the main stream are given to it, not guessed. Forks are drafts: they have no features, and each guesses a word
of the drafts' table or the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dragoman.agent.duplex.body import LINEARS, Body
from dragoman.agent.duplex.frames import Control
from dragoman.agent.duplex.policy import FRAME_CONTROLS
from dragoman.agent.duplex.windows import Batch
from dragoman.asr.causal.features import BLOCK

HIDDEN: Final = 1024
"""Width inside the adapter."""

Past = tuple[tuple[Tensor, Tensor], ...]
"""Keys (rotated) and values of each layer, [B, kv_heads, s, head]."""


class DuplexNetwork(nn.Module):
    """The body's weights, frozen, and what is trained: ``own`` (adapter, tables, heads) and ``lora``."""

    def __init__(self, body: Body, ear_width: int, kept: Sequence[int], *, rank: int = 16) -> None:
        """``ear_width``: of a feature; ``kept``: tokens that drafts are written with (``Vocabulary.kept``)."""
        super().__init__()
        dims = self.dims = body.dims
        self.ear_width = ear_width
        # Never written to, but torch warns of memory that can't be.
        arrays = {name: np.require(array, requirements=["C", "W"]) for name, array in body.arrays.items()}
        self.stock = {name: torch.from_numpy(array) for name, array in arrays.items()}
        output = body.arrays.get("output", body.arrays["tokens"])
        self.stock["drafts"] = torch.from_numpy(output[np.asarray(kept, np.int64)])
        scale = float(np.sqrt((body.arrays["tokens"] ** 2).mean()))
        self.own = nn.ParameterDict(
            {
                "in": nn.Parameter(torch.randn(HIDDEN, BLOCK * ear_width) / (BLOCK * ear_width) ** 0.5),
                "in_bias": nn.Parameter(torch.zeros(HIDDEN)),
                "out": nn.Parameter(torch.randn(dims.width, HIDDEN) * scale / HIDDEN**0.5),
                "out_bias": nn.Parameter(torch.zeros(dims.width)),
                "controls": nn.Parameter(torch.randn(len(Control), dims.width) * scale),
                "sounding": nn.Parameter(torch.zeros(dims.width)),
                "words": nn.Parameter(torch.full((dims.width,), 0.3)),
                "frames": nn.Parameter(torch.zeros(len(FRAME_CONTROLS) + 1, dims.width)),
                "frames_bias": nn.Parameter(torch.tensor([2.0, -2.0, -2.0, -2.0, -2.0])),
                "end": nn.Parameter(torch.zeros(dims.width)),
                "end_bias": nn.Parameter(torch.zeros(1)),
            }
        )
        self.lora = nn.ParameterDict()
        for layer in range(dims.layers):
            for kind in LINEARS:
                out, inner = body.arrays[f"{layer}.{kind}"].shape
                key = f"{layer}/{kind.replace('.', '/')}"
                self.lora[f"{key}/down"] = nn.Parameter(torch.randn(rank, inner) / inner**0.5)
                self.lora[f"{key}/up"] = nn.Parameter(torch.zeros(out, rank))
        half = dims.head // 2
        self.frequencies = torch.tensor(dims.rope_base, dtype=torch.float64) ** (-torch.arange(half) / half)

    def place(self, device: torch.device) -> DuplexNetwork:
        """Move it, the frozen weights too."""
        self.to(device)
        self.stock = {name: tensor.to(device) for name, tensor in self.stock.items()}
        self.frequencies = self.frequencies.to(device)
        return self

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
        inner = F.gelu(F.linear(normed, self.own["in"], self.own["in_bias"]))
        speech = F.linear(inner, self.own["out"], self.own["out_bias"])
        known = (words >= 0)[..., None].to(speech.dtype)
        text = (F.embedding(words.clamp(min=0), self.stock["tokens"]) * known).sum(2) / known.sum(2).clamp(min=1)
        return speech + sounding[..., None].to(speech.dtype) * self.own["sounding"] + text * self.own["words"]

    # --- body ----------------------------------------------------------------------------------------------------

    def read(self, x: Tensor, positions: Tensor, seen: Tensor, past: Past | None = None) -> tuple[Tensor, Past]:
        """Hidden states [B, n, d] of inputs ``x`` [B, n, d] at ``positions`` [B, n], and all keys and values.

        ``seen`` [B, n, s + n]: what each sees of the ``past`` and of the inputs.
        """
        angles = positions[:, None, :, None].double() * self.frequencies
        cos, sin = angles.cos().float(), angles.sin().float()
        kept = []
        for layer in range(self.dims.layers):
            q, k, v = self._split(self._linear(self._norm(x, f"{layer}.attn.norm"), f"{layer}.attn.qkv"))
            q, k = rotated(q, cos, sin), rotated(k, cos, sin)
            if past is not None:
                k, v = torch.cat([past[layer][0], k], 2), torch.cat([past[layer][1], v], 2)
            kept.append((k, v))
            shared = self.dims.shared
            out = F.scaled_dot_product_attention(
                q,
                k.repeat_interleave(shared, 1).to(q.dtype),
                v.repeat_interleave(shared, 1).to(q.dtype),
                attn_mask=seen[:, None],
            )
            x = x + self._linear(out.transpose(1, 2).flatten(2), f"{layer}.attn.out")
            gate, up = self._linear(self._norm(x, f"{layer}.ffn.norm"), f"{layer}.ffn.in").chunk(2, -1)
            x = x + self._linear(F.silu(gate) * up, f"{layer}.ffn.out")
        return self._norm(x, "norm"), tuple(kept)

    def frames(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Logits over ``FRAME_CONTROLS`` [..., 4], and the logit that a turn ends soon [...]."""
        logits = F.linear(hidden, self.own["frames"], self.own["frames_bias"])
        return logits[..., :-1], logits[..., -1]

    def drafts(self, hidden: Tensor) -> Tensor:
        """Logits over the drafts' table and, last, the end: [..., kept + 1]."""
        end = (hidden * self.own["end"]).sum(-1, keepdim=True) + self.own["end_bias"]
        return torch.cat([F.linear(hidden, self.stock["drafts"].to(hidden.dtype)), end.to(hidden.dtype)], -1)

    def forward(self, batch: Batch) -> Tensor:
        """Hidden states [B, n, d] of a batch, its frames and its forks in one pass."""
        device = self.own["in"].device

        def given(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Tensor:
            return torch.from_numpy(array).to(device)

        x = self.embed(given(batch.tokens))
        heard = self.heard(given(batch.features), given(batch.sounding), given(batch.words))
        stop = batch.first + batch.frames.shape[1]
        x = torch.cat([x[:, : batch.first], x[:, batch.first : stop] + heard, x[:, stop:]], 1)
        return self.read(x, given(batch.positions), given(batch.seen))[0]

    def _split(self, joined: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        dims = self.dims
        heads = joined.reshape(*joined.shape[:2], -1, dims.head).transpose(1, 2)
        keys, values = dims.heads, dims.heads + dims.kv_heads
        return heads[:, :keys], heads[:, keys:values], heads[:, values:]

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return F.rms_norm(x, (self.dims.width,), self.stock[name], self.dims.epsilon)

    def _linear(self, x: Tensor, name: str) -> Tensor:
        key = name.replace(".", "/")
        low = F.linear(x, self.lora[f"{key}/down"])
        out = F.linear(x, self.stock[name], self.stock.get(f"{name}.bias"))
        # The change is applied beside the frozen weight: added to it, its gradient would cost a third as much again.
        return out + F.linear(low, self.lora[f"{key}/up"])


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions: the first half of each head turned with the second."""
    first, second = x.float().chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1).to(x.dtype)
