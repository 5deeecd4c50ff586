"""The sound that a recognizer has open: what was said, where the speech is in it, and where it can be cut.

Positions are samples since the first one that was accepted. Sound in front of the speech is dropped while it
arrives, so silence costs no memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

import numpy as np

from dragoman.asr.inbox import Inbox
from dragoman.asr.vad import WINDOW, Ended, SileroVad, SpeechEdges, Started
from dragoman.audio.types import INPUT_RATE, Samples, Word

LIMIT: Final = 28 * INPUT_RATE
"""Speech that spans more than this is cut: with its margins it still fits the 30 s that Whisper takes."""

_BEFORE: Final = INPUT_RATE
_AFTER: Final = INPUT_RATE // 2
"""Silence that is left around the speech: soft onsets and last consonants are in it."""

_KEPT: Final = INPUT_RATE  # silence that is kept in case speech begins in it
_MARGIN_S: Final = 0.1


class Window:
    """The open sound, and the speech found in it. ``accept`` may run beside one other method at a time."""

    def __init__(self) -> None:
        self._inbox = Inbox()
        self._pcm = np.zeros(0, np.float32)
        self._start = 0
        self._vad = SileroVad()
        self._edges = SpeechEdges()
        self._probabilities: list[float] = []  # of each whole window since ``start``
        self._regions: list[tuple[int, int]] = []  # of closed speech; the open one begins at ``_onset``
        self._onset: int | None = None

    @staticmethod
    def silence(seconds: float) -> Samples:
        """So many seconds of nothing."""
        return np.zeros(round(seconds * INPUT_RATE), np.float32)

    @property
    def end(self) -> int:
        """Position behind the last sample that was scanned."""
        return self._start + len(self._pcm)

    def accept(self, pcm: Samples) -> None:
        """Keep ``pcm`` for the next scan. The caller may reuse its buffer."""
        self._inbox.put(pcm)

    def scan(self) -> int | None:
        """Find the speech in what was accepted. Gives where to cut once there is more than fits.

        Call it again after the cut: it stops there, and the rest is scanned then.
        """
        while True:
            while len(self._probabilities) * WINDOW + WINDOW <= len(self._pcm):
                self._hear(len(self._probabilities) * WINDOW)
                if self._regions_or_open() and self._speech_end() - self._speech_start() > LIMIT:
                    return self._pause()
            if not self._inbox:
                return None
            self._forget_silence()
            self._pcm = np.concatenate([self._pcm, self._inbox.take()])

    def span(self, until: int | None = None) -> tuple[int, int] | None:
        """First and last position worth decoding (before ``until``): the speech with its margins, or None."""
        speech = self.extent(until)
        if speech is None:
            return None
        last = self.end if until is None else until
        return max(self._start, speech[0] - _BEFORE), min(last, speech[1] + _AFTER)

    def extent(self, until: int | None = None) -> tuple[int, int] | None:
        """Where the speech (before ``until``) begins and ends, or None when there is none."""
        regions = self.regions(until)
        return (regions[0][0], regions[-1][1]) if regions else None

    def regions(self, until: int | None = None) -> list[tuple[int, int]]:
        """Where the speech is, up to now."""
        last = self.end if until is None else until
        return [(start, min(end, last)) for start, end in self._regions_or_open() if start < last]

    def speech(self, start: int, end: int) -> float:
        """Seconds of speech between two positions."""
        return sum(max(0, min(b, end) - max(a, start)) for a, b in self.regions()) / INPUT_RATE

    def cut(self, start: int, end: int) -> Samples:
        """The sound between two positions."""
        return self._pcm[max(0, start - self._start) : max(0, end - self._start)]

    def drop(self, position: int) -> None:
        """Forget what lies before ``position``, a whole number of windows from the start."""
        count = (position - self._start) // WINDOW
        self._pcm = self._pcm[count * WINDOW :].copy()
        del self._probabilities[:count]
        self._start += count * WINDOW
        self._regions = [(max(a, self._start), b) for a, b in self._regions if b > self._start]
        if self._onset is not None:
            self._onset = max(self._onset, self._start)

    def _hear(self, offset: int) -> None:
        p = self._vad.probability(self._pcm[offset : offset + WINDOW])
        self._probabilities.append(p)
        match self._edges.push(p):
            case Started(at):
                self._onset = max(at, self._start)
            case Ended(at) if self._onset is not None:
                self._regions.append((self._onset, at))
                self._onset = None

    def _regions_or_open(self) -> list[tuple[int, int]]:
        if self._onset is None:
            return self._regions
        return [*self._regions, (self._onset, self._edges.position)]

    def _speech_start(self) -> int:
        return self._regions[0][0] if self._regions else self._onset or 0

    def _speech_end(self) -> int:
        return self._edges.position if self._onset is not None else self._regions[-1][1]

    def _pause(self) -> int:
        """Where to cut: in the middle of the longest pause of the second half, else in the quietest window."""
        start, end = self._speech_start(), self._speech_end()
        half = start + LIMIT // 2
        regions = self._regions_or_open()
        gaps = [(b - a, (a + b) // 2) for (_, a), (b, _) in pairwise(regions) if a >= half]
        if gaps:
            place = max(gaps)[1]
        else:
            first = (half - self._start) // WINDOW
            quietest = int(np.argmin(self._probabilities[first : (end - self._start) // WINDOW]))
            place = self._start + (first + quietest) * WINDOW + WINDOW // 2
        return place - (place - self._start) % WINDOW

    def _forget_silence(self) -> None:
        surplus = len(self._pcm) - _KEPT
        if surplus > _KEPT and not self._regions and self._onset is None:
            self.drop(self._start + surplus)


def settled(words: Sequence[Word], regions: Sequence[tuple[int, int]], end: float) -> list[Word]:
    """The words with their times mended: within the speech they overlap most, in order, none beyond ``end``.

    ``regions`` are in samples, ``end`` in seconds. Attention gives the pause before a word to the word; the voice
    activity knows better.
    """
    spoken = [(a / INPUT_RATE - _MARGIN_S, b / INPUT_RATE + _MARGIN_S) for a, b in regions]
    mended: list[Word] = []
    last = 0.0
    for word in words:
        start, stop = word.start, word.end
        overlap, a, b = max(((min(stop, b) - max(start, a), a, b) for a, b in spoken), default=(0.0, start, stop))
        if overlap > 0:
            start, stop = max(start, a), min(stop, b)
        start = min(max(start, last), end)
        last = stop = min(max(stop, start), end)
        mended.append(replace(word, start=round(start, 3), end=round(stop, 3)))
    return mended
