"""The verifier as a torch module, for training: the same numbers as ``model.Verifier``. Needs the ``train`` extra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dragoman.verifier.features import SCALARS, Array, Features
from dragoman.verifier.model import Dims


@dataclass(frozen=True, slots=True)
class Batch:
    """Drafts padded to one length: ``hidden`` [B, n, d], ``scalars`` [B, n, S], ``known`` [B, n] true for tokens."""

    hidden: Tensor
    scalars: Tensor
    known: Tensor


def make_batch(drafts: Sequence[Features], device: torch.device | None = None) -> Batch:
    """Pad drafts."""
    n = max(len(draft.scalars) for draft in drafts)
    hidden = np.zeros((len(drafts), n, drafts[0].hidden.shape[1]), np.float32)
    scalars, known = np.zeros((len(drafts), n, len(SCALARS)), np.float32), np.zeros((len(drafts), n), np.bool_)
    for i, draft in enumerate(drafts):
        count = len(draft.scalars)
        hidden[i, :count], scalars[i, :count], known[i, :count] = draft.hidden, draft.scalars, True
    return Batch(*(torch.from_numpy(array).to(device) for array in (hidden, scalars, known)))


class VerifierNetwork(nn.Module):
    """Parameters are named as ``Dims.shapes`` has them; ``middle`` and ``spread`` are fixed."""

    middle: Tensor
    spread: Tensor

    def __init__(self, dims: Dims, middle: Array, spread: Array, dropout: float = 0.3) -> None:
        super().__init__()
        self.dims = dims
        self.own = nn.ParameterDict()
        for name, shape in dims.shapes().items():
            self.own[name] = nn.Parameter(torch.zeros(shape))
            if len(shape) == 2:
                nn.init.kaiming_uniform_(self.own[name], a=5**0.5)
        for name in ("weigh", "say"):
            nn.init.normal_(self.own[name], std=self.own[name].shape[0] ** -0.5)
        self.register_buffer("middle", torch.from_numpy(np.asarray(middle, np.float32)))
        self.register_buffer("spread", torch.from_numpy(np.asarray(spread, np.float32)))
        self._drop = nn.Dropout(dropout)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        w, known = self.own, batch.known[..., None]
        scalars = (batch.scalars - self.middle) / self.spread
        gate = torch.sigmoid(F.linear(scalars, w["gate"], w["gate_bias"]))
        states = F.relu(F.linear(self._drop(batch.hidden), w["states"], w["states_bias"])) * gate
        weight = torch.tanh(F.linear(states, w["look"], w["look_bias"])) @ w["weigh"]
        weight = weight.masked_fill(~batch.known, -torch.inf).softmax(-1)
        pooled = (weight[..., None] * states).sum(1)
        mean = (scalars * known).sum(1) / known.sum(1)
        least = scalars.masked_fill(~known, torch.inf).amin(1)
        judged = F.relu(F.linear(self._drop(torch.cat([pooled, mean, least], -1)), w["judge"], w["judge_bias"]))
        logits: Tensor = judged @ w["say"] + w["say_bias"]
        return logits

    def arrays(self) -> dict[str, Array]:
        """All numbers, as a ``Checkpoint`` has them."""
        named = {**self.own, "middle": self.middle, "spread": self.spread}
        return {name: value.detach().float().cpu().numpy().copy() for name, value in named.items()}
