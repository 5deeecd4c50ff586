"""Rehearsals: the model runs free over recorded conversations, hears its own decisions, and is judged by the truth.

What the user says is a recording and doesn't react. A reply that was begun sounds for as long as the true one, or for
two seconds where none was due, or until it is stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from dragoman.agent.duplex.conversation import Conversation, UserEvent
from dragoman.agent.duplex.frames import FRAME_S, Control, decided_s
from dragoman.agent.duplex.history import Numbers
from dragoman.agent.duplex.policy import OwnTokens, Policy

NEAR: Final = 3
"""Frames by which a begin may miss its label and still be a hit."""

ONSET: Final = 2
"""Frames from the decision to the first sound of a reply."""

STOPPED_S: Final = 0.48
_NOT_DUE_S: Final = 2.0
_AFTERWARDS_S: Final = 0.5


class Model(Protocol):
    """Several streams that step together."""

    def step(
        self, features: npt.NDArray[np.floating], previous: Numbers, sounding: npt.NDArray[np.bool_], words: Numbers
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Features [B, 8, d], previous tokens [B], sounding [B], words [B, WORDS] to probabilities [B, 4] of the
        controls of a frame, and [B] that a turn ends soon.
        """


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a rehearsal: frames ``start`` on of a conversation, features [frames, 8, d], words [frames, .]."""

    conversation: Conversation
    start: int
    features: npt.NDArray[np.floating]
    words: Numbers


@dataclass(slots=True)
class Played:
    """What the model did in a part: (frame of the conversation, decision), and its foresight [frames]."""

    part: Part
    decisions: list[tuple[int, Control]] = field(default_factory=list)
    spoken: list[tuple[int, int]] = field(default_factory=list)
    """First and last frame of each reply, from the decision on."""
    ends: list[float] = field(default_factory=list)


def rehearse(model: Model, parts: Sequence[Part], policy: Policy, whole: int) -> list[Played]:
    """Run ``model`` over parts of equal length at once; ``whole``: ``Vocabulary.whole``."""
    actors = [_Actor(Played(part), whole) for part in parts]
    for i in range(len(parts[0].features)):
        probabilities, ends = model.step(
            np.stack([part.features[i] for part in parts]),
            np.array([actor.own.previous for actor in actors], np.int64),
            np.array([actor.sounding(part.start + i) for actor, part in zip(actors, parts, strict=True)]),
            np.stack([part.words[i] for part in parts]),
        )
        for actor, part, p, soon in zip(actors, parts, probabilities, ends, strict=True):
            actor.act(part.start + i, policy.decide(p, actor.busy(part.start + i)), float(soon))
    for actor in actors:
        actor.finish()
    return [actor.played for actor in actors]


class _Actor:
    def __init__(self, played: Played, whole: int) -> None:
        self.played = played
        self.own = OwnTokens(whole)
        self._begun: int | None = None
        self._over = 0

    def busy(self, frame: int) -> bool:
        return self._begun is not None and frame < self._over

    def sounding(self, frame: int) -> bool:
        return self._begun is not None and self._begun + ONSET <= frame < self._over

    def act(self, frame: int, control: Control, ends: float) -> None:
        self.played.ends.append(ends)
        self.own.decided(control)
        if control == Control.SIL:
            return
        self.played.decisions.append((frame, control))
        if control == Control.STP:
            self._over = frame + 1
        elif control == Control.BOS:
            self.finish()
            self._begun, self._over = frame, frame + ONSET + self._length(frame)
        else:
            self.finish()

    def finish(self) -> None:
        if self._begun is not None:
            self.played.spoken.append((self._begun, self._over))
        self._begun = None

    def _length(self, frame: int) -> int:
        due = [said for said in self.played.part.conversation.agent if said.kind == "reply"]
        near = [said for said in due if abs(said.frame - frame) <= NEAR]
        seconds = near[0].end_s - near[0].start_s if near else _NOT_DUE_S
        return max(1, round(seconds / FRAME_S))


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of a rehearsal; rates are None where there was nothing to count."""

    turns: int
    hits: int
    begins: int
    cutoffs: int
    gaps_ms: tuple[float, ...]
    interruptions: int
    stopped: int
    backchannels: int
    false_stops: int

    @property
    def begin_f1(self) -> float | None:
        """Of begins within ``NEAR`` frames of their label and not before the true end."""
        return 2 * self.hits / (self.turns + self.begins) if self.turns + self.begins else None

    @property
    def cutoff_rate(self) -> float | None:
        """Turns that were broken into."""
        return self.cutoffs / self.turns if self.turns else None

    @property
    def gap_p50_ms(self) -> float | None:
        """Median time from the true end of a turn to the begin that answered it."""
        return float(np.median(self.gaps_ms)) if self.gaps_ms else None

    @property
    def stop_rate(self) -> float | None:
        """Interruptions of a reply that stopped it in time."""
        return self.stopped / self.interruptions if self.interruptions else None

    @property
    def false_stop_rate(self) -> float | None:
        """Backchannels over a reply that stopped it."""
        return self.false_stops / self.backchannels if self.backchannels else None


def judge(played: Sequence[Played]) -> Figures:
    """Compare what was done with the truth."""
    turns = hits = begins = cutoffs = interruptions = stopped = backchannels = false_stops = 0
    gaps: list[float] = []
    for one in played:
        conversation = one.part.conversation
        first, last = one.part.start, one.part.start + len(one.part.features)
        begun = [frame for frame, control in one.decisions if control == Control.BOS]
        begins += len(begun)
        due = [said.frame for said in conversation.agent if said.kind == "reply" and first <= said.frame < last - NEAR]
        ends = {frame: _answered(conversation, frame) for frame in due}
        turns += len(due)
        for frame, event in ends.items():
            near = [b for b in begun if abs(b - frame) <= NEAR and decided_s(b) >= event.end_s]
            hits += bool(near)
            gaps += [1000 * (decided_s(near[0]) - event.end_s)] if near else []
            cutoffs += any(event.start_s < decided_s(b) < event.end_s for b in begun)
        for event in conversation.user:
            over = [(b, o) for b, o in one.spoken if decided_s(b) < event.start_s < decided_s(o)]
            if not over or event.start_s < decided_s(first):
                continue
            stops = [decided_s(f) for f, control in one.decisions if control == Control.STP]
            if event.kind == "interruption":
                interruptions += 1
                stopped += any(event.start_s <= at <= event.start_s + STOPPED_S for at in stops)
            elif event.kind == "backchannel":
                backchannels += 1
                false_stops += any(event.start_s <= at <= event.end_s + _AFTERWARDS_S for at in stops)
    return Figures(turns, hits, begins, cutoffs, tuple(gaps), interruptions, stopped, backchannels, false_stops)


def _answered(conversation: Conversation, frame: int) -> UserEvent:
    """The turn that a reply due at ``frame`` answers."""
    return [event for event in conversation.user if event.answered and event.end_s <= decided_s(frame)][-1]
