"""Which models a process runs. Each is one word: an embedded model's name, a path, or a server's address."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from dragoman.agent.duplex.catalog import adapter_path, open_duplex
from dragoman.agent.duplex.features import open_ear
from dragoman.agent.duplex.live import FastPath
from dragoman.agent.endpointing import TextTurnDetector
from dragoman.agent.llm import open_responder
from dragoman.agent.parts import Parts
from dragoman.asr import open_recognizer
from dragoman.asr.smart_turn import open_smart_turn
from dragoman.asr.vad import SileroVad
from dragoman.audio.types import DragomanError
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
    turns: str = "auto"
    """Who takes turns: ``model`` (the fast path, by ear), ``words`` (silence, and how complete the words sound),
    ``smart-turn`` (silence, and what that model hears), or ``auto``: the fast path where it understands the language,
    else words."""
    slots: int = 2
    """Replies that the embedded language model may write at once."""
    seed: int | None = None
    """Makes the embedded language model's replies repeatable."""


SMART_TURN: Final = "smart-turn"
_TAKERS: Final = ("auto", "model", "words", SMART_TURN)


async def load_parts(config: Config, progress: Progress | None = None) -> Parts:
    """Load everything that a conversation needs, off the event loop. Raises ``DragomanError``."""
    detector = await asyncio.to_thread(open_smart_turn, progress=progress) if config.turns == SMART_TURN else None
    # Together, and all to their end: a model that is dropped while it loads may never let the program end.
    recognizer, voice, turns, responder = await asyncio.gather(
        asyncio.to_thread(open_recognizer, config.recognizer, config.language, live=True, progress=progress),
        asyncio.to_thread(open_voice, config.language or "en", config.voice, progress=progress),
        asyncio.to_thread(open_turn_model, config.turns, config.language, progress),
        open_responder(config.llm, progress, slots=config.slots, seed=config.seed),
        return_exceptions=True,
    )
    if (
        isinstance(recognizer, BaseException)
        or isinstance(voice, BaseException)
        or isinstance(turns, BaseException)
        or isinstance(responder, BaseException)
    ):
        if not isinstance(responder, BaseException):
            await responder.aclose()
        if turns is not None and not isinstance(turns, BaseException):
            turns.close()
        raise next(part for part in (recognizer, voice, turns, responder) if isinstance(part, BaseException))
    parts = Parts(
        recognizer=recognizer,
        responder=responder,
        turn_detector=TextTurnDetector(),
        voice_activity=SileroVad,
        open_voice=lambda language, name: open_voice(language, name or "auto"),
        turn_model=turns,
        sound_detector=detector,
    )
    await parts.speaking.run(voice.warm)
    parts.keep({(config.language or "en", None): voice})
    return parts


def open_turn_model(wanted: str, language: str | None, progress: Progress | None = None) -> FastPath | None:
    """The model that takes turns, or None where ``words`` and silence do. Raises ``DragomanError``."""
    if wanted not in _TAKERS:
        raise DragomanError(f"turns are taken by no {wanted!r}: choose one of {', '.join(_TAKERS)}")
    understood = language in (None, FastPath.language)
    if wanted == "model" and not understood:
        raise DragomanError(f"the model of turn-taking understands {FastPath.language} alone: choose --turns words")
    if wanted in ("words", SMART_TURN) or not understood or (wanted == "auto" and adapter_path() is None):
        return None
    return FastPath(open_duplex(progress=progress), open_ear())
