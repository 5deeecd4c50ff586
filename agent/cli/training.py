"""What the training commands have in common."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import platformdirs
import typer
from filelock import BaseFileLock, FileLock, Timeout
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from dragoman.agent.cli.output import console, emit
from dragoman.agent.duplex.body import Body, load_body
from dragoman.audio.types import DragomanError, Json
from dragoman.models.catalog import Progress as Told
from dragoman.models.catalog import resolve

BodyOption = Annotated[
    str, typer.Option("--body", help="GGUF of a Llama or Qwen2: a name, a file or org/name/file.gguf.")
]
FolderOption = Annotated[Path | None, typer.Option("--folder", help="Where checkpoints lie; a stopped run goes on.")]
StepsOption = Annotated[int, typer.Option("--steps", help="At most so many steps.", min=1)]
MinutesOption = Annotated[float, typer.Option("--minutes", help="At most so many minutes, over all runs.", min=0.01)]
RateOption = Annotated[float, typer.Option("--rate", help="Highest learning rate.", min=0.0)]
ThreadsOption = Annotated[int, typer.Option("--threads", help="Threads on the CPU.", min=1)]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu or cuda.")]
RankOption = Annotated[int, typer.Option("--rank", help="Rank of the changes to the language model.", min=1)]

Shown: TypeAlias = Callable[[float, int, Mapping[str, float], Mapping[str, float | None]], None]
"""Told how much is done, in [0, 1], the step, its losses, and what a check found if there was one, all by name."""

_HELD: Final[list[BaseFileLock]] = []


def prepare_training(threads: int, device: str = "cpu") -> None:
    """Let torch use so many threads, and a stopped run save what it has.

    Raises ``DragomanError`` without torch, and for a device that it can't use.
    """
    try:
        import torch
    except ImportError as error:
        raise DragomanError("training needs torch: run pip install 'dragoman[train]'") from error
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter from a torch that was built without it
        raise DragomanError(f"torch can't use a device {device!r} here: take --device cpu") from error
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as with Ctrl-C
    torch.set_num_threads(threads)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))


def training_folder(given: Path | None, name: str) -> Path:
    """Where checkpoints lie, if nothing else was said; it is made, and nobody else's until this process ends.

    Raises ``DragomanError`` where another training is going on in it: each would write over what the other learned.
    """
    folder = given or Path(platformdirs.user_data_dir("dragoman")) / "training" / name
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise DragomanError(f"{folder}: another training is going on in it: let it end, or give --folder") from error
    _HELD.append(lock)
    return folder


def read_body(body: str, progress: Told) -> Body:
    """The language model that is trained on. Raises ``DragomanError``."""
    path = resolve(body, progress=progress)
    progress(f"reading {body}", 0, 1)
    loaded = load_body(path)
    progress(f"reading {body}", 1, 1)
    return loaded


@contextmanager
def steps_shown(what: str, as_json: bool) -> Iterator[Shown]:
    """What is to be told of each step: it moves a bar, and prints what a check of ``what`` found; or JSON lines."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=as_json) as bars:
        task = bars.add_task("training", total=1.0)

        def shown(done: float, step: int, losses: Mapping[str, float], check: Mapping[str, float | None]) -> None:
            bars.update(task, completed=done, description=f"step {step}  {figures_of(losses)}")
            if as_json:
                emit("step", step=step, **losses, **check)
            elif check:
                console.print(f"step {step}, {what}: {figures_of(check)}")

        yield shown


def figures_of(check: Mapping[str, float | None]) -> str:
    """What a check found, on a line."""
    return "  ".join(
        f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in check.items()
        if value is not None
    )


def checked(loss: float | None) -> dict[str, float | None]:
    """What a check found that gives a loss alone; None: there was none."""
    return {} if loss is None else {"check": loss}


def finished(as_json: bool, what: str, path: Path, **more: Json) -> None:
    """Tell where ``what`` was trained lies, and with ``as_json`` what else is known of it."""
    if as_json:
        emit("summary", **{what: str(path)}, **more)
    else:
        print(path)
