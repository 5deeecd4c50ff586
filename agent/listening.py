"""Speech of any length to text: sound is cut at pauses, and each stretch is recognized as it is heard.

For recordings and captions; a conversation's turns are cut by its engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dragoman.agent.ports import HypothesisLike, Recognizer, RecognizerStream, VoiceActivity
from dragoman.asr.vad import WINDOW, Ended, SileroVad, SpeechEdges, Started
from dragoman.audio.frames import Frames, in_frames
from dragoman.audio.types import INPUT_RATE, Samples, Word

_MARGIN: Final = INPUT_RATE // 2
"""Sound before the detected start that belongs to a segment."""

_PAUSE: Final = INPUT_RATE
"""Silence that ends a segment."""

_LONG: Final = 20 * INPUT_RATE
"""A segment of this length ends at any shorter pause, so that its text is shown."""

_SHORT_PAUSE: Final = INPUT_RATE // 4
_SHORT_AND_LONG: Final = (4 * INPUT_RATE, 12 * INPUT_RATE)
_PATIENCE: Final = (0.8 * INPUT_RATE, 0.35 * INPUT_RATE)
"""The pauses that end segments of these lengths for who waits."""
_TELLING_S: Final = 2.0
"""Seconds of speech from which its language can be told."""

_FULL: Final = 10 * INPUT_RATE
STEP: Final = round(0.32 * INPUT_RATE)
"""Samples of new sound after which words are shown again."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech; times are seconds in the sound."""

    start: float
    end: float
    text: str
    lang: str
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Caption:
    """What a stretch that is still going on says so far: its first ``stable`` words will not change. ``at`` seconds of
    sound have been heard.
    """

    start: float
    at: float
    text: str
    stable: int
    lang: str
    words: tuple[Word, ...] = ()
    """In seconds of the sound; those whose place the recognizer does not tell yet are spread over the rest."""


def steady(length: int) -> float:
    """Samples of silence that end a segment of ``length`` samples: a second, less when it is long."""
    return _PAUSE if length < _LONG else _SHORT_PAUSE


def eager(length: int) -> float:
    """The same for who waits for its end: 0.8 s, shrinking to 0.35 s with its length."""
    return float(np.interp(length, _SHORT_AND_LONG, _PATIENCE))


def transcribed(recognizer: Recognizer, sound: Iterable[Samples], language: str | None = None) -> Iterator[Segment]:
    """Recognize 16 kHz sound of any length in constant memory; a second's pause ends a segment.

    Without ``language`` it is detected in the first segment of two seconds or more, and held from there on.
    """
    cutter = Cutter(recognizer, language)
    for window in in_frames(sound, WINDOW):
        cutter.push(window)
        if cutter.ended:
            yield from cutter.take()
        elif cutter.length and cutter.length % _FULL < WINDOW:
            cutter.partial()  # closes full windows: their sound is not kept
    yield from cutter.take()


async def captions(
    recognizer: Recognizer, sound: AsyncIterable[Samples], language: str | None = None
) -> AsyncIterator[Caption | Segment]:
    """As ``transcribed``, with the words so far every 320 ms of a segment. Recognizes on a thread."""
    cutter = Cutter(recognizer, language)
    frames = Frames(WINDOW)
    fresh, shown = 0, None
    async for pcm in sound:
        for window in frames.push(pcm):
            cutter.push(window)
            fresh += WINDOW
            if cutter.ended:
                for segment in await asyncio.to_thread(cutter.take):
                    yield segment
                fresh, shown = 0, None
            elif cutter.length and fresh >= STEP:
                fresh = 0
                caption = await asyncio.to_thread(cutter.partial)
                if caption.text and (caption.text, caption.stable) != shown:
                    shown = caption.text, caption.stable
                    yield caption
    for window in frames.flush():
        cutter.push(window)
    for segment in await asyncio.to_thread(cutter.take):
        yield segment


def main_language(segments: list[Segment]) -> str | None:
    """The language that most of the speech is in, if there is any."""
    spoken: dict[str, float] = {}
    for segment in segments:
        spoken[segment.lang] = spoken.get(segment.lang, 0.0) + segment.end - segment.start
    return max(spoken, key=spoken.__getitem__, default=None)


class Cutter:
    """Opens a recognizer's stream where speech begins; says when a pause has ended it."""

    def __init__(
        self,
        recognizer: Recognizer,
        language: str | None,
        vad: VoiceActivity | None = None,
        pause: Callable[[int], float] = steady,
    ) -> None:
        """``pause``: from a segment's length to the silence that ends it, both in samples."""
        self._recognizer = recognizer
        self._language = language
        self._vad, self._edges = vad or SileroVad(), SpeechEdges()
        self._pause = pause
        self._stream: RecognizerStream | None = None
        self._start = self._stopped = 0
        self._past = np.zeros(0, np.float32)

    @property
    def length(self) -> int:
        """Samples of the open segment; 0 for none."""
        return self._edges.position - self._start if self._stream is not None else 0

    @property
    def silence(self) -> int:
        """Samples since the last speech ended; 0 while someone speaks."""
        return 0 if self._edges.speaking else self._edges.position - self._stopped

    @property
    def ended(self) -> bool:
        """Whether the open segment is over."""
        return self._stream is not None and not self._edges.speaking and self.silence >= self._pause(self.length)

    def push(self, window: Samples) -> None:
        """Take the next window of the sound."""
        match self._edges.push(self._vad.probability(window)):
            case Started() if self._stream is None:
                self._start = self._edges.position - WINDOW - len(self._past)
                self._stream = self._recognizer.open(self._language)
                self._stream.accept(self._past)
            case Ended(at):
                self._stopped = at
        if self._stream is None:
            self._past = np.concatenate([self._past, window])[-_MARGIN:]
        else:
            self._stream.accept(window)

    def partial(self) -> Caption:
        """The open segment so far. Blocking."""
        assert self._stream is not None
        heard = self._stream.partial()
        start, at = self._start / INPUT_RATE, self._edges.position / INPUT_RATE
        words = tuple(word.shifted(start) for word in _timed(heard, at - start))
        return Caption(start, at, heard.text, heard.stable, heard.language, words)

    def take(self) -> list[Segment]:
        """End the open segment: none or one. Blocking."""
        if self._stream is None:
            return []
        heard = self._stream.final()
        start, self._stream, self._past = self._start, None, np.zeros(0, np.float32)
        return [self._segment(start, heard)] if heard.text else []

    def _segment(self, start: int, heard: HypothesisLike) -> Segment:
        end = self._edges.position if self._edges.speaking else self._stopped
        words = tuple(word.shifted(start / INPUT_RATE) for word in _timed(heard, (end - start) / INPUT_RATE))
        segment = Segment(words[0].start, words[-1].end, heard.text, heard.language, words)
        if segment.end - segment.start >= _TELLING_S:
            self._language = segment.lang
        return segment


def _timed(heard: HypothesisLike, seconds: float) -> Sequence[Word]:
    """The words in time; those for which the recognizer has none yet are spread evenly over what is left."""
    texts = heard.text.split()
    if len(heard.words) >= len(texts):
        return heard.words
    known = heard.words
    origin = known[-1].end if known else 0.0
    each = max(0.0, seconds - origin) / (len(texts) - len(known))
    rest = enumerate(texts[len(known) :])
    return [*known, *(Word(text, origin + i * each, origin + (i + 1) * each) for i, text in rest)]
