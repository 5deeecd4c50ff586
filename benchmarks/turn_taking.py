"""How turn-taking is judged: one function for all systems, on the same turns.

A begin between the start and the true end of a turn is a cut-off, in a pause too, and never a hit; such a turn is lost
for the gap, and the system goes on. (Who begins in the same fifth of a second as the user can't have heard it.) The gap
runs from the true end of a turn to the first begin after it. A recording does not wait for a slow system: a turn is
watched until something else sounds, at most five seconds, and of a turn that was not answered by then it is known that
its gap is longer, no more. So quantiles of gaps are those of the product-limit estimate (Kaplan and Meier 1958), which
such a turn neither shortens nor lengthens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.agent.duplex.conversation import AgentUtterance, Conversation, UserEvent
from dragoman.agent.duplex.frames import FRAME_S, decided_s
from dragoman.agent.duplex.rehearsal import AFTERWARDS_S, STOPPED_S, TOGETHER_S

ANSWERED_S: Final = 5.0
"""A turn that is not answered in this time is missed."""

_ROUNDING_S: Final = 1e-6
_RESAMPLES: Final = 1000

Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that is to be answered. Seconds of the conversation: ``due_s`` is when the reply should begin, and
    ``until_s`` how long the recording can be watched for an answer.
    """

    event: UserEvent
    reply: AgentUtterance
    due_s: float
    until_s: float


def turns_of(conversation: Conversation) -> list[Turn]:
    """The turns that have a reply, in their order."""
    made = []
    replies = [said for said in conversation.agent if said.kind == "reply"]
    starts = [event.start_s for event in conversation.user]
    if conversation.echo_db is not None:
        # The recorded agent's, which a system that has not begun would take for the user.
        starts += [said.start_s for said in replies]
    for said in replies:
        due, event = decided_s(said.frame), conversation.asked(said)
        limit = min(event.end_s + ANSWERED_S, conversation.seconds)
        made.append(Turn(event, said, due, min([limit, *(s for s in starts if s > event.end_s)])))
    return made


@dataclass(slots=True)
class Played:
    """What a system did in a conversation. Decisions are told by the seconds of sound that had been heard; they were
    made ``delay_s`` later. ``spoken``: first and last sound of each reply.
    """

    begins: list[float] = field(default_factory=list)
    stops: list[float] = field(default_factory=list)
    spoken: list[tuple[float, float]] = field(default_factory=list)
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn went. ``near_1`` and ``near_3``: a begin lay so many frames from where it was due, or less.

    ``begins`` counts those from the start of this turn to the start of the next. ``gap_s`` is None when the turn was
    broken into; where it was not ``answered``, the gap is longer.
    """

    near_1: bool
    near_3: bool
    begins: int
    cut: bool
    answered: bool
    gap_s: float | None


@dataclass(frozen=True, slots=True)
class Judged:
    """Outcomes of one conversation; for each interruption and each backchannel that came while the agent's voice
    sounded, whether it stopped it (an interruption: in time).
    """

    group: str
    """What depends on each other: a clip, or a conversation."""
    outcomes: tuple[Outcome, ...]
    interruptions: tuple[bool, ...] = ()
    backchannels: tuple[bool, ...] = ()


def judge(conversation: Conversation, played: Played, group: str = "") -> Judged:
    """Compare what was done with the truth."""
    turns = turns_of(conversation)
    starts = [turn.event.start_s for turn in turns]
    outcomes = []
    for i, turn in enumerate(turns):
        first = 0.0 if i == 0 else starts[i]
        last = starts[i + 1] if i + 1 < len(turns) else np.inf
        mine = [at for at in played.begins if first <= at < last]
        cut = any(turn.event.start_s + TOGETHER_S < at < turn.event.end_s - _ROUNDING_S for at in mine)
        after = [at for at in played.begins if at >= turn.event.end_s - _ROUNDING_S]
        off = min((abs(at - turn.due_s) for at in after), default=np.inf) - _ROUNDING_S
        at = min(after, default=np.inf)
        answered = at <= turn.until_s
        gap = at + played.delay_s if answered else turn.until_s
        outcomes.append(
            Outcome(
                off <= FRAME_S,
                off <= 3 * FRAME_S,
                len(mine),
                cut,
                answered and not cut,
                None if cut else gap - turn.event.end_s,
            )
        )
    over = list(_sounded_over(conversation, played))
    return Judged(
        group or conversation.id,
        tuple(outcomes),
        tuple(
            _stopped(played, event.start_s, event.start_s + STOPPED_S) for event in over if event.kind != "backchannel"
        ),
        tuple(
            _stopped(played, event.start_s, event.end_s + AFTERWARDS_S) for event in over if event.kind == "backchannel"
        ),
    )


def _sounded_over(conversation: Conversation, played: Played) -> Iterable[UserEvent]:
    """What the user said over the agent's voice; not where a reply was just about to end by itself."""
    for event in conversation.user:
        if event.kind in ("interruption", "backchannel"):
            for start, end in played.spoken:
                stopped = any(event.start_s <= at <= end + _ROUNDING_S for at in played.stops)
                if start < event.start_s < end and (stopped or end >= event.start_s + STOPPED_S):
                    yield event


def _stopped(played: Played, first: float, last: float) -> bool:
    return any(first <= at and at + played.delay_s <= last + _ROUNDING_S for at in played.stops)


