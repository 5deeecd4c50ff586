"""Piper's voices: the one that is found by name, and files of one's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dragoman.audio.types import DragomanError
from dragoman.models.catalog import resolve
from dragoman.tts import Voice, open_voice
from tests.conftest import Transcribe
from tests.test_tts_kokoro import similarity

TEXT = "The train to Edinburgh leaves in the morning, and the museum opens later."


def test_it_is_understood(joe: Voice, transcribe: Transcribe) -> None:
    """A recognizer hears nearly every word."""
    assert similarity(TEXT, transcribe(joe.synthesize(TEXT).pcm, "en")) >= 0.85


def test_the_same_text_gives_the_same_sound(joe: Voice) -> None:
    """Though the model draws noise."""
    first, second = joe.synthesize(TEXT), joe.synthesize(TEXT)
    np.testing.assert_array_equal(first.pcm, second.pcm)
    assert first.words == second.words


def test_words_have_times(joe: Voice) -> None:
    """In order, inside the sound, and shorter at a higher rate."""
    speech = joe.synthesize(TEXT)
    assert " ".join(word.text for word in speech.words) == TEXT
    times = [t for word in speech.words for t in (word.start, word.end)]
    assert times == sorted(times)
    assert times[-1] <= speech.seconds + 1e-6
    assert joe.synthesize(TEXT, rate=1.5).seconds < 0.8 * speech.seconds


def test_a_file_of_ones_own_is_a_voice(joe: Voice, tmp_path: Path) -> None:
    """By its path; its table says the language, and another one is refused."""
    folder = resolve("piper-joe")
    for name in ("voice.onnx", "voice.onnx.json"):
        shutil.copy(folder / name, tmp_path / name)
    own = open_voice("en", str(tmp_path / "voice.onnx"))
    np.testing.assert_array_equal(own.synthesize("Good morning.").pcm, joe.synthesize("Good morning.").pcm)
    with pytest.raises(DragomanError, match="speaks 'en', not 'pt'"):
        open_voice("pt", str(tmp_path / "voice.onnx"))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"audio": {}}, "not a Piper voice"),
        ({"phoneme_id_map": {"a": []}}, "not a Piper voice"),
        ({}, r"own\.onnx is not a voice that can be read"),
        ({"num_speakers": 4}, "one speaker"),
        ({"espeak": {"voice": "xx"}}, "can't be used"),
    ],
)
def test_a_table_that_does_not_fit_is_an_error(
    joe: Voice, tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    """It names the file."""
    table = json.loads((resolve("piper-joe") / "voice.onnx.json").read_text())
    (tmp_path / "own.onnx.json").write_text(json.dumps({**table, **change}))
    (tmp_path / "own.onnx").write_bytes(b"\xff" * 99)
    with pytest.raises(DragomanError, match=complaint):
        open_voice("en", str(tmp_path / "own.onnx"))
