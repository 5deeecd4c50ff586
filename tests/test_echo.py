"""The echo canceller, in a room that is made up: what a loudspeaker says, later and with a tail, and a user over it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import jiwer
import numpy as np
import pytest

from dragoman.agent.cli.sources import echo_canceller
from dragoman.asr.vad import WINDOW, SileroVad
from dragoman.asr.whisper import WhisperRecognizer
from dragoman.audio.echo import LEARNED_S, EchoCanceller
from dragoman.audio.frames import Frames
from dragoman.audio.resample import resample
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, DragomanError, Samples
from dragoman.tts import open_voice

BLOCK = INPUT_RATE // 50
DELAY_S = 0.12
STOPPED_S = 0.5
STORY = (
    "Once upon a time there was a small dragon who lived on a hill near the sea. Every morning it flew down to the "
    "harbour, and the fishermen gave it the smallest fish. It thanked them, and warmed their hands. In the winter"
)
WORDS = "Please stop the story and tell me about the weather in London."


def in_a_room(far: Samples) -> Samples:
    rng = np.random.default_rng(9)
    tail = rng.standard_normal(3200) * 10 ** (-np.arange(3200) / 1600)
    tail[0] = 3
    late = np.concatenate([np.zeros(round(DELAY_S * INPUT_RATE)), far])[: len(far)]
    return np.asarray(np.convolve(late, tail / np.linalg.norm(tail))[: len(far)], np.float32)


def cleaned(microphone: Samples, far: Samples, rate: int = INPUT_RATE, lump: int = 1) -> tuple[Samples, EchoCanceller]:
    """As devices do it: the loudspeaker asks for some blocks at a time, the microphone gives one by one."""
    canceller, out = EchoCanceller(), []
    per_block = BLOCK * rate // INPUT_RATE
    for number, start in enumerate(range(0, len(microphone) - BLOCK + 1, BLOCK)):
        if number % lump == 0:
            canceller.played(far[number * per_block : (number + lump) * per_block], rate)
        out.append(canceller.cleaned(microphone[start : start + BLOCK]))
    return np.concatenate(out), canceller


def voiced(pcm: Samples) -> float:
    """Share of its windows that the detector takes for a voice."""
    vad = SileroVad()
    return float(np.mean([vad.probability(window) >= 0.5 for window in Frames(WINDOW).push(pcm)]))


def plain(text: str) -> str:
    return re.sub(r"[^a-z ]", "", text.lower())


@pytest.mark.parametrize(("rate", "lump"), [(INPUT_RATE, 1), (48_000, 2)])
def test_the_agent_does_not_hear_itself_and_hears_the_user(
    rate: int, lump: int, spoken: Callable[..., Samples], english_recognizer: WhisperRecognizer
) -> None:
    """As loud as the user, it says nothing to the detector of voices; who interrupts it is heard, and understood."""
    far = spoken(STORY).copy()
    user = resample(open_voice("en", "kumo").synthesize(WORDS).pcm, OUTPUT_RATE, INPUT_RATE)
    begins = len(far) - len(user)
    near = np.zeros_like(far)
    near[begins:] = user * float(np.sqrt(np.mean(far**2) / np.mean(user**2)))
    far[begins + round(STOPPED_S * INPUT_RATE) :] = 0
    echo = in_a_room(far)
    out, canceller = cleaned(echo + near, resample(far, INPUT_RATE, rate), rate, lump)
    assert canceller.learned
    alone = slice(round((LEARNED_S + 0.5) * INPUT_RATE), begins)
    assert voiced(echo[alone]) > 0.7
    assert voiced(out[alone]) == 0
    assert voiced(out[begins : begins + round(STOPPED_S * INPUT_RATE)]) > 0.2
    stream = english_recognizer.open("en")
    stream.accept(out[begins:])
    heard = stream.final().text
    assert jiwer.wer(plain(WORDS), plain(heard)) < 0.35, heard


def test_where_nothing_is_played_the_user_is_heard_as_before(spoken: Callable[..., Samples]) -> None:
    near = spoken(WORDS)
    out, canceller = cleaned(near, np.zeros_like(near))
    assert not canceller.learned
    assert np.std(out) == pytest.approx(np.std(near), rel=0.1)


def test_a_loudspeaker_that_asks_too_fast_or_not_at_all_holds_nothing_up() -> None:
    """Clocks differ and devices stall: the microphone's sound comes through, and what waits is bounded."""
    canceller = EchoCanceller()
    far = np.random.default_rng(1).normal(0, 0.05, 4 * BLOCK).astype(np.float32)
    for _ in range(200):
        canceller.played(far, INPUT_RATE)
        assert len(canceller.cleaned(far[:BLOCK])) == BLOCK
    assert len(canceller._far) < 3 * INPUT_RATE
    for _ in range(50):
        assert len(canceller.cleaned(far[:BLOCK])) == BLOCK
    for _ in range(10_000):
        canceller.played(far, INPUT_RATE)
    assert len(canceller._told) < 1_000


def test_a_loop_that_was_late_loses_no_step(spoken: Callable[..., Samples]) -> None:
    """All that has come in the meantime is cleaned as it would have been in time."""
    far = spoken(STORY)[: 6 * INPUT_RATE]
    echo = in_a_room(far)
    canceller, out = EchoCanceller(), []
    for number, start in enumerate(range(0, len(far) - BLOCK + 1, BLOCK)):
        canceller.played(far[start : start + BLOCK], INPUT_RATE)
        if number % 25 == 24:
            out.append(canceller.cleaned(echo[start - 24 * BLOCK : start + BLOCK]))
    assert canceller.learned
    assert voiced(np.concatenate(out)[round((LEARNED_S + 0.5) * INPUT_RATE) :]) == 0


def test_pieces_of_any_length_come_out_as_they_went_in() -> None:
    whole, canceller = np.zeros(10 * BLOCK, np.float32), EchoCanceller()
    given = [canceller.cleaned(piece) for piece in np.split(whole, [1, 7, 160, 161, 500, 3000])]
    assert sum(map(len, given)) == len(whole)


def test_a_missing_package_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "livekit.rtc", None)
    with pytest.raises(DragomanError, match=r"pip install 'dragoman\[mic\]'"):
        EchoCanceller()
    assert echo_canceller() is None
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("needs the package livekit: pip install 'dragoman[mic]'")
