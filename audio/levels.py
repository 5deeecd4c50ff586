"""How loud a sound is, and where what can be heard of it begins and ends.

The rule behind every latency figure: a 10 ms frame is audible when its level is above -40 dB of the loudest
frame of the same sound. The true end of speech and the first sound of a reply are both found by it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.audio.types import Samples

FRAME_S: Final = 0.01
"""Seconds of the frames that the rule looks at."""

AUDIBLE_DB: Final = -40.0
"""Level above which a frame is audible, relative to the loudest frame."""

_DIGITAL_SILENCE: Final = 1e-6


def rms(pcm: Samples) -> float:
    """Root mean square of ``pcm``; 0 when it is empty."""
    return float(np.sqrt(np.mean(np.square(pcm, dtype=np.float64)))) if len(pcm) else 0.0


def dbfs(pcm: Samples) -> float:
    """Level of ``pcm`` in dB below full scale, at least -120."""
    return 20.0 * float(np.log10(max(rms(pcm), _DIGITAL_SILENCE)))


def frame_levels(pcm: Samples, rate: int) -> npt.NDArray[np.float64]:
    """RMS of each 10 ms frame, shape [ceil(n / frame)]; the last frame may be shorter."""
    size = _frame(rate)
    if not len(pcm):
        return np.zeros(0)
    starts = np.arange(0, len(pcm), size)
    energy = np.add.reduceat(np.square(pcm, dtype=np.float64), starts)
    lengths = np.minimum(starts + size, len(pcm)) - starts
    return np.asarray(np.sqrt(energy / lengths))


def trim_silence(pcm: Samples, rate: int, *, threshold_db: float = AUDIBLE_DB) -> tuple[int, int]:
    """Where the audible part of ``pcm`` lies: ``pcm[start:end]``. Both are 0 when nothing is audible."""
    levels = frame_levels(pcm, rate)
    loudest = float(levels.max(initial=0.0))
    if loudest <= _DIGITAL_SILENCE:
        return 0, 0
    audible = np.flatnonzero(levels > loudest * 10 ** (threshold_db / 20))
    size = _frame(rate)
    return int(audible[0]) * size, min((int(audible[-1]) + 1) * size, len(pcm))


def speech_end(pcm: Samples, rate: int) -> float:
    """Seconds to the end of the last audible frame; 0 when nothing is audible."""
    return trim_silence(pcm, rate)[1] / rate


def faded(pcm: Samples, samples: int) -> Samples:
    """A copy with ramps of so many samples at both ends, at most half of it each, so that no cut clicks."""
    out = pcm.copy()
    count = min(samples, len(out) // 2)
    ramp = np.linspace(0.0, 1.0, count, dtype=np.float32)
    out[:count] *= ramp
    out[len(out) - count :] *= ramp[::-1]
    return out


def _frame(rate: int) -> int:
    return max(1, round(rate * FRAME_S))
