"""``dragoman talk`` with a microphone and a speaker, through a real sound server (slow)."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sound_server import recording, until, without_sound

from dragoman.agent.cli.demo import Line, speak_script
from dragoman.audio.files import load
from dragoman.audio.levels import trim_silence
from dragoman.audio.types import OUTPUT_RATE, Samples
from dragoman.tts import Voice


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="half-duplex", marks=pytest.mark.slow),
        # It hears while it speaks: on two slow cores the sound card's buffer runs dry.
        pytest.param(["--headphones"], id="headphones", marks=pytest.mark.nightly),
    ],
)
def test_a_conversation_through_the_sound_card(
    options: list[str],
    sound_server: dict[str, str],
    tmp_path: Path,
    english_voice: Voice,
    llm_path: Path,
    transcribe: Callable[[Samples, str], str],
) -> None:
    """A question into the microphone comes back as an answer from the speaker; Ctrl-C ends with a summary."""
    question, played = tmp_path / "question.wav", tmp_path / "played.wav"
    speak_script(english_voice, question, (Line(0.2, "What is the capital of France?"),))
    command = [sys.executable, "-m", "dragoman", "talk", "--json", "--llm", str(llm_path), *options]
    recorder = recording(sound_server, played)
    with subprocess.Popen(command, env=sound_server, stdout=subprocess.PIPE, text=True) as talk, recorder:
        try:
            assert talk.stdout is not None
            until(talk.stdout, "ready")
            subprocess.run(["paplay", "--device=mouth", str(question)], env=sound_server, check=True)
            events = until(talk.stdout, "reply_done")
            talk.send_signal(signal.SIGINT)
            *_, summary = [json.loads(line) for line in talk.stdout]
            assert talk.wait(30) == 0
        finally:
            talk.kill()
            recorder.send_signal(signal.SIGINT)
    (turn,) = summary["turns"]
    assert "capital of france" in turn["user"].lower()
    assert turn["status"] == "completed"
    assert turn["onset_ms"] > 0
    assert events[-1]["heard"] == turn["heard"]
    sound = load(played, OUTPUT_RATE)
    assert float(np.abs(sound).max()) > 0.05
    start, end = trim_silence(sound, OUTPUT_RATE)  # it was recorded while the models were loaded, too
    heard = re.findall(r"[a-z]+", transcribe(sound[start:end], "en").lower())
    assert "paris" in heard


@pytest.mark.nightly  # a real loudspeaker's timing, on cores that have other things to do
@pytest.mark.timeout(300)
def test_the_agent_is_interrupted_through_open_speakers(
    sound_server: dict[str, str], tmp_path: Path, english_voice: Voice, llm_path: Path
) -> None:
    """All that the speaker plays comes back into the microphone: the agent stops for the user, and not for itself.

    Ctrl-C in the middle of the answer keeps what was heard of it.
    """
    asks, stops = tmp_path / "asks.wav", tmp_path / "stops.wav"
    speak_script(english_voice, asks, (Line(0.2, "Please tell me a very long story about a dragon."),))
    speak_script(english_voice, stops, (Line(0.2, "Wait, stop. What is the capital of France?"),))
    room = ["module-loopback", "source=ears.monitor", "sink=mouth", "latency_msec=40"]
    subprocess.run(["pactl", "load-module", *room], env=sound_server, check=True, stdout=subprocess.DEVNULL)
    command = [sys.executable, "-m", "dragoman", "talk", "--json", "--llm", str(llm_path)]
    with subprocess.Popen(command, env=sound_server, stdout=subprocess.PIPE, text=True) as talk:
        try:
            assert talk.stdout is not None
            until(talk.stdout, "ready")
            subprocess.run(["paplay", "--device=mouth", str(asks)], env=sound_server, check=True)
            until(talk.stdout, "reply_playing")
            time.sleep(9)  # of its story, in which it does not interrupt itself
            subprocess.run(["paplay", "--device=mouth", str(stops)], env=sound_server, check=True)
            until(talk.stdout, "reply_playing")
            time.sleep(1)
            talk.send_signal(signal.SIGINT)
            *_, summary = [json.loads(line) for line in talk.stdout]
        finally:
            talk.kill()
    story, answer = summary["turns"]
    assert (story["status"], answer["status"]) == ("interrupted", "cancelled")
    assert answer["heard"]
    assert len(story["heard"].split()) > 15
    assert "capital of france" in answer["user"].lower()


@pytest.mark.slow
def test_a_missing_microphone_is_one_clear_line(tmp_path: Path, llm_path: Path) -> None:
    """Where there is no sound card, the error says so and names the remedy."""
    done = without_sound(tmp_path, "talk", "--llm", str(llm_path))
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "dragoman doctor" in line or "PortAudio" in line
