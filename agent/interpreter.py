"""Live interpreting: sound in; what is said, its translation while it is revised, and its speech on a timeline out.

Four stages, each a task: listen -> hear -> translate -> speak. Models compute on threads of their own. The engine of
re-translation decides what is translated and what of it stands (``dragoman.translation.retranslation``): the hearing
stage tells it the newest state, the translating stage asks it what to do next, and clauses that are committed are
spoken. Each stage takes the newest there is, so that one which is slower than the speaker makes captions coarser, not
later.

Times are seconds since the run began, on the running loop's clock: with a microphone they are those of its sound, and
so they are with a recording that is paced, whether the loop's clock is real or virtual.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from dragoman.agent.hearing import SegmentEar
from dragoman.agent.interpreted_speech import Saying, Sayings, Timeline, catch_up
from dragoman.agent.ports import Recognizer, Synthesizer, VoiceActivity
from dragoman.agent.workers import Worker
from dragoman.audio.clock import sleep_until
from dragoman.audio.types import DragomanError, Samples
from dragoman.translation.prediction import Predictor, answered
from dragoman.translation.retranslation import Request, Retranslator, Stability, Update
from dragoman.translation.segmenter import Segment, Source
from dragoman.translation.steering import Translator

_EVENTS: Final = 4
_FRAMES: Final = 256
_AHEAD_S: Final = 1.0
"""A clause is ready about so long before its turn, and made no sooner: its pace then fits how late it really is."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """What is being said: of all open segments; the first ``certain`` words will not change. Empty where what was heard
    last turned out to be nothing.
    """

    text: str
    certain: int
    at: float


@dataclass(frozen=True, slots=True)
class Recognized:
    """A segment of what was said; ``at`` is when it was known."""

    segment: int
    text: str
    start: float
    end: float
    at: float


@dataclass(frozen=True, slots=True)
class Revised:
    """What the translation of a segment says now, made of what was heard up to ``heard``: ``at`` - ``heard`` is how
    far captions are behind the sound.
    """

    update: Update
    at: float
    heard: float


@dataclass(frozen=True, slots=True)
class Translated:
    """The translation of a segment, complete, and the language that was spoken."""

    segment: int
    text: str
    translation: str
    start: float
    end: float
    at: float
    language: str | None


@dataclass(frozen=True, slots=True)
class Spoken:
    """A clause of a translation as speech: ``pcm`` at 24 kHz, to be heard from ``start`` on."""

    segment: int
    text: str
    start: float
    pcm: Samples
    rate: float = 1.0


@dataclass(frozen=True, slots=True)
class Unspoken:
    """A clause that is not spoken, because the voice is so many seconds ``late``: its caption is all there is."""

    segment: int
    text: str
    late: float


Event: TypeAlias = Hearing | Recognized | Revised | Translated | Spoken | Unspoken


class Interpreter:
    """From one spoken language to another. Holds no state between runs; several may run at once.

    ``vad`` makes a detector for each run. Without a ``voice`` nothing is spoken. ``source`` None: the language is
    detected and held. ``live`` False: nothing is heard of a sentence before the pause after it, which suits
    recognizers that don't stream. ``latest``: a clause that would be spoken more than so many seconds late is left
    out, for listeners who are there now; None says everything, however late. ``predictor``: for a ``stability`` that
    foresees. ``worker`` makes the thread of a stage, by its name.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        vad: Callable[[], VoiceActivity],
        translator: Translator,
        *,
        source: str | None,
        target: str,
        voice: Synthesizer | None = None,
        live: bool = True,
        stability: Stability | None = None,
        latest: float | None = None,
        predictor: Predictor | None = None,
        worker: Callable[[str], Worker] = Worker,
    ) -> None:
        if source is not None and (source, target) not in translator.pairs:
            raise DragomanError(f"the translator can't translate from {source} to {target}")
        if voice is not None and voice.language != target:
            raise DragomanError(f"the voice speaks {voice.language}, not {target}")
        self._recognizer = recognizer
        self._vad = vad
        self._translator = translator
        self._source, self._target = source, target
        self._voice = voice
        self._live = live
        self._stability = stability
        self._latest = latest
        self._predictor = predictor
        self._worker = worker

    async def run(self, frames: AsyncIterable[Samples]) -> AsyncGenerator[Event, None]:
        """Interpret 16 kHz sound, in pieces of any length, until it ends. Raises ``DragomanError``.

        Closing the generator stops every stage.
        """
        events: asyncio.Queue[Event] = asyncio.Queue(_EVENTS)
        ear, translator, voice = map(self._worker, ("ear", "translator", "voice"))
        run = _Run(events, Retranslator(self._stability), self._source, ear, translator, voice)
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
        sound: asyncio.Queue[Samples | None] = asyncio.Queue(_FRAMES)
        # Captions never wait for the voice: what waits for it are lines of text, a few where there is a ``latest``.
        sayings: asyncio.Queue[tuple[Saying, float] | None] = asyncio.Queue()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(frames, sound))
                group.create_task(self._hear(run, sound))
                group.create_task(self._translate(run, sayings))
                group.create_task(self._speak(run, sayings))
        except BaseExceptionGroup as failures:
            known = failures.subgroup(DragomanError)
            if known is None:
                raise
            raise _first(known) from failures

    async def _listen(self, frames: AsyncIterable[Samples], out: asyncio.Queue[Samples | None]) -> None:
        async for frame in frames:
            await out.put(frame)
        await out.put(None)

    async def _hear(self, run: _Run, sound: asyncio.Queue[Samples | None]) -> None:
        ear = SegmentEar(self._recognizer, self._vad(), self._source, live=self._live)
        while (pcm := await _waiting(sound)) is not None:
            for window in ear.windows(pcm):
                source = ear.push(window)
                if ear.ended:
                    source = await run.ear.run(ear.end)
                if source is not None:
                    await run.heard(source, ear)
                await asyncio.sleep(0)  # sound that waits must not keep the loop to itself
            if ear.fresh:
                source = await run.ear.run(ear.partial)
                if source is not None:
                    await run.heard(source, ear, open_=True)
        for source in await run.ear.run(ear.finish):
            await run.heard(source, ear)
        run.over = True
        run.wake.set()

    async def _translate(self, run: _Run, out: asyncio.Queue[tuple[Saying, float] | None]) -> None:
        sayings = Sayings(self._target)
        while True:
            request = run.engine.request() if run.language is not None else None
            if request is None:
                if run.over:
                    break
                run.wake.clear()
                await run.wake.wait()
                continue
            heard, language = run.made_of(request)
            assert language is not None
            answer = await run.translator.run(
                answered, request, self._translator, language, self._target, self._predictor
            )
            update = run.engine.translated(request, answer.translation, answer.foreseen)
            if update is None:
                continue
            await run.revised(update, heard, language)
            if self._voice is not None:
                for saying in sayings.push(update):
                    out.put_nowait((saying, run.now))
        out.put_nowait(None)

    async def _speak(self, run: _Run, source: asyncio.Queue[tuple[Saying, float] | None]) -> None:
        timeline = Timeline()
        cost = 0.0  # seconds that the voice takes for a character
        while (item := await source.get()) is not None:
            assert self._voice is not None
            saying, ready = item
            late = timeline.late(ready)
            if self._latest is not None and late > self._latest:
                await run.events.put(Unspoken(saying.segment, saying.text, late))
                continue
            await sleep_until(run.begun + timeline.end - _AHEAD_S - cost * len(saying.text))
            rate = catch_up(late)
            began = run.now
            speech = await run.voice.run(self._voice.synthesize, saying.text, rate=rate, final=saying.final)
            cost = max(0.8 * cost, (run.now - began) / max(1, len(saying.text)))
            if len(speech.pcm):
                start = timeline.place(run.now, speech.seconds, final=saying.final)
                await run.events.put(Spoken(saying.segment, saying.text, start, speech.pcm, rate))