@dataclass(frozen=True)
class Tally:
    """All that one system did in one set, as arrays over turns [n]; ``of`` numbers the conversation (or clip), and
    ``interruptions_of`` and ``backchannels_of`` do so for what came over the agent's voice.
    """

    of: Rows
    near_1: Flags
    near_3: Flags
    begins: Rows
    cut: Flags
    answered: Flags
    gap_s: Numbers
    """NaN for a turn that was broken into."""
    interruptions: Flags
    interruptions_of: Rows
    backchannels: Flags
    backchannels_of: Rows

    @classmethod
    def over(cls, judged: Sequence[Judged]) -> Tally:
        """Count conversations together."""
        groups = {name: i for i, name in enumerate(dict.fromkeys(one.group for one in judged))}
        every = [(groups[one.group], outcome) for one in judged for outcome in one.outcomes]
        outcomes = [outcome for _, outcome in every]
        return cls(
            np.array([number for number, _ in every], np.int64),
            np.array([o.near_1 for o in outcomes], np.bool_),
            np.array([o.near_3 for o in outcomes], np.bool_),
            np.array([o.begins for o in outcomes], np.int64),
            np.array([o.cut for o in outcomes], np.bool_),
            np.array([o.answered for o in outcomes], np.bool_),
            np.array([np.nan if o.gap_s is None else o.gap_s for o in outcomes], np.float64),
            np.array([stopped for one in judged for stopped in one.interruptions], np.bool_),
            np.array([groups[one.group] for one in judged for _ in one.interruptions], np.int64),
            np.array([stopped for one in judged for stopped in one.backchannels], np.bool_),
            np.array([groups[one.group] for one in judged for _ in one.backchannels], np.int64),
        )

    @property
    def turns(self) -> int:
        """How many turns were to be answered."""
        return len(self.cut)

    def begin_f1(self, frames: int, rows: Rows | None = None) -> float | None:
        """Of begins that lie 1 or 3 frames from their due time, or less; of some ``rows`` or of all turns."""
        near = self.near_1 if frames == 1 else self.near_3
        chosen = slice(None) if rows is None else rows
        return _share(2 * int(near[chosen].sum()), len(near[chosen]) + int(self.begins[chosen].sum()))

    def cutoff_rate(self, rows: Rows | None = None) -> float | None:
        """Share of turns that were broken into."""
        chosen = self.cut if rows is None else self.cut[rows]
        return _share(int(chosen.sum()), len(chosen))

    def gap_ms(self, percent: float, rows: Rows | None = None) -> float | None:
        """A percentile of the gap after turns that were not broken into; None where so many were not answered."""
        chosen = slice(None) if rows is None else rows
        gaps, answered = self.gap_s[chosen], self.answered[chosen]
        whole = ~np.isnan(gaps)
        found = product_limit(gaps[whole], answered[whole], percent / 100)
        return None if found is None else 1000 * found

    def missed(self) -> int:
        """Turns that were watched for the whole time and not answered."""
        return int((~self.answered & (self.gap_s >= ANSWERED_S - _ROUNDING_S)).sum())

    def stop_rate(self, rows: Rows | None = None) -> float | None:
        """Interruptions that stopped the reply in time."""
        chosen = self.interruptions if rows is None else self.interruptions[rows]
        return _share(int(chosen.sum()), len(chosen))

    def false_stop_rate(self, rows: Rows | None = None) -> float | None:
        """Backchannels that stopped the reply."""
        chosen = self.backchannels if rows is None else self.backchannels[rows]
        return _share(int(chosen.sum()), len(chosen))


def interval(of: Rows, figure: Callable[[Rows], float | None]) -> tuple[float, float] | None:
    """95 % by bootstrap, of a figure of rows; ``of``: the conversation or clip of each row."""
    values = [value for rows in resampled(of) if (value := figure(rows)) is not None]
    if not values:
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def resampled(of: Rows, times: int = _RESAMPLES) -> Iterable[Rows]:
    """Rows drawn anew, conversation by conversation (or clip by clip): their turns are alike."""
    rows = [np.flatnonzero(of == number) for number in range(int(of.max(initial=-1)) + 1)]
    rng = np.random.default_rng(0)
    for _ in range(times if rows else 0):
        yield np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))])


def product_limit(times: Numbers, seen: Flags, share: float) -> float | None:
    """The time by which this share has happened, where some (not ``seen``) were only watched until then.

    None when even the longest watched did not get so far.
    """
    order = np.lexsort((~seen, times))  # what happens at a moment comes before what is lost from sight at it
    at_risk = len(times) - np.arange(len(times))
    alive = np.cumprod(np.where(seen[order], 1 - 1 / np.maximum(at_risk, 1), 1.0))
    reached = np.flatnonzero(alive <= 1 - share + _ROUNDING_S)
    return float(times[order][reached[0]]) if len(reached) else None


def at_rate(curve: Sequence[tuple[float, float]], rate: float) -> tuple[float, bool]:
    """The gap of a curve of (cut-off rate, gap) at a cut-off rate, between its nearest points, and whether the curve
    reaches so far; beyond its ends it is that of the end.

    A point that another beats in both counts for nothing.
    """
    best: list[tuple[float, float]] = []
    for cutoffs, gap in sorted(curve):
        if not best or gap < best[-1][1]:
            best.append((cutoffs, gap))
    rates, gaps = zip(*best, strict=True)
    return float(np.interp(rate, rates, gaps)), rates[0] <= rate <= rates[-1]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
