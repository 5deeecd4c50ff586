"""Published features: what the encoder makes of each 160 ms, at once and for ever.

For whoever listens besides the decoder. No block ahead is seen, so a feature never changes. Whisper knows 30 s of
positions: before they run out the last seconds are encoded again from position 0, for the sake of the keys and values
that they leave; what was published of them stays.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from dragoman.asr.causal.mel import Mel, MelStream
from dragoman.asr.causal.runtime import CausalModel, EncoderState
from dragoman.asr.causal.weights import Array
from dragoman.audio.types import Samples

BLOCK: Final = 8
"""Frames of 20 ms that come together."""

_FULL: Final = 1496
_AGAIN: Final = 25 * BLOCK


class FeatureStream:
    """One speaker's features. They come 12.5 ms after the end of their 160 ms, and cost 5 ms on one thread (tiny)."""

    def __init__(self, model: CausalModel) -> None:
        self._model = model
        self._mels = MelStream(model.dims.mels)
        self._state: EncoderState = model.fresh()
        self._queue: Mel = np.zeros((0, model.dims.mels), np.float32)
        self._past: Mel = np.zeros((0, model.dims.mels), np.float32)

    def push(self, pcm: Samples) -> Array:
        """The features [8 n, d] that ``pcm`` (16 kHz) completes; may be none."""
        self._queue = np.concatenate([self._queue, self._mels.push(pcm)])
        out = [np.zeros((0, self._model.dims.width), np.float32)]
        # One block at a time, so that the bits don't depend on the packets.
        while len(self._queue) > 2 * BLOCK:
            if self._state.arrived + BLOCK > _FULL:
                self._restart()
            out.append(self._step(self._queue[: 2 * BLOCK + 1]))
            self._past = np.concatenate([self._past, self._queue[: 2 * BLOCK]])[-2 * _AGAIN :]
            self._queue = self._queue[2 * BLOCK :]
        return np.concatenate(out)

    def _step(self, mel: Mel) -> Array:
        [(features, self._state)] = self._model.encode([self._state], [mel], block=BLOCK, ahead=0)
        return features.values

    def _restart(self) -> None:
        self._state = self._model.fresh()
        self._step(np.concatenate([self._past, self._queue[:1]]))
