"""The thresholds of a trained model, chosen by rehearsals on conversations that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from dragoman.agent.duplex.policy import Policy
from dragoman.agent.duplex.rehearsal import Figures

TRIED: Final = (0.3, 0.5, 0.7, 0.85, 0.93, 0.97)

MOST_CUTOFFS: Final = 0.05
"""Of the turns: who breaks into more of them is not considered while there is a threshold that doesn't."""


def tuned(rehearsed: Callable[[Policy], Figures], told: Callable[[int, int], None]) -> Policy:
    """The best policy by its ``rehearsed`` figures: first when to begin, then when to stop.

    ``told`` is given how many rehearsals of how many are done. Where nothing was interrupted, stopping stays as it is.
    """
    policy, total = Policy(), 2 * len(TRIED)
    begins: dict[float, Figures] = {}
    for done, begin in enumerate(TRIED):
        told(done, total)
        begins[begin] = rehearsed(replace(policy, begin=begin))
    policy = replace(policy, begin=max(begins, key=lambda begin: _beginning(begins[begin])))
    stops: dict[float, Figures] = {}
    for done, stop in enumerate(TRIED, len(TRIED)):
        told(done, total)
        stops[stop] = rehearsed(replace(policy, stop=stop))
    told(total, total)
    if any(figures.interruptions for figures in stops.values()):
        policy = replace(policy, stop=max(stops, key=lambda stop: _stopping(stops[stop])))
    return policy


def _beginning(figures: Figures) -> tuple[float, float]:
    """Within the cut-offs that are allowed, hits count; beyond, every cut-off counts."""
    return -max(MOST_CUTOFFS, figures.cutoff_rate or 0.0), figures.begin_f1 or 0.0


def _stopping(figures: Figures) -> float:
    """Interruptions that were obeyed against backchannels that were mistaken for one."""
    return (figures.stop_rate or 0.0) - (figures.false_stop_rate or 0.0)
