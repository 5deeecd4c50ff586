"""Folders that are computed once out of a model and kept in the cache."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from dragoman.models.catalog import Progress
from dragoman.models.store import silent


def built(folder: Path, title: str, write: Callable[[Path], None], progress: Progress | None = None) -> Path:
    """``folder``, which ``write`` fills unless it is there: it is whole or not there. Another process may be faster."""
    if not folder.is_dir():
        told = progress or silent
        folder.parent.mkdir(parents=True, exist_ok=True)
        told(title, 0, 1)
        with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
            write(Path(partial) / "built")
            with contextlib.suppress(OSError):
                (Path(partial) / "built").rename(folder)
        told(title, 1, 1)
    return folder
