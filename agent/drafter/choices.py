"""What the drafter learns to prefer by: several drafts to one turn, some of which may be spoken and some not.

All drafts of a turn stand in one row, each behind the same dialogue and blind to the others, so that the dialogue is
read once for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.agent.drafter.drafting import Drafted
from dragoman.agent.drafter.prompt import OPEN, asked, before, heard
from dragoman.agent.duplex.vocabulary import Vocabulary
from dragoman.verifier.labels import Verdict

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

TELLING: Final = 0.3
"""What it weighs that a draft shows that it understood, where that it may be spoken weighs 1."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The drafts to one turn. ``tokens`` and ``positions`` [n] of a row, and what each ``sees`` [n, n] of it; a written
    token is guessed at the place ``at`` [m] as the row ``written`` [m] of the drafts' table, in draft ``draft`` [m].
    ``better`` [pairs, 2]: of these drafts the first is to be preferred, and so much that ``weighs`` [pairs].
    """

    conversation: str
    tokens: Numbers
    positions: Numbers
    sees: Flags
    at: Numbers
    written: Numbers
    draft: Numbers
    good: Flags
    better: Numbers
    weighs: npt.NDArray[np.float32]


def choices(drafted: Sequence[Drafted], verdicts: Mapping[str, Verdict], vocabulary: Vocabulary) -> list[Choice]:
    """The turns that have drafts of both kinds, in the order of ``drafted``. ``verdicts`` by the names of drafts."""
    turns: dict[tuple[object, ...], list[Drafted]] = {}
    for one in drafted:
        if one.name in verdicts:
            turns.setdefault((one.conversation, one.dialogue, one.heard), []).append(one)
    found = []
    for some in turns.values():
        judged = [verdicts[one.name] for one in some]
        if "bad" in judged and set(judged) != {"bad"}:
            found.append(_choice(some, judged, vocabulary))
    return found


def _choice(some: Sequence[Drafted], judged: Sequence[Verdict], vocabulary: Vocabulary) -> Choice:
    first = some[0]
    context = [
        *before(vocabulary, first.dialogue[:-1]),
        *vocabulary.read(OPEN),
        *heard(vocabulary, first.heard),
        *asked(vocabulary),
    ]
    known = len(context)
    tokens, positions, at, written, draft = list(context), list(range(known)), list[int](), list[int](), list[int]()
    spans = []
    for number, one in enumerate(some):
        said = one.draft.tokens[: len(vocabulary.write(one.said))]
        rows = [vocabulary.rows[token] for token in said]
        if one.draft.complete and one.said == one.draft.text:
            rows.append(len(vocabulary.kept))
        start = len(tokens)
        spans.append(slice(start, start + len(said)))
        at += [known - 1, *range(start, start + len(said))][: len(rows)]
        written += rows
        draft += [number] * len(rows)
        tokens += said
        positions += range(known, known + len(said))
    sees = np.zeros((len(tokens), len(tokens)), np.bool_)
    sees[:known, :known] = np.tri(known, dtype=np.bool_)
    for span in spans:
        sees[span, :known] = True
        sees[span, span] = np.tri(span.stop - span.start, dtype=np.bool_)
    pairs = [(i, j, _weight(a, b)) for i, a in enumerate(judged) for j, b in enumerate(judged) if _weight(a, b)]
    return Choice(
        conversation=first.conversation,
        tokens=_numbers(tokens),
        positions=_numbers(positions),
        sees=sees,
        at=_numbers(at),
        written=_numbers(written),
        draft=_numbers(draft),
        good=np.array([verdict != "bad" for verdict in judged]),
        better=_numbers([(i, j) for i, j, _ in pairs]),
        weighs=np.array([weight for *_, weight in pairs], np.float32),
    )


def _numbers(values: Sequence[int] | Sequence[tuple[int, int]]) -> Numbers:
    return np.asarray(values, np.int64)


def _weight(better: Verdict, worse: Verdict) -> float:
    if worse == "bad":
        return float(better != "bad")
    return TELLING if (better, worse) == ("good", "generic") else 0.0
