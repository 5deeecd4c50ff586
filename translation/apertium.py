"""Apertium, rules and dictionaries for pairs of close languages, where its program is installed (GPL; Debian packages
such as ``apertium-eng-spa``). A tenth of a second a call; nothing to steer."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from typing import Final

from dragoman.audio.types import DragomanError
from dragoman.translation.languages import LANGUAGES

_TIMEOUT_S: Final = 20.0


class ApertiumTranslator:
    """Implements ``Translator``; safe to call from several threads, a process each time."""

    def __init__(self) -> None:
        """Raises ``DragomanError`` where the program is missing or has no pair."""
        found = shutil.which("apertium")
        if found is None:
            raise DragomanError("the program apertium is not installed (Debian: apt install apertium-eng-spa, ...)")
        self._program = found
        self._modes = modes(found)
        if not self._modes:
            raise DragomanError("apertium has no pair of languages installed (Debian: apt install apertium-eng-spa)")

    @property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """What is installed."""
        return frozenset(self._modes)

    def translate(self, text: str, source: str, target: str) -> str:
        """Translate one segment; words that it does not know stay as they are."""
        mode = self._modes.get((source, target))
        if mode is None:
            raise DragomanError(f"this translator can't translate from {source} to {target}")
        line = " ".join(text.split())
        if not any(c.isalnum() for c in line):
            return line
        try:
            done = subprocess.run(
                [self._program, "-u", mode], input=line, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise DragomanError(f"apertium failed ({error})") from error
        return done.stdout.strip()


@cache
def modes(program: str) -> dict[tuple[str, str], str]:
    """The pairs that are installed, with Apertium's name for each: codes of two or three letters, a variant behind."""
    try:
        listed = subprocess.run([program, "-l"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    two = {language.three: code for code, language in LANGUAGES.items()}
    found: dict[tuple[str, str], str] = {}
    for mode in sorted(listed.split(), key=len):  # a pair without a variant is the shorter one
        first, _, rest = mode.partition("-")
        second = rest.partition("_")[0]
        pair = two.get(first, first), two.get(second, second)
        if second and set(pair) <= LANGUAGES.keys():
            found.setdefault(pair, mode)
    return found
