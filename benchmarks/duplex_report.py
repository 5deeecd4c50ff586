"""The figures of turn-taking: rows for each system, the comparison at equal cut-off rates, a table, a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from rich.table import Table

from dragoman.audio.types import DragomanError, Json
from dragoman.benchmarks.duplex_run import DUPLEX, FORESEEN, READY_MS, SILENCE, SMART, Results
from dragoman.benchmarks.scoring import percentile
from dragoman.benchmarks.turn_taking import Rows, Tally, at_rate, interval, resampled

_RESAMPLES: Final = 300
_COLUMNS: Final = (
    "system",
    "turns",
    "F1 1 frame",
    "3 frames",
    "cut-offs",
    "gap P50 ms",
    "P90",
    "missed",
    "stops in 480 ms",
    "false stops",
    "ms a frame",
)


def rows(found: Results) -> list[dict[str, Json]]:
    """The figures of each system in a set; None where the set can't give one. Intervals are 95 %, by bootstrap over
    conversations or clips.
    """
    made: list[dict[str, Json]] = []
    for name in sorted(found.judged, key=lambda name: name.startswith(SMART) + 2 * name.startswith(SILENCE)):
        tally = Tally.over(found.judged[name])
        cost = found.frame_ms[DUPLEX if name.startswith(DUPLEX) else name]
        made.append(
            {
                "system": name,
                "set": found.name,
                "turns": tally.turns,
                "begin_f1_1f": tally.begin_f1(1),
                "begin_f1_3f": tally.begin_f1(3),
                "begin_f1_3f_ci95": _pair(interval(tally.of, partial(tally.begin_f1, 3))),
                "stop_within_480ms": tally.stop_rate(),
                "stop_within_480ms_ci95": _pair(interval(tally.interruptions_of, tally.stop_rate)),
                "interruptions": len(tally.interruptions),
                "backchannel_false_stop": tally.false_stop_rate(),
                "backchannel_false_stop_ci95": _pair(interval(tally.backchannels_of, tally.false_stop_rate)),
                "backchannels": len(tally.backchannels),
                "cutoff_rate": tally.cutoff_rate(),
                "cutoff_rate_ci95": _pair(interval(tally.of, tally.cutoff_rate)),
                "gap_p50_ms": tally.gap_ms(50),
                "gap_p50_ms_ci95": _pair(interval(tally.of, partial(tally.gap_ms, 50))),
                "gap_p90_ms": tally.gap_ms(90),
                "gap_p90_ms_ci95": _pair(interval(tally.of, partial(tally.gap_ms, 90))),
                "missed": tally.missed(),
                "frame_ms_p50": percentile(cost, 50),
                "frame_ms_p90": percentile(cost, 90),
            }
        )
    return made


def equal_cutoff(found: Results) -> list[dict[str, Json]]:
    """The median gap of the duplex model against that of silence thresholds, at its cut-off rate, and smart-turn's at
    its own: one entry, or none without silence thresholds.

    ``reached``: some threshold has so few cut-offs; otherwise the gap of silence is that of the nearest.
    """
    tallies = {name: Tally.over(judged) for name, judged in found.judged.items()}
    silences = [tally for name, tally in tallies.items() if name.startswith(SILENCE)]
    if not silences:
        return []
    made: dict[str, Json] = {"set": found.name}
    for name, key in ((DUPLEX, "duplex"), (SMART, "smart_turn")):
        if (tally := tallies.get(name)) is None:
            continue
        mine, theirs, reached = _compared(tally, silences)
        ratios = [
            one / other
            for chosen in resampled(tally.of, _RESAMPLES)
            for one, other, _ in [_compared(tally, silences, chosen)]
            if one is not None and other is not None
        ]
        suffix = "" if key == "duplex" else "_at_smart_turn"
        made |= {
            f"{key}_cutoff_rate": tally.cutoff_rate(),
            f"{key}_gap_p50_ms": mine,
            f"silence_gap_p50_ms{suffix}": theirs,
            f"reached{suffix}": reached,
            f"ratio{suffix}": mine / theirs if mine is not None and theirs is not None else None,
            f"ratio_ci95{suffix}": list[Json](np.percentile(ratios, [2.5, 97.5]).tolist()) if ratios else None,
        }
    curve = [tally for name, tally in tallies.items() if name.startswith(DUPLEX)]
    if SMART in tallies and len(curve) > 1:
        _, made["duplex_gap_p50_ms_at_smart_turn"], _ = _compared(tallies[SMART], curve)
    return [made]


def _compared(
    tally: Tally, others: Sequence[Tally], chosen: Rows | None = None
) -> tuple[float | None, float | None, bool]:
    """The median gap of a system, that of the others' curve at its cut-off rate, and whether the curve gets there."""
    points = [(o.cutoff_rate(chosen), o.gap_ms(50, chosen)) for o in others]
    curve = [(cutoffs, gap) for cutoffs, gap in points if cutoffs is not None and gap is not None]
    rate = tally.cutoff_rate(chosen)
    if not curve or rate is None:
        return tally.gap_ms(50, chosen), None, False
    gap, reached = at_rate(curve, rate)
    return tally.gap_ms(50, chosen), gap, reached


def anticipation(sets: Sequence[Results]) -> dict[str, Json]:
    """How well the ends of turns are foreseen; ``lead_p50_ms``: what is left of a turn when the model has said so."""
    said, right = sum(s.foresight.said for s in sets), sum(s.foresight.right for s in sets)
    turns = sum(s.foresight.turns for s in sets)
    leads = [1000 * (lead - one.delay_s) for one in sets for lead in one.foresight.leads_s]
    return {
        "threshold": FORESEEN,
        "precision": right / said if said else None,
        "recall": len(leads) / turns if turns else None,
        "lead_p50_ms": percentile(leads, 50),
    }


