"""What an interpretation looks like while it happens."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pytest
from rich.console import Console

from dragoman.agent.cli.captions import JsonCaptions, LineCaptions, LiveCaptions
from dragoman.agent.interpreter import Event, Hearing, Recognized, Revised, Spoken, Translated
from dragoman.translation.retranslation import Update

TOLD: tuple[Event, ...] = (
    Hearing("good mor", 1, 0.5),
    Revised(Update(0, 1, "Bom", "dia", 2, False), 0.9, 0.8),
    Hearing("good morning all", 2, 1.0),
    Recognized(0, "Good morning all.", 0.1, 1.2, 2.0),
    Revised(Update(0, 2, "Bom dia a todos.", "", 3, True), 2.1, 2.0),
    Translated(0, "Good morning all.", "Bom dia a todos.", 0.1, 1.2, 2.1, "en"),
    Spoken(0, "Bom dia a todos.", 2.5, np.zeros(24_000, np.float32), 1.1),
)


def test_json_lines_have_everything_but_the_sound(capsys: pytest.CaptureFixture[str]) -> None:
    """Updates as the engine's fields."""
    with JsonCaptions(stream=True) as view:
        for event in TOLD:
            view.show(event)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["type"] for line in lines] == [
        "hearing",
        "update",
        "hearing",
        "recognized",
        "update",
        "translated",
        "spoken",
    ]
    assert {key: lines[1][key] for key in ("stable_text", "unstable_text", "source_words_covered", "final")} == {
        "stable_text": "Bom",
        "unstable_text": "dia",
        "source_words_covered": 2,
        "final": False,
    }
    assert lines[-1] == {
        "type": "spoken",
        "segment": 0,
        "text": "Bom dia a todos.",
        "start": 2.5,
        "seconds": 1.0,
        "rate": 1.1,
    }


def test_json_lines_without_streaming_have_no_revisions(capsys: pytest.CaptureFixture[str]) -> None:
    """Only what is complete."""
    view = JsonCaptions(stream=False)
    for event in TOLD:
        view.show(event)
    kinds = [json.loads(line)["type"] for line in capsys.readouterr().out.splitlines()]
    assert kinds == ["recognized", "translated", "spoken"]


def test_where_nothing_is_live_there_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """What was said for people, its translation as the result."""
    out = io.StringIO()
    with LineCaptions(Console(file=out)) as view:
        for event in TOLD:
            view.show(event)
    assert out.getvalue() == "[   0.1 s] Good morning all.\n"
    assert capsys.readouterr().out == "Bom dia a todos.\n"


def test_in_a_terminal_no_result_stands_behind_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output is the same terminal: the status is gone from the line on which a translation is printed."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", out)
    with LineCaptions(Console(file=out, force_terminal=True, width=80)) as view:
        for event in TOLD:
            view.show(event)
    out.seek(0)
    assert "\x1b[2KBom dia a todos.\n" in out.read()


def test_two_live_lines_in_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """What is said and its translation so far; complete segments stay above."""
    out = io.StringIO()
    with LiveCaptions(Console(file=out, force_terminal=True, width=40, color_system=None)) as view:
        for event in TOLD[:3]:
            view.show(event)
        shown = out.getvalue()
        assert "good mor" in shown
        assert "good morning all" in shown
        assert "Bom dia" in shown
        for event in TOLD[3:]:
            view.show(event)
    assert "[   0.1 s] Good morning all." in out.getvalue()
    assert capsys.readouterr().out == "Bom dia a todos.\n"


def test_what_was_said_stands_above_its_own_translation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two sentences were recognized before the first was translated."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    with LiveCaptions(Console(file=out, force_terminal=True, width=40, color_system=None)) as view:
        view.show(Recognized(0, "One.", 0.0, 1.0, 1.5))
        view.show(Recognized(1, "Two.", 1.0, 2.0, 2.5))
        view.show(Translated(0, "One.", "Um.", 0.0, 1.0, 2.6, "en"))
        view.show(Translated(1, "Two.", "Dois.", 1.0, 2.0, 2.7, "en"))
    places = [out.getvalue().index(text) for text in ("[   0.0 s] One.", "Um.", "[   1.0 s] Two.", "Dois.")]
    assert places == sorted(places)


def test_a_line_that_is_too_long_shows_its_end() -> None:
    """What is new is at the end."""
    out = io.StringIO()
    with LiveCaptions(Console(file=out, force_terminal=True, width=20, color_system=None)) as view:
        view.show(Hearing("one two three four five six seven", 0, 1.0))
    assert "… five six seven" in out.getvalue()
    assert "one two" not in out.getvalue()
