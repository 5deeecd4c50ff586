"""``dragoman transcribe`` as a user runs it."""

from __future__ import annotations

import io
import itertools
import json
import sys

import jiwer
import numpy as np
import pytest
import soundfile
import typer
from rich.console import Console
from typer.testing import CliRunner
from whisper_normalizer.english import EnglishTextNormalizer

from dragoman.agent.cli import transcribe
from dragoman.agent.cli.transcribe import register
from dragoman.agent.listening import Segment, main_language, transcribed

FIRST = "The train to the coast leaves at seven in the morning."
SECOND = "Please bring a warm coat and something to eat."


@pytest.fixture(scope="module")
def recording(spoken, tmp_path_factory):
    """Two sentences with two seconds between them: stereo, 44.1 kHz."""
    from dragoman.audio.resample import resample

    gap = np.zeros(32_000, np.float32)
    pcm = resample(np.concatenate([gap, spoken(FIRST), gap, spoken(SECOND), gap]), 16_000, 44_100)
    path = tmp_path_factory.mktemp("sound") / "two.flac"
    soundfile.write(path, np.stack([pcm, pcm], axis=1), 44_100)
    return path


def run(*args):
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, [*map(str, args)])


def wer(reference, hypothesis):
    normal = EnglishTextNormalizer()
    return jiwer.wer(normal(reference), normal(hypothesis))


@pytest.mark.parametrize("as_json", [True, False])
def test_a_terminal_beside_the_result_takes_nothing_from_it(monkeypatch, as_json):
    """Whether standard output is a file, or the terminal in which the status stands."""
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True, newline="")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(transcribe, "console", Console(file=terminal, force_terminal=True, width=80))
    file = io.StringIO() if as_json else terminal
    monkeypatch.setattr(sys, "stdout", file)
    transcribe._whole([Segment(0.0, 1.0, "Hello.", "en", ())], 1.0, as_json)
    file.seek(0)
    if as_json:
        assert json.loads(file.read())["text"] == "Hello."
    else:
        assert "\x1b[2KHello.\n" in file.read()


def test_json_lines_end_with_a_summary(recording):
    """A segment for each sentence, then the whole text with words in the file's time."""
    result = run(recording, "--lang", "en", "--json")
    assert result.exit_code == 0, result.stderr
    *segments, summary = map(json.loads, result.stdout.splitlines())
    assert [segment["type"] for segment in segments] == ["segment", "segment"]
    assert summary["type"] == "summary"
    assert summary["lang"] == "en"
    assert wer(f"{FIRST} {SECOND}", summary["text"]) <= 0.15
    words = summary["words"]
    assert " ".join(word["word"] for word in words) == summary["text"]
    assert words[0]["start"] == pytest.approx(2.0, abs=0.3)
    starts = [word["start"] for word in words]
    assert starts == sorted(starts)
    assert segments[1]["start"] - segments[0]["end"] == pytest.approx(2.0, abs=0.5)
    assert all(0 < word["p"] <= 1 for word in words)


def test_text_for_people_is_on_standard_output(recording):
    """Without --json the text alone is printed, a line for each segment."""
    result = run(recording, "--lang", "en")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert wer(SECOND, lines[1]) <= 0.2


def test_silence_is_no_error(tmp_path):
    """A file without speech gives an empty text, and no language."""
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(48_000), 16_000)
    result = run(path, "--lang", "en", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {"type": "summary", "text": "", "lang": "en", "words": []}


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["nothing.wav"], "no such file"),
        (["."], "is a folder"),
        (["text.wav"], "not an audio file"),
        (["tone.wav", "--lang", "PT-br", "--model", "tiny.en"], "doesn't recognize 'pt'"),
        (["tone.wav", "--lang", "xx"], "doesn't recognize 'xx'; it knows: af"),
        (["tone.wav", "--lang", "english", "--model", "no-such-model"], "'english' is no language's code"),
        (["tone.wav", "--model", "no-such-model"], "known are whisper-tiny.en, whisper-base\n"),
        (["tone.wav", "--model", "kokoro"], "kokoro is a voice, not a recognizer"),
        (["mic"], "say --stream"),
        (["tone.wav", "--pace"], "needs --stream"),
    ],
)
def test_errors_are_one_line(tmp_path, monkeypatch, args, complaint):
    """What is wrong is said on standard error, nothing on standard output, and the status is 1."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.wav").write_text("this is no sound")
    soundfile.write(tmp_path / "tone.wav", np.sin(np.arange(16_000) * 0.2), 16_000)
    result = run(*args, "--json")
    assert result.exit_code == 1
    assert complaint in result.stderr
    assert len(result.stderr) < 250
    assert result.stdout == ""


def test_any_blocks_give_the_same_segments(english_recognizer, spoken):
    """How the file is read does not change what is heard in it."""
    gap = np.zeros(24_000, np.float32)
    pcm = np.concatenate([gap, spoken(FIRST), gap, spoken(SECOND)])
    whole = list(transcribed(english_recognizer, iter([pcm])))
    pieces = list(transcribed(english_recognizer, iter(np.array_split(pcm, 41))))
    assert whole == pieces
    assert len(whole) == 2


@pytest.mark.parametrize("model", ["causal", "tiny.en"])
def test_stream_shows_words_while_they_are_heard(recording, model):
    """Partials grow within a segment, long before its end; stable words stay with the causal ear."""
    result = run(recording, "--lang", "en", "--model", model, "--stream", "--json")
    assert result.exit_code == 0, result.stderr
    *events, summary = map(json.loads, result.stdout.splitlines())
    assert wer(f"{FIRST} {SECOND}", summary["text"]) <= 0.2
    first = [event["type"] for event in events].index("segment")
    partials = events[:first]
    assert {event["type"] for event in partials} == {"partial"}
    assert len(partials) >= 5
    assert partials[0]["at"] < events[first]["end"] - 1.5
    assert all(b["at"] - a["at"] >= 0.31 for a, b in itertools.pairwise(partials))
    if model == "causal":
        for a, b in itertools.pairwise(partials):
            kept = a["text"].split()[: a["stable"]]
            assert [w.strip(".,") for w in b["text"].split()[: len(kept)]] == [w.strip(".,") for w in kept]


def test_stream_for_people_is_a_line_for_each_segment(recording):
    """Where nobody watches a terminal."""
    result = run(recording, "--lang", "en", "--stream")
    assert result.exit_code == 0, result.stderr
    assert len(result.stdout.splitlines()) == 2


def test_main_language_is_the_one_spoken_most():
    """Seconds count, not segments."""
    segments = [Segment(0, 1, "a", "en", ()), Segment(1, 2, "b", "en", ()), Segment(2, 9, "c", "pt", ())]
    assert main_language(segments) == "pt"
    assert main_language([]) is None
