"""What may differ from one conversation to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from dragoman.agent.engine.policy import Policy

DEFAULT_PORT: Final = 8710
"""Where ``dragoman serve`` listens."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What may be different from one conversation to the next, and may change within one."""

    instructions: str | None = None
    """The system prompt; None takes the embedded one."""
    language: str | None = "en"
    """What the user speaks, and the agent answers in; None detects it for each turn (see ``reply_in``)."""
    turn_detection: bool = True
    """False: the client ends each turn by hand (``commit``) and asks for replies (``respond``)."""
    silence_ms: int | None = None
    """A fixed silence that ends a turn; None adapts it to what was said."""
    leisure: float = 1.0
    """Times as long as usual a silence must be that ends a turn, where it adapts."""
    threshold: float = 0.5
    """How sure the voice detector must be, in (0.2, 1)."""
    prefix_padding_ms: int = 300
    """Sound before the detected start of speech that belongs to the turn."""
    create_response: bool = True
    """Whether the end of a turn asks for a reply."""
    interrupt_response: bool = True
    """Whether a voice over the reply can stop it."""
    attentive: bool = False
    """Whether the agent says "mm-hm" while the user speaks for long, where a model takes turns."""
    half_duplex: bool = False
    """Be deaf while the agent speaks, so that it does not hear itself through open speakers."""
    speed: float = 1.0
    """Rate of speech, 0.5 to 2."""
    max_tokens: int = 160
    """Longest reply."""
    speak: bool = True
    """False: replies are text only."""
    voice: str | None = None
    """Name of a voice; None takes the language's own."""

    def reply_in(
        self, heard: Sequence[str], speaks: Callable[[str, str | None], bool]
    ) -> tuple[str | None, str | None]:
        """What the agent answers in, and the name of the voice. Where the language is detected, that is the last of
        ``heard`` (the latest is the first) that a voice ``speaks``, else English, and None before any was heard; a
        voice that does not speak it makes room for one that does.
        """
        if self.language or not heard:
            return self.language, self.voice
        language = next((each for each in heard if not self.speak or speaks(each, None)), "en")
        return language, self.voice if speaks(language, self.voice) else None

    def policy(self) -> Policy:
        """The engine's part of the settings."""
        return Policy(
            silence_ms=self.silence_ms,
            leisure=self.leisure,
            respond=self.create_response and self.turn_detection,
            interruptible=self.interrupt_response and self.turn_detection,
        )
