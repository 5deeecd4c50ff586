"""The likeliest way in which frames write a text: what glancing shows to the decoder (Viterbi over CTC's states)."""

from __future__ import annotations

import torch
from torch import Tensor

_NEVER = -1e9


@torch.no_grad()
def alignment(logp: Tensor, frames: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
    """Which symbol of the target each frame writes [batch, frames], -1 for the blank, on the likeliest path.

    ``logp`` [batch, frames, symbols], symbol 0 being the blank; ``frames`` [batch] and ``lengths`` [batch] tell how
    many frames and target symbols ``targets`` [batch, n] count. Frames behind a sentence's end write blanks.
    """
    batch, longest, _ = logp.shape
    states = 2 * targets.shape[1] + 1
    symbols = targets.new_zeros(batch, states)
    symbols[:, 1::2] = targets
    scores = logp.gather(2, symbols[:, None].expand(-1, longest, -1))
    # From the symbol before the last one, but not over the blank between two that are the same.
    skips = torch.zeros(batch, states, dtype=torch.bool, device=logp.device)
    skips[:, 3::2] = targets[:, 1:] != targets[:, :-1]
    skips[:, 1] = False
    best = torch.full((batch, states), _NEVER, device=logp.device)
    best[:, 0] = scores[:, 0, 0]
    best[:, 1] = scores[:, 0, 1]
    steps = []
    for t in range(1, longest):
        one = torch.nn.functional.pad(best, (1, 0), value=_NEVER)[:, :-1]
        two = torch.nn.functional.pad(best, (2, 0), value=_NEVER)[:, :-2].masked_fill(~skips, _NEVER)
        found, step = torch.stack([best, one, two]).max(0)
        going = (t < frames)[:, None]
        best = torch.where(going, found + scores[:, t], best)
        steps.append(torch.where(going, step, torch.zeros_like(step)))
    ends = torch.stack([2 * lengths, (2 * lengths - 1).clamp_min(0)])
    state = ends.gather(0, best.gather(1, ends.T).argmax(1)[None])[0]
    path = [state]
    for step in reversed(steps):
        state = state - step.gather(1, state[:, None])[:, 0]
        path.append(state)
    found = torch.stack(path[::-1], dim=1)
    behind = torch.arange(longest, device=logp.device)[None] >= frames[:, None]
    return torch.where((found % 2 == 1) & ~behind, found // 2, -1)
