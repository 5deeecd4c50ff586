"""What the training commands have in common."""

from __future__ import annotations

import json

import pytest

from dragoman.agent.cli.training import checked, steps_shown


def test_every_step_is_a_json_line_with_what_a_check_found(capfd: pytest.CaptureFixture[str]) -> None:
    """Whichever the training is."""
    with steps_shown("unseen dialogues", as_json=True) as shown:
        shown(0.25, 1, {"loss": 2.0, "words": 1.5}, {})
        shown(0.5, 2, {"loss": 1.0, "words": 0.5}, {"auroc": 0.75, "begin_f1": None})
        shown(1.0, 3, {"loss": 1.0}, checked(0.5))
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert lines == [
        {"type": "step", "step": 1, "loss": 2.0, "words": 1.5},
        {"type": "step", "step": 2, "loss": 1.0, "words": 0.5, "auroc": 0.75, "begin_f1": None},
        {"type": "step", "step": 3, "loss": 1.0, "check": 0.5},
    ]


def test_people_read_what_a_check_found_and_where_training_is(capfd: pytest.CaptureFixture[str]) -> None:
    """What could not be counted is left out; standard output is kept for results."""
    with steps_shown("unseen dialogues", as_json=False) as shown:
        shown(0.25, 1, {"loss": 2.0}, checked(None))
        shown(0.5, 2, {"stage": 2, "loss": 1.0}, {"auroc": 0.75, "begin_f1": None})
    out, told = capfd.readouterr()
    assert out == ""
    assert "step 1," not in told
    assert "step 2, unseen dialogues: auroc 0.750\n" in told
    assert "step 2  stage 2  loss 1.000" in told
