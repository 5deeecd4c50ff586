"""How the figures of onset are shown: a table, two pictures, and what a verifier's card says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from rich.table import Table

from dragoman.agent.openings import Judge
from dragoman.audio.types import Json
from dragoman.benchmarks.onset_figures import Group
from dragoman.benchmarks.onset_modes import MODES
from dragoman.verifier.model import Verifier

DISTRIBUTION: Final = "onset-distribution.png"
AGAINST_DELAY: Final = "onset-against-delay.png"

_COLUMNS: Final = (
    ("mode", "mode", ""),
    ("delay s", "slow_delay_s", "g"),
    ("clock", "clock", ""),
    ("turns", "turns", "d"),
    ("onset P50", "onset_p50_ms", ".0f"),
    ("P90 ms", "onset_p90_ms", ".0f"),
    ("kept P50", "onset_kept_p50_ms", ".0f"),
    ("P90", "onset_kept_p90_ms", ".0f"),
    ("discarded P90", "onset_discarded_p90_ms", ".0f"),
    ("armed", "armed_rate", ".0%"),
    ("P90 ms", "onset_armed_p90_ms", ".0f"),
    ("kept", "keep_rate", ".0%"),
    ("fillers", "filler_rate", ".0%"),
    ("quality", "quality", ".2f"),
    ("gap P50", "seam_gap_p50_ms", ".0f"),
    ("P90 ms", "seam_gap_p90_ms", ".0f"),
    ("wasted", "wasted_cpu_share", ".0%"),
    ("cut-offs", "cutoff_rate", ".1%"),
)


def table(rows: Sequence[Mapping[str, Json]]) -> Table:
    """A line for each system."""
    made = Table(box=None, pad_edge=False)
    for title, _, form in _COLUMNS:
        made.add_column(title, justify="right" if form else "left")
    for row in rows:
        made.add_row(*(_cell(row[key], form) for _, key, form in _COLUMNS))
    return made


def lines(compared: Sequence[Mapping[str, Json]]) -> list[str]:
    """Relay against the cascades, in words."""
    return [
        f"relay against {one['cascade']}, {one['slow_delay_s']:g} s late, {one['clock']} clock, {one['turns']} turns: "
        f"kept P90 {_ratio(one, 'kept_p90_ratio')}, all P50 {_ratio(one, 'all_p50_ratio')}, "
        f"discarded P90 {_ratio(one, 'discarded_p90_ratio')}, quality {_ratio(one, 'quality_gain', '+.3f')}"
        for one in compared
    ]


def probe_lines(probes: Mapping[str, Json]) -> list[str]:
    """What the probes told, in words."""
    lines = []
    for mode in MODES:
        if isinstance(right := probes.get(mode), Mapping):
            kinds = ", ".join(f"{kind} {value:.0%}" for kind, value in right.items() if isinstance(value, float))
            lines.append(f"{probes['asked']} probes, {mode}: {kinds}")
    if "gain" in probes:
        lines.append(f"relay's share of right answers less cascade-same's: {_ratio(probes, 'gain', '+.3f')}")
    return lines


def _ratio(one: Mapping[str, Json], name: str, form: str = ".2f") -> str:
    value, between = one[name], one[f"{name}_ci95"]
    if not isinstance(value, float) or not isinstance(between, list):
        return "-"
    return f"{value:{form}} ({' to '.join(format(edge, form) for edge in between)})"


def _cell(value: Json, form: str) -> str:
    return "-" if value is None else format(value, form)


def verifier_figures(judge: Judge | None, spent_s: Sequence[float]) -> dict[str, Json]:
    """What a verifier's card says, and the P90 of its time here; None where it can't be known."""
    card: object = judge.checkpoint.card if isinstance(judge, Verifier) else {}
    return {
        "auroc_gold": _found(card, "gold", "auroc"),
        "auroc_auto": _found(card, "natural", "auroc"),
        "auroc_baseline": _found(card, "natural", "auroc_baseline"),
        "ece": _found(card, "natural", "ece"),
        "bad_prefix_rate_gold": _found(card, "gold", "bad_of_kept"),
        "ms_p90": 1000 * float(np.percentile(spent_s, 90)) if spent_s else None,
    }


def _found(card: object, labels: str, name: str) -> float | None:
    for key in ("figures", labels, name):
        card = card.get(key) if isinstance(card, dict) else None
    return card if isinstance(card, float) else None


def draw(found: Sequence[Group], rows: Sequence[Mapping[str, Json]], folder: Path) -> list[Path]:
    """Two pictures: the share of turns whose reply has begun, by mode; and the P90 of onset against the delay."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    figure, panel = pyplot.subplots(figsize=(7, 4.5))
    for group in found:
        if group.clock == "virtual" and not group.system.delay_s:
            times, seen = group.onsets
            heard = np.sort(times[seen & ~group.cut])
            share = np.arange(1, len(heard) + 1) / max(1, int((~group.cut).sum()))
            panel.step(heard, share, where="post", label=group.system.mode)
    panel.set(xlabel="onset after the true end of the turn (ms)", ylabel="share of turns", ylim=(0, 1))
    if panel.lines:
        panel.legend()
    figure.tight_layout()
    figure.savefig(folder / DISTRIBUTION, dpi=120)
    pyplot.close(figure)

    figure, panel = pyplot.subplots(figsize=(7, 4.5))
    virtual = [row for row in rows if row["clock"] == "virtual"]
    for mode in MODES:
        for key, style in (("onset_p90_ms", "-"), ("onset_kept_p90_ms", "--")):
            points = sorted(
                (delay, value)
                for row in virtual
                if row["mode"] == mode
                and isinstance(delay := row["slow_delay_s"], float)
                and isinstance(value := row[key], float)
            )
            if points and (mode == "relay" or style == "-"):
                label = f"{mode}, all turns" if style == "-" else f"{mode}, kept turns"
                panel.plot(*zip(*points, strict=True), style, marker="o", label=label)
    panel.set(xlabel="delay of the slow path's first token (s)", ylabel="onset P90 (ms)")
    if panel.lines:
        panel.legend()
    figure.tight_layout()
    figure.savefig(folder / AGAINST_DELAY, dpi=120)
    pyplot.close(figure)
    return [folder / DISTRIBUTION, folder / AGAINST_DELAY]
