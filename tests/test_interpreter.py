"""The interpreting pipeline, with scripted models, in virtual time."""

from __future__ import annotations

import asyncio
import gc
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import ParamSpec, TypeVar

import numpy as np
import pytest

from dragoman.agent.interpreter import Event, Hearing, Interpreter, Recognized, Revised, Spoken, Translated, Unspoken
from dragoman.agent.workers import Worker
from dragoman.audio.clock import run_virtual, sleep_until
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, DragomanError, Samples, Speech, Word
from dragoman.translation.retranslation import Stability

PATIENCE = 0.8
"""The pause that ends a short utterance."""
OVER = 2.5
EACH = 0.25
"""Seconds per word of who is heard live."""


P = ParamSpec("P")
T = TypeVar("T")


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
    language: str = "en"
    opened: list[str | None] = field(default_factory=list)

    def open(self, language: str | None = None) -> Ear:
        self.opened.append(language)
        return self

    def accept(self, pcm: Samples) -> None:
        pass

    def partial(self) -> Heard:
        return Heard("")

    def final(self) -> Heard:
        text = self.script.pop(0)
        words = tuple(Word(w, i * 0.1, i * 0.1 + 0.1) for i, w in enumerate(text.split()))
        return Heard(text, words if self.timed else (), language=self.language)


@dataclass
class LiveEar(Ear):
    """Hears a word each quarter of a second; the last one is never certain before the end."""

    seconds: float = 0.0

    def open(self, language: str | None = None) -> LiveEar:
        self.seconds = 0.0
        return self

    def accept(self, pcm: Samples) -> None:
        self.seconds += len(pcm) / INPUT_RATE

    def partial(self) -> Heard:
        texts = self.script[0].split()[: int(self.seconds / EACH)]
        words = tuple(Word(w, i * EACH, i * EACH + EACH) for i, w in enumerate(texts))
        return Heard(" ".join(texts), words, max(0, len(texts) - 1), self.language)

    def final(self) -> Heard:
        text = self.script.pop(0)
        words = tuple(Word(w, i * EACH, i * EACH + EACH) for i, w in enumerate(text.split()))
        return Heard(text, words, len(words), self.language)


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
    """Speaks each word in half a second, or as it is told."""

    language: str = "pt"
    each: float = 0.5

    def synthesize(self, text: str, *, rate: float = 1.0, final: bool = True) -> Speech:
        samples = round(len(text.split()) * self.each / rate * OUTPUT_RATE)
        return Speech(np.full(samples, 0.5, np.float32), ())


def sound(*parts: tuple[float, float]) -> Samples:
    return np.concatenate([np.full(round(s * INPUT_RATE), level, np.float32) for s, level in parts])


async def frames(pcm: Samples, size: int = 320) -> AsyncIterator[Samples]:
    """At the pace of the loop's clock, as a microphone gives them."""
    begin = asyncio.get_running_loop().time()
    for i in range(0, len(pcm), size):
        await sleep_until(begin + min(len(pcm), i + size) / INPUT_RATE)
        yield pcm[i : i + size]


def interpreter(script: list[str], **changes: object) -> Interpreter:
    parts: dict[str, object] = {
        "translator": Upper(),
        "voice": Tone(),
        "source": "en",
        "live": False,
        "ear": Ear(script),
        **changes,
    }
    ear, translator = parts.pop("ear"), parts.pop("translator")
    return Interpreter(ear, Loudness, translator, target="pt", **parts)  # type: ignore[arg-type]


def events(subject: Interpreter, pcm: Samples, size: int = 320) -> list[Event]:
    async def collect() -> list[Event]:
        return [event async for event in subject.run(frames(pcm, size))]

    return run_virtual(collect(), measured=False)


TWO = sound((1, 0), (2, 1), (1, 0), (2, 1), (1, 0))


def _segment(event: Event) -> int | None:
    match event:
        case Revised(update):
            return update.segment
        case Hearing():
            return None
        case _:
            return event.segment


