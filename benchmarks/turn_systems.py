"""The systems that the duplex model is compared with: they go by the voice detector and by what they make of pauses."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from dragoman.agent.duplex.frames import STOP_AFTER_S
from dragoman.agent.ports import SoundTurnDetector
from dragoman.asr.smart_turn import COMPLETE
from dragoman.asr.vad import WINDOW, Ended, Started
from dragoman.audio.types import INPUT_RATE, Samples
from dragoman.benchmarks.turn_taking import Played
from dragoman.benchmarks.world import World

ASKED_S: Final = 0.2
"""Silence after which smart-turn is asked, as its makers do."""

FALL_BACK_S: Final = 3.0
"""Silence after that with which a turn ends, whatever smart-turn said."""

PRE_SPEECH_S: Final = 0.5
"""Sound before the voice that smart-turn is given."""


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


def listen(world: World, over: Patience) -> Played:
    """A system that goes by the voice detector: it begins when a turn is ``over``, and a voice that lasts for
    ``STOP_AFTER_S`` while it is busy stops it.
    """
    voice = world.voice
    turn: int | None = None
    speaking, since = False, 0
    for i in range(len(world.microphone.pcm) // WINDOW):
        now = (i + 1) * WINDOW
        at = now / INPUT_RATE
        world.activity.hear(now)
        match world.activity.edges.get(i):
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
