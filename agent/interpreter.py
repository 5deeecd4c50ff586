"""Interpreting sentence by sentence: sound in, what was said, its translation, and its speech on a timeline.

Five stages, each a task with a bounded queue before it: listen -> recognize -> segment -> translate -> speak. Models
compute on threads of their own. What decides when something is translated is the segmenter alone: revising captions
at every word replaces that stage, and nothing before or after it.

Times are seconds of the input. When a stage is done with a segment is ``max(its last end, the arrival) + compute``,
so a file that is read at once gives the delays that a live speaker would have seen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from dragoman.agent.endpointing import TextTurnDetector
from dragoman.agent.ports import HypothesisLike, Recognizer, Synthesizer, Translator, VoiceActivity
from dragoman.agent.utterances import Utterance, Utterances
from dragoman.agent.workers import Worker
from dragoman.audio.types import INPUT_RATE, DragomanError, Samples, Word
from dragoman.translation.segmenter import Segment, Segmenter
from dragoman.tts.clauses import ClauseSplitter

T = TypeVar("T")

_QUEUE: Final = 4
_COMPLETE: Final = 0.5
_PAUSE_S: Final = 0.2
"""Silence between two pieces of speech."""


@dataclass(frozen=True, slots=True)
class Recognized:
    """A segment of what was said; ``at`` is when it was known."""

    segment: int
    text: str
    start: float
    end: float
    at: float


@dataclass(frozen=True, slots=True)
class Translated:
    """The translation of a segment."""

    segment: int
    text: str
    translation: str
    start: float
    end: float
    at: float


@dataclass(frozen=True, slots=True)
class Spoken:
    """A clause of a translation as speech: ``pcm`` at 24 kHz, to be heard from ``start`` on."""

    segment: int
    text: str
    start: float
    pcm: Samples


Event: TypeAlias = Recognized | Translated | Spoken


class Timeline:
    """Where speech is heard: one piece after the other, never two at once."""

    def __init__(self, pause: float = _PAUSE_S) -> None:
        self._pause = pause
        self._end = -pause

    @property
    def end(self) -> float:
        """Seconds: where the last piece ends."""
        return max(0.0, self._end)

    def place(self, ready: float, seconds: float) -> float:
        """The start of a piece that is ``ready`` then and lasts ``seconds``."""
        start = max(ready, self._end + self._pause)
        self._end = start + seconds
        return start


@dataclass(frozen=True, slots=True)
class _Piece:
    """A segment on its way, and when the stage before was done with it."""

    segment: Segment
    ready: float
    translation: str = ""


class Interpreter:
    """From one spoken language to another. Holds no state between runs; several may run at once.

    ``vad`` makes a detector for each run. Without a ``voice`` nothing is spoken. ``clock`` measures what the models
    take; one that stands still gives the same times at each run.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        vad: Callable[[], VoiceActivity],
        translator: Translator,
        *,
        source: str,
        target: str,
        voice: Synthesizer | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if (source, target) not in translator.pairs:
            raise DragomanError(f"the translator can't translate from {source} to {target}")
        if voice is not None and voice.language != target:
            raise DragomanError(f"the voice speaks {voice.language}, not {target}")
        self._recognizer = recognizer
        self._vad = vad
        self._translator = translator
        self._source, self._target = source, target
        self._voice = voice
        self._clock = clock
        self._detector = TextTurnDetector()

    async def run(self, frames: AsyncIterable[Samples]) -> AsyncGenerator[Event, None]:
        """Interpret 16 kHz sound, in pieces of any length, until it ends. Raises ``DragomanError``.

        Closing the generator stops every stage.
        """
        events: asyncio.Queue[Event] = asyncio.Queue(_QUEUE)
        run = _Run(self._clock, events)
        stages = asyncio.create_task(self._stages(run, frames))
        following: asyncio.Task[Event] | None = None
        try:
            while True:
                following = asyncio.create_task(events.get())
                await asyncio.wait((following, stages), return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    break
                yield following.result()
            following.cancel()
            while not events.empty():
                yield events.get_nowait()
            await stages
        finally:
            pending = [task for task in (following, stages) if task is not None]
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            await asyncio.to_thread(run.close)

    async def _stages(self, run: _Run, frames: AsyncIterable[Samples]) -> None:
        utterances: asyncio.Queue[Utterance | None] = asyncio.Queue(_QUEUE)
        segments: asyncio.Queue[_Piece | None] = asyncio.Queue(_QUEUE)
        translations: asyncio.Queue[_Piece | None] = asyncio.Queue(_QUEUE)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(frames, utterances))
                group.create_task(self._recognize(run, utterances, segments))
                group.create_task(self._translate(run, segments, translations))
                group.create_task(self._speak(run, translations))
        except BaseExceptionGroup as failures:
            known = failures.subgroup(DragomanError)
            if known is None:
                raise
            raise _first(known) from failures

    async def _listen(self, frames: AsyncIterable[Samples], out: asyncio.Queue[Utterance | None]) -> None:
        splitter = Utterances(self._vad())
        async for frame in frames:
            for utterance in splitter.push(frame):
                await out.put(utterance)
            await asyncio.sleep(0)  # a source that is always ready must not keep the loop to itself
        for utterance in splitter.flush():
            await out.put(utterance)
        await out.put(None)

    async def _recognize(
        self, run: _Run, source: asyncio.Queue[Utterance | None], out: asyncio.Queue[_Piece | None]
    ) -> None:
        segmenter = Segmenter()
        finished = 0.0
        while (utterance := await source.get()) is not None:
            if len(utterance.pcm):
                heard, took = await run.on(run.ear, self._hear, utterance)
                finished = max(finished, utterance.closed) + took
                words = _words(heard, utterance)
                # A pause inside a sentence ("ask not ...") must not tear it in two: what seems unfinished waits.
                final = utterance.paused and self._detector.complete(heard.text) >= _COMPLETE
            else:
                words, final, finished = [], True, max(finished, utterance.closed)
            for segment in segmenter.push(words, final=final):
                await self._recognized(run, segment, finished, out)
        for segment in segmenter.push((), final=True):
            await self._recognized(run, segment, finished, out)
        await out.put(None)

    async def _recognized(self, run: _Run, segment: Segment, ready: float, out: asyncio.Queue[_Piece | None]) -> None:
        await run.events.put(Recognized(segment.number, segment.text, segment.start, segment.end, ready))
        await out.put(_Piece(segment, ready))

    def _hear(self, utterance: Utterance) -> HypothesisLike:
        stream = self._recognizer.open(self._source)
        stream.accept(utterance.pcm)
        return stream.final()

    async def _translate(
        self, run: _Run, source: asyncio.Queue[_Piece | None], out: asyncio.Queue[_Piece | None]
    ) -> None:
        finished = 0.0
        while (piece := await source.get()) is not None:
            segment = piece.segment
            text, took = await run.on(
                run.translator, self._translator.translate, segment.text, self._source, self._target
            )
            finished = max(finished, piece.ready) + took
            await run.events.put(Translated(segment.number, segment.text, text, segment.start, segment.end, finished))
            await out.put(_Piece(segment, finished, text))
        await out.put(None)

    async def _speak(self, run: _Run, source: asyncio.Queue[_Piece | None]) -> None:
        timeline = Timeline()
        finished = 0.0
        while (piece := await source.get()) is not None:
            if self._voice is None:
                continue
            splitter = ClauseSplitter(self._target)
            for clause in splitter.feed(piece.translation) + splitter.flush():
                speech, took = await run.on(run.voice, self._voice.synthesize, clause.text, final=clause.final)
                finished = max(finished, piece.ready) + took
                if len(speech.pcm):
                    start = timeline.place(finished, speech.seconds)
                    await run.events.put(Spoken(piece.segment.number, clause.text, start, speech.pcm))


