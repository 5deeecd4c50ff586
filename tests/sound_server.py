"""PulseAudio for tests of programs that use a microphone and a speaker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

HERE = Path(__file__).parent


@contextmanager
def serving_sound() -> Iterator[dict[str, str]]:
    """A microphone that plays what goes into the sink "mouth", and a speaker whose sound is that of "ears.monitor";
    gives the environment to use them.
    """
    script = str(HERE / "pulse.sh")
    with tempfile.TemporaryDirectory(prefix="pulse") as home:  # a socket's path must be short
        subprocess.run([script, "start", home], check=True)
        cache = os.environ.get("DRAGOMAN_CACHE", str(Path.home() / ".cache" / "dragoman"))
        places = {"HOME": home, "XDG_RUNTIME_DIR": home, "PULSE_RUNTIME_PATH": f"{home}/pulse"}
        try:
            yield {**os.environ, **places, "DRAGOMAN_CACHE": cache}
        finally:
            subprocess.run([script, "stop", home], check=True)


def recording(environment: dict[str, str], path: Path) -> subprocess.Popen[bytes]:
    """Record what the speaker plays (24 kHz, mono) until the process is interrupted.

    A short latency is asked for: without it what was played last is still to come when the recording ends, and a sink
    that no sound card drives works in blocks of two seconds, through which a player waits that ran dry once.
    """
    where = ["--device=ears.monitor", "--rate=24000", "--channels=1", "--file-format=wav"]
    return subprocess.Popen(["parecord", "--latency-msec=20", *where, str(path)], env=environment)


def until(lines: IO[str], wanted: str, count: int = 1) -> list[dict[str, object]]:
    """Read a command's events until the ``count``-th of type ``wanted``."""
    seen: list[dict[str, object]] = []
    for line in lines:
        seen.append(json.loads(line))
        count -= seen[-1]["type"] == wanted
        if count == 0:
            return seen
    raise AssertionError(f"no {wanted!r} in {seen}")


def without_sound(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """What ``dragoman`` says to a command where no sound server can be reached."""
    environment = {**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    environment["DRAGOMAN_CACHE"] = os.environ.get("DRAGOMAN_CACHE", str(Path.home() / ".cache" / "dragoman"))
    return subprocess.run(
        [sys.executable, "-m", "dragoman", *command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
