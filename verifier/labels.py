"""Labels of drafts without a listener: does a draft fit what was really said better than what else could have been?

The judge is a ranker that was trained on what people answered to each other (``ranker``): it knows nothing of the
drafter, so that the drafter's own sureness, which the verifier reads, is not what the label is made of. A draft is

- ``bad`` when it says a name, a number or a mood against what was said (``contradictions``), or does not fit;
- ``good`` when it fits its own dialogue better than the median of ``OTHERS`` matched ones by the ranker's margin;
- ``generic`` when it fits all of them alike, or has none but the words of openers (``openers``) and fits its own no
  worse than half of them: it may be spoken, but it is counted apart.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from dragoman.audio.types import DragomanError
from dragoman.verifier.contradictions import Contradiction, Dialogue, contradiction
from dragoman.verifier.features import Array
from dragoman.verifier.openers import tells_nothing

Verdict: TypeAlias = Literal["good", "generic", "bad"]
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)

Reason: TypeAlias = Literal["fits", "anything", "elsewhere", "judge"] | Contradiction

OTHERS: Final = 15
"""Dialogues that a draft is held against beside its own."""

_NEAREST: Final = 60
"""Of the dialogues that match best, so many are drawn from."""


_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True)
class Candidate:
    """A draft's text with the dialogue that it really answers. ``kind`` of turn (talk, a list ...): others of the same
    kind match. Those of its own ``conversation`` are never its others.
    """

    name: str
    text: str
    dialogue: tuple[tuple[str, str], ...]
    conversation: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """``advantage``: by how much the draft fits its own dialogue better than the median of the others; ``spread``: the
    standard deviation of how well it fits the others.
    """

    verdict: Verdict
    reason: Reason
    advantage: float
    spread: float


class Ranking(Protocol):
    """A judge of what answers what; the fit is the product of both sides."""

    @property
    def margin(self) -> float:
        """The advantage from which on a draft is good."""

    @property
    def generic(self) -> float:
        """The spread below which a draft fits everything alike."""

    def dialogues(self, dialogues: Sequence[Dialogue]) -> Array:
        """Vectors [n, k] of dialogues."""

    def replies(self, texts: Sequence[str]) -> Array:
        """Vectors [n, k] of beginnings of replies."""


def label(
    candidates: Sequence[Candidate], ranking: Ranking, told: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Label]:
    """The label of each candidate, by name; always the same. ``told`` is given how many of how many are done.

    Raises ``DragomanError`` when the candidates don't answer enough dialogues to be held against each other.
    """
    turns = _Turns(candidates)
    sides = ranking.dialogues(turns.dialogues)
    labels: dict[str, Label] = {}
    for first in range(0, len(candidates), _AT_ONCE):
        told(first, len(candidates))
        some = candidates[first : first + _AT_ONCE]
        for candidate, reply in zip(some, ranking.replies([one.text for one in some]), strict=True):
            fits = sides[turns.matched(candidate)] @ reply
            advantage = float(sides[turns.place(candidate)] @ reply - np.median(fits))
            labels[candidate.name] = _judged(candidate, advantage, float(fits.std()), ranking)
    told(len(candidates), len(candidates))
    return labels


def _judged(candidate: Candidate, advantage: float, spread: float, ranking: Ranking) -> Label:
    against = contradiction(candidate.text, candidate.dialogue)
    if against is not None:
        return Label("bad", against, advantage, spread)
    if advantage >= ranking.margin:
        return Label("good", "fits", advantage, spread)
    alike = spread < ranking.generic and advantage > -ranking.margin
    if alike or (advantage >= 0 and tells_nothing(candidate.text)):
        return Label("generic", "anything", advantage, spread)
    return Label("bad", "elsewhere", advantage, spread)


def counts(labels: Mapping[str, Label]) -> dict[str, int]:
    """How many there are of each verdict, and of the bad ones by reason."""
    found: Counter[str] = Counter(dict.fromkeys(VERDICTS, 0))
    for one in labels.values():
        found[one.verdict] += 1
        if one.verdict == "bad":
            found[f"bad: {one.reason}"] += 1
    return dict(found)


class _Turns:
    """The dialogues that candidates answer, each once, and which of them match."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        firsts = {(one.conversation, one.dialogue): one for one in reversed(candidates)}
        self._places = {key: i for i, key in enumerate(firsts)}
        self.dialogues: list[Dialogue] = [one.dialogue for one in firsts.values()]
        lasts = [one.dialogue[-1][1].rstrip() if one.dialogue else "" for one in firsts.values()]
        self._conversations = np.array([one.conversation for one in firsts.values()])
        self._kinds = np.array([one.kind for one in firsts.values()])
        self._asks = np.array([last.endswith("?") for last in lasts])
        self._words = np.array([len(last.split()) for last in lasts])

    def place(self, candidate: Candidate) -> int:
        """Where a candidate's own dialogue stands."""
        return self._places[candidate.conversation, candidate.dialogue]

    def matched(self, candidate: Candidate) -> npt.NDArray[np.int64]:
        """``OTHERS`` dialogues of other conversations, drawn at random from those of its kind, that ask or don't as its
        own does, and of like length. Where these are too few, others come after them.
        """
        own = self.place(candidate)
        found = np.flatnonzero(self._conversations != candidate.conversation)
        if len(found) < OTHERS:
            raise DragomanError(
                f"{len(found)} turns of other conversations are too few to hold a draft against ({OTHERS} are needed): "
                "make more with `dragoman data duplex`"
            )
        rng = np.random.default_rng(zlib.crc32(candidate.name.encode()))
        foreign = (self._kinds[found] != self._kinds[own]) * 2 + (self._asks[found] != self._asks[own])
        distance = np.abs(self._words[found] - self._words[own])
        nearest = found[np.lexsort((rng.permutation(len(found)), distance, foreign))]
        alike = int((foreign == 0).sum())
        return rng.choice(nearest[: min(_NEAREST, max(OTHERS, alike))], OTHERS, replace=False)