def test_every_sentence_is_recognized_translated_and_spoken() -> None:
    """Its events in that order, numbered."""
    got = events(interpreter(["good morning.", "how are you?"]), TWO)
    for number, text in enumerate(["good morning.", "how are you?"]):
        mine = [
            e for e in got if (e.update.segment if isinstance(e, Revised) else getattr(e, "segment", None)) == number
        ]
        assert [type(event) for event in mine] == [Recognized, Revised, Translated, Spoken]
        assert isinstance(mine[1], Revised)
        assert isinstance(mine[2], Translated)
        assert (mine[1].update.stable_text, mine[1].update.final) == (text.upper(), True)
        assert (mine[2].text, mine[2].translation) == (text, text.upper())


def test_times_are_seconds_of_the_input() -> None:
    """A word's time in its utterance becomes its time in the file."""
    recognized = [e for e in events(interpreter(["good morning.", "yes."]), TWO) if isinstance(e, Recognized)]
    assert recognized[0].start == pytest.approx(0.5, abs=0.05)
    assert recognized[1].start == pytest.approx(3.0 + PATIENCE, abs=0.05)  # what was before belongs to the first
    assert recognized[0].at == pytest.approx(3.0 + PATIENCE, abs=0.05)


def test_a_pause_inside_a_sentence_does_not_tear_it() -> None:
    """Words that seem unfinished wait for the next utterance, but not for longer than a long pause."""

    def recognized_in(pcm: Samples) -> list[Recognized]:
        subject = interpreter([], ear=Ear(["ask not", "what it can do."], timed=False))
        return [event for event in events(subject, pcm) if isinstance(event, Recognized)]

    assert [e.text for e in recognized_in(TWO)] == ["ask not what it can do."]
    recognized = recognized_in(sound((1, 0), (2, 1), (4, 0), (2, 1), (1, 0)))
    assert [e.text for e in recognized] == ["ask not", "what it can do."]
    assert recognized[0].at == pytest.approx(3.0 + OVER, abs=0.05)


def test_captions_are_revised_while_someone_speaks() -> None:
    """Words are heard, translated and shown before the end; the last state is the whole, and final."""
    text = "one two three four five six seven eight."
    subject = interpreter([], ear=LiveEar([text]), live=True, voice=None, stability=Stability(hold_back=1))
    got = events(subject, sound((1, 0), (2, 1), (1, 0)))
    heard = [e for e in got if isinstance(e, Hearing)]
    assert [e.at for e in heard] == sorted(e.at for e in heard)
    assert all(text.startswith(e.text) for e in heard)
    assert heard[0].at < 2.0
    updates = [e.update for e in got if isinstance(e, Revised)]
    assert len(updates) > 3
    assert [u.revision for u in updates] == list(range(1, len(updates) + 1))
    assert all(text.upper().startswith(u.text) for u in updates)
    assert [u.final for u in updates] == [False] * (len(updates) - 1) + [True]
    assert (updates[-1].stable_text, updates[-1].source_words_covered) == (text.upper(), 8)


def test_a_caption_tells_of_which_sound_it_is_made() -> None:
    """Where nothing takes time, of all that has sounded, to the window."""
    text = "one two three four five six seven eight."
    got = events(interpreter([], ear=LiveEar([text]), live=True, voice=None), sound((1, 0), (2, 1), (3, 0)))
    revised = [e for e in got if isinstance(e, Revised)]
    assert len(revised) > 2
    assert all(e.heard == pytest.approx(e.at, abs=0.04) for e in revised)
    assert revised[0].heard < 3.0 < revised[-1].heard


