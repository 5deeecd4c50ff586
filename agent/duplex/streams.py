"""The module as it streams, for rehearsals during training. Needs the ``train`` extra.

As long as a window: what is kept grows with each frame. Endless streams are the run time's matter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from dragoman.agent.duplex.adapted import Past
from dragoman.agent.duplex.history import Numbers
from dragoman.agent.duplex.network import DuplexNetwork


class NetworkStreams:
    """Streams of one module that step together, each behind a context of its own."""

    def __init__(self, network: DuplexNetwork, contexts: Sequence[Sequence[int]]) -> None:
        """``contexts``: tokens, at least one each."""
        self._network = network
        self._device = network.own["in"].device
        longest = max(map(len, contexts))
        tokens = np.zeros((len(contexts), longest), np.int64)
        valid = np.zeros(tokens.shape, np.bool_)
        for row, mark, context in zip(tokens, valid, contexts, strict=True):
            row[longest - len(context) :], mark[longest - len(context) :] = context, True
        self._valid = torch.from_numpy(valid).to(self._device)
        self._next = self._valid.sum(1)
        positions = (torch.cumsum(self._valid, 1) - 1).clamp(min=0)
        seen = torch.ones(longest, longest, dtype=torch.bool, device=self._device).tril() & self._valid[:, None]
        seen = seen | torch.eye(longest, dtype=torch.bool, device=self._device)
        self._past: Past
        with torch.no_grad():
            x = network.embed(torch.from_numpy(tokens).to(self._device))
            _, self._past = network.read(x, positions, seen)

    @torch.no_grad()
    def step(
        self, features: npt.NDArray[np.floating], previous: Numbers, sounding: npt.NDArray[np.bool_], words: Numbers
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Features [B, 8, d], previous tokens [B], sounding [B], words [B, WORDS] to probabilities [B, 4] of the
        controls of a frame, and [B] that a turn ends soon.
        """

        def given(array: npt.NDArray[np.generic]) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(array[:, None])).to(self._device)

        heard = self._network.heard(given(features.astype(np.float32)), given(sounding), given(words))
        x = self._network.embed(given(previous)) + heard
        self._valid = torch.cat([self._valid, torch.ones_like(self._valid[:, :1])], 1)
        hidden, self._past = self._network.read(x, self._next[:, None], self._valid[:, None], self._past)
        self._next = self._next + 1
        logits, ends = self._network.frames(hidden[:, 0])
        return logits.float().softmax(-1).cpu().numpy(), ends.float().sigmoid().cpu().numpy()
