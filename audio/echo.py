"""What the loudspeaker plays, taken out of what the microphone hears: WebRTC's echo canceller, AEC3, as the package
``livekit`` (extra ``mic``) carries it.

Where both speak at once it takes some of the user's voice, too, and where there is no echo as well: for somebody who
interrupts now and then, not for an interpreter, who speaks into all that is said.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

from dragoman.audio.frames import Frames
from dragoman.audio.resample import StreamResampler
from dragoman.audio.types import INPUT_RATE, DragomanError, Samples

LEARNED_S: Final = 4.0
"""After so much sound from the loudspeaker the canceller knows the room. Where rooms were made up, in which it was up
to 12 dB louder than the user, no echo later than 2.6 s was taken for a voice with 60 to 300 ms from a sample that is
played to its echo, and none later than 4.5 s with half a second.
"""

if TYPE_CHECKING:
    from livekit.rtc import AudioFrame

_PIECE: Final = INPUT_RATE // 100  # the canceller takes nothing but pieces of 10 ms
_AHEAD: Final = INPUT_RATE * 4 // 100  # the two devices ask and give in lumps; it is heard later than this anyway
_MOST: Final = INPUT_RATE * 8 // 100  # that may wait at all times, by as many looks as make a second
_LOOKED: Final = 100
_STALLED: Final = 2 * INPUT_RATE
_AGAIN_S: Final = 1.5  # to be heard before it is known again what comes how late
_BLOCKS: Final = 500  # some seconds of what a device asks for: nobody may be there yet who cleans
_AUDIBLE: Final = 0.003  # of full scale, the mean
_FULL: Final = 32767


class EchoCanceller:
    """Cleans one microphone of one loudspeaker, 16 kHz mono. What is ``played`` may be told on any thread; the rest is
    for one. Raises ``DragomanError`` where its package is missing. A second the first time.
    """

    def __init__(self) -> None:
        try:
            from livekit.rtc import AudioFrame, AudioProcessingModule
        except ImportError as error:
            raise DragomanError("to take out echoes needs the package livekit: pip install 'dragoman[mic]'") from error
        self._frame_of = AudioFrame
        self._module = AudioProcessingModule(echo_cancellation=True, high_pass_filter=True)
        self._told: deque[tuple[Samples, int]] = deque(maxlen=_BLOCKS)
        self._resampler: StreamResampler | None = None
        self._far = np.zeros(0, np.float32)
        self._flows = False
        self._least, self._pieces = _STALLED, 0
        self._cut = Frames(_PIECE)
        self._heard = 0

    @property
    def learned(self) -> bool:
        """Whether what is cleaned may be taken for the user alone. Not for a while after a device had stalled."""
        return self._heard >= LEARNED_S * INPUT_RATE

    def played(self, pcm: Samples, rate: int) -> None:
        """The loudspeaker was given this, sound or silence; all that it is given has to be told, in order."""
        self._told.append((pcm, rate))

    def cleaned(self, pcm: Samples) -> Samples:
        """The microphone's next samples without the echo; the end of a piece that is not whole comes with the next."""
        self._take()
        pieces = [self._clean(piece) for piece in self._cut.push(pcm)]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)

    def _take(self) -> None:
        while self._told:
            pcm, rate = self._told.popleft()
            if self._resampler is None or self._resampler.in_rate != rate:
                self._resampler = StreamResampler(rate, INPUT_RATE)
            self._far = np.concatenate([self._far, self._resampler.push(pcm)])
        if len(self._far) > _STALLED:
            self._drop(len(self._far) - _AHEAD)
        self._flows = self._flows or len(self._far) >= _AHEAD

    def _next(self) -> Samples:
        """What was played with a piece of the microphone's sound, or a little sooner."""
        if len(self._far) < _PIECE or not self._flows:
            self._flows = False
            return np.zeros(_PIECE, np.float32)
        far, self._far = self._far[:_PIECE], self._far[_PIECE:]
        # Who is late has much to do at once. What always waits is too much: two clocks never agree for long.
        self._least, self._pieces = min(self._least, len(self._far)), self._pieces + 1
        if self._pieces == _LOOKED:
            if self._least > _MOST:
                self._drop(self._least - _AHEAD)
            self._least, self._pieces = _STALLED, 0
        return far

    def _drop(self, count: int) -> None:
        self._far = self._far[count:]
        self._heard = min(self._heard, round((LEARNED_S - _AGAIN_S) * INPUT_RATE))

    def _clean(self, piece: Samples) -> Samples:
        far = self._next()
        self._heard += _PIECE * (float(np.abs(far).mean()) > _AUDIBLE)
        self._module.process_reverse_stream(self._frame(far))
        frame = self._frame(piece)
        self._module.process_stream(frame)
        return np.asarray(np.frombuffer(frame.data, np.int16) / _FULL, np.float32)

    def _frame(self, piece: Samples) -> AudioFrame:
        pcm = (np.clip(piece, -1, 1) * _FULL).astype(np.int16)
        return self._frame_of(bytearray(pcm.tobytes()), INPUT_RATE, 1, _PIECE)
