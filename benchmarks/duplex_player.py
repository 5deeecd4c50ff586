"""The duplex model as it lives in a session: it hears frame after frame, its own decisions are fed back, and at each
begin the drafter writes the first words of a reply.

As in a session, nothing is answered before a voice was heard, and what was said in frames that are dropped is read as
text. The long silence that ends a turn in a session where the model says nothing does not help it here. Several
conversations step together; a stream's numbers do not depend on the others.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.agent.drafter.runtime import DrafterRuntime
from dragoman.agent.duplex.conversation import Conversation
from dragoman.agent.duplex.ends import Evidence, Silence
from dragoman.agent.duplex.features import Ear, EarStream, Sounds
from dragoman.agent.duplex.frames import FRAME, SOON_S, Control, decided_s, first_decided
from dragoman.agent.duplex.history import WORDS, dialogue_before
from dragoman.agent.duplex.policy import Policy
from dragoman.agent.duplex.runtime import Decided, DuplexRuntime, Heard
from dragoman.agent.ports import Recognizer
from dragoman.asr.causal.mel import AHEAD
from dragoman.asr.vad import Started
from dragoman.audio.types import INPUT_RATE, Samples
from dragoman.benchmarks.duplex_words import TurnWords
from dragoman.benchmarks.turn_taking import Played
from dragoman.benchmarks.world import Activity, World

AHEAD_S: Final = AHEAD / INPUT_RATE
"""The ear hears so much after the end of a frame before it is done with it."""

WORDS_AFTER_S: Final = 0.4
"""The ear has a word so long after its end."""

DRAFTED: Final = 5
"""Words of a draft."""

_TOGETHER: Final = 8
_ROUNDING_S: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Case:
    """A conversation, and how it is ``heard``: frame by frame as it is or, where the agent's ``echo`` is put into the
    sound, by an ear; what the voice detector says, if that is known; and the words that were newly recognized at each
    frame, if they are given.
    """

    conversation: Conversation
    heard: Sounds | Ear
    echo: Samples | None = None
    activity: Activity | None = None
    words: Sequence[Sequence[str]] = ()

    def world(self) -> World:
        """A world of its own for a system."""
        return World(self.conversation, self.echo, self.activity)


@dataclass(frozen=True, slots=True)
class Drafting:
    """Processor time from a begin to the first word of its draft, and to five words or all that there are; the last
    words of the turn are read in it.
    """

    first_ms: float
    five_ms: float
    whole: bool
    """It has five words, or is a whole reply of at least one."""


@dataclass(slots=True)
class Performance:
    """What the model did; ``ends`` [frames]: that the turn ends soon; ``drafts`` by the moment of their begin."""

    played: Played
    ends: list[float] = field(default_factory=list)
    drafts: dict[float, Drafting] = field(default_factory=dict)


def perform(
    runtime: DuplexRuntime,
    cases: Sequence[Case],
    policy: Policy,
    drafter: DrafterRuntime | None = None,
    listening: Callable[[World], TurnWords] | None = None,
) -> Iterator[Performance]:
    """Run the model over conversations, in their order; ``drafter`` writes at each begin, and ``listening`` tells of
    the words of turns, where they are heeded.
    """
    for first in range(0, len(cases), _TOGETHER):
        actors = [_Actor(runtime, case, drafter, listening) for case in cases[first : first + _TOGETHER]]
        for frame in range(max(actor.case.conversation.frames for actor in actors)):
            going = [actor for actor in actors if frame < actor.case.conversation.frames]
            decided = runtime.step([actor.stream for actor in going], [actor.heard(frame) for actor in going])
            for actor, one in zip(going, decided, strict=True):
                actor.performance.ends.append(one.ends)
                now = actor.between(frame, policy)
                busy = actor.world.voice.busy(decided_s(frame))
                known = actor.known(frame, one)
                if now is None:
                    wanted = policy.decide(one.probabilities, busy, known, heeded=listening is not None)
                    actor.act(frame, wanted, decided_s(frame))
                else:
                    actor.act(frame, Control.BOS, now)
        for actor in actors:
            actor.performance.played.delay_s = AHEAD_S
            yield actor.performance


class _Actor:
    def __init__(
        self,
        runtime: DuplexRuntime,
        case: Case,
        drafter: DrafterRuntime | None,
        listening: Callable[[World], TurnWords] | None,
    ) -> None:
        self.case, self.world = case, case.world()
        self.stream = runtime.open(case.conversation.context)
        self.performance = Performance(self.world.voice.played)
        self._words_of_turn = None if listening is None else listening(self.world)
        self._runtime, self._drafter = runtime, drafter
        self._ear = EarStream(case.heard) if isinstance(case.heard, Ear) else None
        self._words: deque[int] = deque()
        self._frames = self._window = 0
        self._silence = Silence()
        self._known: Evidence | None = None

    def heard(self, frame: int) -> Heard:
        if self.case.words:
            for word in self.case.words[frame]:
                self._words += self._runtime.vocabulary.heard(word)
        words = [self._words.popleft() for _ in range(min(len(self._words), WORDS))]
        return Heard(*self._sounds(frame), self.world.voice.sounding(decided_s(frame)), words)

    def _sounds(self, frame: int) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
        """What the ear makes of a frame, and its prosody."""
        if self._ear is None:
            assert isinstance(self.case.heard, Sounds)
            return self.case.heard.features[frame], self.case.heard.prosody[frame]
        first, last = (i * FRAME + AHEAD for i in (frame, frame + 1))
        sound = self.world.microphone.pcm[first if frame else 0 : last]
        silence = np.zeros(max(0, last - len(self.world.microphone.pcm)), np.float32)
        features, prosody = self._ear.push(np.concatenate([sound, silence]))
        return features[0], prosody[0]

    def known(self, frame: int, decided: Decided) -> Evidence | None:
        """What is known of the turn's end when a frame is decided."""
        now = decided_s(frame) + AHEAD_S
        activity = self.world.activity
        for window in activity.since(self._window, int(now * INPUT_RATE)):
            if (edge := activity.edges.get(window)) is not None:
                self._silence.voice(isinstance(edge, Started), edge.at)
            self._window = window + 1
        whole = None if self._words_of_turn is None else self._words_of_turn.whole(now)
        if decided.over is not None:
            self._known = self._silence.evidence(decided.over, whole, (frame + 1) * FRAME)
        return self._known

    def between(self, frame: int, policy: Policy) -> float | None:
        """When, before a frame, the turn was over by words that were read since the last one; None: it was not."""
        words, known = self._words_of_turn, self._known
        if words is None or known is None:
            return None
        before = decided_s(frame - 1)
        earliest = before + policy.ends.time_for(known)
        news = words.read(decided_s(frame) + AHEAD_S, earliest + AHEAD_S)
        if news is None:
            return None
        whole, known_s = news
        now = known_s - AHEAD_S
        over = policy.ends.ended_between(known, whole, now - before)
        return now if over and not self.world.voice.busy(now) else None

    def act(self, frame: int, wanted: Control, now: float) -> None:
        """Do at a moment what is wanted, and tell the model with the frame that follows it."""
        control, voice = wanted, self.world.voice
        if wanted in (Control.BOS, Control.BOC) and not self.world.opened(now):
            control = Control.SIL
        self.stream.own.decided(control)
        match control:
            case Control.BOS:
                voice.begin(now)
                if self._words_of_turn is not None:
                    self._words_of_turn.begun()
                self._say(now)
                if self._drafter is not None:
                    self.performance.drafts[now] = draft(self._drafter, self.case.conversation, now)
            case Control.STP:
                voice.stop(now)
            case Control.BOC:
                voice.attend(now)
        if self.stream.frames <= self._frames:
            first = frame + 1 - self.stream.frames
            self._runtime.remember(self.stream, dialogue_before(self.case.conversation, first))
        self._frames = self.stream.frames

    def _say(self, now: float) -> None:
        """The model is told the words of the reply that is due about now, as a session tells it those of its own."""
        replies = [said for said in self.case.conversation.agent if said.kind == "reply"]
        nearest = min(replies, key=lambda said: abs(said.start_s - now), default=None)
        if nearest is not None:
            self.stream.own.say(self._runtime.vocabulary.write(nearest.text))