def test_what_is_committed_is_spoken_while_the_sentence_goes_on() -> None:
    """In clauses, once, in order, and before its end is heard."""
    text = " ".join(["one"] * 11) + ", " + " ".join(["two"] * 12) + "."
    got = events(interpreter([], ear=LiveEar([text]), live=True), sound((1, 0), (6, 1), (2, 0)))
    spoken = [e for e in got if isinstance(e, Spoken)]
    assert " ".join(e.text for e in spoken) == text.upper()
    assert spoken[0].start < 6.0
    ended = next(i for i, e in enumerate(got) if isinstance(e, Translated))
    assert got.index(spoken[0]) < ended


@dataclass
class DoubtingEar(LiveEar):
    """Is sure of words in small letters, and of no others."""

    def partial(self) -> Heard:
        return self._doubting(LiveEar.partial(self))

    def final(self) -> Heard:
        return self._doubting(LiveEar.final(self))

    def _doubting(self, heard: Heard) -> Heard:
        words = tuple(replace(word, p=0.97 if word.text.islower() else 0.3) for word in heard.words)
        return replace(heard, words=words)


def test_what_another_language_sounds_like_is_left_out() -> None:
    """Whole utterances of it, and passages in one; what follows is heard as ever."""
    foreign = "Ootrain Para Cidaj Esta A Trasado Oji Vosse"
    mixed = f"one two three four five six {foreign} seven eight nine ten eleven twelve."
    ear = DoubtingEar([f"{foreign}.", mixed, "good morning."])
    got = events(
        interpreter([], ear=ear, live=True, voice=None), sound((1, 0), (3, 1), (1, 0), (6, 1), (1, 0), (1, 1), (1, 0))
    )
    told = " ".join(e.text for e in got if isinstance(e, Recognized))
    assert told == mixed.replace(f"{foreign} ", "") + " good morning."
    shown = {word for e in got if isinstance(e, Hearing) for word in e.text.split()[: e.certain]}
    assert not shown & set(foreign.split())


def test_what_turns_out_to_be_nothing_is_taken_back() -> None:
    """It is not left on the screen until someone speaks again; what is recognized needs no word of that."""
    cough, word = LiveEar(["one"]), LiveEar(["one."])
    cough.final = lambda: Heard("")  # type: ignore[method-assign]
    pcm = sound((1, 0), (1, 1), (4, 0))
    for ear, told in ((cough, ["one", ""]), (word, ["one."])):
        got = events(interpreter([], ear=ear, live=True, voice=None), pcm)
        assert [e.text for e in got if isinstance(e, Hearing)] == told


def test_a_sentence_does_not_wait_for_the_end_of_another_language() -> None:
    """What is left out is a pause: whoever was cut short by it is translated then, and not when all are silent."""
    foreign = "Ootrain Para Cidaj Esta A Trasado Oji Vosse"
    ear = DoubtingEar(["and if you", foreign, foreign, foreign])
    got = events(interpreter([], ear=ear, live=True, voice=None), sound((1, 0), (1, 1), *[(1, 0), (4, 1)] * 3, (1, 0)))
    [translated] = [e for e in got if isinstance(e, Translated)]
    assert translated.text == "and if you"
    assert translated.at == pytest.approx(3 + 4 + PATIENCE, abs=0.1)


@pytest.mark.parametrize("live", [False, True])
def test_who_searches_for_words_is_not_heard_doing_so(live: bool) -> None:
    """The sound of it is left out, live and at the end, and the word of another language that looks like it stays."""
    text = "um, one two uh three four er five six."
    ear = LiveEar([text]) if live else Ear([text])
    got = events(interpreter([], ear=ear, live=live, voice=None), sound((1, 0), (3, 1), (3, 0)))
    [recognized] = [e for e in got if isinstance(e, Recognized)]
    assert recognized.text == "one two three four five six."
    assert not any("UM" in e.update.text or "UH" in e.update.text for e in got if isinstance(e, Revised))


def test_the_language_is_detected_and_held() -> None:
    """Nothing is translated before it is known; then it is what the translator is told, and the ear."""
    ear = Ear(["good morning my friends.", "how are you?"])
    got = events(interpreter([], ear=ear, source=None), TWO)
    assert [e.translation for e in got if isinstance(e, Translated)] == ["GOOD MORNING MY FRIENDS.", "HOW ARE YOU?"]
    assert ear.opened[0] is None


