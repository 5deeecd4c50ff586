"""What every command prints: plain lines or a live view for people, JSON lines for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.status import Status
from rich.text import Text

from dragoman.audio.types import DragomanError, Json

console = Console(stderr=True, highlight=False)
"""Everything that is for people; standard output is kept for results."""

JsonOption = Annotated[bool, typer.Option("--json", help="JSON lines on standard output.")]


def emit(type_: str, **fields: Json) -> None:
    """Print one JSON object on a line of standard output. The last one of a command has type ``summary``."""
    line = json.dumps({"type": type_, **fields}, ensure_ascii=False)
    try:
        line.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # another locale, or the name of a file that is none in this one
        line = json.dumps({"type": type_, **fields})
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def tell(line: str, status: Status | None = None) -> None:
    """Print a line of a result that is for people. A ``status`` makes way for it: it would stand on the same line."""
    if status is not None:
        status.stop()
    typer.echo(line)
    if status is not None:
        status.start()


@contextmanager
def errors() -> Iterator[None]:
    """Turn a ``DragomanError``, or what the system says of a file, into one clear line on standard error and exit
    status 1; Ctrl-C into status 130. Without a line where nobody reads standard output any more.
    """
    try:
        yield
        sys.stdout.flush()
    except (DragomanError, OSError) as error:
        _fail(error)
    except BaseExceptionGroup as group:
        ours, others = group.split((DragomanError, OSError))
        if ours is None or others is not None:
            raise
        _fail(_first(ours))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _fail(error: Exception) -> NoReturn:
    if isinstance(error, BrokenPipeError):
        raise error  # typer ends quietly
    text = str(error)
    if isinstance(error, OSError):
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or text
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - what it still holds would fail again at the end
    console.print("[bold red]error:[/]", Text(text), soft_wrap=True)
    raise typer.Exit(1) from error
