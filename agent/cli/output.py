"""What every command prints: plain lines or a live view for people, JSON lines for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

import typer
from rich.console import Console

from dragoman.audio.types import DragomanError

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json] | Mapping[str, Json]"

console = Console(stderr=True, highlight=False)
"""Everything that is for people; standard output is kept for results."""


def emit(type_: str, **fields: Json) -> None:
    """Print one JSON object on a line of standard output. The last one of a command has type ``summary``."""
    sys.stdout.write(json.dumps({"type": type_, **fields}, ensure_ascii=False) + "\n")
    sys.stdout.flush()


@contextmanager
def errors() -> Iterator[None]:
    """Turn a ``DragomanError`` into one clear line on standard error and exit status 1."""
    try:
        yield
    except DragomanError as error:
        console.print(f"[bold red]error:[/] {error}", soft_wrap=True)
        raise typer.Exit(1) from error