@dataclass
class MistakenEar(LiveEar):
    """Detects a language for each utterance, anew until it is told one."""

    languages: list[str] = field(default_factory=list)
    told: str | None = None

    def open(self, language: str | None = None) -> LiveEar:
        self.told, self.language = language, language or self.languages.pop(0)
        return LiveEar.open(self, language)


@dataclass
class Naming(Upper):
    """Tells of which language it translates."""

    pairs: frozenset[tuple[str, str]] = frozenset({("en", "pt"), ("es", "pt")})

    def translate(self, text: str, source: str, target: str) -> str:
        return " ".join(f"{source}:{word}" for word in text.split())


@pytest.mark.parametrize("live", [False, True])
def test_a_language_that_a_short_word_was_mistaken_for_is_not_held(live: bool) -> None:
    """It is that word's alone; what tells the language by its length holds it, for the ear and the translator."""
    turn = "one two three four five six seven eight nine ten."
    ear = MistakenEar(["no.", turn, "yes."], languages=["en", "es", "en"])
    pcm = sound((1, 0), (0.5, 1), (1, 0), (3, 1), (1, 0), (0.5, 1), (1, 0))
    got = events(interpreter([], ear=ear, live=live, source=None, voice=None, translator=Naming()), pcm)
    assert [e.language for e in got if isinstance(e, Translated)] == ["en", "es", "es"]
    translated = [word for e in got if isinstance(e, Translated) for word in e.translation.split()]
    assert translated == ["en:no.", *(f"es:{word}" for word in turn.split()), "es:yes."]
    assert ear.told == "es"
    shown = {word for e in got if isinstance(e, Revised) and e.update.segment == 1 for word in e.update.text.split()}
    assert shown <= {f"es:{word}" for word in turn.split()}


def test_a_sentence_that_is_over_before_its_language_can_be_told_waits_for_it() -> None:
    """And is translated from what follows it is in."""
    ear = MistakenEar(["no. one two three four five six seven eight nine ten."], languages=["es"])
    subject = interpreter([], ear=ear, live=True, source=None, voice=None, translator=Naming())
    got = events(subject, sound((1, 0), (3, 1), (1, 0)))
    assert next(e for e in got if isinstance(e, Recognized)).at < 2.0
    assert [e.language for e in got if isinstance(e, Translated)] == ["es", "es"]


def test_what_is_spoken_late_is_spoken_faster() -> None:
    """And at the voice's own pace when there is time."""
    long = " ".join(["word"] * 20) + "."
    late = [e for e in events(interpreter([long, long]), TWO) if isinstance(e, Spoken)]
    assert late[0].rate == 1.0
    assert max(e.rate for e in late) == 1.25
    easy = [e for e in events(interpreter(["yes.", "no."]), TWO) if isinstance(e, Spoken)]
    assert [e.rate for e in easy] == [1.0, 1.0]


def test_a_voice_that_is_too_slow_leaves_out_rather_than_fall_behind() -> None:
    """Where a bound is set: what would be later is told as unspoken, and captions never wait for it."""
    long = " ".join(["word"] * 20) + "."
    turns = sound(*[(2, 1), (1, 0)] * 12)
    got = events(interpreter([long] * 12, latest=8.0), turns)
    spoken = [e for e in got if isinstance(e, Spoken)]
    unspoken = [e for e in got if isinstance(e, Unspoken)]
    assert sum(len(e.text.split()) for e in (*spoken, *unspoken)) == 12 * 20
    assert unspoken
    assert all(e.late > 8.0 for e in unspoken)
    translated = {e.segment: e.at for e in got if isinstance(e, Translated)}
    assert max(e.start - translated[e.segment] for e in spoken) < 8.0 + 5.0
    assert all(at == pytest.approx(3 * n + 2 + PATIENCE, abs=0.1) for n, at in translated.items())


