"""The endpointer in PyTorch: as it is trained. Needs the ``train`` extra."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dragoman.agent.duplex.endpointer import EPSILON, RECENT, STRIDE, TAPS, Array
from dragoman.agent.duplex.prosody import PROSODY


class EndpointerNetwork(nn.Module):
    """Projection, convolution, gated recurrent unit and a judge of both, over whole stretches of frames."""

    def __init__(self, ear_width: int, width: int, words: int = 0, dropout: float = 0.0) -> None:
        """``width``: of a state; ``words``: how many it learns to name; ``dropout``: of what is heard and of what is
        judged, while it is trained.
        """
        super().__init__()
        self.project = nn.Linear(ear_width, width)
        self.tone = nn.Linear(STRIDE * PROSODY, width, bias=False)
        self.sounding = nn.Parameter(torch.zeros(width))
        self.mix = nn.Conv1d(width, width, TAPS, stride=STRIDE)
        self.gates = nn.GRU(width, width, batch_first=True)
        self.judge = nn.Linear(2 * width, width)
        self.over = nn.Linear(width, 1)
        self.naming = nn.Linear(2 * width, words + 1)
        self.dropout = dropout

    def forward(self, features: Tensor, prosody: Tensor, sounding: Tensor) -> Tensor:
        """Logits [B, t] that the turn is over, of features [B, t, 8, d], prosody [B, t, 8, PROSODY] and ``sounding``
        [B, t].
        """
        return self.judged(self.states(features, prosody, sounding))

    def judged(self, states: Tensor) -> Tensor:
        """Logits [B, t] that the turn is over, of ``states``."""
        logits: Tensor = self.over(F.gelu(self.judge(states), approximate="tanh"))[..., 0]
        return logits

    def named(self, states: Tensor) -> Tensor:
        """Logits [B, t, words + 1] of the word that was said last, of ``states``: in training alone."""
        logits: Tensor = self.naming(states)
        return logits

    def states(self, features: Tensor, prosody: Tensor, sounding: Tensor) -> Tensor:
        """What is judged [B, t, 2 width]."""
        batch, frames, block, ear = features.shape
        heard = features.reshape(batch, frames * block // STRIDE, STRIDE, ear).mean(2)
        heard = self._dropped(F.layer_norm(heard, (ear,), eps=EPSILON))
        voice = sounding.to(heard.dtype).repeat_interleave(block // STRIDE, 1)[..., None] * self.sounding
        tone = self.tone(self._dropped(prosody.reshape(batch, heard.shape[1], -1)))
        x = F.gelu(self.project(heard) + tone + voice, approximate="tanh").transpose(1, 2)
        steps = F.gelu(self.mix(F.pad(x, (TAPS - STRIDE, 0))), approximate="tanh")
        recent = F.avg_pool1d(F.pad(steps, (RECENT - 1, 0)), RECENT, 1).transpose(1, 2)
        states, _ = self.gates(steps.transpose(1, 2))
        every = block // STRIDE**2
        return self._dropped(torch.cat([states, recent], -1)[:, every - 1 :: every])

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)

    def weights(self) -> dict[str, Array]:
        """As ``endpointer.EndpointStream`` reads them: those of one member."""
        state = self.state_dict()
        named = {name: state[own] for name, own in _NAMES.items()}
        named |= {"over": state["over.weight"][0], "over_bias": state["over.bias"][0]}
        return {name: np.asarray(value.float().cpu().numpy()[None]).copy() for name, value in named.items()}


_NAMES: Final = {
    "in": "project.weight",
    "in_bias": "project.bias",
    "tone": "tone.weight",
    "sounding": "sounding",
    "mix": "mix.weight",
    "mix_bias": "mix.bias",
    "gates_x": "gates.weight_ih_l0",
    "gates_x_bias": "gates.bias_ih_l0",
    "gates_h": "gates.weight_hh_l0",
    "gates_h_bias": "gates.bias_hh_l0",
    "judge": "judge.weight",
    "judge_bias": "judge.bias",
}
