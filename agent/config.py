"""Which models a process runs. Each is one word: an embedded model's name, a path, or a server's address."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from dragoman.agent.endpointing import TextTurnDetector
from dragoman.agent.llm import open_responder
from dragoman.agent.parts import Parts
from dragoman.asr import open_recognizer
from dragoman.asr.vad import SileroVad
from dragoman.models.catalog import Progress
from dragoman.tts import open_voice


@dataclass(frozen=True, slots=True)
class Config:
    """The embedded models by default."""

    language: str | None = "en"
    """Decides which recognizer "auto" is, and which voice is loaded at the start; None: any language."""
    recognizer: str = "auto"
    llm: str = "auto"
    voice: str = "auto"
    slots: int = 2
    """Replies that the embedded language model may write at once."""
    seed: int | None = None
    """Makes the embedded language model's replies repeatable."""


async def load_parts(config: Config, progress: Progress | None = None) -> Parts:
    """Load everything that a conversation needs, off the event loop. Raises ``DragomanError``."""
    # Together, and all to their end: a model that is dropped while it loads may never let the program end.
    recognizer, voice, responder = await asyncio.gather(
        asyncio.to_thread(open_recognizer, config.recognizer, config.language, live=True, progress=progress),
        asyncio.to_thread(open_voice, config.language or "en", config.voice, progress=progress),
        open_responder(config.llm, progress, slots=config.slots, seed=config.seed),
        return_exceptions=True,
    )
    if (
        isinstance(recognizer, BaseException)
        or isinstance(voice, BaseException)
        or isinstance(responder, BaseException)
    ):
        if not isinstance(responder, BaseException):
            await responder.aclose()
        raise next(part for part in (recognizer, voice, responder) if isinstance(part, BaseException))
    parts = Parts(
        recognizer=recognizer,
        responder=responder,
        turn_detector=TextTurnDetector(),
        voice_activity=SileroVad,
        open_voice=lambda language, name: open_voice(language, name or "auto"),
    )
    await parts.speaking.run(voice.warm)
    parts.keep({(config.language or "en", None): voice})
    return parts