def test_captions_do_not_wait_for_a_voice_that_says_everything() -> None:
    """However late it is, and whatever waits for it."""
    got = events(interpreter([("yes. " * 10).strip()] * 10, voice=Tone(each=3.0)), sound(*[(1, 1), (1, 0)] * 10))
    translated = [e for e in got if isinstance(e, Translated)]
    assert len(translated) == 100
    assert max(e.at - e.end for e in translated) < 3.0
    spoken = [e for e in got if isinstance(e, Spoken)]
    assert len(spoken) == 100
    assert spoken[-1].start > 200


def test_speech_never_overlaps_itself() -> None:
    """What is longer than its source pushes the next back; nothing is dropped."""
    long = " ".join(["word"] * 20) + "."
    spoken = [e for e in events(interpreter([long, long]), TWO) if isinstance(e, Spoken)]
    assert sum(len(e.text.split()) for e in spoken) == 40
    ends = [e.start + len(e.pcm) / OUTPUT_RATE for e in spoken]
    assert all(later.start >= end for end, later in zip(ends, spoken[1:], strict=False))


def test_speech_is_not_heard_before_it_could_be() -> None:
    """Not before the end of the utterance is known."""
    spoken = [e for e in events(interpreter(["yes."]), TWO[: 4 * INPUT_RATE]) if isinstance(e, Spoken)]
    assert spoken[0].start >= 3.0 + PATIENCE


def test_several_sentences_in_one_utterance_are_several_segments() -> None:
    """The segmenter decides, not the pauses."""
    got = events(interpreter(["one two. three four.", "five."]), TWO)
    assert [e.text for e in got if isinstance(e, Recognized)] == ["one two.", "three four.", "five."]


@pytest.mark.parametrize("more", [0, 96, 200])
def test_a_sentence_is_not_lost_where_the_sound_ends_as_it_is_given_up(more: int) -> None:
    """One that seemed unfinished, when the silence is long enough with the last piece of the sound, no whole window."""
    pcm = np.concatenate([sound((1, 0), (2, 1), (OVER, 0)), np.zeros(more, np.float32)])
    got = events(interpreter([], ear=Ear(["ask not"], timed=False)), pcm)
    assert [e.text for e in got if isinstance(e, Recognized)] == ["ask not"]


def test_a_text_without_word_times_is_not_lost() -> None:
    """Its words are spread over the utterance."""
    got = events(interpreter([], ear=Ear(["one two.", "three."], timed=False)), TWO)
    assert [e.text for e in got if isinstance(e, Recognized)] == ["one two.", "three."]


def test_without_a_voice_nothing_is_spoken() -> None:
    """Captions alone."""
    got = events(interpreter(["one.", "two."], voice=None), TWO)
    assert {type(e) for e in got} == {Recognized, Revised, Translated}


@pytest.mark.parametrize("live", [False, True])
def test_nothing_heard_gives_nothing(live: bool) -> None:
    """Silence, and a recognizer that hears no word in a noise."""
    ear = LiveEar if live else Ear
    assert events(interpreter([], ear=ear([]), live=live), sound((3, 0))) == []
    assert events(interpreter([], ear=ear(["", ""]), live=live), TWO) == []


@pytest.mark.parametrize("size", [7, 320, 16_000, 200_000])
def test_the_length_of_frames_does_not_matter(size: int) -> None:
    """The same texts in the same order for any framing."""

    def told(framed: int) -> list[str]:
        got = events(interpreter(["one two.", "three."]), TWO, framed)
        return [e.translation for e in got if isinstance(e, Translated)]

    assert told(size) == told(320) == ["ONE TWO.", "THREE."]


