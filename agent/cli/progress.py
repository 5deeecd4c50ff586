"""A progress bar over the catalog's steps; plain lines when nobody watches a terminal, nothing with ``--json``."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from dragoman.agent.cli.output import console
from dragoman.models.catalog import Progress as Told


@contextmanager
def progress_of(label: str, quiet: bool = False) -> Iterator[Told]:
    """Give a callback for ``(what, done, total)``, callable from any thread, and show what it is told. Ctrl-C is
    answered at once, for models that are being loaded are loaded to their end.
    """
    if quiet:
        yield lambda what, done, total: None
        return
    try:
        with _shown(label) as told:
            yield told
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("stopping ...")
        raise


def counting_bar(*, quiet: bool) -> Progress:
    """A bar for things that are made one by one, with their number and the time that is left."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=quiet)


@contextmanager
def _shown(label: str) -> Iterator[Told]:
    if console.is_terminal:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        ) as bars:
            yield _Bars(bars, label)
    else:
        yield _Lines(label)


class _Bars:
    """One bar per step; a step that is done gives its place to the next."""

    def __init__(self, bars: Progress, label: str) -> None:
        self._bars = bars
        self._lock = threading.Lock()
        self._steps: dict[str, TaskID] = {label: bars.add_task(f"[dim]{label}[/]", total=None)}

    def __call__(self, what: str, done: int, total: int) -> None:
        with self._lock:
            if what not in self._steps:
                self._steps[what] = self._bars.add_task(what, total=total)
            self._bars.update(self._steps[what], completed=done, total=total)
            if done >= total:
                self._bars.remove_task(self._steps.pop(what))


class _Lines:
    """A line when a step begins."""

    def __init__(self, label: str) -> None:
        self._lock = threading.Lock()
        self._begun = {label}
        console.print(f"{label} ...")

    def __call__(self, what: str, done: int, total: int) -> None:
        with self._lock:
            if what not in self._begun and done < total:
                self._begun.add(what)
                console.print(f"  {what}")
