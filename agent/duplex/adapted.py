"""A small language model in PyTorch, frozen but for low-rank changes: what all of the fast path's models are made of.

Needs the ``train`` extra.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dragoman.agent.duplex.body import LINEARS, Array, Body


class AdaptedBody(nn.Module):
    """The body's weights, frozen, and what is trained: ``own`` and ``lora``."""

    def __init__(self, body: Body, own: Mapping[str, nn.Parameter], *, rank: int = 16, first: int = 0) -> None:
        """``own``: parameters of a model on it. ``first``: the layers before this one stay as they are."""
        super().__init__()
        dims = self.dims = body.dims
        self.first = first
        # Never written to, but torch warns of memory that can't be.
        arrays = {name: np.require(array, requirements=["C", "W"]) for name, array in body.arrays.items()}
        self.stock = {name: torch.from_numpy(array) for name, array in arrays.items()}
        self.own = nn.ParameterDict(dict(own))
        self.lora = nn.ParameterDict()
        for layer in range(first, dims.layers):
            for kind in LINEARS:
                out, inner = body.arrays[f"{layer}.{kind}"].shape
                key = f"{layer}/{kind.replace('.', '/')}"
                self.lora[f"{key}/down"] = nn.Parameter(torch.randn(rank, inner) / inner**0.5)
                self.lora[f"{key}/up"] = nn.Parameter(torch.zeros(out, rank))
        half = dims.head // 2
        self.frequencies = torch.tensor(dims.rope_base, dtype=torch.float64) ** (-torch.arange(half) / half)

    def place(self, device: torch.device) -> Self:
        """Move it, the frozen weights too."""
        self.to(device)
        self.stock = {name: tensor.to(device) for name, tensor in self.stock.items()}
        self.frequencies = self.frequencies.to(device)
        return self

    def learned(self) -> tuple[dict[str, Array], dict[str, tuple[Array, Array]]]:
        """What was trained, as an ``Adapter`` keeps it: its own parameters, and the changes by the weights' names."""
        arrays = {name: value.detach().float().cpu().numpy() for name, value in self.state_dict().items()}
        lora = {name.removeprefix("lora."): array for name, array in arrays.items() if name.startswith("lora.")}
        own = {name.removeprefix("own."): array for name, array in arrays.items() if name.startswith("own.")}
        changes = {
            name.removesuffix("/up").replace("/", "."): (up, lora[name.removesuffix("up") + "down"])
            for name, up in lora.items()
            if name.endswith("/up")
        }
        return own, changes

    def read(self, x: Tensor, positions: Tensor, seen: Tensor) -> Tensor:
        """Hidden states [B, n, d] of inputs ``x`` [B, n, d] at ``positions`` [B, n]. ``seen`` [B, n, n]: what each sees
        of them.
        """
        angles = positions[:, None, :, None].double() * self.frequencies
        place = angles.cos().float(), angles.sin().float(), ~seen[:, None]
        with torch.no_grad():
            x = self._through(range(self.first), x, *place)
        return self._norm(self._through(range(self.first, self.dims.layers), x, *place), "norm")

    def read_text(self, tokens: Tensor) -> Tensor:
        """Hidden states [B, n, d] of texts [B, n], each token seeing those before it."""
        n = tokens.shape[1]
        positions = torch.arange(n, device=tokens.device)[None].expand_as(tokens)
        seen = torch.ones(1, n, n, dtype=torch.bool, device=tokens.device).tril()
        return self.read(F.embedding(tokens, self.stock["tokens"]), positions, seen)

    def _through(self, layers: range, x: Tensor, cos: Tensor, sin: Tensor, unseen: Tensor) -> Tensor:
        for layer in layers:
            q, k, v = self._split(self._linear(self._norm(x, f"{layer}.attn.norm"), f"{layer}.attn.qkv"))
            q, k = rotated(q, cos, sin), rotated(k, cos, sin)
            shared = self.dims.shared
            # By hand: with a mask, the fused kernel takes several times as long on a CPU.
            scores = q @ k.repeat_interleave(shared, 1).transpose(2, 3) / self.dims.head**0.5
            weights = scores.masked_fill(unseen, -torch.inf).softmax(-1)
            out = weights.to(v.dtype) @ v.repeat_interleave(shared, 1)
            x = x + self._linear(out.transpose(1, 2).flatten(2), f"{layer}.attn.out")
            gate, up = self._linear(self._norm(x, f"{layer}.ffn.norm"), f"{layer}.ffn.in").chunk(2, -1)
            x = x + self._linear(F.silu(gate) * up, f"{layer}.ffn.out")
        return x

    def _split(self, joined: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        dims = self.dims
        heads = joined.reshape(*joined.shape[:2], -1, dims.head).transpose(1, 2)
        keys, values = dims.heads, dims.heads + dims.kv_heads
        return heads[:, :keys], heads[:, keys:values], heads[:, values:]

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return F.rms_norm(x, (self.dims.width,), self.stock[name], self.dims.epsilon)

    def _linear(self, x: Tensor, name: str) -> Tensor:
        key = name.replace(".", "/")
        out = F.linear(x, self.stock[name], self.stock.get(f"{name}.bias"))
        if f"{key}/down" not in self.lora:
            return out
        low = F.linear(x, self.lora[f"{key}/down"])
        # The change is applied beside the frozen weight: added to it, its gradient would cost a third as much again.
        return out + F.linear(low, self.lora[f"{key}/up"])


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions: the first half of each head turned with the second."""
    first, second = x.float().chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1).to(x.dtype)
