"""Human recordings as training clips: cut at pauses, with the words' times by the offline recognizer.

A text file beside a recording (``talk.wav``, ``talk.txt``) is what is said in it; without one, the recognizer's own
words are taken.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from dragoman.agent.listening import transcribed
from dragoman.agent.ports import Recognizer
from dragoman.asr.causal.corpus import LONGEST_S, Clip
from dragoman.audio.files import blocks, load
from dragoman.audio.types import INPUT_RATE, DragomanError, Word

SUFFIXES: Final = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a"})

_BEFORE: Final = 0.3
_AFTER: Final = 0.5


def recordings(folder: Path) -> list[Path]:
    """The sound files in a folder and below it. Raises ``DragomanError`` when there are none."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise DragomanError(f"{folder} holds no sound files: expected {', '.join(sorted(SUFFIXES))}")
    return found


def digest(path: Path) -> str:
    """A short name of what is in a file, wherever it lies."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def recorded_clips(path: Path, recognizer: Recognizer, language: str) -> Iterator[Clip]:
    """The stretches of speech in a recording, each a clip. Blocking: about the recognizer's time. Raises
    ``DragomanError`` when the recording or its text can't be read.
    """
    told = _text(path.with_suffix(".txt"))
    pcm = load(path)
    segments = list(transcribed(recognizer, blocks(path), language))
    heard = [word for segment in segments for word in segment.words]
    words = heard if told is None else timed(told, heard)
    for segment in segments:
        start, end = max(0.0, segment.start - _BEFORE), min(len(pcm) / INPUT_RATE, segment.end + _AFTER)
        inside = [word for word in words if segment.start - 0.05 <= word.end <= segment.end + 0.05]
        if inside and end - start <= LONGEST_S:
            sound = pcm[int(start * INPUT_RATE) : int(end * INPUT_RATE)]
            yield Clip(sound, tuple(word.shifted(-start) for word in inside), language, path.stem)


def _text(path: Path) -> list[str] | None:
    try:
        return path.read_text(encoding="utf-8").split() if path.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        raise DragomanError(f"{path}: no text that can be read ({error})") from error


def timed(texts: Sequence[str], heard: Sequence[Word]) -> list[Word]:
    """The words of a transcript with the times of what was heard: the same words', or spread between them."""

    def bare(text: str) -> str:
        return "".join(c for c in text.lower() if c.isalnum())

    times: dict[int, Word] = {}
    matcher = difflib.SequenceMatcher(None, [bare(t) for t in texts], [bare(w.text) for w in heard], autojunk=False)
    for block in matcher.get_matching_blocks():
        for k in range(block.size):
            times[block.a + k] = heard[block.b + k]
    known = sorted(times)
    words: list[Word] = []
    for i, text in enumerate(texts):
        if i in times:
            words.append(Word(text, times[i].start, times[i].end))
            continue
        left = max((k for k in known if k < i), default=None)
        right = min((k for k in known if k > i), default=None)
        if left is None or right is None:  # nothing to spread it between
            continue
        share = (times[right].start - times[left].end) / (right - left - 1)
        start = times[left].end + share * (i - left - 1)
        words.append(Word(text, start, start + share))
    return words
