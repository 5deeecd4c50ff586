"""One stretch of speech, at most 30 s: spectrum, encoder, decoder, step by step as the sound comes."""

from __future__ import annotations

import copy
from typing import Final

import numpy as np

from dragoman.asr.causal.decoding import Token, Transcript
from dragoman.asr.causal.mel import HOP, Mel, MelStream
from dragoman.asr.causal.runtime import CausalModel
from dragoman.asr.causal.weights import Array
from dragoman.audio.types import INPUT_RATE, Samples

STEP: Final = 16
"""Frames of 20 ms per step: 320 ms."""

BLOCK: Final = 32
"""Frames of a block of the mask; a step may end inside one."""

AHEAD: Final = 1
"""Blocks after its own that a frame hears, per layer, for the decoder alone."""

FULL: Final = 1392
"""Frames after which a stretch must end: with its tail it fits the 1,500 positions."""

_POSITIONS: Final = 1500

_AT_ONCE: Final = 8 * STEP
_TAIL: Final = 0.4


class Segment:
    """Sound from its first sample on. The end of it can be heard again by the next one (``restarted``)."""

    def __init__(self, model: CausalModel, transcript: Transcript) -> None:
        self._model = model
        self._mels = MelStream(model.dims.mels)
        self._queue: Mel = np.zeros((0, model.dims.mels), np.float32)
        self._state = model.fresh()
        # All that fits, at once: memory that is not written yet costs nothing, and what is freed fits the next segment.
        self._cross = np.zeros((_POSITIONS, 2 * model.dims.width * model.dims.decoder_layers), np.float32)
        self.transcript = transcript
        self._pcm: list[Samples] = []
        self.samples = 0
        self.voiced = 0

    @property
    def frames(self) -> int:
        """Frames encoded so far."""
        return self._state.arrived

    @property
    def cross(self) -> Array:
        """Keys and values for the decoder of all that was encoded."""
        return self._cross[: self.frames]

    @property
    def full(self) -> bool:
        """No more sound fits."""
        return self.samples // (2 * HOP) >= FULL - STEP

    def pcm(self, start: int) -> Samples:
        """The sound from sample ``start`` on."""
        return np.concatenate([np.zeros(0, np.float32), *self._pcm])[start:]

    def feed(self, pcm: Samples, *, voiced: bool = True) -> None:
        """Take more sound, which must fit; ``voiced``: somebody speaks at its end. Does not decode."""
        self._pcm.append(pcm)
        self.samples += len(pcm)
        if voiced:
            self.voiced = self.samples
        self._queue = np.concatenate([self._queue, self._mels.push(pcm)])

    def advance(self, *, ended: bool = False) -> bool:
        """Encode the whole steps that are there and decode. False when there are none. ``ended``: no more comes."""
        stepped = False
        while (steps := (len(self._queue) - 1) // (2 * STEP)) > 0:
            self._encode(min(steps * STEP, _AT_ONCE))
            stepped = True
        if stepped:
            self.reread(ended=ended)
        return stepped

    def reread(self, *, ended: bool = False) -> None:
        """Decode all that was encoded."""
        self.transcript.update(self.cross, self.voiced // (2 * HOP), ended=ended)

    def ended(self) -> Transcript:
        """What was said if the sound ends here: its last word included. The segment can go on afterwards."""
        end = copy.copy(self)
        end.transcript = self.transcript.fork()
        end._mels = copy.deepcopy(self._mels)
        missing = int(_TAIL * INPUT_RATE)
        grain = 2 * HOP * STEP
        missing += -(self.samples + missing) % grain + HOP + INPUT_RATE // 50
        end._pcm = []
        end.feed(np.zeros(missing, np.float32), voiced=False)
        end.advance(ended=True)
        return end.transcript

    def _encode(self, count: int) -> None:
        mel = self._queue[: 2 * count + 1]
        self._queue = self._queue[2 * count :]
        [(features, self._state)] = self._model.encode([self._state], [mel], block=BLOCK, ahead=AHEAD)
        rows = self._model.cross(features.values)
        self._cross[features.start : features.start + len(rows)] = rows

    def restarted(self, cut: int, said: tuple[Token, ...]) -> Segment:
        """A new segment that hears this one's sound again from sample ``cut`` on and knows the tokens said there."""
        new = Segment(self._model, self.transcript.restarted(said))
        new.feed(self.pcm(cut))
        new.voiced = max(0, self.voiced - cut)
        return new
