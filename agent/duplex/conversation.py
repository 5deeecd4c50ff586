"""A conversation between a user and the agent, with everything that is to be known about it.

The sound is what the microphone hears; the rest is the truth behind it, to the frame. All times are seconds from the
start of the sound. Who makes such conversations and where they are kept is told elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from dragoman.agent.duplex.frames import FRAME, SOON_S, Control, decided_s
from dragoman.audio.types import INPUT_RATE, Samples, Word

Split: TypeAlias = Literal["drafter", "verifier", "test"]
"""Who may see a conversation: the drafter's training, the verifier's, or no training at all."""

UserKind: TypeAlias = Literal["turn", "backchannel", "interruption", "false-start"]
"""``turn`` and ``interruption`` are answered. A ``backchannel`` sounds over the agent's voice and asks for nothing. A
``false-start`` is broken off, and a turn follows it."""

AgentKind: TypeAlias = Literal["reply", "backchannel"]

Place: TypeAlias = Literal["phrase", "filler", "clause", "sentence"]
"""Where a pause lies: inside a phrase, after an "um", at the end of a clause or of a sentence."""

Situation: TypeAlias = Literal["chat", "answer", "list", "number"]
"""What a turn is: talk, the answer to the agent's question, things or digits one after the other."""

SPLITS: Final[tuple[Split, ...]] = get_args(Split)

PAUSE_S: Final = 0.3
"""Silence inside a turn is a pause from this length on."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence of at least ``PAUSE_S`` inside a turn, by the same rule as the turn's end."""

    start_s: float
    end_s: float
    place: Place

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class UserEvent:
    """Something that the user says, from its first to its last audible sound (-40 dB rule on the clean voice).

    ``words`` are all that sounds, fillers too; ``text`` is what is meant: the words as a person would write them down.
    """

    kind: UserKind
    start_s: float
    end_s: float
    words: tuple[Word, ...]
    text: str
    situation: Situation = "chat"
    pauses: tuple[Pause, ...] = ()

    @property
    def answered(self) -> bool:
        """Whether a reply is due after it."""
        return self.kind in ("turn", "interruption")


@dataclass(frozen=True, slots=True)
class AgentUtterance:
    """Something that the agent says: decided at ``frame``, and heard from ``start_s`` to ``end_s``.

    ``text`` is the beginning of the answer (12 words at most); ``complete`` tells that the answer has no more. An
    interruption stops it: the decision is due at ``stop_frame``, and only ``heard`` of its words have sounded by then.
    """

    kind: AgentKind
    text: str
    frame: int
    start_s: float
    end_s: float
    complete: bool = True
    stop_frame: int | None = None
    heard: int | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """``pcm``: what the microphone hears at 16 kHz: user, noise, room, echo of the agent; whole frames.

    ``context`` holds the turns (role, text) before the sound begins, roles "user" and "assistant". Events lie in the
    order of their starts.
    """

    id: str
    split: Split
    language: str
    pcm: Samples = field(repr=False, compare=False)
    context: tuple[tuple[str, str], ...]
    user: tuple[UserEvent, ...]
    agent: tuple[AgentUtterance, ...]
    user_voice: str
    agent_voice: str
    echo_db: float | None = None
    """Level of the agent's echo against the user's voice; None: no echo."""
    echo: Samples | None = field(default=None, repr=False, compare=False)
    """That echo by itself, as long as the sound; None: there is none, or nobody has kept it."""

    @property
    def frames(self) -> int:
        """Frames of the sound."""
        return len(self.pcm) // FRAME

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.pcm) / INPUT_RATE

    def unechoed(self) -> Conversation:
        """The same without the agent's echo, if that is known; else itself."""
        if self.echo is None:
            return self
        return replace(self, pcm=self.pcm - self.echo, echo=None, echo_db=None)

    def labels(self) -> npt.NDArray[np.int64]:
        """What is to be decided at each frame, a ``Control``, shape [frames]."""
        out = np.full(self.frames, Control.SIL, np.int64)
        for said in self.agent:
            out[said.frame] = Control.BOS if said.kind == "reply" else Control.BOC
            if said.stop_frame is not None:
                out[said.stop_frame] = Control.STP
        return out

    def asked(self, said: AgentUtterance) -> UserEvent:
        """The turn that a reply answers: the last that was over when it was due."""
        due = decided_s(said.frame)
        return [event for event in self.user if event.answered and event.end_s <= due][-1]

    def ends_soon(self) -> npt.NDArray[np.bool_]:
        """Whether a turn that is under way truly ends within ``SOON_S`` of each decision, shape [frames]."""
        out = np.zeros(self.frames, np.bool_)
        now = self._decisions()
        for event in self.user:
            if event.answered:
                out |= (now >= event.start_s) & (now < event.end_s) & (event.end_s - now <= SOON_S + _ROUNDING)
        return out

    def agent_speaking(self) -> npt.NDArray[np.bool_]:
        """Whether the agent's voice sounds at the moment of each decision, shape [frames]."""
        return self._sounding([(said.start_s, said.end_s) for said in self.agent])

    def user_speaking(self) -> npt.NDArray[np.bool_]:
        """Whether the user is in the middle of something at the moment of each decision, shape [frames]."""
        return self._sounding([(event.start_s, event.end_s) for event in self.user])

    def _decisions(self) -> npt.NDArray[np.float64]:
        return np.array([decided_s(frame) for frame in range(self.frames)], np.float64)

    def _sounding(self, spans: list[tuple[float, float]]) -> npt.NDArray[np.bool_]:
        out, now = np.zeros(self.frames, np.bool_), self._decisions()
        for start, end in spans:
            out |= (now >= start) & (now < end)
        return out


_ROUNDING: Final = 1e-6
