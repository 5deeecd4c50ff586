"""What the models said once, said again at what it cost: by all systems that hear the same turn.

The sound, the words and the calls before a call decide what a model says to it, so those are the key; who is asked
something else is really asked. A model that has a state is first brought, at no charge, to where it would be.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np

from dragoman.agent.drafter.drafts import Draft, LastWord
from dragoman.agent.drafter.runtime import DrafterRuntime, Reading
from dragoman.agent.duplex.frames import Control
from dragoman.agent.duplex.history import WORDS
from dragoman.agent.duplex.live import FrameStream, LiveDuplex
from dragoman.agent.duplex.policy import Policy
from dragoman.agent.duplex.runtime import Decided
from dragoman.agent.duplex.windows import WINDOW
from dragoman.agent.ports import HypothesisLike, Recognizer, RecognizerStream, Synthesizer
from dragoman.agent.turn_taking import Frames
from dragoman.audio.types import Samples, Speech
from dragoman.benchmarks.onset_cores import Bill, CoreWorker

T = TypeVar("T")

_QUIET: Final = Decided(np.array([1, 0, 0, 0], np.float32), 0.0)


class Recall:
    """Results with their costs, turn by turn."""

    def __init__(self, bill: Bill) -> None:
        self.bill = bill
        self._turns: dict[str, dict[object, tuple[object, float]]] = {}
        self._now: dict[object, tuple[object, float]] = {}
        self.asked = self.known = 0
        """Calls, and those of them whose results were there."""

    def turn(self, name: str) -> None:
        """What comes now belongs to this turn."""
        self._now = self._turns.setdefault(name, {})

    def find(self, key: object) -> Any:
        """What was kept, None if nothing was."""
        self.asked += 1
        found = self._now.get(key)
        self.known += found is not None
        return None if found is None else found[0]

    def keep(self, key: object, value: T) -> T:
        """Keep what the caller charges for by itself."""
        self._now[key] = value, 0.0
        return value

    def made(self, key: object, make: Callable[[], T]) -> T:
        """What ``make`` gave for this key, or gives now; the call that is running is charged its cost."""
        self.asked += 1
        if (found := self._now.get(key)) is not None:
            self.known += 1
            self.bill.add(found[1])
            return found[0]  # type: ignore[return-value]  # of the same make
        value, cost = self.bill.of(make)
        self._now[key] = value, cost
        return value


def chained(key: bytes, *more: object) -> bytes:
    """The key of all that a key stands for, and what came after it."""
    made = hashlib.blake2b(key, digest_size=16)
    for one in more:
        made.update(one.tobytes() if isinstance(one, np.ndarray) else repr(one).encode())
        made.update(b"\0")
    return made.digest()


# --- ears


class RecalledRecognizer:
    """A recognizer that hears each sound once."""

    def __init__(self, inner: Recognizer, recall: Recall) -> None:
        self._inner, self._recall = inner, recall

    def open(self, language: str | None = None) -> RecognizerStream:
        """See ``Recognizer.open``."""
        return _RecalledStream(self._inner, language, self._recall)


class _RecalledStream:
    def __init__(self, inner: Recognizer, language: str | None, recall: Recall) -> None:
        self._inner, self._language, self._recall = inner, language, recall
        self._key = chained(b"ear", language)
        self._sound = chained(b"sound", language)
        self._heard: list[Samples] = []
        self._waiting: list[Samples | str] = []
        self._real: RecognizerStream | None = None

    def accept(self, pcm: Samples) -> None:
        self._heard.append(pcm)
        self._waiting.append(pcm)
        self._key, self._sound = chained(self._key, pcm), chained(self._sound, pcm)

    def partial(self) -> HypothesisLike:
        return self._decoded("partial")

    def ended(self) -> HypothesisLike:
        return self._decoded("ended")

    def final(self) -> HypothesisLike:
        return self.refined() or self.ended()

    def refined(self) -> HypothesisLike | None:
        def make() -> HypothesisLike | None:
            with self._recall.bill.free():
                stream = self._inner.open(self._language)
                stream.accept(np.concatenate(self._heard) if self._heard else np.zeros(0, np.float32))
            return stream.refined()

        return self._recall.made(("refined", self._sound), make)

    def _decoded(self, how: str) -> HypothesisLike:
        key = ("ear", how, self._key)

        def make() -> HypothesisLike:
            if self._real is None:
                self._real = self._inner.open(self._language)
            with self._recall.bill.free():
                for past in self._take():
                    if isinstance(past, str):
                        getattr(self._real, past)()
                    else:
                        self._real.accept(past)
            heard: HypothesisLike = getattr(self._real, how)()
            made.append(heard)
            return heard

        made: list[HypothesisLike] = []
        found = self._recall.made(key, make)
        if not made:
            self._waiting.append(how)
        self._key = chained(self._key, how)
        return found

    def _take(self) -> list[Samples | str]:
        waiting, self._waiting = self._waiting, []
        return waiting


class RecalledTurns:
    """A model of turn-taking that decides on each frame once. From where a reply has begun until that is over, its
    frames are charged but not computed: an interruption needs a voice, and after a turn there is none.
    """

    def __init__(self, inner: LiveDuplex, recall: Recall, worker: CoreWorker) -> None:
        self._inner, self._recall, self._worker = inner, recall, worker
        self.language = inner.language

    async def open(self, dialogue: Sequence[tuple[str, str]] = ()) -> Frames:
        """See ``TurnModel.open``."""
        frames = _RecalledFrames(self._inner, self._recall, self._worker, tuple(dialogue))
        await self._worker.run(frames.begin)
        return frames

    def close(self) -> None:
        """As the inner one."""
        self._inner.close()


@dataclass(slots=True)
class _Frame:
    pcm: Samples
    sounding: bool
    words: list[int]


@dataclass(slots=True)
class _Told:
    control: Control


@dataclass(slots=True)
class _Said:
    text: str
    complete: bool


class _RecalledFrames:
    def __init__(
        self, inner: LiveDuplex, recall: Recall, worker: CoreWorker, dialogue: tuple[tuple[str, str], ...]
    ) -> None:
        self._inner, self._recall, self._worker, self._dialogue = inner, recall, worker, dialogue
        self.policy: Policy = inner.policy
        self.ahead, self.frames = FrameStream.ahead, 0
        self._key = chained(b"turns", dialogue)
        self._words: deque[int] = deque()
        self._past: list[_Frame | _Told | _Said] = []
        self._real: FrameStream | None = None
        self._begun = False
        self._cost: list[float] = []

    def begin(self) -> None:
        """Read the dialogue."""
        self._recall.made(("turns", self._dialogue), self._open)

    def _open(self) -> None:
        self._real = FrameStream(self._inner, self._inner.runtime.open(self._dialogue))

    async def frame(self, pcm: Samples, *, sounding: bool) -> Decided | None:
        words = [self._words.popleft() for _ in range(min(len(self._words), WORDS))]
        return await self._worker.run(self._decide, _Frame(pcm, sounding, words))

    def _decide(self, frame: _Frame) -> Decided | None:
        if self._begun:
            self._past.append(frame)
            self._key = chained(self._key, "unheard")
            self._recall.bill.add(float(np.median(self._cost)) if self._cost else 0.0)
            self.frames += 1
            return _QUIET
        self._key = chained(self._key, frame.pcm, frame.sounding, frame.words)
        before = self._recall.bill.total
        found = self._recall.made(("frame", self._key), lambda: self._heard(frame))
        if self._real is None or self._past:
            self._past.append(frame)
        if found is not None:
            self._cost.append(self._recall.bill.total - before)
            self.frames += 1
            if self.frames > WINDOW:
                raise ValueError(f"a turn of the benchmark has more than {WINDOW} frames")
        return found

    def _heard(self, frame: _Frame) -> Decided | None:
        with self._recall.bill.free():
            if self._real is None:
                self._open()
            past, self._past = self._past, []
            for one in past:
                match one:
                    case _Frame():
                        self._stepped(one)
                    case _Told(control):
                        self._stream.tell(control)
                    case _Said(text, complete):
                        self._stream.say(text, complete=complete)
        return self._stepped(frame)

    def _stepped(self, frame: _Frame) -> Decided | None:
        heard = self._stream.hear(frame.pcm, frame.sounding, frame.words)
        if heard is None:
            return None
        return self._inner.runtime.step([self._stream.state], [heard])[0]

    @property
    def _stream(self) -> FrameStream:
        if self._real is None:
            raise ValueError("the stream is not open")
        return self._real

    def read(self, words: Sequence[str]) -> None:
        for word in words:
            self._words += self._inner.runtime.vocabulary.read(" " + word)

    def tell(self, control: Control) -> None:
        if control in (Control.BOS, Control.STP):
            self._begun = control == Control.BOS
        self._done(_Told(control))

    def say(self, text: str, *, complete: bool) -> None:
        self._done(_Said(text, complete))

    def _done(self, one: _Told | _Said) -> None:
        self._key = chained(self._key, one)
        if self._real is None or self._past:
            self._past.append(one)
        elif isinstance(one, _Told):
            self._real.tell(one.control)
        else:
            self._real.say(one.text, complete=one.complete)

    async def remember(self, dialogue: Sequence[tuple[str, str]]) -> None:
        raise ValueError(f"a turn of the benchmark has more than {WINDOW} frames")


# --- the drafter and the voice


@dataclass(slots=True)
class _RecalledReading:
    dialogue: tuple[tuple[str, str], ...]
    text: str = ""
    real: Reading | None = None
    """As far as it was really read: it may be behind."""
    drafted: tuple[int, ...] = ()
    """Its last draft, which makes the next one quicker."""


class RecalledDrafter:
    """A drafter (``DrafterRuntime``) that reads and writes the same once."""

    def __init__(self, inner: DrafterRuntime, recall: Recall) -> None:
        self._inner, self._recall = inner, recall

    def open(self, dialogue: Sequence[tuple[str, str]] = ()) -> _RecalledReading:
        """See ``DrafterRuntime.open``."""
        reading = _RecalledReading(tuple(dialogue))

        def make() -> None:
            reading.real = self._inner.open(dialogue)

        self._recall.made(("open", reading.dialogue), make)
        return reading

    def read(self, reading: _RecalledReading, text: str) -> None:
        """See ``DrafterRuntime.read``."""

        def make() -> None:
            self._inner.read(self._real(reading), text)

        self._recall.made(("read", reading.dialogue, reading.text, text), make)
        reading.text = text

    def last_word(self, reading: _RecalledReading) -> LastWord | None:
        """See ``DrafterRuntime.last_word``."""

        def make() -> LastWord | None:
            return self._inner.last_word(self._real(reading))

        return self._recall.made(("last word", reading.dialogue, reading.text), make)

    def draft(self, reading: _RecalledReading, words: int = 5) -> Draft:
        """See ``DrafterRuntime.draft``."""

        def make() -> Draft:
            real = self._real(reading)
            real.drafted = reading.drafted
            return self._inner.draft(real, words)

        draft = self._recall.made(("draft", reading.dialogue, reading.text, reading.drafted, words), make)
        reading.drafted = draft.tokens
        return draft

    def _real(self, reading: _RecalledReading) -> Reading:
        """The reading brought to where it would be."""
        with self._recall.bill.free():
            if reading.real is None:
                reading.real = self._inner.open(reading.dialogue)
            if reading.text:
                self._inner.read(reading.real, reading.text)
        return reading.real


class RecalledVoice:
    """A voice that speaks the same text once."""

    def __init__(self, inner: Synthesizer, recall: Recall) -> None:
        self._inner, self._recall = inner, recall

    @property
    def language(self) -> str:
        """As the inner one's."""
        return self._inner.language

    def synthesize(self, text: str, *, rate: float = 1.0, final: bool = True) -> Speech:
        """See ``Synthesizer.synthesize``."""
        key = ("voice", text, rate, final)
        return self._recall.made(key, lambda: self._inner.synthesize(text, rate=rate, final=final))
