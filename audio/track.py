"""The loudness of a track over time, kept small: what was audible when, for latencies that can be attributed."""

from __future__ import annotations

from array import array

import numpy as np

from dragoman.audio.frames import Frames
from dragoman.audio.levels import AUDIBLE_DB, FRAME_S
from dragoman.audio.types import Samples

_SILENCE = 1e-5


class LevelTrack:
    """RMS of each 10 ms of a sound that comes in pieces; 400 bytes a second. Times are seconds from its start."""

    def __init__(self, rate: int) -> None:
        self._frames = Frames(round(rate * FRAME_S))
        self._levels = array("f")

    def add(self, pcm: Samples) -> None:
        """Append sound, any length."""
        self._levels.extend(np.sqrt(np.mean(np.square(self._frames.push(pcm)), axis=1)).tolist())

    @property
    def seconds(self) -> float:
        """Length so far, in whole frames."""
        return len(self._levels) * FRAME_S

    def audible(self, start: float, end: float) -> tuple[float, float] | None:
        """Start of the first and end of the last audible frame in ``[start, end)``; None if nothing is audible.

        Audible: above -40 dB of the loudest frame there.
        """
        first = max(0, round(start / FRAME_S))
        levels = np.asarray(self._levels[first : max(first, round(end / FRAME_S))], np.float64)
        peak = float(levels.max(initial=0.0))
        if peak <= _SILENCE:
            return None
        loud = np.flatnonzero(levels > peak * 10 ** (AUDIBLE_DB / 20))
        return (first + int(loud[0])) * FRAME_S, (first + int(loud[-1]) + 1) * FRAME_S
