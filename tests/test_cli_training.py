"""What the training commands have in common."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dragoman.__main__ import app
from dragoman.agent.cli.training import checked, steps_shown, training_folder
from dragoman.audio.types import DragomanError
from dragoman.models.curves import draw_curves


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


def test_a_log_that_was_cut_short_is_drawn_without_the_line(tmp_path: Path) -> None:
    """A full disk, or a machine that went down, must not keep a training from going on."""
    pytest.importorskip("matplotlib")
    log = tmp_path / "log.jsonl"
    whole = json.dumps({"step": 1, "loss": 1.0, "check": None})
    log.write_text(f'{whole}\n{{"step": 2, "lo{whole}\n{whole}\n')
    assert draw_curves(log, ("loss",), ("loss",)) == tmp_path / "log.png"
    log.write_text('{"step": 1')
    assert draw_curves(log, ("loss",), ("loss",)) is None


@pytest.mark.parametrize("option", ["steps", "minutes", "lessons", "rank", "check-every", "threads"])
def test_a_training_of_nothing_is_refused(option: str) -> None:
    """In one line that names the option."""
    done = CliRunner().invoke(app, ["train", "drafter", f"--{option}", "0"], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert f"Invalid value for '--{option}'" in done.output


def test_two_trainings_do_not_share_a_folder(tmp_path: Path) -> None:
    """Each would write over what the other learned; one process may ask for its folder again."""
    assert training_folder(tmp_path / "run", "asr") == training_folder(tmp_path / "run", "asr") == tmp_path / "run"
    asked = f"from pathlib import Path; training_folder(Path({str(tmp_path / 'run')!r}), 'asr')"
    command = (sys.executable, "-c", f"from dragoman.agent.cli.training import training_folder; {asked}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "another training is going on in it" in done.stderr
    assert done.returncode == 1


@pytest.mark.train
@pytest.mark.parametrize("content", ["damaged", "another"])
def test_a_state_that_is_no_good_is_told_in_one_line(content: str, tmp_path: Path) -> None:
    """One that was cut off, and one that another training left in the folder."""
    torch = pytest.importorskip("torch")
    from dragoman.models.training import Journal

    taken = list[int]()
    journal = Journal(tmp_path, (), ())
    journal.resume(lambda state: taken.append(state["step"]))
    journal.keep({"step": 3, "network": torch.zeros(99)})
    journal.resume(lambda state: taken.append(state["step"]))
    assert taken == [3]
    state = tmp_path / "state.pt"
    if content == "damaged":
        state.write_bytes(state.read_bytes()[:500])
    with pytest.raises(
        DragomanError, match=r"can't go on from it \(.*\): choose another folder, or delete it$"
    ) as told:
        journal.resume(lambda state: taken.append(state["kind"]))
    assert str(told.value).startswith(f"{state}: ")
    assert taken == [3]


@pytest.mark.train
def test_what_is_no_number_is_not_learned_from() -> None:
    """A training that diverges ends, and what it had learned stays."""
    torch = pytest.importorskip("torch")
    from dragoman.models.training import descend

    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight])
    with pytest.raises(DragomanError, match=r"the loss is nan, .* lower --rate"):
        descend(optimizer, [weight], 1e-3, [weight.sum(), (weight * float("inf")).sum() * 0.0])
    assert weight.tolist() == [1.0, 1.0]
    assert descend(optimizer, [weight], 1e-3, [weight.sum()]) == 2.0
    assert weight.tolist() != [1.0, 1.0]


@pytest.mark.train
@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_here_is_refused(device: str) -> None:
    """Before anything is read, or made for hours."""
    pytest.importorskip("torch")
    for command in (["train", "completion"], ["train", "all"]):
        done = CliRunner().invoke(app, [*command, "--device", device])
        assert done.exit_code == 1
        assert f"torch can't use a device '{device}' here" in done.output
