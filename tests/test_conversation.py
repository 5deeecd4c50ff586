"""A conversation with the real models, on real audio."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dragoman.__main__ import app
from dragoman.agent.cli.demo import Line, speak_script
from dragoman.agent.config import Config, load_parts
from dragoman.agent.recorded import converse
from dragoman.agent.settings import SessionSettings
from dragoman.audio.clock import run_virtual
from dragoman.audio.files import blocks, load
from dragoman.audio.types import OUTPUT_RATE, Samples
from dragoman.tts import Voice

SMALL = "qwen2.5-coder-0.5b"


@pytest.fixture(scope="module")
def script(english_voice: Voice, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A visitor who asks, interrupts the answer, and asks something else."""
    path = tmp_path_factory.mktemp("talk") / "visitor.wav"
    lines = (
        Line(0.8, "What is the capital of France?"),
        Line(6.0, "Please count slowly from one to fifty."),
        Line(4.5, "Stop, stop. What color is the sky?"),
    )
    speak_script(english_voice, path, lines)
    return path


@pytest.fixture(scope="module")
def talked(script: Path, llm_path: Path) -> tuple[list[dict[str, object]], dict[str, object], Path]:
    """``dragoman talk`` on that file, as a user runs it: its events, its summary and the agent's track."""
    output = script.with_name("agent.wav")
    result = CliRunner().invoke(
        app,
        ["talk", "--input", str(script), "--output", str(output), "--llm", SMALL, "--seed", "1", "--no-pace", "--json"],
    )
    assert result.exit_code == 0, result.output
    *events, summary = [json.loads(line) for line in result.stdout.splitlines()]
    return events, summary, output


def test_talk_answers_what_was_asked(talked: tuple[list[dict[str, object]], dict[str, object], Path]) -> None:
    """The recognizer hears the questions, the reply is about them, and the latencies count from the true ends."""
    _, summary, _ = talked
    assert summary["type"] == "summary"
    turns = summary["turns"]
    assert isinstance(turns, list)
    assert len(turns) == 3
    assert "capital of france" in turns[0]["user"].lower()
    assert "Paris" in turns[0]["heard"]
    assert "sky" in turns[2]["user"].lower()
    ends = [line["end_s"] for line in json.loads((talked[2].with_name("visitor.wav.json")).read_text())]
    assert [turn["speech_end_s"] for turn in turns] == pytest.approx(ends, abs=0.01)
    for turn in turns:
        assert turn["onset_ms"] == pytest.approx((turn["first_audio_s"] - turn["speech_end_s"]) * 1000, abs=1.1)


def test_barge_in_on_real_audio(talked: tuple[list[dict[str, object]], dict[str, object], Path]) -> None:
    """The agent's track is silent 250 ms after the interruption's first sound."""
    _, summary, output = talked
    turns = summary["turns"]
    assert isinstance(turns, list)
    assert turns[1]["status"] == "interrupted"
    visitor = load(output.with_name("visitor.wav"), OUTPUT_RATE)
    begun = _onset(visitor, json.loads(output.with_name("visitor.wav.json").read_text())[1]["end_s"] + 4.0)
    agent = load(output, OUTPUT_RATE)
    lo, hi = round((begun + 0.25) * OUTPUT_RATE), round((begun + 1.0) * OUTPUT_RATE)
    assert float(np.abs(agent[lo - 2 * OUTPUT_RATE : lo]).max()) > 0.05
    assert float(np.abs(agent[lo:hi]).max()) < 1e-3


def _onset(pcm: Samples, after: float) -> float:
    start = round(after * OUTPUT_RATE)
    return (start + int(np.flatnonzero(np.abs(pcm[start:]) > 0.02)[0])) / OUTPUT_RATE


def test_what_was_heard_is_what_sounds(
    talked: tuple[list[dict[str, object]], dict[str, object], Path], transcribe: Callable[[Samples, str], str]
) -> None:
    """The agent's track, recognized, holds the words that the summary says were heard: no more, no fewer."""
    _, summary, output = talked
    turns = summary["turns"]
    assert isinstance(turns, list)
    agent = load(output, OUTPUT_RATE)
    first = round(turns[0]["first_audio_s"] * OUTPUT_RATE)
    said = transcribe(agent[first : first + 5 * OUTPUT_RATE], "en")
    assert _letters(turns[0]["heard"])[:20] in _letters(said)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())


class Watchdog:
    """Samples where the loop's thread is whenever one callback has run for longer than ``limit`` seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, limit: float = 0.01) -> None:
        self.stuck: list[str] = []
        self._limit = limit
        self._begin: float | None = None
        self._loop_thread = threading.get_ident()
        self._stop = threading.Event()
        run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            self._begin = time.monotonic()
            try:
                run(handle)
            finally:
                self._begin = None

        monkeypatch.setattr(asyncio.Handle, "_run", timed)

    def _watch(self) -> None:
        while not self._stop.wait(0.002):
            begin = self._begin
            if begin is not None and time.monotonic() - begin > self._limit:
                frame = sys._current_frames().get(self._loop_thread)
                self.stuck.append("".join(traceback.format_stack(frame)))

    def __enter__(self) -> Watchdog:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def in_models(self) -> list[str]:
        """The samples in which the loop was inside a model's code; a busy machine may delay anything else."""
        return [stack for stack in self.stuck if _MODEL_CALL.search(stack)]


_MODEL_CALL = re.compile(r'File ".*(?:asr/(?:whisper|engine|window)|llm/llamacpp|tts/(?:hibari|kokoro|voice))\.py"')


def test_no_model_call_blocks_the_loop(script: Path, llm_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every model at work, the loop is never found inside a model's code for longer than 10 ms."""

    async def main() -> list[str]:
        parts = await load_parts(Config(llm=SMALL, seed=1))
        with Watchdog(monkeypatch) as dog:
            record = await converse(parts, SessionSettings(), blocks(script))
        assert len(record.turns) == 3
        await parts.aclose()
        return dog.in_models

    assert run_virtual(main(), measured=True) == []


def test_the_watchdog_barks(english_voice: Voice, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is called on the loop itself is caught."""

    async def main() -> list[str]:
        with Watchdog(monkeypatch) as dog:
            await asyncio.sleep(0)
            english_voice.synthesize("A long sentence, spoken on the event loop, keeps everybody waiting for it. " * 8)
        return dog.in_models

    assert asyncio.run(main()) != []
