"""What benchmarks look at before they measure for minutes."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dragoman.__main__ import app
from dragoman.audio.types import DragomanError
from dragoman.benchmarks import before, translators


def told(*command: str) -> str:
    done = CliRunner().invoke(app, ["bench", *command], catch_exceptions=False)
    assert done.exit_code == 1
    return " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("command", "packages"),
    [
        (["asr", "--data", "."], "jiwer whisper-normalizer"),
        (["onset"], "jiwer whisper-normalizer"),
        (["translate"], "sacrebleu"),
        (["translators"], "sacrebleu"),
        (["duplex", "--plot", "p.png"], "matplotlib"),
    ],
)
def test_what_is_not_installed_is_told_at_once(
    command: list[str], packages: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As what to run; none of it comes with `make demo`."""
    missing = [name.replace("-", "_") for name in packages.split()]
    find = importlib.util.find_spec
    monkeypatch.setattr(before, "find_spec", lambda name: None if name in missing else find(name))
    assert f"run pip install {packages}" in told(*command)


def test_where_nothing_can_be_written_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what readers answered is not written over."""
    monkeypatch.setattr(before, "find_spec", lambda name: True)
    sheet = tmp_path / "pairs.json"
    assert "does not exist" in told("onset", "--pairs", str(tmp_path / "no" / "pairs.json"))
    sheet.write_text("answers")
    assert "readers may have answered in it" in told("onset", "--pairs", str(sheet))
    assert sheet.read_text() == "answers"
    assert "can't tell the format" in told("duplex", "--plot", str(tmp_path / "picture"))
    for command in (["onset", "--plot"], ["translate", "--plots"]):
        assert "no folder for pictures can be made there" in told(*command, str(sheet))


def test_translators_start_nothing_when_the_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured until then stands; a folder without pairs is no figure of 0."""
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")
    assert "holds no test pairs" in told("translators", "--pairs", str(tmp_path))
    opened: list[str] = []
    monkeypatch.setattr(translators, "BergamotTranslator", lambda: opened.append("bergamot"))
    assert "nothing was measured in that time" in told("translators", "--max-s", "-1", "--json")
    assert not opened
    assert "nothing was measured in that time" in told("translate", "--max-s", "-1", "--talk", "1", "--json")
    with pytest.raises(DragomanError, match="none of what was asked for goes together"):
        before.measured([], time.monotonic() + 100)
