"""The figures of onset: a row for each system, and relay held against the cascades on the same turns.

A turn that was broken into counts as a cut-off and in nothing else. One that was not answered in time has an onset
that is longer, no more is known (``turn_taking.product_limit``). ``kept`` and ``discarded`` are the turns that relay
began with first words of the fast path and those that it did not; for a cascade they are the same turns. Intervals are
95 %, by bootstrap over conversations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from dragoman.audio.types import Json
from dragoman.benchmarks.onset_modes import MODES, Clock, Mode, System
from dragoman.benchmarks.onset_run import WAIT_S, Take
from dragoman.benchmarks.onset_turns import HeldOut
from dragoman.benchmarks.turn_taking import Flags, Numbers, Rows, product_limit, resampled
from dragoman.verifier.openers import tells_nothing

_RESAMPLES: Final = 400
_CASCADES: Final[tuple[Mode, ...]] = ("cascade-vad", "cascade-same")


@dataclass(frozen=True, slots=True)
class Run:
    """A turn that a system took. ``wasted_s``: what was computed for words that were not said; ``judge_s``: the time of
    each of the verifier's decisions.
    """

    system: System
    clock: Clock
    turn: HeldOut
    take: Take
    wasted_s: float = 0.0
    judge_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Group:
    """All turns that one system took on one clock, with what is needed to tell kept turns from others."""

    system: System
    clock: Clock
    runs: tuple[Run, ...]
    kept: frozenset[str]
    """Names of the turns that relay (or this system, if it speaks first words) kept."""
    hits: Mapping[str, float]
    """By turn: how likely the reply fits its own context best (``onset_judging.Fit``)."""

    @cached_property
    def draws(self) -> list[Rows]:
        """Runs drawn anew: rows of each draw."""
        return draws_of([run.turn for run in self.runs])

    @property
    def cut(self) -> Flags:
        """Which turns were broken into."""
        return np.array([run.take.cut for run in self.runs], np.bool_)

    @property
    def keeps(self) -> Flags:
        """Which turns are among the kept ones."""
        return np.array([run.turn.name in self.kept for run in self.runs], np.bool_)

    @property
    def onsets(self) -> tuple[Numbers, Flags]:
        """Milliseconds, and whether a reply was heard by then."""
        seen = np.array([run.take.onset_ms is not None for run in self.runs], np.bool_)
        return np.array([_onset(run.take) for run in self.runs], np.float64), seen


def groups(runs: Sequence[Run], hits: Mapping[Mode, Mapping[str, float]]) -> list[Group]:
    """Runs by system and clock: virtual before real, shorter delays first. ``hits``: by mode, of undelayed virtual
    runs.
    """
    found: dict[tuple[System, Clock], list[Run]] = {}
    for run in runs:
        found.setdefault((run.system, run.clock), []).append(run)
    made = []
    for (system, clock), some in found.items():
        own = system.mode in ("fast", "relay")
        keepers = some if own else found.get((System("relay", system.delay_s), clock), [])
        kept = frozenset(run.turn.name for run in keepers if run.take.kept and not run.take.cut)
        counted = hits.get(system.mode, {}) if clock == "virtual" and not system.delay_s else {}
        made.append(Group(system, clock, tuple(some), kept, counted))
    return sorted(made, key=lambda one: (one.clock == "real", one.system.delay_s, MODES.index(one.system.mode)))


def row(group: Group, seam_ratio: float | None = None) -> dict[str, Json]:
    """The figures of a system; None where there is nothing to tell. A cascade without relay beside it has no kept
    turns.
    """
    cut, keeps = group.cut, group.keeps
    armed = np.array([run.take.armed for run in group.runs], np.bool_)
    answered = np.array([run.take.onset_ms is not None for run in group.runs], np.bool_)
    prefixed = [run.take for run in group.runs if run.take.kept and not run.take.cut]
    gaps = [run.take.gap_ms for run in group.runs if run.take.gap_ms is not None]
    cpu = sum(run.take.cpu_s for run in group.runs)
    known = bool(group.kept)
    speaks = group.system.mode in ("fast", "relay")
    made: dict[str, Json] = {
        "mode": group.system.mode,
        "slow_delay_s": group.system.delay_s,
        "clock": group.clock,
        "turns": len(group.runs),
        "silence_ms": group.system.silence_ms,
        "unanswered": int((~answered & ~cut).sum()),
    }
    made |= _percentile(group, "onset_p50_ms", 50, ~cut)
    made |= _percentile(group, "onset_p90_ms", 90, ~cut)
    made |= _percentile(group, "onset_kept_p50_ms", 50, ~cut & keeps)
    made |= _percentile(group, "onset_kept_p90_ms", 90, ~cut & keeps)
    made |= _percentile(group, "onset_discarded_p90_ms", 90, ~cut & ~keeps if known else np.zeros_like(cut))
    made |= _share(group, "armed_rate", armed, ~cut)
    made |= _percentile(group, "onset_armed_p90_ms", 90, ~cut & armed)
    made |= _share(group, "keep_rate", keeps, ~cut if speaks else np.zeros_like(cut))
    empty = [tells_nothing(take.prefix) for take in prefixed]
    made["filler_rate"] = sum(empty) / len(empty) if empty else None
    hit = np.array([group.hits.get(run.turn.name, 0.0) for run in group.runs])
    judged = np.array([run.turn.name in group.hits for run in group.runs], np.bool_)
    made |= _share(group, "quality", hit, judged)
    made["seam_gap_p50_ms"] = float(np.percentile(gaps, 50)) if gaps else None
    made["seam_gap_p90_ms"] = float(np.percentile(gaps, 90)) if gaps else None
    made["seam_wer_ratio"] = seam_ratio
    made["wasted_cpu_share"] = min(1.0, sum(run.wasted_s for run in group.runs) / cpu) if cpu > 0 else None
    made |= _share(group, "cutoff_rate", cut, np.ones_like(cut))
    return made


def _percentile(group: Group, name: str, percent: float, chosen: Flags) -> dict[str, Json]:
    times, seen = group.onsets

    def figure(rows: Rows) -> float | None:
        some = rows[chosen[rows]]
        return product_limit(times[some], seen[some], percent / 100) if len(some) else None

    return with_interval(name, group.draws, figure)


def _share(group: Group, name: str, shares: Flags | Numbers, among: Flags) -> dict[str, Json]:
    def figure(rows: Rows) -> float | None:
        some = rows[among[rows]]
        return float(shares[some].mean()) if len(some) else None

    return with_interval(name, group.draws, figure)


def draws_of(turns: Sequence[HeldOut]) -> list[Rows]:
    """The rows themselves, and then rows drawn anew, conversation by conversation."""
    numbers = {name: i for i, name in enumerate(dict.fromkeys(turn.conversation for turn in turns))}
    of = np.array([numbers[turn.conversation] for turn in turns], np.int64)
    return [np.arange(len(turns)), *resampled(of, _RESAMPLES)]


def with_interval(name: str, draws: Sequence[Rows], figure: Callable[[Rows], float | None]) -> dict[str, Json]:
    """A figure by its name, and as ``<name>_ci95`` where 95 % of the draws lie; None where there is nothing to tell."""
    value = figure(draws[0])
    drawn = [] if value is None else [one for rows in draws[1:] if (one := figure(rows)) is not None]
    between = list[Json](map(float, np.percentile(drawn, (2.5, 97.5)))) if drawn else None
    return {name: value, f"{name}_ci95": between}


def against(found: Sequence[Group]) -> list[dict[str, Json]]:
    """Relay held against each cascade, at each delay and on each clock, on the turns that neither broke into: ratios of
    onsets, and the difference in quality. Paired: both sides are drawn together.
    """
    made = []
    for relay in (group for group in found if group.system.mode == "relay"):
        for cascade in (group for group in found if group.system.mode in _CASCADES):
            same = (cascade.system.delay_s, cascade.clock) == (relay.system.delay_s, relay.clock)
            if same and (pairs := paired(relay, cascade)):
                made.append(_compared(relay, cascade, pairs))
    return made


def paired(relay: Group, cascade: Group) -> list[tuple[Run, Run]]:
    """The runs of the turns that neither broke into."""
    theirs = {run.turn.name: run for run in cascade.runs if not run.take.cut}
    return [(run, theirs[run.turn.name]) for run in relay.runs if not run.take.cut and run.turn.name in theirs]


def _compared(relay: Group, cascade: Group, pairs: Sequence[tuple[Run, Run]]) -> dict[str, Json]:
    draws = draws_of([run.turn for run, _ in pairs])
    mine, theirs = (np.array([_onset(pair[side].take) for pair in pairs], np.float64) for side in (0, 1))
    seen_mine, seen_theirs = (
        np.array([pair[side].take.onset_ms is not None for pair in pairs], np.bool_) for side in (0, 1)
    )
    kept = np.array([run.take.kept for run, _ in pairs], np.bool_)
    made: dict[str, Json] = {
        "cascade": cascade.system.mode,
        "slow_delay_s": relay.system.delay_s,
        "clock": relay.clock,
        "turns": len(pairs),
    }

    def onset_ratio(percent: float, chosen: Flags) -> Callable[[Rows], float | None]:
        def figure(rows: Rows) -> float | None:
            some = rows[chosen[rows]]
            if not len(some):
                return None
            one = product_limit(mine[some], seen_mine[some], percent / 100)
            other = product_limit(theirs[some], seen_theirs[some], percent / 100)
            return one / other if one is not None and other else None

        return figure

    for name, percent, chosen in (
        ("kept_p90_ratio", 90, kept),
        ("all_p50_ratio", 50, np.ones_like(kept)),
        ("discarded_p90_ratio", 90, ~kept),
    ):
        made |= with_interval(name, draws, onset_ratio(percent, chosen))
    judged = [run.turn.name in relay.hits and run.turn.name in cascade.hits for run, _ in pairs]
    gained = [
        relay.hits[run.turn.name] - cascade.hits[run.turn.name] if both else 0.0
        for (run, _), both in zip(pairs, judged, strict=True)
    ]
    among, gains = np.array(judged, np.bool_), np.array(gained)

    def gain(rows: Rows) -> float | None:
        some = rows[among[rows]]
        return float(gains[some].mean()) if len(some) else None

    return made | with_interval("quality_gain", draws, gain)


def _onset(take: Take) -> float:
    return take.onset_ms if take.onset_ms is not None else 1000 * WAIT_S
