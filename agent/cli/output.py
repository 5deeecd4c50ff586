"""What every command prints: plain lines or a live view for people, JSON lines for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NoReturn, TypeAlias

import typer
from rich.console import Console
from rich.text import Text

from dragoman.audio.types import DragomanError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | Mapping[str, Json] | None"

console = Console(stderr=True, highlight=False)
"""Everything that is for people; standard output is kept for results."""


def emit(type_: str, **fields: Json) -> None:
    """Print one JSON object on a line of standard output. The last one of a command has type ``summary``."""
    sys.stdout.write(json.dumps({"type": type_, **fields}, ensure_ascii=False) + "\n")
    sys.stdout.flush()


@contextmanager
def errors() -> Iterator[None]:
    """Turn a ``DragomanError`` into one clear line on standard error and exit status 1; Ctrl-C into status 130."""
    try:
        yield
    except DragomanError as error:
        _fail(error)
    except BaseExceptionGroup as group:
        ours, others = group.split(DragomanError)
        if ours is None or others is not None:
            raise
        _fail(_first(ours))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _first(group: BaseExceptionGroup[DragomanError]) -> DragomanError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _fail(error: DragomanError) -> NoReturn:
    console.print("[bold red]error:[/]", Text(str(error)), soft_wrap=True)
    raise typer.Exit(1) from error
