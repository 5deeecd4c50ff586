"""The interpreting pipeline, with scripted models."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from dragoman.agent.interpreter import Event, Interpreter, Recognized, Spoken, Timeline, Translated
from dragoman.agent.utterances import Patience
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, DragomanError, Samples, Speech, Word


class Loudness:
    hop = 512

    def probability(self, window: Samples) -> float:
        return float(np.abs(window).max() > 0.5)


@dataclass
class Heard:
    text: str
    words: tuple[Word, ...] = ()
    stable: int = 0
    language: str = "en"


@dataclass
class Ear:
    """Hears the scripted texts, one per utterance; words of 0.1 s from the utterance's start."""

    script: list[str]
    timed: bool = True
    lengths: list[int] = field(default_factory=list)

    def open(self, language: str | None = None) -> Ear:
        assert language == "en"
        return self

    def accept(self, pcm: Samples) -> None:
        self.lengths.append(len(pcm))

    def partial(self) -> Heard:
        return Heard("")

    def final(self) -> Heard:
        text = self.script.pop(0)
        words = tuple(Word(w, i * 0.1, i * 0.1 + 0.1) for i, w in enumerate(text.split()))
        return Heard(text, words if self.timed else ())


@dataclass
class Upper:
    """Translates into capitals."""

    pairs: frozenset[tuple[str, str]] = frozenset({("en", "pt")})
    threads: set[str] = field(default_factory=set)

    def translate(self, text: str, source: str, target: str) -> str:
        self.threads.add(threading.current_thread().name)
        if "fail" in text:
            raise DragomanError("the translator failed")
        return text.upper()


