"""What the training commands have in common."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import platformdirs
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from dragoman.agent.cli.output import console, emit
from dragoman.audio.types import DragomanError, Json

FolderOption = Annotated[Path | None, typer.Option("--folder", help="Where checkpoints lie; a stopped run goes on.")]
StepsOption = Annotated[int, typer.Option("--steps", help="At most so many steps.")]
MinutesOption = Annotated[float, typer.Option("--minutes", help="At most so many minutes, over all runs.")]
RateOption = Annotated[float, typer.Option("--rate", help="Highest learning rate.")]
ThreadsOption = Annotated[int, typer.Option("--threads", help="Threads on the CPU.")]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu or cuda.")]


def prepare_training(threads: int) -> None:
    """Let torch use so many threads, and a stopped run save what it has. Raises ``DragomanError`` without torch."""
    try:
        import torch
    except ImportError as error:
        raise DragomanError("training needs torch: run pip install 'dragoman[train]'") from error
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as with Ctrl-C
    torch.set_num_threads(threads)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))


def training_folder(given: Path | None, name: str) -> Path:
    """Where checkpoints lie, if nothing else was said."""
    return given or Path(platformdirs.user_data_dir("dragoman")) / "training" / name


@contextmanager
def training_bar(*, quiet: bool) -> Iterator[Callable[[float, str], None]]:
    """A bar that is told how much is done, in [0, 1], and where training is."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=quiet) as bars:
        task = bars.add_task("training", total=1.0)
        yield lambda done, where: bars.update(task, completed=done, description=where)


def figures_of(check: Mapping[str, float | None]) -> str:
    """What a check found, on a line."""
    return "  ".join(f"{name} {value:.3f}" for name, value in check.items() if value is not None)


def finished(as_json: bool, what: str, path: Path, **more: Json) -> None:
    """Tell where ``what`` was trained lies, and with ``as_json`` what else is known of it."""
    if as_json:
        emit("summary", **{what: str(path)}, **more)
    else:
        print(path)
