"""The curves of a training log, where matplotlib is installed."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

_SMOOTH: Final = 25
"""Steps over which losses are averaged."""


def draw_curves(log: Path, losses: Sequence[str], checks: Sequence[str]) -> Path | None:
    """Draw ``log.png`` beside a ``log.jsonl``: smoothed ``losses`` above, ``checks`` below (a line's ``check`` holds
    them by name, or is the only one). None without matplotlib.
    """
    if not log.is_file() or importlib.util.find_spec("matplotlib") is None:
        return None
    from matplotlib.figure import Figure

    lines = list(_lines(log))
    if not lines:
        return None
    figure = Figure(figsize=(8, 8))
    above, below = figure.subplots(2)
    steps = np.array([line["step"] for line in lines])
    for name in losses:
        values = np.array([line[name] for line in lines])
        size = min(_SMOOTH, len(values))
        above.plot(steps[size - 1 :], np.convolve(values, np.ones(size) / size, "valid"), label=name)
    for name in checks:
        found = [(line["step"], _checked(line["check"], name)) for line in lines]
        known = [(step, value) for step, value in found if value is not None]
        if known:
            below.plot(*zip(*known, strict=True), ".-", label=name)
            below.legend()
    above.set(ylabel="loss", yscale="log")
    above.legend()
    below.set(xlabel="step", ylabel="on what is never trained on")
    figure.savefig(log.with_suffix(".png"), dpi=110)
    return log.with_suffix(".png")


def _lines(log: Path) -> Iterator[dict[str, Any]]:
    """Without those that were cut short, by a full disk or a machine that went down."""
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            yield json.loads(line)


def _checked(check: dict[str, float | None] | float | None, name: str) -> float | None:
    return check.get(name) if isinstance(check, dict) else check
