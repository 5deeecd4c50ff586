"""smart-turn: what it is given, and what it makes of whole and broken-off sentences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dragoman.asr.smart_turn import COMPLETE, HEARD, SmartTurn, features, open_smart_turn
from dragoman.audio.resample import resample
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, DragomanError
from dragoman.tts import Voice

SAID = (
    "I would like to go to the harbor with my brother tomorrow.",
    "What time does the last train to the airport leave?",
    "My sister bought a new car because the old one was broken.",
    "Please tell me how I can get to the museum from here.",
    "We had dinner at a small restaurant near the river.",
    "Yesterday I found an old letter in the kitchen drawer.",
)


@pytest.fixture(scope="module")
def detector() -> SmartTurn:
    """The real one; skips where its model is not installed."""
    try:
        return open_smart_turn()
    except DragomanError as error:
        pytest.skip(str(error))


def test_it_is_given_the_last_eight_seconds() -> None:
    """At any level, behind zeros where there is less; silence is a number too."""
    rng = np.random.default_rng(1)
    pcm = rng.normal(0, 0.1, HEARD + 5000).astype(np.float32)
    assert features(pcm).shape == (80, 800)
    np.testing.assert_array_equal(features(pcm), features(pcm[5000:]))
    np.testing.assert_allclose(features(pcm), features(pcm / 10), atol=2e-3)
    short = features(pcm[:INPUT_RATE])
    assert np.ptp(short[:, :690], axis=1).max() < 1e-6
    assert short[:, 705:].mean() > short[:, :690].mean() + 1
    assert np.isfinite(features(np.zeros(100, np.float32))).all()


def test_whole_sentences_sound_complete_and_broken_ones_do_not(detector: SmartTurn, english_voice: Voice) -> None:
    """Each sentence, and its first three words alone, 200 ms of silence after both."""
    quiet = np.zeros(INPUT_RATE // 5, np.float32)
    whole, broken = [], []
    for text in SAID:
        speech = english_voice.synthesize(text)
        pcm = resample(speech.pcm, OUTPUT_RATE, INPUT_RATE)
        cut = int(speech.words[2].end * INPUT_RATE)
        whole.append(detector.complete(np.concatenate([pcm, quiet])))
        broken.append(detector.complete(np.concatenate([pcm[:cut], quiet])))
    assert sum(p >= COMPLETE for p in whole) >= 5
    assert sum(p < COMPLETE for p in broken) >= 4
    assert np.mean(whole) > np.mean(broken) + 0.3


def test_its_absence_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to run."""
    monkeypatch.setenv("DRAGOMAN_CACHE", str(tmp_path))
    monkeypatch.setattr("dragoman.models.fetch.installed", lambda part: None)
    with pytest.raises(DragomanError, match="dragoman models get smart-turn"):
        open_smart_turn()