def test_a_source_without_a_pace_is_interpreted_as_well() -> None:
    """As fast as it comes."""

    async def at_once() -> AsyncIterator[Samples]:
        yield TWO

    async def collect() -> list[Event]:
        return [event async for event in interpreter(["one two.", "three."], voice=None).run(at_once())]

    assert [e.translation for e in asyncio.run(collect()) if isinstance(e, Translated)] == ["ONE TWO.", "THREE."]


def test_a_slow_viewer_sees_what_was_said_before_its_translation() -> None:
    """Also where many sentences end at once, and each translation is ready just as there is room for one more event."""
    waiting: list[asyncio.Event] = []

    class Gated(Worker):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.name = name

        async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
            if self.name == "translator":
                waiting.append(asyncio.Event())
                await waiting[0].wait()
                await asyncio.sleep(0)
            return call(*args, **kwargs)

    async def look() -> list[Event]:
        run = interpreter(["one two. " * 20, ""], voice=None, worker=Gated).run(frames(TWO))
        seen = []
        async for event in run:
            seen.append(event)
            await asyncio.sleep(1)
            if waiting:
                waiting.pop().set()
        return seen

    seen = run_virtual(look(), measured=False)
    for number in range(20):
        assert [type(e) for e in seen if _segment(e) == number] == [Recognized, Revised, Translated]


def test_an_error_of_a_model_comes_through_as_itself() -> None:
    """One clear error, not a group; what came before it was given."""
    got: list[Event] = []

    async def collect() -> None:
        async for event in interpreter(["fine.", "fail."]).run(frames(TWO)):
            got.append(event)

    with pytest.raises(DragomanError, match="the translator failed"):
        run_virtual(collect(), measured=False)
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


@pytest.mark.slow
def test_a_long_talk_grows_nothing() -> None:
    """Half an hour of virtual time in constant memory, and no caption or speech comes later at its end."""
    text = "one two three four five six seven eight."
    talk = sound((2, 1), (1, 0))
    turns = 600

    async def endless() -> AsyncIterator[Samples]:
        begin = asyncio.get_running_loop().time()
        for turn in range(turns):
            for i in range(0, len(talk), 1600):
                await sleep_until(begin + (turn * len(talk) + i + 1600) / INPUT_RATE)
                yield talk[i : i + 1600]

    async def measure() -> tuple[list[int], list[float]]:
        subject = interpreter([], ear=LiveEar([text] * (turns + 1)), live=True, voice=Tone(each=0.3))
        held, late = list[int](), list[float]()
        async for event in subject.run(endless()):
            if isinstance(event, Spoken):
                late.append(event.start - 3 * event.segment)
            if isinstance(event, Translated) and event.segment in (100, turns - 5):
                gc.collect()
                held.append(tracemalloc.get_traced_memory()[0])
        return held, late

    tracemalloc.start()
    try:
        held, late = run_virtual(measure(), measured=False)
    finally:
        tracemalloc.stop()
    assert held[1] - held[0] < 300_000
    assert max(late[-20:]) < max(late[:60]) + 1.0


def test_a_pair_or_voice_that_does_not_fit_is_told() -> None:
    """At once, before anything is heard."""
    with pytest.raises(DragomanError, match="en to pt"):
        interpreter([], translator=Upper(frozenset({("de", "fr")})))
    with pytest.raises(DragomanError, match="the voice speaks fr, not pt"):
        interpreter([], voice=Tone("fr"))


def test_minutes_that_come_at_once_leave_others_served() -> None:
    """Each window of sound is a turn of the loop."""
    turns = 0
    heard_at: list[int] = []

    class Watched(Loudness):
        def probability(self, window: Samples) -> float:
            heard_at.append(turns)
            return super().probability(window)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def at_once() -> AsyncIterator[Samples]:
        yield sound((60, 0.0))

    async def main() -> None:
        busy = asyncio.create_task(others())
        run = Interpreter(Ear([]), Watched, Upper(), source="en", target="pt").run(at_once())
        assert [event async for event in run] == []
        busy.cancel()

    asyncio.run(main())
    assert len(set(heard_at)) == len(heard_at) > 1800
