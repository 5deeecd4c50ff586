"""What the engine keeps: the phase, the open turn, and the reply that is prepared or played."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from dragoman.agent.engine.inputs import Opening
from dragoman.agent.engine.wording import same_meaning
from dragoman.audio.types import Word

HEARD_SLACK_S: Final = 0.03
"""A word counts as heard if at most so much of its end is missing: one playout frame and the fade."""


class Phase(StrEnum):
    """Who has the floor."""

    IDLE = "idle"
    LISTENING = "listening"
    PAUSING = "pausing"
    REPLYING = "replying"
    SPEAKING = "speaking"
    OVERLAP = "overlap"
    HELD = "held"


SPOKEN_OVER: Final = (Phase.OVERLAP, Phase.HELD)
"""The user's voice is over the reply."""


@dataclass(slots=True)
class Turn:
    """What the user says in one go; positions are samples of the input."""

    number: int
    start: int
    end: int
    speaking: bool = True
    revision: int = 0
    transcribed: int = 0
    text: str = ""
    heard_at: int = 0
    """When the words of its last pause came."""
    complete: float = 0.0
    hold_at: int | None = None
    quick: bool = False
    """The transcript that was asked for is a quick one, just to tell a backchannel from an interruption."""
    floor: bool = False
    shown: bool = False
    committed: bool = False
    ducks: bool = False
    """A reply is played softly because of it."""
    over: bool = False
    """A model of turn-taking heard its end."""
    opening: Opening | None = None
    """First words that may be said as soon as it is over."""
    soon_until: int = -1
    """A model of turn-taking heard that it ends before that, most likely."""
    sure_until: int = -1
    """The same where it was sure: a silence before that is the end."""
    armed: str = ""
    """The words for which first words were wanted while it went on."""
    answered: bool = False
    """Its reply plays, though its own words are still to come."""
    silenced: bool = False
    """A reply that was asked for was dropped when it began, before its first sound."""
    aside: bool = False
    """Began over a reply that asks for no answer: a backchannel at its very end is still one."""

    def misheard_by(self, opening: Opening) -> bool:
        """Whether these first words answer others than the turn's, which are there."""
        return self.transcribed == self.revision and not same_meaning(opening.answers, self.text)


@dataclass(slots=True)
class Reply:
    """What the agent says, as far as it is known; times are seconds of its own sound."""

    number: int
    turn: int
    announced: bool = False
    opened: bool = False
    """It begins with first words of the fast path."""
    words: list[Word] = field(default_factory=list)
    seconds: float = 0.0
    position: float = 0.0
    written: bool = False
    failure: str = ""

    def heard(self, seconds: float) -> str:
        """The words whose end lies in the first ``seconds``."""
        heard = " ".join(word.text for word in self.words if word.end <= seconds + HEARD_SLACK_S)
        # What goes on from first words may begin with a mark, which is a word of its own then.
        return _MARK.sub("", heard).strip()

    @property
    def asks(self) -> bool:
        """Whether it ends with a question."""
        return bool(self.words) and self.words[-1].text.rstrip("\"'”’)").endswith("?")

    @property
    def sayable(self) -> bool:
        """Whether there is something to play or to show, or nothing to wait for."""
        return bool(self.words) or self.seconds > 0 or (self.written and not self.failure)

    def rewind(self, most: float) -> None:
        """Go back to the start of the word that was cut, if that is at most ``most`` seconds."""
        cut = next((word for word in self.words if word.end > self.position + HEARD_SLACK_S), None)
        if cut is not None and cut.start < self.position <= cut.start + most:
            self.position = cut.start


_MARK: Final = re.compile(r" (?=[.,!?;:\u2026]+(?: |$))")
"""The space before a mark that stands alone."""
