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
