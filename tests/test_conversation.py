"""A conversation with the real models, on real audio."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np
import pytest
from typer.testing import CliRunner
from whisper_normalizer.english import EnglishTextNormalizer

from dragoman.__main__ import app
from dragoman.agent.cli.demo import Line, speak_script
from dragoman.agent.config import Config, load_parts
from dragoman.agent.endpointing import TextTurnDetector
from dragoman.agent.parts import Parts
from dragoman.agent.record import ConversationRecord, listed_ends
from dragoman.agent.recorded import converse
from dragoman.agent.settings import SessionSettings
from dragoman.asr import WhisperRecognizer
from dragoman.asr.causal.catalog import open_recognizer as open_causal
from dragoman.asr.vad import SileroVad
from dragoman.audio.clock import run_virtual
from dragoman.audio.files import WavWriter, blocks, load, save
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, Samples
from dragoman.tts import Voice

from .fakes import ScriptedResponder, ToneVoice, scripted, speech

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


@dataclass(frozen=True)
class Talk:
    """A conversation that was held: both tracks, and what the record says."""

    visitor: Path
    agent: Path
    record: ConversationRecord

    @property
    def ends(self) -> list[float]:
        return listed_ends(self.visitor)


ANSWERS = (
    "The capital of France is Paris.",
    "Of course. I will name the animals of the old farm by the river instead: there are cows and horses, sheep and "
    "goats, a very lazy cat, and many noisy geese that never sleep at night.",
    "The sky is blue.",
)


@pytest.fixture(scope="module")
def talked(script: Path, english_voice: Voice, english_recognizer: WhisperRecognizer) -> Talk:
    """The script's conversation: real sound, ear and voice; given answers; models that take no time on the clock."""
    agent = script.with_name("agent.wav")

    async def main() -> ConversationRecord:
        parts = Parts(
            recognizer=english_recognizer,
            responder=ScriptedResponder(list(ANSWERS)),
            turn_detector=TextTurnDetector(),
            voice_activity=SileroVad,
            open_voice=lambda language, name: english_voice,
        )
        with WavWriter(agent, OUTPUT_RATE) as writer:
            record = await converse(parts, SessionSettings(), blocks(script), writer=writer, ends=listed_ends(script))
        await parts.aclose()
        return record

    return Talk(script, agent, run_virtual(main(), measured=False))


def test_the_questions_are_heard(talked: Talk) -> None:
    """Each line of the visitor is a turn with its words, and latencies count from the true ends."""
    turns = talked.record.turns
    assert len(turns) == 3
    assert "capital of france" in turns[0].user.lower()
    assert turns[0].heard == ANSWERS[0]
    assert "count slowly" in turns[1].user.lower()
    assert ANSWERS[1].startswith(turns[1].heard)
    assert "sky" in turns[2].user.lower()
    assert [turn.speech_end for turn in turns] == talked.ends


def test_barge_in_on_real_audio(talked: Talk) -> None:
    """The agent's track is silent 250 ms after the interruption's first sound."""
    assert talked.record.turns[1].status == "interrupted"
    visitor, agent = load(talked.visitor, OUTPUT_RATE), load(talked.agent, OUTPUT_RATE)
    begun = _onset(visitor, talked.ends[1] + 4.0)
    lo, hi = round((begun + 0.25) * OUTPUT_RATE), round((begun + 1.0) * OUTPUT_RATE)
    assert float(np.abs(agent[lo - 2 * OUTPUT_RATE : lo]).max()) > 0.05
    assert float(np.abs(agent[lo:hi]).max()) < 1e-3


def test_what_was_heard_is_what_sounds(talked: Talk, transcribe: Callable[[Samples, str], str]) -> None:
    """The agent's track, recognized, holds the words that count as heard: no more and no fewer."""
    agent = load(talked.agent, OUTPUT_RATE)
    for turn in talked.record.turns[:2]:
        assert turn.first_audio is not None
        assert turn.done is not None
        sound = agent[round((turn.first_audio - 0.1) * OUTPUT_RATE) : round((turn.done + 0.1) * OUTPUT_RATE)]
        said, heard = _words(transcribe(sound, "en")), _words(turn.heard)
        # The recognizer may mishear a word, and may guess at one that was cut.
        assert abs(len(said) - len(heard)) <= 2, (said, heard)
        assert jiwer.wer(" ".join(heard), " ".join(said)) <= 0.35, (said, heard)


def _words(text: str) -> list[str]:
    normalized: str = EnglishTextNormalizer()(text)
    return normalized.split()


@pytest.mark.parametrize("word", ["Stop.", "Wait.", "No."])
def test_a_single_word_stops_the_reply(word: str, spoken: Callable[[str], Samples]) -> None:
    """The causal ear shows a word half a second after its end, but who says a single one over a reply means it."""
    question, end = spoken("What animals live on a farm?"), 4.0
    sound = np.zeros(round((end + 2.0) * INPUT_RATE), np.float32)
    sound[: len(question)] = question
    over = spoken(word)
    sound[round(end * INPUT_RATE) :][: len(over)] = over

    async def main() -> ConversationRecord:
        parts = Parts(
            recognizer=open_causal("whisper-tiny.en"),
            responder=ScriptedResponder([ANSWERS[1], "Fine."]),
            turn_detector=TextTurnDetector(),
            voice_activity=SileroVad,
            open_voice=lambda language, name: ToneVoice(),
        )
        return await converse(parts, SessionSettings(), [sound])

    first, second = run_virtual(main(), measured=False).turns
    assert (first.status, second.user) == ("interrupted", word)


