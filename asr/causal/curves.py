"""The curves of a training log, where matplotlib is installed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any, Final

import numpy as np

_SMOOTH: Final = 25


def draw_curves(log: Path) -> Path | None:
    """Draw ``log.png`` beside a ``log.jsonl``: the losses, smoothed, and the checks. None without matplotlib."""
    if not log.is_file() or importlib.util.find_spec("matplotlib") is None:
        return None
    from matplotlib.figure import Figure

    lines: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines()]
    figure = Figure(figsize=(8, 5))
    axes = figure.subplots()
    steps = np.array([line["step"] for line in lines])
    for name in ("words", "opinion", "features"):
        values = np.array([line[name] for line in lines])
        size = min(_SMOOTH, len(values))
        smooth = np.convolve(values, np.ones(size) / size, "valid")
        axes.plot(steps[size - 1 :], smooth, label=name)
    checks = [(line["step"], line["check"]) for line in lines if line["check"] is not None]
    if checks:
        axes.plot(*zip(*checks, strict=True), "k.-", label="words of clips never trained on")
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    axes.legend()
    figure.savefig(log.with_suffix(".png"), dpi=110)
    return log.with_suffix(".png")
