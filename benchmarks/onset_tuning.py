"""The silence that ends a turn for ``cascade-vad``: the shortest that breaks into no more turns than relay does.

Where the voice detector hears pauses is found once; from that, the turns that any silence would break into are known
without a conversation. What the conversations then show may differ (a slow reply saves a turn that was given up), so
the threshold is corrected by that difference and tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dragoman.agent.ports import VoiceActivity
from dragoman.asr.vad import SpeechEdges, Started
from dragoman.audio.types import INPUT_RATE
from dragoman.benchmarks.onset_turns import HeldOut

SILENCES_MS: Final = tuple(range(100, 3001, 20))

WITHIN: Final = 0.01
"""Of cut-off rates that count as the same."""


def silences(turn: HeldOut, detector: VoiceActivity) -> list[float]:
    """The silences that the detector hears before the true end of a turn: seconds from the start of each until the
    detector is sure of a voice again, or the turn is over.
    """
    edges = SpeechEdges()
    end = round(turn.end_s * INPUT_RATE)
    found: list[float] = []
    silent: int | None = None
    for start in range(0, end, detector.hop):
        window = turn.pcm[start : start + detector.hop]
        if len(window) < detector.hop:
            break
        edge = edges.push(detector.probability(window))
        if edge is None:
            continue
        if not isinstance(edge, Started):
            silent = edge.at
        elif silent is not None:
            found.append((edges.position - silent) / INPUT_RATE)
            silent = None
    if silent is not None and silent < end:
        found.append((end - silent) / INPUT_RATE)  # its last sounds are too soft for the detector
    return found


def expected(pauses: Sequence[Sequence[float]], silence_ms: int) -> float:
    """The share of turns that a silence would break into."""
    cut = [any(1000 * seconds > silence_ms for seconds in turn) for turn in pauses]
    return sum(cut) / len(cut) if cut else 0.0


def shortest(pauses: Sequence[Sequence[float]], rate: float) -> int:
    """The shortest silence that breaks into no more than this share of the turns; the longest where none does."""
    least = max(0.0, rate) + 1e-9
    return next((ms for ms in SILENCES_MS if expected(pauses, ms) <= least), SILENCES_MS[-1])


def corrected(pauses: Sequence[Sequence[float]], tried_ms: int, seen: float, rate: float) -> int:
    """What to try after a silence turned out to break into the share ``seen`` of the turns, not ``rate``."""
    return shortest(pauses, rate + expected(pauses, tried_ms) - seen)
