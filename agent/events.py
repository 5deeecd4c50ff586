"""What a session tells the outside: the command line, the server and benchmarks all read this one stream.

Times are seconds on the session's input clock (samples heard / 16,000). A reply that was prepared ahead and then
dropped never appears here: events of a reply begin with ``ReplyStarted``, when it is sure to be spoken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from dragoman.audio.types import Samples, Word


@dataclass(frozen=True, slots=True)
class UserStarted:
    """The user began to speak and has the floor (over a reply: it was interrupted, or is held to find out)."""

    turn: int
    at: float


@dataclass(frozen=True, slots=True)
class UserStopped:
    """The user fell silent; the turn may go on."""

    turn: int
    at: float


@dataclass(frozen=True, slots=True)
class UserPartial:
    """Words of the open turn so far; the first ``stable`` words will not change."""

    turn: int
    text: str
    stable: int


@dataclass(frozen=True, slots=True)
class UserTurn:
    """The turn is over and its text is in the history, as entry number ``entry`` (0: no words, no entry)."""

    turn: int
    text: str
    start: float
    end: float
    entry: int


@dataclass(frozen=True, slots=True)
class UserHeardAgain:
    """The second pass understood other words of a turn that is over already, entry number ``entry`` of the history,
    which has them as soon as nobody speaks.
    """

    turn: int
    text: str
    entry: int


@dataclass(frozen=True, slots=True)
class UserBackchannel:
    """The user said something short over the reply that asks for nothing ("mm-hm"), or made a noise (empty text)."""

    turn: int
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class UserTurnDropped:
    """The client has dropped the open turn by hand, or found none to end: all the sound before that is dealt with."""

    at: float


@dataclass(frozen=True, slots=True)
class AgentAttends:
    """A moment for a sign of attention ("mm-hm") while the user goes on with ``turn``."""

    turn: int
    at: float


@dataclass(frozen=True, slots=True)
class ReplyStarted:
    """A reply will be spoken now; ``turn`` is the user's turn that it answers (0: none, it was asked for)."""

    reply: int
    turn: int
    at: float


@dataclass(frozen=True, slots=True)
class ReplyOpened:
    """The reply begins with words of the fast path, which the verifier gives this ``trust``."""

    reply: int
    text: str
    trust: float


@dataclass(frozen=True, slots=True)
class ReplyText:
    """More of the reply's text, as the language model writes it."""

    reply: int
    text: str


@dataclass(frozen=True, slots=True)
class ReplyAudio:
    """More of the reply's sound, 24 kHz, ahead of its playing; word times count from the reply's first sample."""

    reply: int
    pcm: Samples
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class ReplyWritten:
    """The reply gets no more text and no more sound; it may still be playing. ``limited``: it would go on, but has the
    most tokens that it may have.
    """

    reply: int
    limited: bool = False


@dataclass(frozen=True, slots=True)
class ReplyPlaying:
    """The reply's first sample leaves the playout clock, ``track`` seconds into the agent's own track."""

    reply: int
    at: float
    track: float


@dataclass(frozen=True, slots=True)
class ReplyHeld:
    """Playing stopped at ``position`` seconds of the reply, because the user speaks over it; undecided."""

    reply: int
    at: float
    position: float


@dataclass(frozen=True, slots=True)
class ReplyResumed:
    """It was no interruption: playing goes on from ``position`` seconds of the reply."""

    reply: int
    at: float
    position: float


ReplyStatus: TypeAlias = Literal["completed", "interrupted", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class ReplyDone:
    """The reply is over. ``heard`` holds just the words that were played: what the history keeps."""

    reply: int
    at: float
    status: ReplyStatus
    text: str
    heard: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PhaseChanged:
    """The conversation's state, for live views."""

    phase: str
    at: float


@dataclass(frozen=True, slots=True)
class Problem:
    """Something failed and the session goes on."""

    message: str
    at: float


SessionEvent: TypeAlias = (
    UserStarted
    | UserStopped
    | UserPartial
    | UserTurn
    | UserHeardAgain
    | UserBackchannel
    | UserTurnDropped
    | AgentAttends
    | ReplyStarted
    | ReplyOpened
    | ReplyText
    | ReplyAudio
    | ReplyWritten
    | ReplyPlaying
    | ReplyHeld
    | ReplyResumed
    | ReplyDone
    | PhaseChanged
    | Problem
)