class _Run:
    """What one run owns: a thread per engine, the queue of its events."""

    def __init__(self, clock: Callable[[], float], events: asyncio.Queue[Event]) -> None:
        self.ear, self.translator, self.voice = Worker("ear"), Worker("translator"), Worker("voice")
        self.events = events
        self._clock = clock

    async def on(self, worker: Worker, call: Callable[..., T], *args: object, **kwargs: object) -> tuple[T, float]:
        """Run ``call`` on a thread; its result, and the seconds that it took."""

        def timed() -> tuple[T, float]:
            began = self._clock()
            return call(*args, **kwargs), self._clock() - began

        return await worker.run(timed)

    def close(self) -> None:
        """Free the threads."""
        for worker in (self.ear, self.translator, self.voice):
            worker.close()


def _words(heard: HypothesisLike, utterance: Utterance) -> list[Word]:
    """The words in seconds of the input; spread evenly where the recognizer gave a text without times."""
    origin = utterance.start / INPUT_RATE
    if heard.words:
        return [word.shifted(origin) for word in heard.words]
    texts = heard.text.split()
    each = len(utterance.pcm) / INPUT_RATE / max(1, len(texts))
    return [Word(text, origin + i * each, origin + (i + 1) * each) for i, text in enumerate(texts)]


def _first(group: BaseExceptionGroup[DragomanError]) -> DragomanError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