def drafts(sets: Sequence[Results]) -> dict[str, Json]:
    """How fast the first words of replies are drafted, by processor time from the begin."""
    every = [draft for one in sets for draft in one.drafts]
    ready = [is_ready for one in sets for is_ready in one.ready]
    return {
        "begins": len(every),
        "ready_rate": sum(ready) / len(ready) if ready else None,
        "ready_within_ms": READY_MS,
        "first_word_p90_ms": percentile([draft.first_ms for draft in every], 90),
        "five_words_p90_ms": percentile([draft.five_ms for draft in every], 90),
    }


def table(name: str, results: Sequence[Mapping[str, Json]]) -> Table:
    """The rows of a set for people."""
    out = Table(title=name, title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in _COLUMNS:
        out.add_column(title, justify="left" if title == "system" else "right", no_wrap=True)
    for row in results:
        if row["set"] == name:
            out.add_row(
                str(row["system"]),
                str(row["turns"]),
                _number(row["begin_f1_1f"], ".2f"),
                _number(row["begin_f1_3f"], ".2f", row["begin_f1_3f_ci95"]),
                _number(row["cutoff_rate"], ".1%", row["cutoff_rate_ci95"]),
                _number(row["gap_p50_ms"], ".0f", row["gap_p50_ms_ci95"]),
                _number(row["gap_p90_ms"], ".0f"),
                str(row["missed"]),
                _of(row["stop_within_480ms"], row["stop_within_480ms_ci95"], row["interruptions"]),
                _of(row["backchannel_false_stop"], row["backchannel_false_stop_ci95"], row["backchannels"]),
                f"{_number(row['frame_ms_p50'], '.1f')}-{_number(row['frame_ms_p90'], '.1f')}",
            )
    return out


def lines(compared: Sequence[Mapping[str, Json]], sets: Sequence[Results]) -> Iterator[str]:
    """The comparison at equal cut-off rates, the foresight and the drafts, for people."""
    for one in compared:
        for key, suffix in (("duplex", ""), ("smart_turn", "_at_smart_turn")):
            if f"{key}_gap_p50_ms" in one:
                beyond = "" if one[f"reached{suffix}"] else ", the nearest that a threshold gets to it"
                yield (
                    f"{one['set']}, {_number(one[f'{key}_cutoff_rate'], '.1%')} cut-offs: "
                    f"{key.replace('_', '-')} {_number(one[f'{key}_gap_p50_ms'], '.0f')} ms, "
                    f"silence {_number(one[f'silence_gap_p50_ms{suffix}'], '.0f')} ms{beyond}; "
                    f"ratio {_number(one[f'ratio{suffix}'], '.2f', one[f'ratio_ci95{suffix}'])}"
                )
    if any(one.drafts or one.foresight.turns for one in sets):
        ends, made = anticipation(sets), drafts(sets)
        yield (
            f"ends of turns foreseen (from {ends['threshold']}): precision {_number(ends['precision'], '.2f')}, "
            f"recall {_number(ends['recall'], '.2f')}, {_number(ends['lead_p50_ms'], '.0f')} ms before"
        )
        yield (
            f"drafts of {made['begins']} begins: ready within {READY_MS:.0f} ms {_number(made['ready_rate'], '.1%')}, "
            f"first word P90 {_number(made['first_word_p90_ms'], '.0f')} ms, "
            f"five words P90 {_number(made['five_words_p90_ms'], '.0f')} ms"
        )


def draw(results: Sequence[Mapping[str, Json]], path: Path) -> None:
    """Draw cut-off rate against median gap, a part for each set. Raises ``DragomanError`` when it can't be written."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(str(row["set"]) for row in results))
    figure = Figure(figsize=(6 * max(1, len(names)), 5), layout="constrained")
    for axes, name in zip(figure.subplots(1, max(1, len(names)), squeeze=False)[0], names, strict=True):
        for system, style in ((SILENCE, "o-"), (SMART, "s"), (DUPLEX, "*-")):
            points = sorted(
                (100 * rate, gap, str(row["system"]))
                for row in results
                if row["set"] == name and str(row["system"]).startswith(system)
                for rate, gap in [(row["cutoff_rate"], row["gap_p50_ms"])]
                if isinstance(rate, float) and isinstance(gap, float)
            )
            if points:
                axes.plot([x for x, _, _ in points], [y for _, y, _ in points], style, label=system)
            for x, y, label in points:
                axes.annotate(label.removeprefix(f"{SILENCE}-"), (x, y), fontsize=7)
        axes.set(
            title=name, xlabel="turns that were broken into, %", ylabel="median gap, ms", xlim=(0, None), ylim=(0, None)
        )
        if axes.lines:
            axes.legend()
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise DragomanError(f"{path}: the picture can't be written ({error})") from error


def _number(value: Json, form: str, ends: Json = None) -> str:
    if not isinstance(value, (int, float)):
        return "-"
    pair = ends if isinstance(ends, list) else []
    known = [format(end, form).removesuffix("%") for end in pair if isinstance(end, (int, float))]
    return format(value, form) + (f" ({'-'.join(known)})" if known else "")


def _of(share: Json, ends: Json, count: Json) -> str:
    return f"{_number(share, '.0%', ends)} of {count}" if count else "-"


def _pair(ends: tuple[float, float] | None) -> list[Json] | None:
    return None if ends is None else [*ends]
