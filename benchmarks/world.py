"""The world that a system lives in: a recording of the user, a voice of the system's own, and what the microphone makes
of both.

What the user says doesn't react. A reply sounds for as long as the recorded agent's would have (or for two seconds
where none was due) unless it is stopped; what follows then is up to the system. The echo that comes with it is that of
the recorded reply, moved to where this one sounds: a system hears an echo of what it says, and of nothing else.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import numpy as np

from dragoman.agent.duplex.conversation import AgentKind, AgentUtterance, Conversation
from dragoman.agent.duplex.frames import FRAME, decided_s
from dragoman.asr.vad import WINDOW, Ended, SileroVad, SpeechEdges, Started
from dragoman.audio.types import INPUT_RATE, Samples
from dragoman.benchmarks.turn_taking import ANSWERED_S, Played, turns_of

ONSET_S: Final = 0.32
"""From a begin to the first sound of a reply that the recorded agent didn't give."""

ATTENDING_S: Final = (0.07, 0.5)
"""From the decision to give a sign of attention to its sound, and how long that is."""

_NOT_DUE_S: Final = 2.0
_TAIL_S: Final = 0.1
_FADE: Final = 320

Edge: TypeAlias = Started | Ended


class Microphone:
    """``pcm``, 16 kHz, is what it hears: past moments are final, and the system's own voice changes those to come.

    ``echo``: that of the recorded agent by itself, which is not in the conversation's sound; without it none is heard.
    """

    def __init__(self, conversation: Conversation, echo: Samples | None = None) -> None:
        self._conversation = conversation
        self._echo = echo
        self._quiet = conversation.pcm
        self.pcm = conversation.pcm if echo is None else conversation.pcm.copy()

    def sounds(self, kind: AgentKind, start: float, end: float) -> None:
        """The system's voice will sound in these seconds."""
        said = [one for one in self._conversation.agent if one.kind == kind] or self._conversation.agent
        if self._echo is None or not said:
            return
        nearest = min(said, key=lambda one: abs(one.start_s - start))
        recorded = self._echo[_at(nearest.start_s) : _at(nearest.end_s + _TAIL_S)]
        room = self.pcm[_at(start) : _at(end + _TAIL_S)]
        room += np.resize(recorded, len(room))  # one that was broken off goes on as it began

    def falls_silent(self, now: float) -> None:
        """It sounds no more from now on."""
        if self._echo is None:
            return
        first, last = _at(now), _at(now) + _FADE
        fading = self.pcm[first:last] - self._quiet[first:last]
        self.pcm[first:] = self._quiet[first:]
        self.pcm[first:last] += fading * np.linspace(1.0, 0.0, len(fading), dtype=np.float32)


class AgentVoice:
    """When the agent's voice sounds, as a system has decided."""

    def __init__(self, conversation: Conversation, microphone: Microphone) -> None:
        self.played = Played()
        self._microphone = microphone
        self._turns = turns_of(conversation)
        self._sound = (0.0, 0.0)
        self._sign = (0.0, 0.0)
        self._over = 0.0

    def busy(self, now: float) -> bool:
        """Whether a reply was begun and is not over."""
        return now < self._over

    @property
    def over(self) -> float:
        """When the last reply was, or will be, over."""
        return self._over

    def sounding(self, now: float) -> bool:
        """Whether it is audible."""
        return any(start <= now < end for start, end in (self._sound, self._sign))

    def begin(self, now: float) -> None:
        """A reply is begun."""
        answered = [turn for turn in self._turns if turn.event.end_s <= now]
        onset, length = ONSET_S, _NOT_DUE_S
        if answered and now - answered[-1].event.end_s <= ANSWERED_S:
            said = answered[-1].reply
            onset, length = said.start_s - decided_s(said.frame), _whole_s(said)
        self._over = now + onset + length
        self._sound = (now + onset, self._over)
        self._microphone.sounds("reply", *self._sound)
        self.played.begins.append(now)
        self.played.spoken.append(self._sound)

    def stop(self, now: float) -> None:
        """The reply is stopped."""
        self.played.stops.append(now)
        self.played.spoken[-1] = (self._sound[0], now)
        self._sound, self._over = (self._sound[0], now), now
        self._microphone.falls_silent(now)

    def attend(self, now: float) -> None:
        """A sign of attention is given."""
        self._sign = (now + ATTENDING_S[0], now + sum(ATTENDING_S))
        self._microphone.sounds("backchannel", *self._sign)


class Activity:
    """What the session's voice detector says of a sound, as far as it has been heard: ``edges`` by the number of the
    window that made them certain.

    ``windows``: of the whole sound; ``edge``: is asked for each of them, in their order.
    """

    def __init__(self, windows: int, edge: Callable[[int], Edge | None]) -> None:
        self.edges: dict[int, Edge] = {}
        self.windows = 0
        self._most, self._edge = windows, edge
        self._speaking = False
        self._voiced: list[int] = []
        self._costs: list[float] = []

    @classmethod
    def of(cls, pcm: Samples) -> Activity:
        """The detector's that a session has; ``pcm`` may still change where it has not been heard."""
        vad, edges = SileroVad(), SpeechEdges()
        return cls(len(pcm) // WINDOW, lambda i: edges.push(vad.probability(pcm[i * WINDOW : (i + 1) * WINDOW])))

    def hear(self, samples: int) -> None:
        """Hear so much of the sound."""
        while self.windows < min(self._most, samples // WINDOW):
            began = time.process_time()
            edge = self._edge(self.windows)
            self._costs.append(1000 * (time.process_time() - began))
            if edge is not None:
                self.edges[self.windows] = edge
                self._speaking = isinstance(edge, Started)
            if self._speaking:
                self._voiced.append(self.windows)
            self.windows += 1

    def since(self, window: int, samples: int) -> Iterator[int]:
        """Hear so much of the sound; the windows from this one on that are over by then."""
        self.hear(samples)
        yield from range(window, min(self.windows, samples // WINDOW))

    def voiced(self, first: int, last: int) -> bool:
        """Whether a voice was known to speak at the end of one of the windows from ``first`` on, before ``last``."""
        at = bisect_left(self._voiced, first)
        return at < len(self._voiced) and self._voiced[at] < last

    @property
    def frame_ms(self) -> tuple[float, ...]:
        """Processor time of each frame of 160 ms."""
        per_frame = FRAME // WINDOW
        whole = np.array(self._costs[: len(self._costs) // per_frame * per_frame])
        return tuple(map(float, whole.reshape(-1, per_frame).sum(1)))


class World:
    """One system's: the ``conversation`` that is recorded, its ``voice``, what the ``microphone`` hears, and what the
    voice detector makes of it.
    """

    def __init__(
        self, conversation: Conversation, echo: Samples | None = None, activity: Activity | None = None
    ) -> None:
        """``activity``: of the sound, where nothing changes it."""
        self.conversation = conversation
        self.microphone = Microphone(conversation, echo)
        self.voice = AgentVoice(conversation, self.microphone)
        self.activity = activity or Activity.of(self.microphone.pcm)

    def opened(self, now: float) -> bool:
        """Whether the user has said something since the last reply was over, as far as it has been heard: in a session
        nothing is answered before a voice was.
        """
        return self.activity.voiced(int(self.voice.over * INPUT_RATE) // WINDOW, int(now * INPUT_RATE) // WINDOW)


def _whole_s(said: AgentUtterance) -> float:
    """How long a reply would have been had nobody stopped it."""
    length = said.end_s - said.start_s
    return length * len(said.text.split()) / said.heard if said.heard else length


def _at(seconds: float) -> int:
    return round(seconds * INPUT_RATE)
