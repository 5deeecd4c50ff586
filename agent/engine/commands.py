"""What the engine wants done. The shell around it carries these out in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from dragoman.agent.events import ReplyStatus


@dataclass(frozen=True, slots=True)
class OpenEar:
    """Begin to recognize ``turn`` with the sound from ``at`` on (and a little before)."""

    turn: int
    at: int


@dataclass(frozen=True, slots=True)
class CloseEar:
    """``turn`` needs no more recognition; drop its sound."""

    turn: int


@dataclass(frozen=True, slots=True)
class Transcribe:
    """Give ``Transcript(turn, revision)`` of what was heard so far: as well as can be, or with ``quick`` at once."""

    turn: int
    revision: int
    quick: bool = False


@dataclass(frozen=True, slots=True)
class Respond:
    """Write and synthesize ``reply`` to ``text`` (None: to the history as it is), but don't play it yet.

    ``opening``: it begins with the words of this draft, whose sound is there, and goes on as if they were its own.
    ``waits``: it goes on when the turn's words are all there (``GoOn``), not before.
    """

    reply: int
    turn: int
    text: str | None
    opening: int | None = None
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Arm:
    """``turn`` ends soon: draft the first words of an answer to ``text``, and hold them."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class Play:
    """Play the first words of ``reply``; it is announced (``Release``) when the turn that it answers is finished."""

    reply: int


@dataclass(frozen=True, slots=True)
class GoOn:
    """Write what follows the first words of ``reply``: the turn that it answers is in the history."""

    reply: int


@dataclass(frozen=True, slots=True)
class DropOpening:
    """``draft`` will not be said."""

    draft: int


@dataclass(frozen=True, slots=True)
class DropReply:
    """``reply`` was prepared but is not wanted; nobody has heard of it."""

    reply: int


@dataclass(frozen=True, slots=True)
class Release:
    """``reply`` is the answer: play it."""

    reply: int
    turn: int


@dataclass(frozen=True, slots=True)
class FinishTurn:
    """The user's turn is over with this text; it goes into the history."""

    turn: int
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Duck:
    """Play softly, or at full level again."""

    on: bool


@dataclass(frozen=True, slots=True)
class Hold:
    """Stop playing, ready to go on. ``turn`` is what is being said over it."""

    reply: int
    turn: int
    at: int


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on playing from ``position`` seconds of ``reply``."""

    reply: int
    position: float


@dataclass(frozen=True, slots=True)
class EndReply:
    """``reply`` is over; stop what is left of it. ``heard`` goes into the history if there is any."""

    reply: int
    status: ReplyStatus
    heard: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The history's entry of ``reply`` becomes ``heard``."""

    reply: int
    heard: str


@dataclass(frozen=True, slots=True)
class NoteBackchannel:
    """What was said in ``turn`` was a backchannel or a noise; the reply goes on."""

    turn: int
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class ShowAttention:
    """Give a short sign of attention over ``turn``, which goes on."""

    turn: int


@dataclass(frozen=True, slots=True)
class TakeFloor:
    """The user's voice at ``at`` is (part of) ``turn``: show it."""

    turn: int
    at: int


@dataclass(frozen=True, slots=True)
class YieldFloor:
    """The user fell silent at ``at``; ``turn`` may go on."""

    turn: int
    at: int


Command: TypeAlias = (
    OpenEar
    | CloseEar
    | Transcribe
    | Respond
    | Arm
    | Play
    | GoOn
    | DropOpening
    | DropReply
    | Release
    | FinishTurn
    | Duck
    | Hold
    | Resume
    | EndReply
    | Rewrite
    | NoteBackchannel
    | ShowAttention
    | TakeFloor
    | YieldFloor
)
