"""The models of a process, loaded once and shared by all of its sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dragoman.agent.openings import Drafter, Judge
from dragoman.agent.ports import (
    Conversing,
    Message,
    Recognizer,
    Responder,
    SoundTurnDetector,
    Synthesizer,
    TurnDetector,
    VoiceActivity,
)
from dragoman.agent.turn_taking import TurnModel
from dragoman.agent.workers import Worker
from dragoman.audio.clock import busy


@dataclass(slots=True)
class Parts:
    """One of each; every engine has a thread of its own."""

    recognizer: Recognizer
    responder: Responder
    turn_detector: TurnDetector
    voice_activity: Callable[[], VoiceActivity]
    """Makes a detector for a new session."""
    open_voice: Callable[[str, str | None], Synthesizer]
    """(language, name) -> voice; may take seconds the first time."""
    speaks: Callable[[str, str | None], bool] = lambda language, name: True
    """Whether there is a voice for (language, name)."""
    turn_model: TurnModel | None = None
    """Takes turns by ear; None: silence and words decide."""
    sound_detector: SoundTurnDetector | None = None
    """Judges pauses by ear in place of ``turn_detector``."""
    drafter: Drafter | None = None
    """Writes the first words of replies; None: the language model alone answers."""
    judge: Judge | None = None
    """Decides whether what was drafted is said; None: nothing is."""
    hearing: Worker = field(default_factory=lambda: Worker("hearing"))
    refining: Worker = field(default_factory=lambda: Worker("refining", yields=True))
    """For the recognizer's second pass, which nobody waits for: the reply is being written meanwhile."""
    speaking: Worker = field(default_factory=lambda: Worker("speaking"))
    _voices: dict[tuple[str, str | None], Synthesizer] = field(default_factory=dict)
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    def conversation(self) -> Responder:
        """The language model for one conversation."""
        return self.responder.conversation() if isinstance(self.responder, Conversing) else self.responder

    async def instruct(self, instructions: str, conversations: int) -> None:
        """Let the language model read what a conversation begins with for so many of them, as far as it keeps that: one
        that begins later holds up nobody who is being answered. A second and a half each.
        """
        if instructions and isinstance(self.responder, Conversing):
            places = [self.responder.conversation() for _ in range(conversations)]
            await asyncio.gather(*(place.warm([Message("system", instructions)]) for place in places))

    async def voice(self, language: str, name: str | None = None) -> Synthesizer:
        """The voice for a language, loaded when it is first wanted. Raises ``DragomanError`` if there is none."""
        key = (language, name)
        if key not in self._voices:
            async with self._opening:
                if key not in self._voices:
                    with busy():  # on a thread of its own: others speak on meanwhile
                        self._voices[key] = await asyncio.to_thread(self.open_voice, language, name)
        return self._voices[key]

    def keep(self, voices: Mapping[tuple[str, str | None], Synthesizer]) -> None:
        """Add voices that are already open."""
        self._voices.update(voices)

    async def aclose(self) -> None:
        """Free the models and their threads."""
        await self.responder.aclose()
        if self.turn_model is not None:
            self.turn_model.close()
        if self.drafter is not None:
            self.drafter.close()
        self.hearing.close()
        self.refining.close()
        self.speaking.close()
