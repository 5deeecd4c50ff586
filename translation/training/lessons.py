"""Batches of pairs as the networks learn from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import numpy as np
import torch
from torch import Tensor

from dragoman.translation.layers import END
from dragoman.translation.marian import Shortlist
from dragoman.translation.training.batches import padded
from dragoman.translation.training.pairs import Pair
from dragoman.translation.vocabulary import Vocabulary

_CONSIDERED: Final = 1500
_POOL: Final = 6000
"""Lessons that are sorted by length at a time."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A pair as tokens, without the ends."""

    source: tuple[int, ...]
    target: tuple[int, ...]

    def fits(self, upsampling: int) -> bool:
        """Whether frames are enough for its target: one for each token, and one between two that are the same."""
        same = sum(a == b for a, b in zip(self.target, self.target[1:], strict=False))
        return 0 < len(self.target) + same <= upsampling * (len(self.source) + 1)


@dataclass(frozen=True, slots=True)
class Batch:
    """``source`` [batch, n] with ends and its ``mask``; ``target`` [batch, m], as indexes into ``candidates``, and the
    ``lengths`` [batch] of its rows. The candidates' first is ``END``."""

    source: Tensor
    mask: Tensor
    target: Tensor
    lengths: Tensor
    candidates: Tensor


def lessons_of(pairs: Sequence[Pair], vocabulary: Vocabulary) -> list[Lesson]:
    """Pairs as tokens."""
    return [Lesson(tuple(vocabulary.tokens(p.source)), tuple(vocabulary.tokens(p.target))) for p in pairs]


def batch_of(
    lessons: Sequence[Lesson], shortlist: Shortlist, device: torch.device, some: np.random.Generator | None = None
) -> Batch:
    """Lessons as a batch; what may come is what the shortlist tells for its words (``some``: a part of that, drawn,
    which is learned from as well and costs less), and what does come.
    """
    source, mask = padded([[*lesson.source, END] for lesson in lessons], device)
    wanted = np.unique(np.concatenate([np.asarray(lesson.target, np.uint32) for lesson in lessons]))
    listed = shortlist.of({token for lesson in lessons for token in lesson.source})
    if some is not None and len(listed) > _CONSIDERED:
        listed = some.choice(listed, _CONSIDERED, replace=False)
    candidates = np.union1d(np.union1d(listed, wanted), [END]).astype(np.int64)
    target, there = padded([np.searchsorted(candidates, lesson.target).tolist() for lesson in lessons], device)
    return Batch(source, mask, target, there.sum(1), torch.from_numpy(candidates).to(device))


def drawn(lessons: Sequence[Lesson], tokens: int, rng: Random) -> Iterator[list[Lesson]]:
    """Batches of about so many source tokens, each of lessons of like length, without end."""
    while True:
        pool = sorted((rng.choice(lessons) for _ in range(_POOL)), key=lambda one: (len(one.source), len(one.target)))
        batches: list[list[Lesson]] = [[]]
        for lesson in pool:
            if batches[-1] and (len(batches[-1]) + 1) * (len(lesson.source) + 1) > tokens:
                batches.append([])
            batches[-1].append(lesson)
        rng.shuffle(batches)
        yield from batches
