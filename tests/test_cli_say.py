"""``dragoman say``, the real command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import typer
from click.testing import Result
from typer.testing import CliRunner

from dragoman.agent.cli import say
from dragoman.audio.files import load
from dragoman.audio.types import OUTPUT_RATE
from tests.conftest import Transcribe


def run(command: str, *args: str, stdin: str = "") -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    say.register(app)
    return CliRunner().invoke(app, [command, *args], input=stdin, catch_exceptions=False)


def test_says_a_text_into_a_file(tmp_path: Path, transcribe: Transcribe) -> None:
    """The file is what was asked for; the summary has each word with its time."""
    out = tmp_path / "hello.wav"
    done = run("say", "Good morning, the train to London leaves at noon.", "-o", str(out), "--json")
    assert done.exit_code == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["type"] == "summary"
    assert [w["word"] for w in summary["words"]][:2] == ["Good", "morning,"]
    assert summary["words"][-1]["end"] <= summary["seconds"] == pytest.approx(soundfile.info(out).duration, abs=0.01)
    assert "train to london" in transcribe(load(out, OUTPUT_RATE), "en").lower()


def test_reads_standard_input(tmp_path: Path) -> None:
    """A dash stands for it; results are on standard output only when they are asked for."""
    out = tmp_path / "hello.flac"
    done = run("say", "-", "-o", str(out), "--lang", "EN_us", stdin="Hello there. And here.\n")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.splitlines()[:2] == ["opening the voice ...", "speaking ..."]
    assert len(done.stderr.splitlines()) == 3
    assert soundfile.info(out).samplerate == OUTPUT_RATE


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["Hello."], "-o FILE.wav"),
        (["🙂", "-o", "x.wav"], "nothing to say"),
        (["Hello.", "-o", "x.wav", "--lang", "de"], "no voice speaks 'de'"),
        (["Hello.", "-o", "x.wav", "--voice", "nobody"], "no voice named 'nobody'"),
        (["Hello.", "-o", "x.wav", "--lang", "english"], "'english' is no language's code"),
        (["Hello.", "-o", "x.wav", "--rate", "9", "--voice", "nobody"], "speaking rate"),
        (["Hello.", "-o", "/nowhere/x.wav", "--voice", "nobody"], "/nowhere"),
    ],
)
def test_bad_input_is_one_clear_line(
    args: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 1, one line, no traceback, no file."""
    monkeypatch.chdir(tmp_path)
    done = run("say", *args)
    assert done.exit_code == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error:") == 1
    assert not list(tmp_path.iterdir())


def test_standard_input_that_is_no_text_is_one_clear_line(tmp_path: Path) -> None:
    """A file in another encoding, say."""
    command = [sys.executable, "-m", "dragoman", "say", "-", "-o", str(tmp_path / "x.wav")]
    strict = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(command, input="Café".encode("latin-1"), env=strict, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: standard input is no text in utf-8")
    assert done.stderr.count(b"\n") == 1


def test_voices_are_listed() -> None:
    """One line each."""
    assert "gongitsune" in run("say", "--voices").stdout
