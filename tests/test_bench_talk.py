"""The benchmark of spoken questions."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from dragoman.__main__ import app


def test_it_asks_and_measures(llm_path: Path) -> None:
    """One question: heard, answered, and timed; a summary with intervals last."""
    result = CliRunner().invoke(app, ["bench", "talk", "--llm", str(llm_path), "--only", "1", "--json"])
    assert result.exit_code == 0, result.output
    answer, summary = [json.loads(line) for line in result.stdout.splitlines()]
    assert "Japan" in answer["user"]
    assert "Tokyo" in answer["heard"]
    assert summary["type"] == "summary"
    assert summary["questions"] == 1
    assert summary["onset_p50_ms"] == summary["onset_p50_ci95"][0] == round(answer["onset_ms"])


def test_an_unknown_question_is_one_clear_line() -> None:
    """Numbers that are none, or too large, are named."""
    for wanted in ("21", "one"):
        result = CliRunner().invoke(app, ["bench", "talk", "--only", wanted])
        assert result.exit_code == 1
        assert wanted in result.stderr
