"""What is shown while a command works for longer than a moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dragoman.agent.cli.output import console
from dragoman.models.catalog import Progress


@contextmanager
def working(task: str) -> Iterator[Progress]:
    """Show a line with ``task`` and how far it has come; nothing where standard error is no terminal."""
    with console.status(f"{task} ...") as status:

        def progress(what: str, done: int, total: int) -> None:
            share = f" {100 * done // total} %" if total else ""
            status.update(f"{task}: {what}{share}")

        yield progress
