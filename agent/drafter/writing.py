"""Writing: a draft token by token behind what was read, with the doubts about each token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

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
        """``reader``: of a body with the output ``middle``; ``embedded``: the input [d] that a token is."""
        self._reader, self._drafts, self._embedded = reader, drafts, embedded
        self.vocabulary = vocabulary

    def extend(self, forks: Sequence[Fork]) -> None:
        """One more token for each fork that is open."""
        forks = [fork for fork in forks if fork.open]
        for fork, state, row in zip(forks, *self._next(forks), strict=True):
            second, best = np.argpartition(row, -2)[-2:]
            self._take(fork, int(best), int(second), state, row)

    def branches(self, fork: Fork, count: int) -> list[Fork]:
        """``count`` other ways to begin than the likeliest, the likelier first; ``fork`` has written nothing yet."""
        [state], [row] = self._next([fork])
        best, *others = np.argsort(-row)[: count + 1]
        found = []
        for other in others:
            branch = Fork(fork.past.copy(), fork.last, fork.most)
            self._take(branch, int(other), int(best), state, row)
            found += [branch] if branch.tokens else []
        return found

    def _next(self, forks: Sequence[Fork]) -> tuple[Array, Array]:
        """States [n, d] behind what each fork has, and log-probabilities [n, rows] of what comes then."""
        if not forks:
            return np.zeros((0, self._reader.dims.width), np.float32), np.zeros((0, 0), np.float32)
        x = np.stack([self._embedded(fork.last) for fork in forks])
        states, rows = self._read(forks, x[:, None])
        return states[:, 0], rows[:, 0]

    def _read(self, forks: Sequence[Fork], x: Array) -> tuple[Array, Array]:
        """States [B, n, d] at inputs [B, n, d], and log-probabilities [B, n, rows] of what comes behind each."""
        hidden, middle = self._reader.read([fork.past for fork in forks], x)
        [logits] = self._drafts.run(["logits"], {"hidden": hidden.reshape(-1, hidden.shape[-1])})
        logp = logits - logits.max(-1, keepdims=True)
        logp -= np.log(np.exp(logp).sum(-1, keepdims=True))
        return middle, logp.reshape(*hidden.shape[:2], -1)

    def _take(self, fork: Fork, row: int, rival: int, state: Array, logp: Array) -> None:
        token = self.vocabulary.token(row)
        fork.last, fork.ended = token, token == self.vocabulary.control(Control.EOS)
        if not fork.ended:
            entropy = -(np.exp(logp) * logp).sum()
            fork.tokens.append(token)
            fork.rows.append((state, float(entropy), float(logp[row]), float(logp[row] - logp[rival])))

    def retold(self, fork: Fork, tokens: Sequence[int], *, complete: bool) -> Draft:
        """A draft that is given, as if it had been written here; ``fork`` has written nothing yet."""
        x = np.stack([self._embedded(token) for token in (fork.last, *tokens[:-1])])
        states, rows = self._read([fork], x[None])
        for token, state, row in zip(tokens, states[0], rows[0], strict=True):
            place = self.vocabulary.rows[token]
            second, best = np.argpartition(row, -2)[-2:]
            self._take(fork, place, int(second if best == place else best), state, row)
        fork.ended = True  # its last word is whole
        return replace(self.drafted(fork, len(tokens)), complete=complete)

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
