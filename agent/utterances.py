"""Cutting what is heard into utterances: speech between two pauses, bounded where there is none. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from dragoman.agent.ports import VoiceActivity
from dragoman.asr.vad import Ended, SpeechEdges, Started
from dragoman.audio.types import INPUT_RATE, Samples


@dataclass(frozen=True, slots=True)
class Utterance:
    """A stretch of speech, 16 kHz: ``start`` in samples of the input, ``closed`` in seconds when it was known.

    ``paused`` False: it was cut because it grew too long, and the sentence may go on. An utterance without sound
    says that the pause after the last one has become a long one: nothing of before goes on any more.
    """

    pcm: Samples
    start: int
    closed: float
    paused: bool


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a pause must be to end an utterance: the longer it has lasted, the shorter."""

    fresh: float = 0.8
    """Seconds of silence, for an utterance that has just begun."""
    tired: float = 0.35
    """Seconds of silence at ``long`` and beyond."""
    over: float = 2.5
    """Seconds of silence after which a sentence that seemed unfinished is over too."""
    short: float = 4.0
    long: float = 12.0
    most: float = 20.0
    """An utterance that lasts so long is cut at the quietest moment of its last seconds."""

    def after(self, seconds: float) -> float:
        """The pause that ends an utterance of this length."""
        return float(np.interp(seconds, (self.short, self.long), (self.fresh, self.tired)))


_LEAD: Final = round(0.3 * INPUT_RATE)
_TAIL: Final = round(0.2 * INPUT_RATE)
_SEARCH_S: Final = 5.0


class Utterances:
    """Fed with sound in pieces of any length; holds at most one utterance. One stream, one thread."""

    def __init__(self, vad: VoiceActivity, patience: Patience | None = None) -> None:
        self._vad = vad
        self._hop = vad.hop
        self._patience = patience or Patience()
        self._edges = SpeechEdges(hop=vad.hop)
        self._rest: Samples = np.zeros(0, np.float32)
        self._windows: list[Samples] = []
        self._chances: list[float] = []
        self._origin = 0  # sample where the first held window begins
        self._begin: int | None = None
        self._end: int | None = None
        self._over: int | None = None  # sample at which the pause becomes a long one

    def push(self, pcm: Samples) -> list[Utterance]:
        """Utterances that this sound closed."""
        sound = np.concatenate((self._rest, pcm))
        whole = len(sound) - len(sound) % self._hop
        self._rest = sound[whole:]
        found = (self._window(sound[i : i + self._hop]) for i in range(0, whole, self._hop))
        return [utterance for utterance in found if utterance is not None]

    def flush(self) -> list[Utterance]:
        """The sound is over: the utterance that was open. Its last, incomplete window belongs to it."""
        closed = self.push(np.zeros(-len(self._rest) % self._hop, np.float32))
        if self._begin is not None:
            closed.append(self._close(self._position, paused=True))
        return closed

    @property
    def _position(self) -> int:
        return self._origin + len(self._windows) * self._hop

    def _window(self, window: Samples) -> Utterance | None:
        chance = self._vad.probability(window)
        self._windows.append(window)
        self._chances.append(chance)
        match self._edges.push(chance):
            case Started(at):
                self._begin = max(self._origin, at - _LEAD) if self._begin is None else self._begin
                self._end = None
            case Ended(at):
                self._end = at
        if self._begin is None:
            self._forget(self._position - _LEAD - 3 * self._hop)
            return self._silence()
        seconds = (self._position - self._begin) / INPUT_RATE
        if self._end is not None:
            silent = (self._position - self._end) / INPUT_RATE
            if silent >= self._patience.after(seconds - silent):
                return self._close(min(self._position, self._end + _TAIL), paused=True)
        elif seconds >= self._patience.most:
            return self._close(self._quietest(), paused=False)
        return None

    def _close(self, end: int, *, paused: bool) -> Utterance:
        assert self._begin is not None
        held = np.concatenate(self._windows)
        pcm = held[self._begin - self._origin : end - self._origin]
        utterance = Utterance(pcm, self._begin, self._position / INPUT_RATE, paused)
        self._begin = None if paused else end
        spoken = end if self._end is None else self._end
        self._over = spoken + round(self._patience.over * INPUT_RATE) if paused else None
        self._end = None
        self._forget(end)
        return utterance

    def _silence(self) -> Utterance | None:
        if self._over is None or self._position < self._over:
            return None
        self._over = None
        return Utterance(np.zeros(0, np.float32), self._position, self._position / INPUT_RATE, paused=True)

    def _quietest(self) -> int:
        """The middle of the window of the last seconds that is least likely speech."""
        count = min(len(self._chances), round(_SEARCH_S * INPUT_RATE / self._hop))
        index = len(self._chances) - count + int(np.argmin(self._chances[-count:]))
        return self._origin + index * self._hop + self._hop // 2

    def _forget(self, before: int) -> None:
        """Drop the windows that end at sample ``before`` or earlier."""
        count = max(0, (before - self._origin) // self._hop)
        del self._windows[:count]
        del self._chances[:count]
        self._origin += count * self._hop
