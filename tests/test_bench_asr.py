"""The benchmark's own arithmetic, on texts made by hand."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from dragoman.audio.types import DragomanError, Word
from dragoman.benchmarks import asr, cli
from dragoman.benchmarks.scoring import Heard, Score, Shown, add, interval, normalizer
from dragoman.benchmarks.wer import read_index

ENDS = [Word("one", 0.0, 1.0), Word("two", 1.0, 2.0), Word("three", 2.0, 3.0)]


def scored(*shown: tuple[float, str]) -> Score:
    texts = tuple(Shown(at, at, text) for at, text in shown)
    score = Score()
    add(score, str.split, "one two three", ENDS, Heard("a.wav", 3.5, 0.1, texts, shown[-1][1], 0.0))
    return score


def test_delays_count_from_the_end_of_each_word() -> None:
    """First shown and last changed, for a word that was revised once."""
    score = scored((1.3, "one"), (2.3, "one too"), (2.6, "one two"), (3.3, "one two three"))
    assert score.first == pytest.approx([0.3, 0.6, 0.3])
    assert score.last == pytest.approx([0.3, 0.6, 0.3])
    assert score.wrong == [(0, 3)]


def test_a_word_that_comes_and_goes_changed_last_when_it_came_back() -> None:
    """Its first showing counts once, its last change is later."""
    score = scored((1.2, "one"), (2.2, "one two"), (2.4, "one to"), (2.8, "one two"), (3.2, "one two three"))
    assert score.first[1] == pytest.approx(0.2)
    assert score.last[1] == pytest.approx(0.8)


def test_erasure_counts_what_was_taken_back() -> None:
    """One of three words was taken back once."""
    score = scored((1.2, "one"), (2.2, "one too"), (2.6, "one two"), (3.2, "one two three"))
    assert (score.erased, score.written) == (1, 3)


def test_what_comes_later_than_a_second_is_missing_then() -> None:
    """Two seconds late is right in the end, and wrong one second after each word."""
    score = scored((5.0, "one two three"))
    assert score.wrong == [(0, 3)]
    assert score.settled == [(3, 3)]
    assert scored((1.2, "one"), (2.2, "one two"), (3.9, "one two three")).settled == [(0, 3)]


def test_the_interval_holds_the_rate() -> None:
    """A bootstrap over clips lies around the mean."""
    low, high = interval([(1, 10), (2, 10), (0, 10), (3, 10)])
    assert 0.0 <= low < 0.15 < high <= 0.3


def test_texts_are_normalized_as_whispers_makers_do() -> None:
    """Case, marks and numbers don't count."""
    assert normalizer("en")("It's twenty-five dollars, Mr. Smith!") == ["it", "is", "$25", "mister", "smith"]


def test_a_list_of_another_shape_is_one_clear_line(tmp_path) -> None:
    """It is JSON, but no list of clips."""
    (tmp_path / "index.json").write_text('{"clips": []}')
    with pytest.raises(DragomanError, match="no usable list of clips"):
        read_index(tmp_path)


def test_clips_of_other_languages_are_counted_once(tmp_path, monkeypatch) -> None:
    """As left out, and those of a language that is measured are not, whichever model measures it."""
    clips = [("a", "en", "Yes."), ("b", "pt", "Sim."), ("c", "de", "Ja."), ("d", "en", ""), ("e", "en-GB", "No.")]
    entries = [{"file": file, "lang": lang, "transcript": text} for file, lang, text in clips]
    (tmp_path / "index.json").write_text(json.dumps(entries))
    monkeypatch.setattr(asr, "word_ends", lambda *_: [])
    monkeypatch.setattr(asr, "_one", lambda data, task, *_: {"files": list(task.files)})
    monkeypatch.setattr(asr, "_line", lambda result: "")
    app = typer.Typer()
    cli.register(app)
    command = ["bench", "asr", "--data", str(tmp_path), "--only", "offline", "--json"]
    summary = json.loads(CliRunner().invoke(app, command, catch_exceptions=False).stdout.splitlines()[-1])
    assert [result["files"] for result in summary["results"]] == [["a", "e"], ["a", "e"], ["b"]]
    assert summary["skipped"] == 2
    late = CliRunner().invoke(app, [*command, "--max-s", "-1"])
    assert late.exit_code == 1
    assert "nothing was measured in that time" in late.stderr
    (tmp_path / "index.json").write_text("[]")
    assert "no clip in en or pt has a transcript" in CliRunner().invoke(app, command).stderr


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--chunks", "x"], "--chunks takes milliseconds"),
        (["--chunks", "320,0"], "--chunks takes milliseconds"),
        (["--model", "nope"], "there are whisper-tiny.en, whisper-base"),
        (["--limit", "-1"], "--limit"),
    ],
)
def test_what_can_not_be_measured_is_told_at_once(tmp_path, options, complaint) -> None:
    """Not after minutes, nor as nothing, nor under another name than what was measured."""
    app = typer.Typer()
    cli.register(app)
    result = CliRunner().invoke(app, ["bench", "asr", "--data", str(tmp_path), *options], env={"COLUMNS": "200"})
    assert result.exit_code != 0
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr
