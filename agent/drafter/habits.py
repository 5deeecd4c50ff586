"""What a drafter usually says: guesses at its next tokens, of which it confirms several at a time.

To read one token takes as long as the way of all weights through memory, and some more cost next to nothing. So what
the first words of a reply mostly are ("Yeah, that sounds ...") is read before it was written, and of that is kept what
the drafter would have written itself: the draft is the same, and sooner there. Speculative decoding (Leviathan et al.,
arXiv 2211.17192) with a table of its own drafts in place of a small model, and with its last draft for the same turn.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from dragoman.audio.reading import expecting
from dragoman.audio.types import Json
from dragoman.models.arrays import load_arrays, save_arrays

MOST: Final = 12
"""Tokens that are guessed at a time."""

_START: Final = -1
_NONE: Final = -2
_LEAST: Final = 4
"""What was seen less often is no habit."""

_WORTH: Final = 0.15
"""A token is read on the chance that it is right if that is as likely as this: reading one more costs a tenth of
reading one by itself."""

_AGAIN: Final = 0.85
"""How likely the next token is that of the last draft, as long as all were."""

Context = tuple[int, int]
"""The last two tokens, or ``_NONE`` and the last one."""


@dataclass(frozen=True)
class Habits:
    """``after``: what comes most often behind two tokens or one, and how surely. ``drafter``: digest of the adapter
    whose habits these are; of another drafter's drafts few would be guessed.
    """

    after: Mapping[Context, tuple[int, float]]
    drafter: str
    card: Mapping[str, Json]

    def guess(self, said: Sequence[int], last: Sequence[int] = (), most: int = MOST) -> list[int]:
        """The tokens that may follow those that are ``said``; ``last``: a draft that may be like this one."""
        guessed = list[int]()
        sure, count = 1.0, len(said)
        again = list(last[count:]) if list(last[:count]) == list(said) else []
        before, newest = (_START, _START, *said)[-2:]
        while len(guessed) < most:
            if len(guessed) < len(again):
                token, share = again[len(guessed)], _AGAIN
            else:
                token, share = self.after.get((before, newest)) or self.after.get((_NONE, newest)) or (_NONE, 0.0)
            sure *= share
            if sure < _WORTH:
                break
            guessed.append(token)
            before, newest = newest, token
        return guessed


def learn(drafts: Sequence[Sequence[int]], drafter: str) -> Habits:
    """Those of drafts, given as their tokens."""
    seen: defaultdict[Context, Counter[int]] = defaultdict(Counter)
    for tokens in drafts:
        for (before, newest), token in zip(pairwise((_START, _START, *tokens)), tokens, strict=False):
            seen[before, newest][token] += 1
            seen[_NONE, newest][token] += 1
    after = dict[Context, tuple[int, float]]()
    for context, found in seen.items():
        token, count = found.most_common(1)[0]
        if found.total() >= _LEAST:
            after[context] = token, count / (found.total() + 1)
    return Habits(after, drafter, {"drafts": len(drafts), "contexts": len(after)})


def save_habits(path: Path, habits: Habits) -> None:
    """Write them; the file appears whole or not at all."""
    save_arrays(
        path,
        {"drafter": habits.drafter, "card": habits.card},
        {
            "contexts": np.array(list(habits.after), np.int32).reshape(-1, 2),
            "tokens": np.array([token for token, _ in habits.after.values()], np.int32),
            "shares": np.array([share for _, share in habits.after.values()], np.float16),
        },
        small=True,
    )


def load_habits(path: Path) -> Habits:
    """Read them. Raises ``DragomanError`` when there are none in the file."""
    with expecting("the habits of a drafter", path):
        header, arrays = load_arrays(path)
        contexts, tokens, shares = (arrays[name].tolist() for name in ("contexts", "tokens", "shares"))
        after = {(a, b): (token, share) for (a, b), token, share in zip(contexts, tokens, shares, strict=True)}
        return Habits(after, **header)
