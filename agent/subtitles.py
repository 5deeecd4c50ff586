"""Subtitle files, SubRip (.srt) and WebVTT (.vtt): cues of two lines that can be read in their time."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Final, TextIO

from dragoman.audio.types import DragomanError
from dragoman.audio.writing import writable

_WIDTH: Final = 42
"""Characters in a line, as broadcasters have it."""
_LINES: Final = 2
_CHARACTERS_PER_SECOND: Final = 17
"""Reading speed."""
_LEAST_S: Final = 1.0
_SEEN_S: Final = 0.5
"""What stands for less is gone before it is seen."""

SUFFIXES: Final = (".srt", ".vtt")


@dataclass(frozen=True, slots=True)
class Cue:
    """Lines that stand from ``start`` to ``end``, in seconds."""

    start: float
    end: float
    text: str


def cues(start: float, end: float, text: str) -> Iterator[Cue]:
    """A segment's text in cues of two lines, each with its share of the time."""
    lines = textwrap.wrap(text, _WIDTH)
    blocks = ["\n".join(lines[i : i + _LINES]) for i in range(0, len(lines), _LINES)]
    each = (end - start) / max(1, sum(map(len, blocks)))
    for block in blocks:
        yield Cue(start, start + each * len(block), block)
        start += each * len(block)


class SubtitleFile:
    """A file that grows with the translation; ``close`` it (or use ``with``) to complete it.

    A cue is written when the next one is known: until then it may stand longer, so that it can be read; words that
    follow too fast to be seen alone stand together. A file that is there already stays until the first.
    """

    def __init__(self, path: Path) -> None:
        """The format is the suffix's. Raises ``DragomanError``."""
        self._path = writable(path, SUFFIXES)
        self._web = path.suffix.lower() == ".vtt"
        self._count = 0
        self._last: Cue | None = None

    def add(self, start: float, end: float, text: str) -> None:
        """What was said from ``start`` to ``end`` seconds; starts never go back."""
        for cue in cues(start, end, text):
            joined = self._joined(cue)
            if joined is None:
                self._flush(cue.start)
            self._last = joined or cue

    def close(self) -> None:
        """Write the last cue. May be called twice."""
        if not self._file.closed:
            self._flush(None)
            with self._writing():
                self._file.close()

    def _joined(self, cue: Cue) -> Cue | None:
        """The cue that waits and the next as one, where the first would not be seen and there is room for both."""
        last = self._last
        if last is None or cue.start - last.start >= _SEEN_S:
            return None
        lines = textwrap.wrap(f"{last.text} {cue.text}", _WIDTH)
        return Cue(last.start, cue.end, "\n".join(lines)) if len(lines) <= _LINES else None

    @cached_property
    def _file(self) -> TextIO:
        with self._writing():
            file = self._path.open("w", encoding="utf-8")
        if self._web:
            file.write("WEBVTT\n\n")
        return file

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DragomanError(f"{self._path}: can't be written ({error.strerror})") from error

    def _flush(self, following: float | None) -> None:
        if self._last is None:
            return
        cue, self._last = self._last, None
        wanted = max(cue.end, cue.start + max(_LEAST_S, len(cue.text) / _CHARACTERS_PER_SECOND))
        cue = replace(cue, end=wanted if following is None else min(wanted, max(following, cue.start)))
        self._count += 1
        times = f"{self._time(cue.start)} --> {self._time(cue.end)}"
        text = html.escape(cue.text, quote=False) if self._web else cue.text
        file = self._file
        with self._writing():
            file.write(f"{self._count}\n{times}\n{text}\n\n")
            file.flush()

    def _time(self, seconds: float) -> str:
        whole = max(0, round(seconds * 1000))
        hours, minutes = whole // 3_600_000, whole // 60_000 % 60
        mark = "." if self._web else ","
        return f"{hours:02}:{minutes:02}:{whole // 1000 % 60:02}{mark}{whole % 1000:03}"

    def __enter__(self) -> SubtitleFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or self._last is not None or self._count:
            self.close()
