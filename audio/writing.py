"""Files to write: checked before the work, and whole or not at all after it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from dragoman.audio.types import DragomanError


def writable(path: Path, suffixes: Collection[str], source: Path | None = None) -> Path:
    """``path``, if such a file can be written. Raises ``DragomanError``, also where it is the ``source``: what is
    read must not be lost.
    """
    if path.suffix.lower() not in suffixes:
        raise DragomanError(f"{path}: can't tell the format, name it {' or '.join(suffixes)}")
    if path.is_dir():
        raise DragomanError(f"{path}: is a folder, name a file")
    if not path.parent.is_dir():
        raise DragomanError(f"{path}: the folder {path.parent} does not exist")
    there = path.exists()
    if there and source is not None and source.exists() and path.samefile(source):
        raise DragomanError(f"{path}: is the file that is read, name another one to write")
    if not os.access(path if there else path.parent, os.W_OK):
        raise DragomanError(f"{path}: can't be written, you have no permission to")
    return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a file beside ``path`` to write; when all went well it takes its place, else it is removed."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