def draft(drafter: DrafterRuntime, conversation: Conversation, now: float) -> Drafting:
    """Draft the first words of a reply to what the user said until now, of which all but the last moments were read.

    As the words of a recognizer, those that ended within ``WORDS_AFTER_S`` are read when the draft is asked for.
    """
    event = max((event for event in conversation.user if event.start_s < now), key=lambda event: event.start_s)
    reading = drafter.open(dialogue_before(conversation, first_decided(event.start_s)))
    spoken = [word for word in event.words if word.end <= now]
    drafter.read(reading, " ".join(word.text for word in spoken if word.end <= now - WORDS_AFTER_S))
    began = time.process_time()
    drafter.read(reading, " ".join(word.text for word in spoken))
    heard = time.process_time()
    drafter.draft(reading, 1)
    first = time.process_time()
    made = drafter.draft(reading, DRAFTED)
    ended = time.process_time()
    count = len(made.text.split())
    read_ms = 1000 * (heard - began)
    whole = count >= DRAFTED or (made.complete and count > 0)
    return Drafting(read_ms + 1000 * (first - heard), read_ms + 1000 * (ended - first), whole)


def frame_costs(runtime: DuplexRuntime, ear: Ear, pcm: Samples, most: int = 300) -> list[float]:
    """Processor time of each frame of one session by itself, in milliseconds: ear and model, one thread."""
    listening, stream = EarStream(ear), runtime.open()
    costs = []
    for start in range(0, min(len(pcm), most * FRAME) - FRAME + 1, FRAME):
        began = time.process_time()
        features, prosody = listening.push(pcm[start : start + FRAME])
        if len(features):
            runtime.step([stream], [Heard(features[-1], prosody[-1])])
            stream.own.decided(Control.SIL)
            costs.append(1000 * (time.process_time() - began))
    return costs


