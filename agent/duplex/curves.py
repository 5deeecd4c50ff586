"""The curves of a training log, where matplotlib is installed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any, Final

import numpy as np

_SMOOTH: Final = 25


def draw_curves(log: Path) -> Path | None:
    """Draw ``log.png`` beside a ``log.jsonl``: smoothed losses above, rehearsals below. None without matplotlib."""
    if not log.is_file() or importlib.util.find_spec("matplotlib") is None:
        return None
    from matplotlib.figure import Figure

    lines: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines()]
    figure = Figure(figsize=(8, 8))
    losses, rates = figure.subplots(2)
    steps = np.array([line["step"] for line in lines])
    for name in ("frames", "drafts", "ends"):
        values = np.array([line[name] for line in lines])
        size = min(_SMOOTH, len(values))
        smooth = np.convolve(values, np.ones(size) / size, "valid")
        losses.plot(steps[size - 1 :], smooth, label=name)
    for name in ("begin_f1", "cutoff_rate", "stop_rate", "false_stop_rate"):
        checks = [(line["step"], line["check"][name]) for line in lines if line["check"].get(name) is not None]
        if checks:
            rates.plot(*zip(*checks, strict=True), ".-", label=name)
            rates.legend()
    losses.set(ylabel="loss", yscale="log")
    losses.legend()
    rates.set(xlabel="step", ylabel="rehearsal, running free", ylim=(0, 1))
    figure.savefig(log.with_suffix(".png"), dpi=110)
    return log.with_suffix(".png")
