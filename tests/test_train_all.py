"""The whole chain of training, one command after the other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dragoman.__main__ import app
from dragoman.agent.cli import train_all
from dragoman.agent.cli.train_all import Step, run, steps
from dragoman.audio.types import DragomanError


def test_the_fast_path_is_trained_on_the_ear_that_was_trained(tmp_path: Path) -> None:
    """Each step sees the adapters of those before it, and the commands are ones that there are."""
    seen: list[tuple[str, list[str]]] = []

    def call(command: Sequence[str], env: Mapping[str, str]) -> int:
        adapters = Path(env["DRAGOMAN_ADAPTERS"])
        seen.append((" ".join(command[3:5]), sorted(path.name for path in adapters.iterdir())))
        folder = Path(command[command.index("--folder") + 1])
        folder.mkdir(exist_ok=True)
        # Each command's own name for what it makes.
        (
            folder
            / {name: f"{name}.npz" for name in ("ranker", "verifier", "endings", "endpointer", "habits")}.get(
                command[4], "adapter.npz"
            )
        ).write_text(command[4])
        return 0

    todo = steps(tmp_path, 1, 0.1, 0.2, "cpu")
    run(todo, tmp_path / "adapters", call)
    ears = ["whisper-tiny.en-talk.npz", "whisper-tiny.en.npz"]
    both = ["duplex-whisper-tiny.en.npz", "endpointer-whisper-tiny.en.npz"]
    with_drafter = ["data drafts", "train preference", "train completion"]
    completed = ["completion-en.npz", "drafter-en.npz", both[0]]
    with_completion = ["data pauses", "train endings"]
    with_endings = ["data drafts", "train verifier"]
    assert seen == [
        ("data speech", []),
        ("train asr", []),
        ("data duplex", ["whisper-tiny.en.npz"]),
        ("data turns", ["whisper-tiny.en.npz"]),
        ("train asr", ["whisper-tiny.en.npz"]),
        ("train duplex", ears),
        ("train endpointer", [both[0], *ears]),
        ("data dialogues", [*both, *ears]),
        ("train drafter", [*both, *ears]),
        ("train ranker", ["drafter-en.npz", *both, *ears]),
        *((step, ["drafter-en.npz", *both, "ranker.npz", *ears]) for step in with_drafter),
        *((step, [*completed, both[1], "ranker.npz", *ears]) for step in with_completion),
        *((step, [*completed, "endings-en.npz", both[1], "ranker.npz", *ears]) for step in with_endings),
        ("train habits", [*completed, "endings-en.npz", both[1], "ranker.npz", "verifier-en.npz", *ears]),
    ]
    assert (tmp_path / "adapters" / "habits-en.npz").read_text() == "habits"
    assert all((tmp_path / "adapters" / ear).read_text() == "asr" for ear in ears)
    assert (tmp_path / "adapters" / "duplex-whisper-tiny.en.npz").read_text() == "duplex"
    assert (tmp_path / "adapters" / "drafter-en.npz").read_text() == "preference"
    assert (tmp_path / "adapters" / "verifier-en.npz").read_text() == "verifier"
    for step in todo:
        shown = CliRunner().invoke(app, [*step.command[:2], "--help"], env={"COLUMNS": "200"}).output
        assert all(option in shown for option in step.command if option.startswith("--"))


_SAVES = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, signal.default_int_handler)
try:
    print("trains", flush=True)
    signal.pause()
finally:
    time.sleep(0.6)
    Path(sys.argv[1]).write_text("saved")
"""

_STARTS = """
import os, signal, sys
from dragoman.agent.cli.train_all import call
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that run in the background are begun without it
call(sys.argv[1:], os.environ)
"""


def test_whoever_is_stopped_saves_first(tmp_path: Path) -> None:
    """Ctrl-C reaches all that runs in the terminal; a training that needs a while to save its state gets it."""
    target = tmp_path / "state"
    command = [sys.executable, "-c", _STARTS, sys.executable, "-c", _SAVES, str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"trains\n"
        os.killpg(parent.pid, signal.SIGINT)
        parent.communicate()
    assert target.read_text() == "saved"


def test_with_json_every_step_prints_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So that standard output holds nothing else; the last line is that of the whole."""
    pytest.importorskip("torch")
    monkeypatch.setattr(train_all, "steps", lambda *args: [Step(("data", "one"))])
    seen: list[Sequence[str]] = []
    monkeypatch.setattr(train_all, "call", lambda command, env: seen.append(command) or 0)
    done = CliRunner().invoke(app, ["train", "all", "--folder", str(tmp_path), "--json"])
    assert [command[-3:] for command in seen] == [("data", "one", "--json")]
    assert json.loads(done.stdout) == {"type": "summary", "adapters": str(tmp_path / "adapters")}


def test_a_failing_step_ends_the_chain(tmp_path: Path) -> None:
    """One line says which, and nothing after it is begun."""
    begun: list[str] = []

    def call(command: Sequence[str], env: Mapping[str, str]) -> int:
        begun.append(command[4])
        return 3

    with pytest.raises(DragomanError, match="data one ended with status 3"):
        run([Step(("data", "one")), Step(("data", "two"))], tmp_path, call)
    assert begun == ["one"]
