"""What is looked at before anything is measured, so that minutes of it are not lost at the end; and whether it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Sized
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from dragoman.audio.types import DragomanError
from dragoman.audio.writing import writable

WER: Final = ("jiwer", "whisper-normalizer")
"""What error rates need."""

_PICTURES: Final = (".png", ".svg", ".pdf")

MAKING: Final = 0.4
"""Share of the time that may go into making conversations."""


def require(*packages: str) -> None:
    """Raise ``DragomanError`` when one of these packages is not installed."""
    if missing := [name for name in packages if find_spec(name.replace("-", "_")) is None]:
        raise DragomanError(f"this needs {' and '.join(missing)}: run pip install {' '.join(missing)}")


def picture(path: Path | None) -> None:
    """Raise ``DragomanError`` when this picture is wanted and can't be drawn."""
    if path is not None:
        require("matplotlib")
        writable(path, _PICTURES)


def pictures(folder: Path | None) -> None:
    """Raise ``DragomanError`` when pictures are wanted in this folder and can't be drawn."""
    if folder is not None:
        require("matplotlib")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DragomanError(f"{folder}: no folder for pictures can be made there ({error.strerror})") from error


def new_sheet(path: Path | None) -> None:
    """Raise ``DragomanError`` when a sheet is wanted and can't be written, or a file is there, maybe with answers."""
    if path is not None:
        writable(path, (".json",))
        if path.exists():
            raise DragomanError(f"{path}: is there already, and readers may have answered in it: name another file")


def after(seconds: float) -> Callable[[], bool]:
    """Whether so many seconds from now are over."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def measured(results: Sized, deadline: float) -> None:
    """Raise ``DragomanError`` when there are none. ``deadline``: after which nothing is begun (``time.monotonic``)."""
    if not results:
        late = time.monotonic() > deadline
        raise DragomanError(
            "nothing was measured in that time: give --max-s more"
            if late
            else "nothing was measured: none of what was asked for goes together"
        )
