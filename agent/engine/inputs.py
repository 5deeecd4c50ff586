"""What the engine is told. Positions named ``at`` are samples of the input (16 kHz)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from dragoman.audio.types import Word


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """A voice became audible; it began at ``at``."""

    at: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The voice fell silent; its last sound was at ``at``."""

    at: int


@dataclass(frozen=True, slots=True)
class Partial:
    """Words of the open turn so far."""

    turn: int
    text: str
    stable: int = 0


@dataclass(frozen=True, slots=True)
class Transcript:
    """The text of all that was heard of ``turn`` when ``Transcribe(turn, revision)`` was given.

    ``complete`` in [0, 1]: how much it sounds like the end of what the user wants to say. The same revision may come
    again, by a second pass: a reply to other words is then begun anew, unless it sounds already or will at once.
    """

    turn: int
    revision: int
    text: str
    complete: float


@dataclass(frozen=True, slots=True)
class BackchannelHint:
    """The voice over the reply sounds like a backchannel ("mm-hm") so far."""


@dataclass(frozen=True, slots=True)
class TurnOver:
    """A model of turn-taking hears that the open turn is over; its last sound was about at ``at``."""

    at: int


@dataclass(frozen=True, slots=True)
class EndsSoon:
    """A model of turn-taking hears that the open turn is about to end; ``sure``: the next silence is its end."""

    sure: bool = False


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A model of turn-taking hears that the voice over the reply wants it to stop."""


@dataclass(frozen=True, slots=True)
class Attend:
    """A model of turn-taking hears a moment for a sign of attention ("mm-hm") while the user speaks on."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The fast path has the first words of an answer to ``turn``, and their sound of ``seconds``, ready to be played.

    ``trust`` in [0, 1] is the verifier's: what it is not sure of is never said. ``answers``: the user's words that it
    was drafted for; to others it is no answer. A newer draft replaces an older one.
    """

    draft: int
    turn: int
    words: tuple[Word, ...]
    seconds: float
    trust: float
    answers: str


@dataclass(frozen=True, slots=True)
class ReplySpeech:
    """``seconds`` of sound were added to ``reply``; ``words`` are the new words, timed from its first sample."""

    reply: int
    words: tuple[Word, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class ReplyWritten:
    """``reply`` gets no more sound; ``limited``: the language model was not allowed to write more."""

    reply: int
    limited: bool = False


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """``reply`` can't be finished. What it has so far may still be played."""

    reply: int
    reason: str


@dataclass(frozen=True, slots=True)
class Played:
    """The listener has heard ``seconds`` of ``reply``."""

    reply: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Commit:
    """The client ends the turn by hand."""


@dataclass(frozen=True, slots=True)
class Clear:
    """The client drops the open turn."""


@dataclass(frozen=True, slots=True)
class Ask:
    """The client wants a reply to the history as it is."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """The client stops the reply."""


@dataclass(frozen=True, slots=True)
class Truncate:
    """The client says that only ``seconds`` of ``reply`` were heard."""

    reply: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Remembered:
    """The client has put a message into the history, has taken one out, or wants the reply to be written otherwise."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Input: TypeAlias = (
    SpeechStarted
    | SpeechStopped
    | Partial
    | Transcript
    | BackchannelHint
    | TurnOver
    | EndsSoon
    | Interrupted
    | Attend
    | Opening
    | ReplySpeech
    | ReplyWritten
    | ReplyFailed
    | Played
    | Commit
    | Clear
    | Ask
    | Cancel
    | Truncate
    | Remembered
    | Tick
)
