"""Writing: a draft token by token behind what was read, with the doubts about each token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnxruntime as ort

from dragoman.agent.drafter.drafts import Array, Draft
from dragoman.agent.duplex.frames import Control
from dragoman.agent.duplex.past import Past, Reader
from dragoman.agent.duplex.vocabulary import Vocabulary


@dataclass(slots=True)
class Fork:
    """A draft under way, on a past of its own."""

    past: Past
    last: int
    """The token that is read next."""
    most: int
    """Tokens that it may have."""
    tokens: list[int] = field(default_factory=list)
    rows: list[tuple[Array, float, float, float]] = field(default_factory=list)
    ended: bool = False

    @property
    def open(self) -> bool:
        """Whether more words may come."""
        return not self.ended and self.past.length < self.past.room and len(self.tokens) < self.most


class Writer:
    """Writes behind what a body has read."""

    def __init__(
        self,
        reader: Reader,
        drafts: ort.InferenceSession,
        vocabulary: Vocabulary,
        embedded: Callable[[int], Array],
    ) -> None:
        """``embedded``: the input [d] that a token is."""
        self._reader, self._drafts, self._embedded = reader, drafts, embedded
        self.vocabulary = vocabulary

    def extend(self, forks: Sequence[Fork]) -> None:
        """One more token for each fork that is open."""
        forks = [fork for fork in forks if fork.open]
        if not forks:
            return
        x = np.stack([self._embedded(fork.last) for fork in forks])
        hidden = self._reader.read([fork.past for fork in forks], x[:, None])[0]
        logits = self._drafts.run(["logits"], {"hidden": hidden[:, 0]})[0]
        logp = logits - logits.max(-1, keepdims=True)
        logp -= np.log(np.exp(logp).sum(-1, keepdims=True))
        entropy = -(np.exp(logp) * logp).sum(-1)
        for fork, state, row, spread in zip(forks, hidden[:, 0], logp, entropy, strict=True):
            second, best = np.argpartition(row, -2)[-2:]
            token = self.vocabulary.token(int(best))
            fork.last, fork.ended = token, token == self.vocabulary.control(Control.EOS)
            if not fork.ended:
                fork.tokens.append(token)
                fork.rows.append((state, float(spread), float(row[best]), float(row[best] - row[second])))

    def draft(self, forks: Sequence[Fork], words: int = 5) -> list[Draft]:
        """The first words of each fork, decoded together, or all that there are."""
        while waiting := [fork for fork in forks if fork.open and self._begun(fork) <= words]:
            self.extend(waiting)
        return [self.drafted(fork, words) for fork in forks]

    def drafted(self, fork: Fork, words: int = 5) -> Draft:
        """What a fork has so far: whole words, so many at most."""
        starts = [i for i, token in enumerate(fork.tokens) if i == 0 or self.vocabulary.begins_word(token)]
        known = len(fork.tokens) if fork.ended or not starts else starts[-1]
        count = min(starts[words], known) if len(starts) > words else known
        hidden, *scalars = zip(*fork.rows[:count], strict=True) if count else ((), (), (), ())
        return Draft(
            self.vocabulary.text(fork.tokens[:count]),
            tuple(fork.tokens[:count]),
            fork.ended and count == len(fork.tokens),
            np.asarray(hidden, np.float32).reshape(count, self._reader.dims.width),
            *(np.asarray(values, np.float32) for values in scalars),
        )

    def _begun(self, fork: Fork) -> int:
        return sum(i == 0 or self.vocabulary.begins_word(token) for i, token in enumerate(fork.tokens))