def test_the_command_line(script: Path, llm_path: Path, tmp_path: Path, english_voice: Voice) -> None:
    """``dragoman talk`` on a file prints JSON lines, a summary last, and writes the agent's track."""
    question, agent = tmp_path / "q.wav", tmp_path / "a.wav"
    speak_script(english_voice, question, (Line(0.5, "What is the capital of Italy?"),))
    options = ["--llm", SMALL, "--seed", "1", "--no-pace", "--json"]
    result = CliRunner().invoke(app, ["talk", "--input", str(question), "--output", str(agent), *options])
    assert result.exit_code == 0, result.output
    *events, summary = [json.loads(line) for line in result.stdout.splitlines()]
    assert summary["type"] == "summary"
    assert {"user_started", "user_partial", "user_turn", "reply_playing", "reply_done"} <= {e["type"] for e in events}
    (turn,) = summary["turns"]
    assert "Rome" in turn["heard"]
    assert turn["onset_ms"] == pytest.approx((turn["first_audio_s"] - turn["speech_end_s"]) * 1000, abs=1.1)
    assert turn["onset_ms"] > 0
    sound = load(agent, OUTPUT_RATE)
    first = round(turn["first_audio_s"] * OUTPUT_RATE)
    assert float(np.abs(sound[: first - 240]).max()) < 1e-3 < float(np.abs(sound[first : first + 2400]).max())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["talk", "--input", "nowhere.wav"], "nowhere.wav"),
        (["talk", "--input", "{empty}"], "empty"),
        (["talk", "--input", "{text}"], "text.wav"),
        (["talk", "--attentive", "--llm", "no-such-model"], "--attentive needs --headphones"),
        (["talk", "--deaf", "--headphones"], "leave out --headphones and --input"),
        (["talk", "--no-pace", "--llm", "no-such-model"], "--no-pace needs --input"),
        (["talk", "--input", "{wav}", "--device", "3", "--llm", "no-such-model"], "leave it out with --input"),
        (["talk", "--input", "{wav}", "--llm", "no-such-model"], "no-such-model"),
        (["talk", "--input", "{wav}", "--asr", "no-such-ear"], "no-such-ear"),
        (["talk", "--input", "{wav}", "--voice", "nobody"], "nobody"),
        (["talk", "--input", "{wav}", "--lang", "XX", "--llm", "no-such-model"], "no voice speaks 'xx'"),
        (["talk", "--input", "{wav}", "--turns", "clock", "--llm", "no-such-model"], "turns are taken by no 'clock'"),
        (["talk", "--input", "{wav}", "--llm", "http://127.0.0.1:1"], "127.0.0.1:1"),
        (["talk", "--input", "{wav}", "--llm", SMALL, "--output", "/nowhere/x.wav"], "/nowhere"),
        (["talk", "--input", "{wav}", "--llm", SMALL, "--output", "x.docx"], "x.docx"),
        (["talk", "--input", "{wav}", "--output", "{link}"], "is the file that is read"),
    ],
)
def test_bad_input_is_one_clear_line(arguments: list[str], complaint: str, script: Path, tmp_path: Path) -> None:
    """Whatever is wrong is named in one line, and the status is 1."""
    places = {name: tmp_path / f"{name}.wav" for name in ("empty", "text", "link")} | {"wav": script}
    places["link"].symlink_to(script)
    before = script.read_bytes()
    places["empty"].touch()
    places["text"].write_text("this is no sound" * 100)
    filled = [argument.format(**places) for argument in arguments]
    command = [sys.executable, "-m", "dragoman", *filled]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, done.stderr
    assert complaint in lines[0]
    assert "Traceback" not in done.stderr
    assert script.read_bytes() == before


def _onset(pcm: Samples, after: float) -> float:
    start = round(after * OUTPUT_RATE)
    return (start + int(np.flatnonzero(np.abs(pcm[start:]) > 0.02)[0])) / OUTPUT_RATE


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


_MODEL_CALL = re.compile(r"in (?:partial|final|encode|decode|detect|synthesize|render|pronounce|handle_completions)\b")
"""The models' methods that compute."""


@pytest.mark.parametrize("failures", [1, 2])
def test_a_conversation_in_which_every_reply_failed_ends_with_the_reason(
    failures: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 1 behind the summary, which has the reasons; one reply that came is enough."""
    parts = scripted(["First.", "Second."], ["Yes.", "Here I am."])
    assert isinstance(parts.responder, ScriptedResponder)
    parts.responder.failures = failures

    async def loaded(config: Config, json: bool) -> Parts:
        return parts

    monkeypatch.setattr("dragoman.agent.cli.talk._load", loaded)
    save(tmp_path / "said.wav", speech((0.5, 1.5), (4, 5), seconds=6), INPUT_RATE)
    result = CliRunner().invoke(app, ["talk", "--input", str(tmp_path / "said.wav"), "--no-pace", "--json"])
    summary = json.loads(result.stdout.splitlines()[-1])
    assert summary["problems"] == ["the language model is away"] * failures
    error = "error: no reply came: the language model is away\n"
    assert (result.exit_code, result.stderr) == ((1, error) if failures == 2 else (0, ""))


def test_no_model_call_blocks_the_loop(script: Path, llm_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every model at work, the loop is never found inside a model's code for longer than 10 ms."""

    async def main() -> list[str]:
        parts = await load_parts(Config(llm=SMALL, seed=1))
        with Watchdog(monkeypatch) as dog:
            record = await converse(parts, SessionSettings(), blocks(script))
        assert record.turns
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
