"""The systems whose turn-taking is compared. All of them live in one world: a recording of the user, and a voice of the
agent's own that sounds when they let it.

What the user says is a recording and doesn't react. A reply sounds for as long as the recorded agent's would have (or
for two seconds where none was due) unless it is stopped; what follows then is up to the system.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from dragoman.agent.duplex.conversation import AgentUtterance, Conversation
from dragoman.agent.duplex.frames import FRAME, STOP_AFTER_S, decided_s
from dragoman.agent.ports import SoundTurnDetector
from dragoman.asr.smart_turn import COMPLETE
from dragoman.asr.vad import WINDOW, Ended, SileroVad, SpeechEdges, Started
from dragoman.audio.types import INPUT_RATE, Samples
from dragoman.benchmarks.turn_taking import ANSWERED_S, Played, turns_of

ONSET_S: Final = 0.32
"""From a begin to the first sound of a reply that the recorded agent didn't give."""

ATTENDING_S: Final = (0.07, 0.5)
"""From the decision to give a sign of attention to its sound, and how long that is."""

ASKED_S: Final = 0.2
"""Silence after which smart-turn is asked, as its makers do."""

FALL_BACK_S: Final = 3.0
"""Silence after that with which a turn ends, whatever smart-turn said."""

PRE_SPEECH_S: Final = 0.5
"""Sound before the voice that smart-turn is given."""

_NOT_DUE_S: Final = 2.0


class AgentVoice:
    """When the agent's voice sounds, as a system has decided."""

    def __init__(self, conversation: Conversation) -> None:
        self.played = Played()
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
        self.played.begins.append(now)
        self.played.spoken.append(self._sound)

    def stop(self, now: float) -> None:
        """The reply is stopped."""
        self.played.stops.append(now)
        self.played.spoken[-1] = (self._sound[0], now)
        self._sound, self._over = (self._sound[0], now), now

    def attend(self, now: float) -> None:
        """A sign of attention is given."""
        self._sign = (now + ATTENDING_S[0], now + sum(ATTENDING_S))


def _whole_s(said: AgentUtterance) -> float:
    """How long a reply would have been had nobody stopped it."""
    length = said.end_s - said.start_s
    return length * len(said.text.split()) / said.heard if said.heard else length


@dataclass(frozen=True, slots=True)
class Activity:
    """What the session's voice detector says of a sound: edges by the number of the window that made them certain, and
    the processor time of each frame of 160 ms.
    """

    windows: int
    edges: dict[int, Started | Ended]
    frame_ms: tuple[float, ...]

    def voiced(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Whether a voice was known to speak at the end of each window."""
        out = np.zeros(self.windows, np.bool_)
        speaking = False
        for i in range(self.windows):
            speaking = isinstance(self.edges[i], Started) if i in self.edges else speaking
            out[i] = speaking
        return out


def detect(pcm: Samples) -> Activity:
    """Run the detector over a sound, as a session does."""
    vad, edges = SileroVad(), SpeechEdges()
    found: dict[int, Started | Ended] = {}
    costs = np.zeros(len(pcm) // WINDOW)
    for i in range(len(costs)):
        began = time.process_time()
        edge = edges.push(vad.probability(pcm[i * WINDOW : (i + 1) * WINDOW]))
        costs[i] = 1000 * (time.process_time() - began)
        if edge is not None:
            found[i] = edge
    per_frame = FRAME // WINDOW
    whole = costs[: len(costs) // per_frame * per_frame].reshape(-1, per_frame).sum(1)
    return Activity(len(costs), found, tuple(map(float, whole)))


Patience: TypeAlias = Callable[[int, int, int], bool]
"""Whether a turn is over: given the samples of its first sound, of the silence's start, and of now."""


def silence(milliseconds: int) -> Patience:
    """A turn is over after so much silence."""
    return lambda start, silent, now: now - silent >= milliseconds * INPUT_RATE // 1000


@dataclass
class Asking:
    """smart-turn as its makers use it: asked once in each pause; when it says no, a long silence ends the turn."""

    detector: SoundTurnDetector
    pcm: Samples
    asked_ms: list[float] = field(default_factory=list)
    """Processor time of each question."""
    answers: list[tuple[float, float]] = field(default_factory=list)
    """Seconds and probability of each answer."""
    _silent: int = -1

    def __call__(self, start: int, silent: int, now: int) -> bool:
        """See ``Patience``."""
        if now - silent < ASKED_S * INPUT_RATE:
            return False
        if silent == self._silent:
            return now - silent >= (ASKED_S + FALL_BACK_S) * INPUT_RATE
        self._silent = silent
        began = time.process_time()
        found = self.detector.complete(self.pcm[max(0, start - round(PRE_SPEECH_S * INPUT_RATE)) : now])
        self.asked_ms.append(1000 * (time.process_time() - began))
        self.answers.append((now / INPUT_RATE, found))
        return found >= COMPLETE


def listen(conversation: Conversation, activity: Activity, over: Patience) -> Played:
    """A system that goes by the voice detector: it begins when a turn is ``over``, and a voice that lasts for
    ``STOP_AFTER_S`` while it is busy stops it.
    """
    voice = AgentVoice(conversation)
    turn: int | None = None
    speaking, since = False, 0
    for i in range(activity.windows):
        now = (i + 1) * WINDOW
        at = now / INPUT_RATE
        match activity.edges.get(i):
            case Started(start):
                speaking, since = True, start
            case Ended(end):
                speaking, since = False, end
        if voice.busy(at):
            if speaking and now - since >= STOP_AFTER_S * INPUT_RATE:
                voice.stop(at)
        elif speaking and turn is None:
            turn = since
        if turn is not None and not speaking and over(turn, since, now):
            voice.begin(at)
            turn = None
    return voice.played


def open_turns(activity: Activity, voice: AgentVoice) -> Callable[[float], bool]:
    """A function that tells at rising times whether the user has said something since the last reply was over.

    In a session nothing is answered before a voice was heard.
    """
    voiced = np.flatnonzero(activity.voiced())

    def opened(now: float) -> bool:
        first, last = int(voice.over * INPUT_RATE) // WINDOW, int(now * INPUT_RATE) // WINDOW
        at = int(np.searchsorted(voiced, first))
        return at < len(voiced) and voiced[at] < last

    return opened


def sweep(conversation: Conversation, activity: Activity, milliseconds: Sequence[int]) -> Iterator[tuple[str, Played]]:
    """Every silence threshold's name and what it does."""
    for number in milliseconds:
        yield f"silence-{number}", listen(conversation, activity, silence(number))
