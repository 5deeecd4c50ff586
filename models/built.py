"""Folders that are computed once out of a model and kept in the cache."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dragoman.audio.types import DragomanError
from dragoman.models.catalog import Progress
from dragoman.models.store import silent

_SIZES: Final = "sizes.json"
"""Lists the files of a folder with their lengths, so that one that was lost or cut short is noticed."""


def built(folder: Path, title: str, write: Callable[[Path], None], progress: Progress | None = None) -> Path:
    """``folder``, which ``write`` fills unless it is there whole. Another process may be faster.

    Raises ``DragomanError`` where it can't be written, on a full disk, say.
    """
    if not _whole(folder):
        told = progress or silent
        told(title, 0, 1)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
                made = Path(partial) / "built"
                write(made)
                (made / _SIZES).write_text(json.dumps(_sizes(made)))
                with contextlib.suppress(OSError):
                    if not _whole(folder) and folder.is_dir():
                        folder.rename(Path(partial) / "damaged")
                    made.rename(folder)
        except OSError as error:
            raise DragomanError(
                f"{title}: {folder} can't be written ({error.strerror or error}): "
                "free the disk or set DRAGOMAN_CACHE to another folder"
            ) from error
        told(title, 1, 1)
    return folder


def _whole(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / _SIZES).read_text()) == _sizes(folder))
    except (OSError, ValueError):
        return False


def _sizes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in folder.iterdir() if file.name != _SIZES}
