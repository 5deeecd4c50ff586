"""Which models a process runs. Each is one word: an embedded model's name, a path, or a server's address."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from dragoman.agent.drafter.catalog import adapter_path as drafter_path
from dragoman.agent.drafter.catalog import endings_path, open_drafter, open_endings
from dragoman.agent.drafter.live import LiveDrafter
from dragoman.agent.drafter.runtime import Reading
from dragoman.agent.duplex.catalog import adapter_path, open_duplex
from dragoman.agent.duplex.features import open_ear
from dragoman.agent.duplex.live import LiveDuplex
from dragoman.agent.endpointing import TextTurnDetector
from dragoman.agent.llm import open_responder
from dragoman.agent.parts import Parts
from dragoman.agent.verifying import open_verifier, verifier_path
from dragoman.asr import open_recognizer
from dragoman.asr.smart_turn import SmartTurn, open_smart_turn
from dragoman.asr.vad import SileroVad
from dragoman.audio.types import DragomanError
from dragoman.models.catalog import Progress
from dragoman.tts import find_voice, open_voice, speaks
from dragoman.verifier.model import Verifier


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
    first_words: bool = True
    """Whether a reply may begin with the drafter's words, where there are a drafter and a verifier for the language."""
    slots: int = 2
    """Replies that the embedded language model may write at once."""
    seed: int | None = None
    """Makes the embedded language model's replies repeatable."""


SMART_TURN: Final = "smart-turn"
_TAKERS: Final = ("auto", "model", "words", SMART_TURN)


async def load_parts(config: Config, progress: Progress | None = None) -> Parts:
    """Load everything that a conversation needs, off the event loop. Raises ``DragomanError``."""
    find_voice(config.language or "en", config.voice)  # what can be told before anything is loaded
    _check_turns(config.turns, config.language)
    opened = asyncio.gather(
        asyncio.to_thread(open_recognizer, config.recognizer, config.language, talk=True, progress=progress),
        asyncio.to_thread(open_voice, config.language or "en", config.voice, progress=progress),
        asyncio.to_thread(_open_fast_path, config, progress),
        open_responder(config.llm, progress, slots=config.slots, seed=config.seed),
        return_exceptions=True,
    )
    # Together, and all to their end: a model that is dropped while it loads may never let the program end.
    recognizer, voice, fast, responder = await opened
    if (
        isinstance(recognizer, BaseException)
        or isinstance(voice, BaseException)
        or isinstance(fast, BaseException)
        or isinstance(responder, BaseException)
    ):
        if not isinstance(responder, BaseException):
            await responder.aclose()
        if not isinstance(fast, BaseException):
            fast.close()
        raise next(part for part in (recognizer, voice, fast, responder) if isinstance(part, BaseException))
    parts = Parts(
        recognizer=recognizer,
        responder=responder,
        turn_detector=TextTurnDetector(),
        voice_activity=SileroVad,
        open_voice=lambda language, name: open_voice(language, name or "auto"),
        speaks=lambda language, name: speaks(language, name or "auto"),
        turn_model=fast.turns,
        sound_detector=fast.detector,
        drafter=fast.drafter,
        judge=fast.judge,
    )
    await parts.speaking.run(voice.warm)
    parts.keep({(config.language or "en", None): voice})
    return parts


@dataclass(slots=True)
class _FastPath:
    """What there is beside recognizer, language model and voice."""

    turns: LiveDuplex | None = None
    detector: SmartTurn | None = None
    drafter: LiveDrafter[Reading] | None = None
    judge: Verifier | None = None

    def close(self) -> None:
        if self.turns is not None:
            self.turns.close()
        if self.drafter is not None:
            self.drafter.close()


def _open_fast_path(config: Config, progress: Progress | None) -> _FastPath:
    fast = _FastPath()
    try:
        fast.detector = open_smart_turn(progress=progress) if config.turns == SMART_TURN else None
        fast.turns = open_turn_model(config.turns, config.language, progress)
        language = config.language or LiveDrafter.language
        if config.first_words and drafter_path(language) is not None and verifier_path(language) is not None:
            fast.judge = open_verifier(language)
            told = endings_path(language) is not None
            runtime = open_drafter(language, completing=told, progress=progress)
            fast.drafter = LiveDrafter(runtime, endings=open_endings(runtime, language))
    except BaseException:
        fast.close()
        raise
    return fast


def open_turn_model(wanted: str, language: str | None, progress: Progress | None = None) -> LiveDuplex | None:
    """The model that takes turns, or None where ``words`` and silence do. Raises ``DragomanError``."""
    understood = _check_turns(wanted, language)
    if wanted in ("words", SMART_TURN) or not understood or (wanted == "auto" and adapter_path() is None):
        return None
    return LiveDuplex(open_duplex(progress=progress), open_ear())


def _check_turns(wanted: str, language: str | None) -> bool:
    """Whether the model of turn-taking understands the language. Raises ``DragomanError``."""
    if wanted not in _TAKERS:
        raise DragomanError(f"turns are taken by no {wanted!r}: choose one of {', '.join(_TAKERS)}")
    understood = language in (None, LiveDuplex.language)
    if wanted == "model" and not understood:
        raise DragomanError(f"the model of turn-taking understands {LiveDuplex.language} alone: choose --turns words")
    return understood
