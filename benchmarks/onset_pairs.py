"""Blind pairs: two replies to the same turn, relay's and a cascade's, for readers who don't know which is whose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Final, Literal, TypeAlias, get_args

import numpy as np

from dragoman.benchmarks.onset_figures import Run
from dragoman.benchmarks.onset_modes import Mode, System
from dragoman.verifier import sheets
from dragoman.verifier.figures import Json

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


def pairs_of(runs: Sequence[Run], seed: int = 1) -> list[Pair]:
    """The turns that relay began with first words, where both replies are whole and neither broke into the turn; which
    of the two stands first is drawn.
    """
    chosen: dict[str, dict[str, Run]] = {}
    for run in runs:
        asked = run.clock == "virtual" and run.system in (System("relay"), System(RIVAL))
        if asked and run.take.whole and not run.take.cut:
            chosen.setdefault(run.turn.name, {})[run.system.mode] = run
    made = []
    for name, both in chosen.items():
        if len(both) < 2 or not both["relay"].take.kept:
            continue
        relay, rival = (both[mode].take.text for mode in ("relay", RIVAL))
        place = Random(f"{seed}/{name}/pair").randrange(2)
        replies = (relay, rival) if place == 0 else (rival, relay)
        made.append(Pair(name, both["relay"].turn.context, replies, place))
    return made


def _kept(pair: Pair) -> Mapping[str, Json]:
    return asdict(pair)


def _read(item: dict[str, Json]) -> Pair:
    replies, relay = item["replies"], item["relay"]
    if not isinstance(replies, list) or len(replies) != 2 or relay not in (0, 1):
        raise ValueError("a pair has two replies, and relay's is one of them")
    return Pair(str(item["name"]), sheets.turns(item["dialogue"]), (str(replies[0]), str(replies[1])), int(relay == 1))


KIND: Final = sheets.Kind[Pair, Choice]("pairs of replies", CHOICES, _kept, _read)

PairSheet: TypeAlias = sheets.Sheet[Pair, Choice]


def write_pairs(path: Path, runs: Sequence[Run], about: Mapping[str, Json]) -> str:
    """Write a sheet of the pairs that there are, and say so."""
    found = pairs_of(runs)
    if not found:
        return "no turn has two whole replies to compare: give --whole more turns, and --max-s more time"
    sheets.write(path, KIND, found, about)
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
    made["preference"] = float(means.mean()) if len(means) else None
    rng = np.random.default_rng(0)
    drawn = [float(rng.choice(means, len(means)).mean()) for _ in range(_RESAMPLES)] if len(means) else []
    made["preference_ci95"] = list[Json](map(float, np.percentile(drawn, (2.5, 97.5)))) if drawn else None
    return made


def _score(pair: Pair, choice: Choice) -> int:
    if choice == "tie":
        return 0
    return 1 if (choice == "second") == bool(pair.relay) else -1
