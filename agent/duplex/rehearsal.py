"""Rehearsals: what a trained model would decide in recorded conversations, for all thresholds in one pass.

Its own past is given to it such that each of its decisions comes ``NEAR`` frames late. Until then it is a model that
has not decided yet, so it is known when any threshold would have been crossed. How it lives with a wrong decision is
not followed here: ``dragoman bench duplex`` lets it run free.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.agent.duplex.conversation import AgentUtterance, Conversation, UserEvent
from dragoman.agent.duplex.frames import Control, decided_s
from dragoman.agent.duplex.policy import FRAME_CONTROLS, Policy

Array = npt.NDArray[np.floating]

NEAR: Final = 3
"""Frames by which a begin may miss its label and still be a hit."""

STOPPED_S: Final = 0.48
"""An interruption must have stopped the reply by then."""

TOGETHER_S: Final = 0.2
"""Who begins so shortly after the user has not broken into a turn: both began at once."""

AFTERWARDS_S: Final = 0.5
"""A stop so long after a backchannel is still for it."""

CUTOFF: Final = 2.0
"""What a cut-off costs, in begins that are missed: who is cut off begins anew, who is not answered at once waits for
the silence that ends a turn.
"""

TRIED: Final = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.88, 0.9, 0.92, 0.94, 0.96, 0.97, 0.98, 0.99, 0.995)

_BOS: Final = FRAME_CONTROLS.index(Control.BOS)
_STP: Final = FRAME_CONTROLS.index(Control.STP)


@dataclass(frozen=True, slots=True)
class Turn:
    """Probabilities to begin at the frames of a turn: ``during`` it, pauses and all, and ``after`` its true end until
    ``NEAR`` frames behind the label; those are ``after_ms`` behind the end.
    """

    during: Array
    after: Array
    after_ms: Array


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What was found: turns, and the probabilities to stop at the frames that may stop for an interruption, or must not
    for a backchannel.
    """

    turns: tuple[Turn, ...] = ()
    interruptions: tuple[Array, ...] = ()
    backchannels: tuple[Array, ...] = ()

    def __add__(self, other: Rehearsal) -> Rehearsal:
        return Rehearsal(
            self.turns + other.turns,
            self.interruptions + other.interruptions,
            self.backchannels + other.backchannels,
        )

    def figures(self, policy: Policy) -> Figures:
        """What comes of these thresholds."""
        hits, begins, cutoffs = 0, 0, 0
        gaps: list[float] = []
        for turn in self.turns:
            crossed = np.flatnonzero(turn.after >= policy.begin)
            if bool((turn.during >= policy.begin).any()):
                cutoffs, begins = cutoffs + 1, begins + 1
            elif len(crossed):
                hits, begins = hits + 1, begins + 1
                gaps.append(float(turn.after_ms[crossed[0]]))
        stops = [bool((p >= policy.stop).any()) for p in self.interruptions]
        false = [bool((p >= policy.stop).any()) for p in self.backchannels]
        return Figures(
            begin_f1=_share(2 * hits, len(self.turns) + begins),
            cutoff_rate=_share(cutoffs, len(self.turns)),
            gap_p50_ms=float(np.median(gaps)) if gaps else None,
            stop_rate=_share(sum(stops), len(stops)),
            false_stop_rate=_share(sum(false), len(false)),
        )

    def policy(self, policy: Policy) -> Policy:
        """The thresholds that suit it best; where nothing was interrupted, stopping stays as it is."""
        begins = [replace(policy, begin=begin) for begin in TRIED]
        policy = max(begins, key=lambda tried: _beginning(self.figures(tried)))
        if self.interruptions:
            stops = [replace(policy, stop=stop) for stop in TRIED]
            policy = max(stops, key=lambda tried: _stopping(self.figures(tried)))
        return policy


@dataclass(frozen=True, slots=True)
class Figures:
    """Rates, each None where there was nothing to count. ``begin_f1``: of begins after the true end and within ``NEAR``
    frames of their label; ``cutoff_rate``: turns that were broken into; ``gap_p50_ms``: from the true end to the begin;
    ``stop_rate`` and ``false_stop_rate``: interruptions that stopped a reply in time, and backchannels that did.
    """

    begin_f1: float | None
    cutoff_rate: float | None
    gap_p50_ms: float | None
    stop_rate: float | None
    false_stop_rate: float | None


def rehearse(conversation: Conversation, start: int, probabilities: Array) -> Rehearsal:
    """What probabilities [frames, 4] of ``FRAME_CONTROLS``, from frame ``start`` on, say of the events that lie wholly
    in these frames.
    """
    replies = [said for said in conversation.agent if said.kind == "reply"]
    times = np.array([decided_s(start + i) for i in range(len(probabilities))])
    begin, stop = probabilities[:, _BOS], probabilities[:, _STP]

    def inside(first_s: float, last_s: float) -> bool:
        return bool(len(times)) and bool(times[0] <= first_s) and bool(last_s <= times[-1])

    turns = []
    for said, event, free_s in _answers(conversation, replies):
        until = decided_s(said.frame + NEAR)
        if inside(event.start_s, until):
            ended = times >= event.end_s
            during = (times > max(event.start_s + TOGETHER_S, free_s)) & ~ended
            after = ended & (times <= until + 1e-6)
            turns.append(Turn(begin[during], begin[after], 1000 * (times[after] - event.end_s)))
    interruptions, backchannels = [], []
    for event in conversation.user:
        last = event.start_s + STOPPED_S if event.kind == "interruption" else event.end_s + AFTERWARDS_S
        over = next((said for said in replies if decided_s(said.frame) < event.start_s < said.end_s), None)
        if over is None or not inside(event.start_s, last):
            continue
        if event.kind == "interruption" and over.stop_frame is not None:
            interruptions.append(stop[(times >= event.start_s) & (times <= last)])
        elif event.kind == "backchannel":
            backchannels.append(stop[(times >= event.start_s) & (times <= min(last, over.end_s))])
    return Rehearsal(tuple(turns), tuple(interruptions), tuple(backchannels))


def _answers(
    conversation: Conversation, replies: Sequence[AgentUtterance]
) -> Iterator[tuple[AgentUtterance, UserEvent, float]]:
    """Each reply, the turn that it answers, and from when on the agent is free to begin it."""
    free_s = 0.0
    for said in replies:
        yield said, conversation.asked(said), free_s
        free_s = said.end_s if said.stop_frame is None else decided_s(said.stop_frame + NEAR)


def _share(count: int, of: int) -> float | None:
    return count / of if of else None


def _beginning(figures: Figures) -> float:
    """Hits against cut-offs."""
    return (figures.begin_f1 or 0.0) - CUTOFF * (figures.cutoff_rate or 0.0)


def _stopping(figures: Figures) -> float:
    """Interruptions that were obeyed against backchannels that were mistaken for one."""
    return (figures.stop_rate or 0.0) - (figures.false_stop_rate or 0.0)
