"""Writing: a draft token by token behind what was read, with the doubts about each token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnxruntime as ort

from dragoman.agent.drafter.drafts import Array, Draft
from dragoman.agent.drafter.habits import Habits
from dragoman.agent.duplex.frames import Control
from dragoman.agent.duplex.past import Past, Reader
from dragoman.agent.duplex.vocabulary import Vocabulary


@dataclass(slots=True)
class Fork:
    """A draft under way, on a past of its own."""

    past: Past
    unread: list[int]
    """The tokens that are read next: those that ask for a draft, then the last one that it has."""
    most: int
    """Tokens that it may have."""
    likely: Sequence[int] = ()
    """A draft that it may be like."""
    tokens: list[int] = field(default_factory=list)
    rows: list[tuple[Array, float, float, float]] = field(default_factory=list)
    ended: bool = False

    @property
    def open(self) -> bool:
        """Whether more words may come."""
        room = self.past.length + len(self.unread) <= self.past.room
        return not self.ended and room and len(self.tokens) < self.most


class Writer:
    """Writes behind what a body has read."""

    def __init__(
        self,
        reader: Reader,
        drafts: ort.InferenceSession,
        vocabulary: Vocabulary,
        embedded: Callable[[int], Array],
        habits: Habits | None = None,
    ) -> None:
        """``reader``: of a body with the output ``middle``; ``embedded``: the input [d] that a token is; ``habits``:
        what is mostly written.
        """
        self._reader, self._drafts, self._embedded = reader, drafts, embedded
        self.vocabulary, self.habits = vocabulary, habits

    def extend(self, forks: Sequence[Fork]) -> None:
        """One more token for each fork that is open."""
        forks = [fork for fork in forks if fork.open]
        for fork, state, row in zip(forks, *self._next(forks), strict=True):
            self._write(fork, state, row)

    def rush(self, fork: Fork, words: int) -> None:
        """As many tokens as were guessed rightly, and one more; no more than that for so many words."""
        begun, last = fork.past.length + len(fork.unread), len(fork.unread) - 1
        most = min(fork.past.room - begun, fork.most - len(fork.tokens) - 1)
        guessed = self.habits.guess(fork.tokens, fork.likely, max(0, most)) if self.habits is not None else []
        states, rows = self._read([fork], self._inputs([*fork.unread, *guessed])[None])
        for read, (state, row) in enumerate(zip(states[0, last:], rows[0, last:], strict=True)):
            fork.past.length = begun + read  # what lies behind is written over
            self._write(fork, state, row)
            if guessed[read : read + 1] != fork.tokens[-1:] or fork.ended or self._begun(fork) > words:
                return

    def _write(self, fork: Fork, state: Array, row: Array) -> None:
        """The likeliest token behind a state."""
        second, best = np.argpartition(row, -2)[-2:]
        self._take(fork, int(best), int(second), state, row)

    def _inputs(self, tokens: Sequence[int]) -> Array:
        return np.stack([self._embedded(token) for token in tokens])

    def branches(self, fork: Fork, count: int) -> list[Fork]:
        """``count`` other ways to begin than the likeliest, the likelier first; ``fork`` has written nothing yet."""
        [state], [row] = self._next([fork])
        best, *others = np.argsort(-row)[: count + 1]
        found = []
        for other in others:
            branch = Fork(fork.past.copy(), [], fork.most)
            self._take(branch, int(other), int(best), state, row)
            found += [branch] if branch.tokens else []
        return found

    def _next(self, forks: Sequence[Fork]) -> tuple[Array, Array]:
        """States [n, d] behind what each fork has, and log-probabilities [n, rows] of what comes then."""
        if not forks:
            return np.zeros((0, self._reader.dims.width), np.float32), np.zeros((0, 0), np.float32)
        states, rows = self._read(forks, np.stack([self._inputs(fork.unread) for fork in forks]))
        return states[:, -1], rows[:, -1]

    def _read(self, forks: Sequence[Fork], x: Array) -> tuple[Array, Array]:
        """States [B, n, d] at inputs [B, n, d], and log-probabilities [B, n, rows] of what comes behind each."""
        hidden, middle, *_ = self._reader.read([fork.past for fork in forks], x)
        [logits] = self._drafts.run(["logits"], {"hidden": hidden.reshape(-1, hidden.shape[-1])})
        logp = logits - logits.max(-1, keepdims=True)
        logp -= np.log(np.exp(logp).sum(-1, keepdims=True))
        return middle, logp.reshape(*hidden.shape[:2], -1)

    def _take(self, fork: Fork, row: int, rival: int, state: Array, logp: Array) -> None:
        token = self.vocabulary.token(row)
        fork.unread, fork.ended = [token], token == self.vocabulary.control(Control.EOS)
        if not fork.ended:
            entropy = -(np.exp(logp) * logp).sum()
            fork.tokens.append(token)
            fork.rows.append((state, float(entropy), float(logp[row]), float(logp[row] - logp[rival])))

    def retold(self, fork: Fork, tokens: Sequence[int], *, complete: bool) -> Draft:
        """A draft that is given, as if it had been written here; ``fork`` has written nothing yet."""
        first = len(fork.unread) - 1
        states, rows = self._read([fork], self._inputs([*fork.unread, *tokens[:-1]])[None])
        for token, state, row in zip(tokens, states[0, first:], rows[0, first:], strict=True):
            place = self.vocabulary.rows[token]
            second, best = np.argpartition(row, -2)[-2:]
            self._take(fork, place, int(second if best == place else best), state, row)
        fork.ended = True  # its last word is whole
        return replace(self.drafted(fork, len(tokens)), complete=complete)

    def draft(self, forks: Sequence[Fork], words: int = 5) -> list[Draft]:
        """The first words of each fork, decoded together, or all that there are."""
        while waiting := [fork for fork in forks if fork.open and self._begun(fork) <= words]:
            if len(waiting) == 1:
                self.rush(waiting[0], words)
            else:
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
