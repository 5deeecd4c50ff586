"""Files to read: what is wrong with one is told in one line, whatever reader found it."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dragoman.audio.types import DragomanError

_BROKEN: Final = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, AttributeError),
    *(zipfile.BadZipFile, zlib.error, NotImplementedError),
)


@contextmanager
def expecting(what: str, path: Path, remedy: str = "") -> Iterator[None]:
    """Within it ``path`` is read, and what is in it is put together; if it is not ``what`` it should be ("a ranker"),
    that is raised as a ``DragomanError``, with what to do about it.
    """
    try:
        yield
    except _BROKEN as error:
        reason = str(error).partition("\n")[0]
        raise DragomanError(f"{path}: not {what} ({reason})" + (f"; {remedy}" if remedy else "")) from error


ANEW: Final = "delete it and make it anew"
"""What to do about a broken file that a command has made."""
