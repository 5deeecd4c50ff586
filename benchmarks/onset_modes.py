"""The systems whose onset is compared, as sessions: each is the same program with other parts.

``cascade-vad`` waits for a silence, and the language model answers. ``cascade-same`` takes turns as relay does, by its
model, its endpointer and the words of turns, and has its reply prepared in the pause, but no first words. ``fast`` says
every draft that is not plainly wrong, and nothing after it. ``relay`` says the drafts that the verifier trusts, and the
language model goes on from them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias, get_args

from dragoman.agent.parts import Parts
from dragoman.agent.settings import SessionSettings
from dragoman.benchmarks.onset_ports import Delayed, Mute, Trusting, Wordless
from dragoman.benchmarks.onset_run import Goal

Mode: TypeAlias = Literal["cascade-vad", "cascade-same", "fast", "relay"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)

Clock: TypeAlias = Literal["virtual", "real", "again"]
"""``again``: virtual, with nothing recalled."""

SLOW: Final[tuple[Mode, ...]] = ("cascade-vad", "cascade-same", "relay")
"""Those with a slow path."""

MAX_TOKENS: Final = 48
"""Of a reply: two short sentences."""


@dataclass(frozen=True, slots=True)
class System:
    """A mode, with the seconds by which its slow path is late; ``silence_ms``: what ends a turn for ``cascade-vad``."""

    mode: Mode
    delay_s: float = 0.0
    silence_ms: int | None = None

    def parts(self, loaded: Parts) -> Parts:
        """What its sessions are made of."""
        responder = Delayed(loaded.responder, self.delay_s) if self.delay_s else loaded.responder
        match self.mode:
            case "cascade-vad":
                return replace(
                    loaded, responder=responder, turn_model=None, sound_detector=None, drafter=None, judge=None
                )
            case "cascade-same":
                drafter = None if loaded.drafter is None else Wordless(loaded.drafter)
                return replace(loaded, responder=responder, drafter=drafter, judge=Trusting())
            case "fast":
                return replace(loaded, responder=Mute(), judge=Trusting())
            case "relay":
                return replace(loaded, responder=responder)

    def settings(self) -> SessionSettings:
        """How its sessions are held."""
        return SessionSettings(silence_ms=self.silence_ms, max_tokens=MAX_TOKENS)

    def goal(self, *, whole: bool) -> Goal:
        """How much of its replies there is to see; ``whole``: what they say counts too."""
        if self.mode in ("cascade-vad", "fast"):
            return Goal.ONSET
        if whole:
            return Goal.WHOLE
        return Goal.SEAM if self.mode == "relay" else Goal.ONSET


def missing(mode: Mode, *, first_words: bool) -> str:
    """Why a mode can't be measured; "" where it can. ``first_words``: there are a drafter and its verifier."""
    if mode in ("fast", "relay") and not first_words:
        return "it needs a drafter and its verifier, and no such pair is here: see `dragoman train verifier`"
    return ""
