"""Sentences of unlike length as one tensor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dragoman.translation.layers import END


def padded(sentences: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids [batch, n] and where there are any [batch, n]."""
    longest = max(map(len, sentences))
    ids = torch.full((len(sentences), longest), END, dtype=torch.int64)
    for row, sentence in zip(ids, sentences, strict=True):
        row[: len(sentence)] = torch.tensor(list(sentence), dtype=torch.int64)
    lengths = torch.tensor([len(sentence) for sentence in sentences])
    return ids.to(device), (torch.arange(longest)[None] < lengths[:, None]).to(device)
