"""Sample rates, converted as the sound arrives."""

from __future__ import annotations

import numpy as np
import soxr

from dragoman.audio.types import Samples


class StreamResampler:
    """Converts mono sound from one rate to another, chunk by chunk.

    However the sound is cut, the chunks that come out, joined, are what one call over the whole would give.
    ``out`` lags ``in`` by the filter's length until ``flush``. One thread at a time.
    """

    def __init__(self, in_rate: int, out_rate: int) -> None:
        if in_rate <= 0 or out_rate <= 0:
            raise ValueError(f"rates must be positive: {in_rate} -> {out_rate}")
        self.in_rate = in_rate
        self.out_rate = out_rate
        self._soxr = self._fresh()

    def push(self, pcm: Samples) -> Samples:
        """What can be said of the output after ``pcm``; may be empty."""
        if self._soxr is None or not len(pcm):
            return pcm
        return np.asarray(self._soxr.resample_chunk(np.ascontiguousarray(pcm, np.float32)))

    def flush(self) -> Samples:
        """The rest of the output. Afterwards the resampler starts anew."""
        if self._soxr is None:
            return np.zeros(0, np.float32)
        rest = self._soxr.resample_chunk(np.zeros(0, np.float32), last=True)
        self._soxr = self._fresh()
        return np.asarray(rest)

    def _fresh(self) -> soxr.ResampleStream | None:
        if self.in_rate == self.out_rate:
            return None
        return soxr.ResampleStream(self.in_rate, self.out_rate, 1, dtype="float32")


def resample(pcm: Samples, in_rate: int, out_rate: int) -> Samples:
    """Convert a whole sound at once."""
    stream = StreamResampler(in_rate, out_rate)
    return np.concatenate([stream.push(pcm), stream.flush()])
