"""What the verifier reads of a draft: for each token, how sure the drafter was, and the state that it guessed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

SCALARS: Final = ("entropy", "logp", "margin", "place", "last")
"""Numbers of each token beside its hidden state: of the guess, in nats; how far into the draft it stands, in eighths;
whether the reply ends with it."""

EIGHTH: Final = 8


class Drafted(Protocol):
    """The first words of a reply, as the fast path drafts them: of each token the ``hidden`` state [n, d] that it was
    guessed from, and of the guess ``entropy``, ``logp`` and ``margin`` to the second best [n], in nats.
    """

    @property
    def tokens(self) -> Sequence[int]:
        """The tokens, ``n`` of them."""

    @property
    def complete(self) -> bool:
        """Whether the reply has no more words."""

    @property
    def hidden(self) -> Array:
        """States."""

    @property
    def entropy(self) -> Array:
        """Of what could have come."""

    @property
    def logp(self) -> Array:
        """Of what came."""

    @property
    def margin(self) -> Array:
        """To what else would have come."""


@dataclass(frozen=True, slots=True)
class Features:
    """Of one draft: ``hidden`` [n, d] with mean 0 and variance 1 in each row, ``scalars`` [n, len(SCALARS)]."""

    hidden: Array = field(repr=False, compare=False)
    scalars: Array = field(repr=False, compare=False)


def features_of(draft: Drafted) -> Features:
    """The features of a draft. One without words is a ``ValueError``."""
    n = len(draft.tokens)
    if n == 0:
        raise ValueError("a draft without words has no features")
    place = np.arange(n, dtype=np.float32) / EIGHTH
    last = np.zeros(n, np.float32)
    last[-1] = draft.complete
    return Features(
        normed(draft.hidden), np.stack([draft.entropy, draft.logp, draft.margin, place, last], -1).astype(np.float32)
    )


def normed(hidden: Array) -> Array:
    """States [..., d] with mean 0 and variance 1 each: their size differs from word to word, and says little."""
    hidden = np.asarray(hidden, np.float32)
    hidden = hidden - hidden.mean(-1, keepdims=True)
    return np.asarray(hidden / np.sqrt((hidden**2).mean(-1, keepdims=True) + _EPSILON), np.float32)


_EPSILON: Final = 1e-5
