"""Interpreting a recording on the virtual clock: what each policy shows when, given when each word was heard.

The ear hears each clip once; its states are then played to every policy. Ear and translator have a core each: a state
is known at ``max(last finish, arrival) + compute``, a translation at ``max(its finish, the state) + compute``, where
compute is processor time. What a policy displays is the text of all segments, one after the other.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from dragoman.agent.endpointing import TextTurnDetector
from dragoman.agent.ports import Recognizer
from dragoman.audio.text import common
from dragoman.audio.types import INPUT_RATE, Samples, Word
from dragoman.translation.prediction import Answer, Predictor, answered
from dragoman.translation.retranslation import Request, Retranslator, Stability
from dragoman.translation.segmenter import Heard, Segment, Source
from dragoman.translation.steering import Steering, Translator

STEP: Final = round(0.32 * INPUT_RATE)
_COMPLETE: Final = 0.5
_now: Callable[[], float] = time.process_time


@dataclass(frozen=True, slots=True)
class EarState:
    """What was heard: known at ``at`` seconds, after sound up to ``heard``; ``ended``: the utterance is over."""

    at: float
    heard: float
    words: tuple[Word, ...]
    stable: int
    ended: bool


@dataclass(frozen=True, slots=True)
class Recording:
    """A clip as the ear heard it."""

    seconds: float
    states: tuple[EarState, ...]
    compute: float


def listen(recognizer: Recognizer, pcm: Samples, lang: str) -> Recording:
    """Hear a clip as one utterance, in steps of 320 ms."""
    stream = recognizer.open(lang)
    states = []
    at = compute = 0.0
    for start in range(0, len(pcm), STEP):
        heard = min(len(pcm), start + STEP) / INPUT_RATE
        began = _now()
        stream.accept(pcm[start : start + STEP])
        hypothesis = stream.partial()
        took = _now() - began
        at, compute = max(at, heard) + took, compute + took
        states.append(EarState(at, heard, tuple(hypothesis.words), hypothesis.stable, False))
    began = _now()
    final = stream.ended()
    took = _now() - began
    seconds = len(pcm) / INPUT_RATE
    words = tuple(final.words)
    states.append(EarState(max(at, seconds) + took, seconds, words, len(words), True))
    return Recording(seconds, tuple(states), compute + took)


@dataclass(frozen=True, slots=True)
class Displayed:
    """All that is shown from ``at`` on, made of sound up to ``heard``."""

    at: float
    heard: float
    text: str


@dataclass
class Interpreted:
    """What a policy made of a clip."""

    displayed: list[Displayed] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    """As they were closed, in order."""
    texts: dict[int, str] = field(default_factory=dict)
    """The text of each segment at the end."""
    compute: float = 0.0
    updates: list[tuple[int, float]] = field(default_factory=list)
    """Source words and seconds of compute of each translation."""

    @property
    def final(self) -> str:
        """The text at the end."""
        return " ".join(filter(None, (text for _, text in sorted(self.texts.items()))))


class Policy(Protocol):
    """Decides what is translated when, and what is shown of it. One object interprets one clip."""

    def heard(self, source: Source) -> dict[int, str]:
        """A newer state of what was said; gives texts of segments that change at once."""

    def request(self) -> Request | None:
        """What to translate now."""

    def translated(self, request: Request, answer: Answer) -> dict[int, str]:
        """The answer; gives what segments say now."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A translator for one pair, and what predicts how its source goes on."""

    translator: Translator
    source: str
    target: str
    predictor: Predictor | None = None

    def answer(self, request: Request) -> Answer:
        """As asked, where the translator can be steered."""
        return answered(request, self.translator, self.source, self.target, self.predictor)


def interpret(recording: Recording, policy: Policy, engine: Engine, *, whole: bool = False) -> Interpreted:
    """Play what was heard to a policy. ``whole``: it hears nothing before the end."""
    out = Interpreted()
    sources = list(_sources(recording.states[-1:] if whole else recording.states))
    now = heard = 0.0
    index = 0

    def show(texts: dict[int, str]) -> None:
        if texts:
            out.texts |= texts
            out.displayed.append(Displayed(now, heard, out.final))

    while True:
        while index < len(sources) and sources[index][0] <= now:
            _, heard, source = sources[index]
            out.segments += source.closed
            show(policy.heard(source))
            index += 1
        request = policy.request()
        if request is None:
            if index == len(sources):
                return out
            now = sources[index][0]
            continue
        began = _now()
        answer = engine.answer(request)
        took = _now() - began
        now += took
        out.compute += took
        out.updates.append((request.words, took))
        show(policy.translated(request, answer))


