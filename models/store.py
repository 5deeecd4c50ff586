"""The model cache: files are joined under a lock, checked against their hash, and moved into place whole.

A file is there with the right bytes or it is not there: it is written under another name and renamed. What
has been checked is remembered by path, size and modification time, so that a start does not read a gigabyte
to hash it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from filelock import FileLock, Timeout
from platformdirs import user_cache_dir

from dragoman.audio.types import DragomanError
from dragoman.models.entries import Entry, File

_CHUNK = 1 << 20


class Progress(Protocol):
    """Told how far a step has come: ``done`` of ``total`` bytes or packages; ``what`` names the step."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Called often, and with ``done == total`` at the step's end."""


def silent(what: str, done: int, total: int) -> None:
    """A progress that shows nothing."""


def cache_dir() -> Path:
    """Where models are kept: ``DRAGOMAN_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("DRAGOMAN_CACHE") or user_cache_dir("dragoman")) / "models"


def folder(entry: Entry) -> Path:
    """The cache folder of a model."""
    return cache_dir() / entry.name


@contextlib.contextmanager
def locked(entry: Entry, progress: Progress) -> Iterator[None]:
    """Hold a model's lock, so that two processes never write it at once. Raises ``DragomanError``."""
    root = cache_dir()
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / f".{entry.name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress(f"waiting for another process that gets {entry.name}", 0, 1)
            lock.acquire()
    except OSError as error:
        raise DragomanError(
            f"the model cache {root} can't be written ({error.strerror}): "
            "free it or set DRAGOMAN_CACHE to another folder"
        ) from error
    try:
        yield
    finally:
        lock.release()


def write(path: Path, file: File, pieces: Iterable[BinaryIO], remedy: str, progress: Progress) -> None:
    """Join ``pieces`` into ``path``, hashing on the way; nothing is left there unless the hash is right.

    Raises ``DragomanError`` with ``remedy`` when the bytes are not the pinned ones, or the disk is full.
    """
    digest = hashlib.sha256()
    partial = path.with_name(path.name + ".partial")
    what, done = f"assembling {path.parent.name}/{file.name}", 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as out:
            for piece in pieces:
                while chunk := piece.read(_CHUNK):
                    out.write(chunk)
                    digest.update(chunk)
                    done += len(chunk)
                    progress(what, min(done, file.size), file.size)
            out.flush()
            os.fsync(out.fileno())
        if digest.hexdigest() != file.sha256:
            raise _mismatch(path, file, digest.hexdigest(), remedy)
        partial.replace(path)
    except OSError as error:
        raise DragomanError(f"{path} can't be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    _remember(path, file.sha256)


def check(path: Path, file: File, remedy: str, progress: Progress) -> None:
    """Compare ``path`` with its pinned hash, unless it was compared before. Raises ``DragomanError``."""
    if _remembered(path) == file.sha256:
        return
    digest = hashlib.sha256()
    what, done = f"checking {path.name}", 0
    with path.open("rb") as data:
        while chunk := data.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            progress(what, min(done, file.size), file.size)
    if digest.hexdigest() != file.sha256:
        raise _mismatch(path, file, digest.hexdigest(), remedy)
    _remember(path, file.sha256)


def _mismatch(path: Path, file: File, found: str, remedy: str) -> DragomanError:
    return DragomanError(
        f"{path} is not the file it should be: expected SHA-256 {file.sha256}, found {found}; {remedy}"
    )


def _stamp(path: Path) -> Path:
    # Kept in the cache, not beside the file: a package's folder may be read-only and is not ours.
    return cache_dir() / ".checked" / hashlib.sha256(os.fsencode(path.resolve())).hexdigest()


def _identity(path: Path) -> dict[str, str | int]:
    stat = path.stat()
    return {"path": str(path.resolve()), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _remember(path: Path, sha256: str) -> None:
    stamp = _stamp(path)
    # A cache that can't be written costs a second hashing at the next start, nothing else.
    with contextlib.suppress(OSError):
        stamp.parent.mkdir(parents=True, exist_ok=True)
        partial = stamp.with_name(f"{stamp.name}.{os.getpid()}")
        partial.write_text(json.dumps({**_identity(path), "sha256": sha256}))
        partial.replace(stamp)


def _remembered(path: Path) -> str | None:
    try:
        stamp = json.loads(_stamp(path).read_text())
        identity = _identity(path)
    except (OSError, ValueError):
        return None
    if not isinstance(stamp, dict) or any(stamp.get(key) != value for key, value in identity.items()):
        return None
    return str(stamp.get("sha256"))
