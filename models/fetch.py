"""Where a model's bytes are found: installed packages, packages fetched for the purpose, a model hub.

Packages are read as files and archives; their code is never imported, and fetched ones are never installed.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import BinaryIO, cast

import httpx

from dragoman.audio.types import DragomanError
from dragoman.models.entries import File, HubFile, Part
from dragoman.models.store import Progress

_PROBE_S = 4.0


def installed(part: Part) -> Path | None:
    """The part's file in an installed package of exactly the pinned version, or None."""
    try:
        distribution = metadata.distribution(part.package)
    except metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(part.path)))
    return path if distribution.version == part.version and path.is_file() else None


def download(requirements: Sequence[str], into: Path, label: str, progress: Progress) -> None:
    """Fetch wheels with pip, one by one, without their dependencies; those that are there already are kept.

    Raises ``DragomanError`` with pip's own reason.
    """
    into.mkdir(parents=True, exist_ok=True)
    what = f"downloading {label}"
    for i, requirement in enumerate(requirements):
        progress(what, i, len(requirements))
        if _wheel(into, requirement) is None:
            _pip_download(requirement, into)
    progress(what, len(requirements), len(requirements))


def _pip_download(requirement: str, into: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-input",
        "--no-deps",
        "--no-cache-dir",
    ]
    command += ["--only-binary=:all:", "--disable-pip-version-check", "--dest", str(into), requirement]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode == 0 and _wheel(into, requirement) is not None:
        return
    if "No module named pip" in result.stderr:
        raise DragomanError(
            f"pip is needed to get {requirement} and is missing here: run {sys.executable} -m ensurepip"
        )
    raise DragomanError(f"pip could not download {requirement}: {_reason(result.stderr)}")


def _reason(said: str) -> str:
    """Pip's last error; or what was before it, for of an index that it can't reach it says that there is no such
    package, and of what it did not foresee, as of a connection that breaks off, that it is an exception.
    """
    lines = [line for line in said.splitlines() if line.strip()] or ["no reason given"]
    broken = [line.partition("connection broken by ")[2] for line in lines if "connection broken by " in line]
    if broken and "(from versions: none)" in said:
        return f"the package index can't be reached, {broken[-1]}"
    errors = [line for line in lines if line.startswith("ERROR: ") and line != "ERROR: Exception:"] or lines
    return errors[-1].removeprefix("ERROR: ")


def _wheel(folder: Path, requirement: str) -> Path | None:
    name, _, version = requirement.partition("==")
    found = sorted(folder.glob(f"{re.sub(r'[-_.]+', '_', name)}-{version}-*.whl"))
    return found[0] if found else None


def pieces(file: File, wheels: Path | None = None) -> Iterator[BinaryIO]:
    """The parts of a file in order, from wheels in a folder, or from installed packages."""
    for part in file.parts:
        with contextlib.ExitStack() as stack:
            yield _open(part, wheels, stack)


def _open(part: Part, wheels: Path | None, stack: contextlib.ExitStack) -> BinaryIO:
    if wheels is not None and (wheel := _wheel(wheels, part.requirement)) is not None:
        try:
            archive = stack.enter_context(zipfile.ZipFile(wheel))
            return cast(BinaryIO, stack.enter_context(archive.open(part.path)))
        except (KeyError, zipfile.BadZipFile) as error:
            wheel.unlink()
            raise DragomanError(f"the package {part.requirement} is broken ({error}): try again") from error
    if (path := installed(part)) is not None:
        return stack.enter_context(path.open("rb"))
    raise DragomanError(f"the package {part.requirement} is not there: run pip install {part.requirement}")


def hub_allowed() -> bool:
    """Whether the user lets programs go to a model hub (``HF_HUB_OFFLINE`` is not set)."""
    return os.environ.get("HF_HUB_OFFLINE", "").strip().lower() in ("", "0", "false", "no", "off")


def hub_cached(source: HubFile) -> Path | None:
    """The file in the hub's own cache on this machine, or None. Goes on no network."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source.repo, source.filename)
    return Path(found) if isinstance(found, str) else None


def hub_reachable(source: HubFile) -> bool:
    """Whether the hub answers for this file within a few seconds."""
    from huggingface_hub import hf_hub_url

    if not hub_allowed():
        return False
    try:
        url = hf_hub_url(source.repo, source.filename)
        return httpx.head(url, timeout=_PROBE_S, follow_redirects=True).is_success
    except Exception:  # that of a proxy which httpx can't use, too
        return False


def hub_file(source: HubFile, into: Path) -> Path:
    """Download one file of a hub repository into a folder (with the hub library's own progress bar)."""
    from huggingface_hub import hf_hub_download

    return _from_hub(source.repo, lambda: hf_hub_download(source.repo, source.filename, local_dir=into))


def hub_model(name: str, patterns: Sequence[str]) -> Path:
    """``org/name`` (a folder) or ``org/name/path/to/file`` from the hub's cache or the hub itself.

    Raises ``DragomanError`` when the hub may not be used or can't be reached, or has no such model.
    """
    from huggingface_hub import hf_hub_download, snapshot_download

    org, repo, *rest = name.split("/")
    if rest:
        return _from_hub(name, lambda: hf_hub_download(f"{org}/{repo}", "/".join(rest)))
    return _from_hub(name, lambda: snapshot_download(f"{org}/{repo}", allow_patterns=list(patterns)))


def _from_hub(name: str, call: Callable[[], str]) -> Path:
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(call())
    except LocalEntryNotFoundError as error:
        why = "the model hub can't be reached" if hub_allowed() else "HF_HUB_OFFLINE forbids the model hub"
        raise DragomanError(
            f"{name} is not on this machine and {why}: give a local folder or a name from `dragoman models`"
        ) from error
    except (HfHubHTTPError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise DragomanError(f"the model hub has no {name} for us: {first}") from error
    except Exception as error:  # the hub library's own client's, whichever that is, and those of a full disk
        why = str(error).strip().partition("\n")[0] or repr(error)
        raise DragomanError(f"{name} could not be fetched from the model hub: {why}") from error
