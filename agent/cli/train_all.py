"""``dragoman train all``: ear, turn-taking on it, drafter and verifier: from nothing to adapters."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from dragoman.agent.cli.output import JsonOption, console, errors
from dragoman.agent.cli.training import DeviceOption, finished, prepare_training, training_folder
from dragoman.agent.duplex.features import EAR
from dragoman.agent.verifying import RANKER
from dragoman.asr.causal.catalog import TALK
from dragoman.audio.types import DragomanError
from dragoman.models.adapters import FOLDER

ENOUGH: Final = 15.0
"""Minutes in which the endpointer is trained."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command of ``dragoman``, and what of its ``result`` is kept as which adapter."""

    command: tuple[str, ...]
    result: Path | None = None
    adapter: str = ""


def steps(folder: Path, minutes: float, speech_hours: float, talk_hours: float, device: str) -> list[Step]:
    """The ear first: two models of turn-taking are trained on what it hears, and its decoder on how people talk in
    conversations. Then the drafter, and what reads its states: the ends of turns, and the verifier; and
    what it usually says.
    """
    speech, talks, ear, path = (folder / name for name in ("speech", "conversations", "ear", "duplex"))
    words = folder / "decoder"
    drafter, ranker, drafts, verifier = (folder / name for name in ("drafter", "ranker", "drafts", "verifier"))
    choices, preference, completion, endings, endpoints = (
        folder / name for name in ("choices", "preference", "completion", "endings", "endpointer")
    )
    train = ("--minutes", f"{minutes:g}", "--device", device)
    return [
        Step(("data", "speech", "--folder", str(speech), "--hours", f"{speech_hours:g}")),
        Step(
            ("train", "asr", "--model", EAR, "--data", str(speech), "--folder", str(ear), *train),
            ear / "adapter.npz",
            f"{EAR}.npz",
        ),
        Step(("data", "duplex", "--folder", str(talks), "--hours", f"{talk_hours:g}", "--features")),
        Step(("data", "turns", "--conversations", str(talks), "--folder", str(speech))),
        Step(
            (
                *("train", "asr", "--model", EAR, "--data", str(speech), "--folder", str(words), "--decoder-only"),
                *("--begin", str(ear / "adapter.npz"), "--rate", "3e-4", *train),
            ),
            words / "adapter.npz",
            f"{EAR}{TALK}.npz",
        ),
        Step(
            ("train", "duplex", "--data", str(talks), "--folder", str(path), "--ear", EAR, *train),
            path / "adapter.npz",
            f"duplex-{EAR}.npz",
        ),
        Step(
            (
                *("train", "endpointer", "--data", str(talks), "--folder", str(endpoints), "--ear", EAR),
                *("--minutes", f"{min(minutes, ENOUGH):g}", "--device", device),
            ),
            endpoints / "endpointer.npz",
            f"endpointer-{EAR}.npz",
        ),
        Step(("data", "dialogues", "--folder", str(talks))),
        Step(
            ("train", "drafter", "--data", str(talks), "--folder", str(drafter), *train),
            drafter / "adapter.npz",
            "drafter-en.npz",
        ),
        Step(("train", "ranker", "--data", str(talks), "--folder", str(ranker)), ranker / "ranker.npz", RANKER),
        Step(("data", "drafts", "--turns", "1", "--alternatives", "5", "--folder", str(choices))),
        Step(
            ("train", "preference", "--drafts", str(choices), "--folder", str(preference), "--device", device),
            preference / "adapter.npz",
            "drafter-en.npz",
        ),
        Step(
            ("train", "completion", "--folder", str(completion), *train),
            completion / "adapter.npz",
            "completion-en.npz",
        ),
        Step(("data", "pauses", "--folder", str(talks))),
        Step(
            ("train", "endings", "--data", str(talks), "--folder", str(endings)),
            endings / "endings.npz",
            "endings-en.npz",
        ),
        Step(("data", "drafts", "--data", str(talks), "--folder", str(drafts))),
        Step(
            ("train", "verifier", "--drafts", str(drafts), "--folder", str(verifier)),
            verifier / "verifier.npz",
            "verifier-en.npz",
        ),
        Step(
            ("train", "habits", "--drafts", str(drafts), "--folder", str(folder / "habits")),
            folder / "habits" / "habits.npz",
            "habits-en.npz",
        ),
    ]


def run(todo: Sequence[Step], adapters: Path, call: Callable[[Sequence[str], Mapping[str, str]], int]) -> None:
    """Carry out the steps; each later one finds the adapters of those before. Raises ``DragomanError``."""
    adapters.mkdir(parents=True, exist_ok=True)
    for number, step in enumerate(todo, 1):
        console.print(
            f"[bold]{number} of {len(todo)}:[/]", Text(f"dragoman {shlex.join(step.command)}"), soft_wrap=True
        )
        status = call((sys.executable, "-m", "dragoman", *step.command), {**os.environ, FOLDER: str(adapters)})
        if status:
            raise DragomanError(
                f"dragoman {' '.join(step.command[:2])} ended with status {status}: mend it and run the same again"
            )
        if step.result is not None:
            shutil.copyfile(step.result, adapters / step.adapter)


def call(command: Sequence[str], env: Mapping[str, str]) -> int:
    """Run a command to its end; gives its status. Whoever stops this waits until it has saved what it has."""
    # In a group of its own, so that Ctrl-C reaches it but once: the second would end its saving.
    child = subprocess.Popen(command, env=dict(env), process_group=0)
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.terminate()
        child.wait()
        raise


def everything(
    folder: Annotated[Path | None, typer.Option(help="Where data and checkpoints lie; a stopped run goes on.")] = None,
    minutes: Annotated[float, typer.Option(help="At most so many minutes for each training.", min=0.01)] = 170.0,
    speech_hours: Annotated[float, typer.Option(help="Hours of speech for the ear.", min=0.01)] = 4.0,
    talk_hours: Annotated[float, typer.Option(help="Hours of conversations for the fast path.", min=0.01)] = 8.0,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Make the data and train all that dragoman ships for English: ear, turn-taking, drafter, ranker, verifier.

    Takes most of a day on one core. The adapters are used with DRAGOMAN_ADAPTERS=FOLDER/adapters.
    """
    with errors():
        prepare_training(threads=1, device=device)  # before data are made for hours: that it is missing
        target = training_folder(folder, "all")
        adapters = target / "adapters"
        told = ("--json",) if as_json else ()
        run(
            steps(target, minutes, speech_hours, talk_hours, device),
            adapters,
            lambda command, env: call((*command, *told), env),
        )
        finished(as_json, "adapters", adapters)
