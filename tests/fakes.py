"""Scripted models for tests in virtual time: they know what will be said, and take exactly the time they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from dragoman.agent.endpointing import TextTurnDetector
from dragoman.agent.parts import Parts
from dragoman.agent.ports import Message, unnoticed
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, DragomanError, Samples, Speech, Word

WORD_S = 0.25
"""Length of every word of the scripted voice."""


@dataclass(frozen=True)
class Heard:
    text: str
    words: tuple[Word, ...] = ()
    stable: int = 0
    language: str = "en"


class LoudIsSpeech:
    """A voice detector that hears a voice wherever there is sound."""

    hop = 512

    def probability(self, window: Samples) -> float:
        return 1.0 if float(np.abs(window).max()) > 0.01 else 0.0


@dataclass
class ScriptedRecognizer:
    """Hears the next text of its script in each turn; ``failures`` turns fail first.

    ``second``: what a second pass makes of a text.
    """

    texts: list[str]
    failures: int = 0
    opened: int = 0
    second: dict[str, str] = field(default_factory=dict)

    def open(self, language: str | None = None) -> ScriptedStream:
        self.opened += 1
        return ScriptedStream(self, self.texts[min(self.opened, len(self.texts)) - 1])


@dataclass
class ScriptedStream:
    recognizer: ScriptedRecognizer
    text: str
    seconds: float = 0.0

    def accept(self, pcm: Samples) -> None:
        self.seconds += len(pcm) / INPUT_RATE

    def partial(self) -> Heard:
        words = self.text.split()[: int(self.seconds / WORD_S)]
        return Heard(" ".join(words), stable=max(0, len(words) - 1))

    def ended(self) -> Heard:
        if self.recognizer.failures:
            self.recognizer.failures -= 1
            raise RuntimeError("the recognizer broke")
        return Heard(self.text)

    def refined(self) -> Heard | None:
        text = self.recognizer.second.get(self.text)
        return None if text is None else Heard(text)

    def final(self) -> Heard:
        return self.refined() or self.ended()


@dataclass
class ScriptedResponder:
    """Writes the next reply of its script, a word each ``per_word`` seconds after ``first`` seconds."""

    replies: list[str]
    first: float = 0.1
    per_word: float = 0.02
    failures: int = 0
    prompts: list[list[Message]] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    running: int = 0
    closed: bool = False

    async def reply(
        self,
        messages: Sequence[Message],
        *,
        prefix: str = "",
        max_tokens: int = 160,
        limited: Callable[[], None] = unnoticed,
    ) -> AsyncGenerator[str, None]:
        self.prompts.append(list(messages))
        self.prefixes.append(prefix)
        if self.failures:
            self.failures -= 1
            raise DragomanError("the language model is away")
        text = self.replies[min(len(self.prompts), len(self.replies)) - 1]
        self.running += 1
        try:
            await asyncio.sleep(self.first)
            words = text.split()
            for word in words[:max_tokens]:
                yield f" {word}" if prefix else f"{word} "
                await asyncio.sleep(self.per_word)
            if len(words) > max_tokens:
                limited()
        finally:
            self.running -= 1

    async def warm(self, messages: Sequence[Message], *, open_end: bool = False) -> None:
        pass

    async def aclose(self) -> None:
        self.closed = True


class ToneVoice:
    """Says each word as a tone of ``WORD_S`` seconds."""

    language = "en"

    def warm(self) -> None:
        pass

    def synthesize(self, text: str, *, rate: float = 1.0, final: bool = True) -> Speech:
        words = text.split()
        times = np.arange(round(len(words) * WORD_S * OUTPUT_RATE)) / OUTPUT_RATE
        pcm = (0.3 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
        return Speech(pcm, tuple(Word(w, i * WORD_S, (i + 1) * WORD_S) for i, w in enumerate(words)))


def scripted(said: Sequence[str], replies: Sequence[str], **responder: float) -> Parts:
    """Parts that hear ``said``, a text a turn, and answer with ``replies``."""
    parts = Parts(
        recognizer=ScriptedRecognizer(list(said)),
        responder=ScriptedResponder(list(replies), **responder),
        turn_detector=TextTurnDetector(),
        voice_activity=LoudIsSpeech,
        open_voice=lambda language, name: ToneVoice(),
    )
    parts.keep({("en", None): ToneVoice()})
    return parts


def speech(*spans: tuple[float, float], seconds: float) -> Samples:
    """Sound of ``seconds`` at 16 kHz with a voice in each (start, end) span."""
    rng = np.random.default_rng(0)
    pcm = np.zeros(round(seconds * INPUT_RATE), np.float32)
    for start, end in spans:
        lo, hi = round(start * INPUT_RATE), round(end * INPUT_RATE)
        pcm[lo:hi] = rng.uniform(-0.3, 0.3, hi - lo).astype(np.float32)
    return pcm