def _sources(states: Sequence[EarState]) -> Iterator[tuple[float, float, Source]]:
    tracker, detector = Heard(), TextTurnDetector()
    for state in states:
        if state.ended:
            text = " ".join(word.text for word in state.words)
            source = tracker.ended(state.words, complete=detector.complete(text) >= _COMPLETE)
            yield state.at, state.heard, source
            yield state.at, state.heard, tracker.over()
        else:
            yield state.at, state.heard, tracker.partial(state.words, state.stable)


# ---- policies


class Retranslating:
    """The engine that the interpreter runs, with any of its settings."""

    def __init__(self, stability: Stability | None = None) -> None:
        self._engine = Retranslator(stability)

    def heard(self, source: Source) -> dict[int, str]:
        """Texts of segments that turned out to be none."""
        return {update.segment: update.text for update in self._engine.heard(source)}

    def request(self) -> Request | None:
        """The engine's."""
        return self._engine.request()

    def translated(self, request: Request, answer: Answer) -> dict[int, str]:
        """The engine's update."""
        update = self._engine.translated(request, answer.translation, answer.foreseen)
        return {update.segment: update.text} if update else {}


class SentenceFinal:
    """Translates what is closed, once: the offline translation where all is heard at once."""

    def __init__(self) -> None:
        self._waiting: list[Segment] = []

    def heard(self, source: Source) -> dict[int, str]:
        """Nothing changes at once."""
        self._waiting += source.closed
        return {}

    def request(self) -> Request | None:
        """The oldest closed segment."""
        return _whole(self._waiting[0]) if self._waiting else None

    def translated(self, request: Request, answer: Answer) -> dict[int, str]:
        """Its text."""
        self._waiting.pop(0)
        return {request.segment: answer.translation.text}


class _Appending(ABC):
    """Shows words for good, segment by segment; every translation begins with them."""

    def __init__(self) -> None:
        self._pieces: dict[int, Segment] = {}
        self._given: dict[int, list[str]] = {}
        self._asked: dict[int, int] = {}

    def heard(self, source: Source) -> dict[int, str]:
        """Nothing changes at once."""
        # A segment that is foreseen behind an open one may vanish; what is shown can't.
        self._pieces |= {segment.number: segment for segment in (*source.closed, *source.open[:1])}
        return {}

    def request(self) -> Request | None:
        """The oldest segment of which there is more."""
        for number, segment in sorted(self._pieces.items()):
            if segment.closed or len(segment.words) > self._asked.get(number, 0):
                self._asked[number] = len(segment.words)
                return _whole(segment, " ".join(self._given.get(number, ())))
        return None

    def translated(self, request: Request, answer: Answer) -> dict[int, str]:
        """What it may show now."""
        number = request.segment
        given, words = self._given.setdefault(number, []), answer.translation.text.split()
        new = words[len(given) :]
        if request.final:
            del self._pieces[number]
        else:
            new = new[: max(0, self._ready(request, given, words) - len(given))]
        given += new
        return {number: " ".join(given)} if new or request.final else {}

    @abstractmethod
    def _ready(self, request: Request, given: Sequence[str], words: list[str]) -> int:
        """How many of the translation's words may be shown while the segment is open."""


class WaitK(_Appending):
    """A target word for each source word, k words late (Ma et al. 2019, arXiv 1810.08398)."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self._k = k

    def _ready(self, request: Request, given: Sequence[str], words: list[str]) -> int:
        return request.words - self._k + 1


class LocalAgreement(_Appending):
    """What two translations in a row agree on (Liu et al. 2020, arXiv 2005.11185)."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[int, list[str]] = {}

    def _ready(self, request: Request, given: Sequence[str], words: list[str]) -> int:
        agreed = common(words, self._last.get(request.segment, []))
        self._last[request.segment] = words
        return agreed


def _whole(segment: Segment, prefix: str = "") -> Request:
    words = len(segment.words)
    return Request(segment.number, segment.text, Steering(prefix), words, words, segment.closed)
