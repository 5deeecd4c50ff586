"""The playout: what is spoken, sample by sample, on the clock that pulls it. Pure: no thread, no clock of its own."""

from __future__ import annotations

from collections import deque

import numpy as np

from dragoman.audio.types import OUTPUT_RATE, Samples

FADE_S = 0.005
"""Ramp at every cut, so that none clicks."""
DUCKED_GAIN = 0.25
"""Gain (-12 dB) while the listener says something and it is not known yet whether it is meant to interrupt."""


class Playout:
    """Holds one reply's sound and gives it out frame by frame, with hold, resume, duck and stop.

    A reply's sound may be appended before it is released (a reply prepared ahead). Sound for any other reply than
    the current one is dropped: late output of an old turn can't leak into a new one. The sound of the current reply
    is kept until the reply ends, so that it can go back a little after a hold; a reply is bounded, so this is too.
    """

    def __init__(self, rate: int = OUTPUT_RATE) -> None:
        self.rate = rate
        self.reply = 0
        self._parts: deque[Samples] = deque()
        self._length = 0
        self._position = 0
        self._released = False
        self._held = False
        self._gain = 1.0
        self._target = 1.0
        self._tail: Samples = np.zeros(0, np.float32)
        self._aside: Samples = np.zeros(0, np.float32)

    @property
    def position(self) -> float:
        """Seconds of the current reply that were given out."""
        return self._position / self.rate

    @property
    def length(self) -> float:
        """Seconds of sound that the current reply has so far."""
        return self._length / self.rate

    @property
    def playing(self) -> bool:
        """Whether the next frame has sound of the reply in it."""
        return self._released and not self._held and self._position < self._length

    @property
    def sounding(self) -> bool:
        """Whether the next frame has any sound of a voice in it, of a reply or of an aside."""
        return self.playing or len(self._aside) > 0

    def aside(self, pcm: Samples) -> None:
        """Let a short sound be heard that belongs to no reply; one that sounds still is replaced."""
        self._aside = pcm

    def begin(self, reply: int) -> None:
        """Make ``reply`` the current one; what is left of another is cut."""
        self.stop(self.reply)
        self.reply = reply
        self._parts.clear()
        self._length = self._position = 0
        self._released = self._held = False
        self._target = self._gain = 1.0

    def append(self, reply: int, pcm: Samples) -> bool:
        """Add sound to ``reply``; False if it is not the current one and the sound was dropped."""
        if reply != self.reply:
            return False
        if len(pcm):
            self._parts.append(pcm)
            self._length += len(pcm)
        return True

    def release(self, reply: int) -> None:
        """Let ``reply`` sound from the next frame on."""
        if reply == self.reply:
            self._released = True

    def duck(self, ducked: bool) -> None:
        """Play softly, or at full level again."""
        self._target = DUCKED_GAIN if ducked else 1.0

    def hold(self) -> float:
        """Fall silent, ready to go on; gives the position in seconds."""
        if self.playing:
            self._tail = self._fade_out()
        self._held = True
        return self.position

    def resume(self, position: float) -> None:
        """Go on from ``position`` seconds of the reply (not beyond where it stopped)."""
        self._position = max(0, min(self._position, round(position * self.rate)))
        self._held = False
        self._gain = 0.0
        self._target = 1.0

    def stop(self, reply: int) -> None:
        """Cut ``reply`` with a short fade and forget its sound."""
        if reply != self.reply or reply == 0:
            return
        if self.playing:
            self._tail = self._fade_out()
        self.reply = 0
        self._parts.clear()
        self._length = self._position = 0
        self._released = self._held = False

    def read(self, count: int) -> Samples:
        """The next ``count`` samples; silence where there is nothing to play."""
        frame = np.zeros(count, np.float32)
        tail = self._tail[:count]
        frame[: len(tail)] = tail
        self._tail = self._tail[count:]
        aside = self._aside[:count]
        frame[: len(aside)] += aside
        self._aside = self._aside[count:]
        if not self.playing:
            return frame
        taken = self._slice(self._position, min(count, self._length - self._position))
        self._position += len(taken)
        frame[: len(taken)] += taken * self._ramp(len(taken))
        return frame

    def _ramp(self, count: int) -> Samples:
        """Gain per sample, moving toward the target by at most full scale per fade time."""
        step = 1.0 / (FADE_S * self.rate)
        distance = self._target - self._gain
        moved = np.minimum(step * np.arange(1, count + 1), abs(distance))
        gains: Samples = (self._gain + np.sign(distance) * moved).astype(np.float32)
        self._gain = float(gains[-1]) if count else self._gain
        return gains

    def _fade_out(self) -> Samples:
        count = min(round(FADE_S * self.rate), self._length - self._position)
        faded = self._slice(self._position, count)
        faded *= np.linspace(self._gain, 0.0, count, endpoint=False, dtype=np.float32)
        return faded

    def _slice(self, start: int, count: int) -> Samples:
        out = np.zeros(count, np.float32)
        offset = 0
        for part in self._parts:
            lo, hi = max(start, offset), min(start + count, offset + len(part))
            if lo < hi:
                out[lo - start : hi - start] = part[lo - offset : hi - offset]
            offset += len(part)
            if offset >= start + count:
                break
        return out