@dataclass
class Tone:
    """Speaks half a second per word."""

    language: str = "pt"

    def synthesize(self, text: str, *, rate: float = 1.0, final: bool = True) -> Speech:
        return Speech(np.full(len(text.split()) * OUTPUT_RATE // 2, 0.5, np.float32), ())


def sound(*parts: tuple[float, float]) -> Samples:
    return np.concatenate([np.full(round(s * INPUT_RATE), level, np.float32) for s, level in parts])


async def frames(pcm: Samples, size: int = 320) -> AsyncIterator[Samples]:
    for i in range(0, len(pcm), size):
        yield pcm[i : i + size]


def interpreter(script: list[str], **changes: object) -> Interpreter:
    parts: dict[str, object] = {"translator": Upper(), "voice": Tone(), "clock": lambda: 0.0, **changes}
    clock, ear = parts.pop("clock"), parts.pop("ear", Ear(script))
    translator, voice = parts.pop("translator"), parts.pop("voice")
    return Interpreter(ear, Loudness, translator, source="en", target="pt", voice=voice, clock=clock)  # type: ignore[arg-type]


def events(subject: Interpreter, pcm: Samples, size: int = 320) -> list[Event]:
    async def collect() -> list[Event]:
        return [event async for event in subject.run(frames(pcm, size))]

    return asyncio.run(collect())


TWO = sound((1, 0), (2, 1), (1, 0), (2, 1), (1, 0))


def test_every_sentence_is_recognized_translated_and_spoken() -> None:
    """Three events for each, in that order, numbered."""
    got = events(interpreter(["good morning.", "how are you?"]), TWO)
    for number, text in enumerate(["good morning.", "how are you?"]):
        mine = [event for event in got if event.segment == number]
        assert [type(event) for event in mine] == [Recognized, Translated, Spoken]
        assert isinstance(mine[1], Translated)
        assert (mine[1].text, mine[1].translation) == (text, text.upper())


def test_times_are_seconds_of_the_input() -> None:
    """A word's time in its utterance becomes its time in the file."""
    recognized = [e for e in events(interpreter(["good morning.", "yes."]), TWO) if isinstance(e, Recognized)]
    assert recognized[0].start == pytest.approx(0.7, abs=0.05)
    assert recognized[1].start == pytest.approx(3.7, abs=0.05)
    assert recognized[0].at == pytest.approx(3.0 + Patience().fresh, abs=0.05)


def test_a_pause_inside_a_sentence_does_not_tear_it() -> None:
    """Words that seem unfinished wait for the next utterance, but not for longer than a long pause."""

    def recognized_in(pcm: Samples) -> list[Recognized]:
        subject = interpreter([], ear=Ear(["ask not", "what it can do."], timed=False))
        return [event for event in events(subject, pcm) if isinstance(event, Recognized)]

    assert [e.text for e in recognized_in(TWO)] == ["ask not what it can do."]
    recognized = recognized_in(sound((1, 0), (2, 1), (4, 0), (2, 1), (1, 0)))
    assert [e.text for e in recognized] == ["ask not", "what it can do."]
    assert recognized[0].at == pytest.approx(3.0 + Patience().over, abs=0.05)


def test_speech_never_overlaps_itself() -> None:
    """What is longer than its source pushes the next back; nothing is dropped."""
    long = " ".join(["word"] * 20) + "."
    spoken = [e for e in events(interpreter([long, long]), TWO) if isinstance(e, Spoken)]
    assert sum(len(e.text.split()) for e in spoken) == 40
    ends = [e.start + len(e.pcm) / OUTPUT_RATE for e in spoken]
    assert all(later.start >= end for end, later in zip(ends, spoken[1:], strict=False))


def test_speech_is_not_heard_before_it_could_be() -> None:
    """What the models take delays it: three stages of a second each."""
    ticks = iter(range(10_000))
    spoken = [
        e
        for e in events(interpreter(["yes."], clock=lambda: float(next(ticks))), TWO[: 4 * INPUT_RATE])
        if isinstance(e, Spoken)
    ]
    assert spoken[0].start >= 3.5 + 3.0


def test_several_sentences_in_one_utterance_are_several_segments() -> None:
    """The segmenter decides, not the pauses."""
    got = events(interpreter(["one two. three four.", "five."]), TWO)
    assert [e.text for e in got if isinstance(e, Recognized)] == ["one two.", "three four.", "five."]


def test_a_text_without_word_times_is_not_lost() -> None:
    """Its words are spread over the utterance."""
    got = events(interpreter([], ear=Ear(["one two.", "three."], timed=False)), TWO)
    assert [e.text for e in got if isinstance(e, Recognized)] == ["one two.", "three."]


def test_without_a_voice_nothing_is_spoken() -> None:
    """Captions alone."""
    got = events(interpreter(["one.", "two."], voice=None), TWO)
    assert {type(e) for e in got} == {Recognized, Translated}


def test_nothing_heard_gives_nothing() -> None:
    """Silence, and a recognizer that hears no word in a noise."""
    assert events(interpreter([]), sound((3, 0))) == []
    assert events(interpreter(["", ""]), TWO) == []


@pytest.mark.parametrize("size", [7, 320, 16_000, 200_000])
def test_the_length_of_frames_does_not_matter(size: int) -> None:
    """The same events for any framing."""
    reference = events(interpreter(["one two.", "three."]), TWO)
    got = events(interpreter(["one two.", "three."]), TWO, size)
    ordered: Callable[[Event], tuple[int, str]] = lambda e: (e.segment, type(e).__name__)  # noqa: E731
    assert [repr(e) for e in sorted(got, key=ordered)] == [repr(e) for e in sorted(reference, key=ordered)]


def test_an_error_of_a_model_comes_through_as_itself() -> None:
    """One clear error, not a group; what came before it was given."""
    got: list[Event] = []

    async def collect() -> None:
        async for event in interpreter(["fine.", "fail."]).run(frames(TWO)):
            got.append(event)

    with pytest.raises(DragomanError, match="the translator failed"):
        asyncio.run(collect())
    assert any(isinstance(e, Translated) and e.text == "fine." for e in got)


def test_an_error_of_the_source_comes_through() -> None:
    """A file that turns out bad is told."""

    async def broken() -> AsyncIterator[Samples]:
        yield sound((1, 1))
        raise DragomanError("the file is cut off")

    async def collect() -> list[Event]:
        return [event async for event in interpreter([]).run(broken())]

    with pytest.raises(DragomanError, match="cut off"):
        asyncio.run(collect())


def test_closing_it_stops_every_stage() -> None:
    """No task and no thread is left when the listener leaves."""

    async def leave() -> int:
        async def endless() -> AsyncIterator[Samples]:
            while True:
                yield sound((2, 1), (1, 0))

        run = interpreter(["word."] * 1000).run(endless())
        await anext(run)
        await run.aclose()
        return len(asyncio.all_tasks())

    before = threading.active_count()
    assert asyncio.run(leave()) == 1
    assert threading.active_count() <= before + 1


def test_models_compute_on_their_own_threads() -> None:
    """The event loop's thread runs none of them."""
    translator = Upper()
    events(interpreter(["one.", "two."], translator=translator), TWO)
    assert translator.threads == {"dragoman-translator_0"}


def test_a_pair_or_voice_that_does_not_fit_is_told() -> None:
    """At once, before anything is heard."""
    with pytest.raises(DragomanError, match="en to pt"):
        interpreter([], translator=Upper(frozenset({("de", "fr")})))
    with pytest.raises(DragomanError, match="the voice speaks fr, not pt"):
        interpreter([], voice=Tone("fr"))


def test_the_timeline_leaves_a_pause() -> None:
    """A piece begins when it is ready, or after the last one."""
    line = Timeline(0.2)
    assert [line.place(1.0, 2.0), line.place(1.5, 1.0), line.place(9.0, 1.0)] == [1.0, 3.2, 9.0]
    assert line.end == 10.0
