"""Whisper's log-mel spectrum, as the sound arrives.

Frame k is centred on sample 160 k and needs the 200 samples after it, so it comes 12.5 ms late. Whisper clamps the
spectrum at 8 decades below the loudest value of the whole recording, which a stream cannot know: here it is the
loudest value so far, which sinks by half a decade in ten seconds, and never under a quiet voice's level.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from faster_whisper.feature_extractor import FeatureExtractor

from dragoman.audio.types import INPUT_RATE, Samples

Mel = npt.NDArray[np.float32]
"""Frames of 10 ms, shape [frames, mels]."""

HOP: Final = 160
"""Samples per frame."""
FFT: Final = 400
AHEAD: Final = FFT // 2
"""Samples that a frame needs after its centre."""

_QUIET: Final = 0.0
_SINK: Final = 0.05 * HOP / INPUT_RATE
_RANGE: Final = 8.0


@cache
def _filters(mels: int) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] = FeatureExtractor(feature_size=mels).mel_filters
    return np.ascontiguousarray(found.T, np.float32)


@cache
def _window() -> npt.NDArray[np.float32]:
    return np.hanning(FFT + 1)[:-1].astype(np.float32)


class MelStream:
    """One speaker's spectrum. However the sound is cut, the frames are the same."""

    def __init__(self, mels: int = 80) -> None:
        self._mels = mels
        self._pcm = np.zeros(0, np.float32)  # begins FFT/2 before the next frame's centre
        self._begun = False
        self._loudest = _QUIET

    def push(self, pcm: Samples) -> Mel:
        """The frames that ``pcm`` makes known, shape [n, mels]; may be none."""
        self._pcm = np.concatenate([self._pcm, pcm])
        if not self._begun:
            if len(self._pcm) <= AHEAD:
                return np.zeros((0, self._mels), np.float32)
            self._pcm = np.concatenate([self._pcm[AHEAD:0:-1], self._pcm])
            self._begun = True
        count = max(0, (len(self._pcm) - FFT) // HOP + 1)
        if not count:
            return np.zeros((0, self._mels), np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(self._pcm, FFT)[::HOP][:count]
        spectrum = np.abs(np.fft.rfft(frames * _window(), axis=1)).astype(np.float32) ** 2
        self._pcm = self._pcm[count * HOP :].copy()
        return self._floored(np.log10(np.maximum(spectrum @ _filters(self._mels), 1e-10)))

    def _floored(self, log: Mel) -> Mel:
        """The running maximum that sinks by ``_SINK`` a frame: a plain running maximum of a rising line."""
        slope = _SINK * np.arange(1, len(log) + 1, dtype=np.float64)
        line = np.maximum.accumulate(np.maximum(log.max(axis=1), _QUIET) + slope)
        loudest = np.maximum(np.maximum(line, self._loudest) - slope, _QUIET)
        self._loudest = float(loudest[-1])
        return ((np.maximum(log, (loudest - _RANGE)[:, None]) + 4.0) / 4.0).astype(np.float32)


def log_mel(pcm: Samples, frames: int, mels: int = 80) -> Mel:
    """The first ``frames`` frames of a whole sound, silence after its end: what a stream would give."""
    needed = max(0, frames - 1) * HOP + AHEAD
    padded = np.zeros(max(needed, AHEAD + 1), np.float32)
    padded[: min(len(pcm), len(padded))] = pcm[: len(padded)]
    return MelStream(mels).push(padded)[:frames]


def stock_log_mel(pcm: Samples, mels: int = 80, seconds: float = 30.0) -> Mel:
    """Whisper's own: the sound padded with silence to ``seconds``, shape [100 seconds, mels]."""
    count = round(seconds * INPUT_RATE)
    mel = FeatureExtractor(feature_size=mels)(np.ascontiguousarray(pcm[:count], np.float32))
    out = np.full((count // HOP, mels), float(mel.min()), np.float32)
    out[: min(len(out), mel.shape[1])] = mel.T[: len(out)]
    return out
