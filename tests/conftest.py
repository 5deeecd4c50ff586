"""Models that tests share: each is loaded once for the whole run."""

from __future__ import annotations

import asyncio
import faulthandler
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NoReturn

import hypothesis
import numpy as np
import pytest
import soxr
from sound_server import serving_sound

from dragoman.agent.llm.llamacpp import LlamaCppResponder, Sampling
from dragoman.asr import WhisperRecognizer, open_recognizer
from dragoman.audio.resample import resample
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, DragomanError, Samples
from dragoman.models.catalog import resolve
from dragoman.tts import Voice, open_voice

# A loaded machine is no reason to fail.
hypothesis.settings.register_profile("dragoman", deadline=None)
hypothesis.settings.load_profile("dragoman")


def _without(error: DragomanError) -> NoReturn:
    """A model is not here: no reason to fail on a user's machine, but continuous integration has got them all."""
    if os.environ.get("CI"):
        pytest.fail(str(error))
    pytest.skip(str(error))


Transcribe = Callable[[Samples, str], str]


@pytest.fixture
def takes_long() -> None:
    """For a test that runs longer than one that hangs may."""
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="session")
def english_voice() -> Voice:
    """The embedded English voice."""
    return open_voice("en")


@pytest.fixture(scope="session")
def portuguese_voice() -> Voice:
    """The embedded Portuguese voice; skips where its model or espeak-ng is not installed."""
    try:
        return open_voice("pt")
    except DragomanError as error:
        _without(error)


@pytest.fixture(scope="session")
def joe() -> Voice:
    """The second English voice; skips where its model is not installed."""
    try:
        return open_voice("en", "joe")
    except DragomanError as error:
        _without(error)


@pytest.fixture(scope="session")
def transcribe() -> Transcribe:
    """What plain faster-whisper (base, int8) hears in 24 kHz speech of a language: a judge of the voices."""
    from faster_whisper import WhisperModel

    try:
        model = WhisperModel(str(resolve("whisper-base")), device="cpu", compute_type="int8", cpu_threads=1)
    except DragomanError as error:
        _without(error)

    def hear(pcm: Samples, language: str) -> str:
        quiet = np.zeros(INPUT_RATE // 4, np.float32)
        sound = np.concatenate((quiet, soxr.resample(pcm, OUTPUT_RATE, INPUT_RATE), quiet)).astype(np.float32)
        segments, _ = model.transcribe(sound, language=language, beam_size=1, temperature=0.0)
        return " ".join(segment.text.strip() for segment in segments)

    return hear


@pytest.fixture(scope="session")
def llm_path() -> Path:
    """The light language model's file; skips where it is not installed."""
    try:
        return resolve("qwen2.5-coder-0.5b")
    except DragomanError as error:
        _without(error)


@pytest.fixture(scope="session")
def responder(llm_path: Path) -> Iterator[LlamaCppResponder]:
    """The light language model, loaded once; the same text at each run."""
    opened = LlamaCppResponder(llm_path, sampling=Sampling(seed=1))
    yield opened
    asyncio.run(opened.aclose())


@pytest.fixture(scope="session")
def english_recognizer() -> WhisperRecognizer:
    """Whisper tiny.en."""
    return open_recognizer("tiny.en", "en")


@pytest.fixture(scope="session")
def multilingual_recognizer() -> WhisperRecognizer:
    """Whisper base, for any language."""
    return open_recognizer("base")


@pytest.fixture(scope="session")
def spoken(english_voice: Voice, request: pytest.FixtureRequest) -> Callable[..., Samples]:
    """Speech at 16 kHz: ``spoken(text, language="en")``; each text is synthesized once."""

    @cache
    def speak(text: str, language: str = "en") -> Samples:
        voice = english_voice if language == "en" else request.getfixturevalue("portuguese_voice")
        return resample(voice.synthesize(text).pcm, OUTPUT_RATE, INPUT_RATE)

    return speak


@pytest.fixture
def sound_server() -> Iterator[dict[str, str]]:
    """A sound card without one; gives the environment to use it."""
    with serving_sound() as environment:
        yield environment
