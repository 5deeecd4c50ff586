"""Whisper in PyTorch with a block mask: one module that trains and streams. Needs the ``train`` extra.

Mask: time is cut into blocks of some frames (20 ms each). A frame sees every frame before it, its own block, and
``ahead`` blocks after its own, in every layer, as far as they have arrived. With ``ahead`` 0 an output never changes:
those features are published. With ``ahead`` 1 an output of the last layer is settled once as many blocks as there are
layers have come after it; until then it is provisional, and the decoder alone sees it.

A frame whose inputs are all settled is never computed again: its keys and values are kept. Whatever the steps are cut
into, the outputs are those of one pass over what has arrived.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dragoman.asr.causal.weights import Weights


@dataclass(frozen=True, slots=True)
class EncoderState:
    """What is kept of the sound before: per layer keys and values [B, settled, 2, d], and settled inputs whose
    outputs are not settled yet [B, tail, d].
    """

    kv: tuple[Tensor, ...]
    tails: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class FrontState:
    """The last mel frame [B, 1, mels] and the last output of the first convolution [B, d, 1]; zeros at the start."""

    mel: Tensor
    conv: Tensor


class CausalWhisper(nn.Module):
    """The stock weights, frozen, and low-rank changes to them that are trained."""

    def __init__(self, weights: Weights, *, rank: int = 0, decoder_rank: int | None = None) -> None:
        super().__init__()
        self.dims = weights.dims
        self.stock = {name: torch.from_numpy(array.copy()) for name, array in weights.arrays.items()}
        self.adapted = True
        self.lora = nn.ParameterDict()
        for name in lora_names(weights):
            used = rank if name.startswith("encoder") or decoder_rank is None else decoder_rank
            if used:
                out, inner = weights.arrays[name].shape
                key = name.replace(".", "/")
                self.lora[key + "/down"] = nn.Parameter(torch.randn(used, inner) / inner**0.5)
                self.lora[key + "/up"] = nn.Parameter(torch.zeros(out, used))
        self._merged: dict[str, Tensor] = {}

    @contextmanager
    def merged(self) -> Iterator[None]:
        """Within it, the changed weights are computed once. Leave it before the optimizer's step."""
        try:
            self._merged = {name: self.weight(name) for name in self.stock}
            yield
        finally:
            self._merged = {}

    def weight(self, name: str) -> Tensor:
        """A weight with its change, if the model is adapted."""
        if name in self._merged:
            return self._merged[name]
        weight, key = self.stock[name], name.replace(".", "/")
        if self.adapted and key + "/up" in self.lora:
            weight = weight + self.lora[key + "/up"] @ self.lora[key + "/down"]
        return weight

    # --- encoder -------------------------------------------------------------------------------------------------

    def front(self, mel: Tensor, start: int = 0, state: FrontState | None = None) -> tuple[Tensor, FrontState]:
        """The convolutions over ``mel`` [B, 2n + 1, mels], whose last frame is looked at only: [B, n, d].

        ``start`` is the position of the first output. After the first call, ``mel`` goes on with that last frame.
        """
        if state is None:
            state = FrontState(mel.new_zeros(len(mel), 1, mel.shape[2]), mel.new_zeros(len(mel), self.dims.width, 1))
        x = torch.cat([state.mel, mel], 1).transpose(1, 2)
        first = F.gelu(F.conv1d(x, self.weight("encoder.conv1.weight"), self.weight("encoder.conv1.bias")))
        joined = torch.cat([state.conv.to(first.dtype), first], 2)
        second = F.conv1d(joined, self.weight("encoder.conv2.weight"), self.weight("encoder.conv2.bias"), stride=2)
        out = F.gelu(second).transpose(1, 2)
        positions = self.weight("encoder.positions")[start : start + out.shape[1]]
        return out + positions, FrontState(mel[:, -2:-1], first[:, :, -1:])

    def empty(self, batch: int = 1) -> EncoderState:
        """The state before the first sound, on the network's device."""
        d, layers = self.dims.width, self.dims.encoder_layers
        own = self.stock["encoder.positions"]
        return EncoderState(
            tuple(own.new_zeros(batch, 0, 2, d) for _ in range(layers)),
            tuple(own.new_zeros(batch, 0, d) for _ in range(layers)),
        )

    def place(self, device: torch.device) -> Self:
        """Move it, the frozen weights too."""
        self.to(device)
        self.stock = {name: tensor.to(device) for name, tensor in self.stock.items()}
        return self

    def layers(
        self, x: Tensor, state: EncoderState, *, block: int, ahead: int | None, valid: Tensor | None = None
    ) -> tuple[Tensor, int, EncoderState]:
        """Encode the next frames ``x`` [B, n, d]; ``ahead`` None is the stock full mask.

        ``valid`` [B, n] marks frames that exist, for a first call over a padded batch. Gives the features of all
        frames that were not settled before, how many of them are settled now, and the new state.
        """
        arrived = state.kv[0].shape[1] + x.shape[1]
        settled = arrived
        kv_out, tails_out = [], []
        for layer in range(self.dims.encoder_layers):
            name = f"encoder.{layer}"
            normed = self._norm(x, f"{name}.attn_norm")
            new = torch.stack([self._linear(normed, f"{name}.attn.{kind}") for kind in "kv"], 2)
            kv = torch.cat([state.kv[layer].to(new.dtype), new], 1)
            queries = torch.cat([state.tails[layer].to(x.dtype), x], 1)
            first = arrived - queries.shape[1]
            mask = self._mask(first, arrived, block, ahead, valid, x.device)
            x = self._attend(queries, self._norm(queries, f"{name}.attn_norm"), kv, mask, f"{name}.attn")
            x = self._feed(x, name)
            kv_out.append(kv[:, :settled])
            done = settled if ahead is not None else 0
            settled = max(first, (done // block - (ahead or 0)) * block)
            tails_out.append(queries[:, settled - first : max(settled, done) - first])
        features = self._norm(x, "encoder.norm")
        return (
            features,
            settled - (arrived - features.shape[1]),
            EncoderState(tuple(kv_out), tuple(tails_out)),
        )

    def encode(self, mel: Tensor, *, block: int, ahead: int | None, valid: Tensor | None = None) -> Tensor:
        """All features of ``mel`` [B, 2n + 1, mels] at once: [B, n, d]."""
        x, _ = self.front(mel)
        return self.layers(x, self.empty(len(mel)), block=block, ahead=ahead, valid=valid)[0]

    def _mask(
        self,
        first: int,
        arrived: int,
        block: int,
        ahead: int | None,
        valid: Tensor | None,
        device: torch.device,
    ) -> Tensor:
        keys = torch.arange(arrived, device=device)
        if ahead is None:
            seen = torch.ones(arrived - first, arrived, dtype=torch.bool, device=device)
        else:
            seen = keys[None] // block <= keys[first:, None] // block + ahead
        seen = seen[None, None]
        if valid is not None:
            # A frame that doesn't exist sees itself, so that no row is empty.
            seen = seen & valid[:, None, None, :] | torch.eye(arrived, dtype=torch.bool, device=device)[first:]
        return seen

    # --- decoder -------------------------------------------------------------------------------------------------

    def cross(self, features: Tensor) -> tuple[Tensor, ...]:
        """Keys and values of the features for each decoder layer, [B, n, 2, d]."""
        return tuple(
            torch.stack(
                [
                    self._linear(features, f"decoder.{i}.cross.k"),
                    self._linear(features, f"decoder.{i}.cross.v"),
                ],
                2,
            )
            for i in range(self.dims.decoder_layers)
        )

    def decode(
        self,
        tokens: Tensor,
        cross: tuple[Tensor, ...],
        past: tuple[Tensor, ...] | None = None,
        valid: Tensor | None = None,
        rows: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Logits [B, n, vocabulary] after each of ``tokens`` [B, n], and the decoder's keys and values.

        They follow ``past``, keys and values [B, m, 2, d] per layer. ``valid`` [B, frames] marks the features that
        exist; with ``rows`` [B, n], only the logits where it is true are computed: [count, vocabulary].
        """
        start = past[0].shape[1] if past else 0
        count = tokens.shape[1]
        x = F.embedding(tokens, self.weight("decoder.tokens"))
        x = x + self.weight("decoder.positions")[start : start + count]
        line = torch.arange(start + count, device=tokens.device)
        causal = (line[None] <= line[start:, None])[None, None]
        heard = valid[:, None, None, :] if valid is not None else None
        kept = []
        for layer in range(self.dims.decoder_layers):
            name = f"decoder.{layer}"
            normed = self._norm(x, f"{name}.attn_norm")
            kv = torch.stack([self._linear(normed, f"{name}.attn.k"), self._linear(normed, f"{name}.attn.v")], 2)
            if past:
                kv = torch.cat([past[layer], kv], 1)
            kept.append(kv)
            x = self._attend(x, normed, kv, causal, f"{name}.attn")
            x = self._attend(x, self._norm(x, f"{name}.cross_norm"), cross[layer], heard, f"{name}.cross")
            x = self._feed(x, name)
        x = self._norm(x if rows is None else x[rows], "decoder.norm")
        return F.linear(x, self.weight("decoder.tokens").to(x.dtype)), tuple(kept)

    # --- pieces --------------------------------------------------------------------------------------------------

    def _attend(self, x: Tensor, normed: Tensor, kv: Tensor, mask: Tensor | None, name: str) -> Tensor:
        heads = self.dims.heads
        q, k, v = (
            t.reshape(*t.shape[:2], heads, -1).transpose(1, 2)
            for t in (self._linear(normed, f"{name}.q"), kv[:, :, 0], kv[:, :, 1])
        )
        out = F.scaled_dot_product_attention(q, k.to(q.dtype), v.to(q.dtype), attn_mask=mask)
        return x + self._linear(out.transpose(1, 2).flatten(2), f"{name}.out")

    def _feed(self, x: Tensor, name: str) -> Tensor:
        inner = F.gelu(self._linear(self._norm(x, f"{name}.ffn_norm"), f"{name}.fc1"))
        return x + self._linear(inner, f"{name}.fc2")

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (x.shape[-1],), self.weight(f"{name}.weight"), self.weight(f"{name}.bias"))

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias"))


def lora_names(weights: Weights) -> list[str]:
    """The weights that low-rank changes are trained for: every linear of every layer."""
    return [
        name
        for name, array in weights.arrays.items()
        if array.ndim == 2 and name.split(".")[1].isdigit() and name.endswith(".weight")
    ]


def precision(device: torch.device) -> torch.autocast:
    """Half precision where the hardware computes in it; elsewhere it would be imitated, ten times slower."""
    known: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.10
    fast = device.type != "cpu" or bool(known.get("avx512_bf16"))
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


def batch_mel(mels: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]) -> Tensor:
    """Spectra of several lengths as one batch, padded with their floor."""
    longest = max(map(len, mels))
    out = np.full((len(mels), longest, mels[0].shape[1]), -1.0, np.float32)
    for row, mel in zip(out, mels, strict=True):
        row[: len(mel)] = mel
    return torch.from_numpy(out)