def recognized(recognizer: Recognizer, pcm: Samples) -> list[list[str]]:
    """For each frame the words that the streaming recognizer was sure of since the last: what it finds in the sound up
    to a frame comes with the next.
    """
    stream, known = recognizer.open("en"), 0
    out: list[list[str]] = [[]]
    for frame in range(len(pcm) // FRAME):
        stream.accept(pcm[frame * FRAME : (frame + 1) * FRAME])
        stable: list[str] = []
        if frame % 2:
            heard = stream.partial()
            stable = heard.text.split()[: heard.stable]
        out.append(stable[known:])
        known = max(known, len(stable))
    return out[:-1]


@dataclass
class Foresight:
    """Counts of what the model foresaw of the ends of turns: decisions while a turn is under way that say it ends
    within ``SOON_S``, those that are right, and how long before the end the first right one of each turn came.
    """

    said: int = 0
    right: int = 0
    turns: int = 0
    leads_s: list[float] = field(default_factory=list)

    def add(self, conversation: Conversation, ends: Sequence[float], threshold: float) -> None:
        """Count a conversation."""
        now = np.array([decided_s(frame) for frame in range(len(ends))])
        says = np.asarray(ends) >= threshold
        for event in conversation.user:
            inside = (now >= event.start_s) & (now < event.end_s) & says
            if event.answered:
                right = inside & (event.end_s - now <= SOON_S + _ROUNDING_S)
                self.turns += 1
                self.said += int(inside.sum())
                self.right += int(right.sum())
                if right.any():
                    self.leads_s.append(event.end_s - float(now[right][0]))
