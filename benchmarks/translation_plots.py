"""Plots of ``dragoman bench translate``: quality against lag, and revisions against lag, for each pair of languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from dragoman.audio.types import Json

_LIMIT_NE: Final = 0.2
_LAG: Final = "last_changed_p50_s"
_PLOTS: Final = (
    ("chrf", "chrF of the final text", "quality-against-lag"),
    ("ne", "normalized erasure", "ne-against-lag"),
)


def draw(results: Sequence[Mapping[str, Json]], folder: Path) -> list[Path]:
    """A file for each plot, a panel for each pair."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    pairs = sorted({str(result["pair"]) for result in results})
    paths = []
    for value, label, name in _PLOTS:
        figure, panels = pyplot.subplots(1, max(1, len(pairs)), figsize=(6 * max(1, len(pairs)), 4.5), squeeze=False)
        for panel, pair in zip(panels[0], pairs, strict=False):
            _panel(panel, [result for result in results if result["pair"] == pair], value)
            panel.set(title=pair, xlabel="delay until a word last changed, P50 (s)", ylabel=label)
            if value == "ne":
                panel.axhline(_LIMIT_NE, color="gray", linewidth=0.8, linestyle=":")
        if results:
            panels[0][0].legend(fontsize=8)
        figure.tight_layout()
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=120)
        pyplot.close(figure)
        paths.append(path)
    return paths


def _panel(panel: object, results: Sequence[Mapping[str, Json]], value: str) -> None:
    import matplotlib.axes

    assert isinstance(panel, matplotlib.axes.Axes)
    for policy in dict.fromkeys(str(result["policy"]) for result in results):
        points = [
            (lag, height, str(result["point"]))
            for result in results
            if result["policy"] == policy
            and isinstance(lag := result[_LAG], (int, float))
            and isinstance(height := result[value], (int, float))
        ]
        if points:
            panel.scatter([lag for lag, _, _ in points], [height for _, height, _ in points], label=policy, s=24)
        for lag, height, label in points:
            panel.annotate(label, (lag, height), fontsize=6, xytext=(3, 3), textcoords="offset points")
