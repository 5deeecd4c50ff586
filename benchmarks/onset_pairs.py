"""Blind pairs: two replies to the same turn, relay's and a cascade's, for readers who don't know which is whose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, Literal, TypeAlias, get_args

import numpy as np

from dragoman.audio.types import Json
from dragoman.benchmarks.onset_figures import Group, paired, with_interval
from dragoman.benchmarks.onset_modes import Mode, System
from dragoman.benchmarks.turn_taking import resampled
from dragoman.verifier import sheets

Choice: TypeAlias = Literal["first", "second", "tie"]
CHOICES: Final[tuple[Choice, ...]] = get_args(Choice)

RIVAL: Final[Mode] = "cascade-same"

_RESAMPLES: Final = 2000


@dataclass(frozen=True, slots=True)
class Pair:
    """``replies`` to a ``dialogue`` (role, text) whose last turn is the user's, and which of them (0, 1) relay's is."""

    name: str
    dialogue: tuple[tuple[str, str], ...]
    replies: tuple[str, str]
    relay: int


def pairs_of(found: Sequence[Group], seed: int = 1) -> list[Pair]:
    """The turns that relay began with first words, where both replies are whole and neither broke into the turn; which
    of the two stands first is drawn.
    """
    at_once = {one.system: one for one in found if one.clock == "virtual"}
    if not {System("relay"), System(RIVAL)} <= at_once.keys():
        return []
    made = []
    for run, other in paired(at_once[System("relay")], at_once[System(RIVAL)]):
        if run.take.kept and run.take.whole and other.take.whole:
            place = Random(f"{seed}/{run.turn.name}/pair").randrange(2)
            replies = (run.take.text, other.take.text) if place == 0 else (other.take.text, run.take.text)
            made.append(Pair(run.turn.name, run.turn.context, replies, place))
    return made


def _read(item: dict[str, Json]) -> Pair:
    replies, relay = item["replies"], item["relay"]
    if not isinstance(replies, list) or len(replies) != 2 or relay not in (0, 1):
        raise ValueError("a pair has two replies, and relay's is one of them")
    return Pair(str(item["name"]), sheets.turns(item["dialogue"]), (str(replies[0]), str(replies[1])), int(relay == 1))


KIND: Final = sheets.Kind[Pair, Choice]("pairs of replies", CHOICES, _read)

PairSheet: TypeAlias = sheets.Sheet[Pair, Choice]


def write_pairs(path: Path, groups: Sequence[Group], about: Mapping[str, Json]) -> str:
    """Write a sheet of the pairs that there are, and say so."""
    found = pairs_of(groups)
    if not found:
        return "no turn has two whole replies to compare: give --whole more turns, and --max-s more time"
    sheets.write(path, found, about)
    return f"{len(found)} pairs of replies to compare: dragoman bench pairs {path}"


def preference(sheet: PairSheet) -> dict[str, Json]:
    """Of each pass, how often relay's reply was preferred, the cascade's, and neither; and over all passes the mean of
    +1, -1 and 0 for these, with its 95 % interval by bootstrap over pairs.
    """
    passes: dict[str, Json] = {}
    scores: dict[str, list[int]] = {}
    for number, one in sorted(sheet.passes.items()):
        told = {pair.name: _score(pair, one.verdicts[pair.name]) for pair in sheet.items if pair.name in one.verdicts}
        for name, score in told.items():
            scores.setdefault(name, []).append(score)
        counts = Counter(told.values())
        passes[str(number)] = {"reader": one.reader, "relay": counts[1], RIVAL: counts[-1], "tie": counts[0]}
    means = np.array([np.mean(some) for some in scores.values()])
    shared, agreement = sheet.agreement()
    made: dict[str, Json] = {"pairs": len(sheet.items), "passes": passes, "judged_twice": shared, "kappa": agreement}
    each = np.arange(len(means))
    draws = [each, *resampled(each, _RESAMPLES)]
    return made | with_interval("preference", draws, lambda rows: float(means[rows].mean()) if len(rows) else None)


def _score(pair: Pair, choice: Choice) -> int:
    if choice == "tie":
        return 0
    return 1 if (choice == "second") == bool(pair.relay) else -1