@dataclass(slots=True)
class _Run:
    """What one run owns: a thread per model, the queue of its events, the engine."""

    events: asyncio.Queue[Event]
    engine: Retranslator
    language: str | None
    ear: Worker
    translator: Worker
    voice: Worker
    begun: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    position: float = 0.0
    """Seconds of the sound that the engine knows."""
    over: bool = False
    """Nothing more will be heard."""
    _sources: dict[int, tuple[Segment, float, str | None]] = field(default_factory=dict)
    """Closed segments, the position that closed them, and the language as far as it was known there."""
    _shown: tuple[str, int] = ("", 0)

    @property
    def now(self) -> float:
        """Seconds since the run began."""
        return asyncio.get_running_loop().time() - self.begun

    async def heard(self, source: Source, ear: SegmentEar, *, open_: bool = False) -> None:
        """Tell the viewer what was said, and then the engine: a slow viewer has it before its translation, too."""
        for segment in source.closed:
            self._sources[segment.number] = segment, ear.heard, ear.language
            await self.events.put(Recognized(segment.number, segment.text, segment.start, segment.end, self.now))
        self.language, self.position = ear.language, ear.heard
        updates = self.engine.heard(source)
        self.wake.set()
        for update in updates:
            await self.events.put(Revised(update, self.now, self.position))
        text = " ".join(segment.text for segment in source.open)
        certain = sum(segment.certain or 0 for segment in source.open)
        if source.closed and not text:
            self._shown = "", 0  # what was shown as open is told as recognized
        if (open_ or not text) and (text, certain) != self._shown:
            self._shown = text, certain
            await self.events.put(Hearing(text, certain, self.now))

    def made_of(self, request: Request) -> tuple[float, str | None]:
        """Seconds of the sound that a request is made of, and the language that is spoken there."""
        if not request.final:
            return self.position, self.language
        _, heard, language = self._sources[request.segment]
        return heard, language or self.language  # a sentence may be over before its language can be told

    async def revised(self, update: Update, heard: float, language: str) -> None:
        """Tell the viewer."""
        await self.events.put(Revised(update, self.now, heard))
        if update.final:
            source, *_ = self._sources.pop(update.segment)
            await self.events.put(
                Translated(update.segment, source.text, update.text, source.start, source.end, self.now, language)
            )

    def close(self) -> None:
        """Free the threads."""
        for worker in (self.ear, self.translator, self.voice):
            worker.close()


async def _waiting(queue: asyncio.Queue[Samples | None]) -> Samples | None:
    """All that has come, joined; None at the end."""
    first = await queue.get()
    if first is None:
        return None
    pieces = [first]
    while not queue.empty():
        piece = queue.get_nowait()
        if piece is None:
            queue.put_nowait(None)  # for the next call: there is room, and nobody puts after it
            break
        pieces.append(piece)
    return np.concatenate(pieces)


def _first(group: BaseExceptionGroup[DragomanError]) -> DragomanError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
