"""The session around the engine, with scripted models in virtual time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.agent import events as ev
from dragoman.agent.parts import Parts
from dragoman.agent.ports import Message
from dragoman.agent.record import ConversationRecord
from dragoman.agent.recorded import TrackSink, converse
from dragoman.agent.session import Session
from dragoman.agent.settings import SessionSettings
from dragoman.agent.workers import Worker
from dragoman.audio.clock import run_virtual
from dragoman.audio.types import INPUT_RATE, DragomanError, Samples, Speech
from dragoman.tts import speaks

from .fakes import Heard, ScriptedRecognizer, ScriptedResponder, ScriptedStream, ToneVoice, scripted, speech

E = TypeVar("E")
P = ParamSpec("P")
T = TypeVar("T")


def converse_now(
    parts: Parts, sound: Samples | Iterable[Samples], **changes: object
) -> tuple[list[ev.SessionEvent], ConversationRecord]:
    """Hold the conversation in virtual time; gives its events and its record."""
    events: list[ev.SessionEvent] = []
    blocks = [sound] if isinstance(sound, np.ndarray) else sound
    chosen = SessionSettings(**changes)  # type: ignore[arg-type]
    record = run_virtual(converse(parts, chosen, blocks, told=lambda event, _: events.append(event)), measured=False)
    return events, record


def only(events: Iterable[ev.SessionEvent], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def test_a_question_is_answered() -> None:
    """One turn in, one reply out, with its latency from the true end of speech."""
    parts = scripted(["What time is it?"], ["It is noon."])
    events, record = converse_now(parts, speech((0.5, 1.5), seconds=2))
    (turn,) = record.turns
    assert (turn.user, turn.assistant, turn.heard) == ("What time is it?", "It is noon.", "It is noon.")
    assert turn.status == "completed"
    assert turn.speech_end == pytest.approx(1.5, abs=0.011)
    # The patience after complete words is 480 ms; the reply was ready by then.
    assert turn.onset_ms == pytest.approx(500, abs=60)
    assert only(events, ev.Problem) == []


def test_a_reply_that_the_voice_can_not_read_is_over_at_once() -> None:
    """Nothing of it is heard, and the next turn is answered."""

    class Foreign(ToneVoice):
        def synthesize(self, text: str, *, rate: float = 1.0, final: bool = True) -> Speech:
            return super().synthesize(text if text.isascii() else "", rate=rate, final=final)

    parts = scripted(["Say hello in Chinese.", "What time is it?"], ["你好", "It is noon."])
    parts.keep({("en", None): Foreign()})
    events, record = converse_now(parts, speech((0.5, 1.5), (4.5, 5.5), seconds=7))
    assert [(turn.assistant, turn.heard) for turn in record.turns] == [("你好", ""), ("It is noon.", "It is noon.")]
    first, _ = only(events, ev.ReplyDone)
    assert (first.status, first.at < 4.5) == ("completed", True)


def test_a_second_pass_corrects_the_turn_in_time() -> None:
    """The reply answers what the second pass heard, and the history has it; other marks alone change no reply."""
    parts = scripted(["Why is this guy blue?", "is it far"], ["It is not.", "Light scatters.", "No."])
    assert isinstance(parts.recognizer, ScriptedRecognizer)
    parts.recognizer.second = {"Why is this guy blue?": "Why is the sky blue?", "is it far": "Is it far?"}
    events, record = converse_now(parts, speech((0.5, 1.5), (4.5, 5.5), seconds=7))
    assert [turn.user for turn in record.turns] == ["Why is the sky blue?", "Is it far?"]
    assert [turn.assistant for turn in record.turns] == ["Light scatters.", "No."]
    assert isinstance(parts.responder, ScriptedResponder)
    assert [prompt[-1].content for prompt in parts.responder.prompts] == [
        "Why is this guy blue?",
        "Why is the sky blue?",
        "is it far",
    ]
    assert only(events, ev.Problem) == []


@pytest.mark.parametrize(
    ("second", "history"),
    [
        ("What is the time in Rome?", "What is the time in Rome?"),
        ("what's the time at home", "What is the time at home?"),
    ],
    ids=["other words", "other marks"],
)
def test_a_second_pass_that_comes_late_corrects_the_history(second: str, history: str) -> None:
    """The reply is not made anew. The history is corrected when nobody speaks, as the language model must read from
    there again; who says nothing else changes nothing.
    """

    class Slow(Worker):
        async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
            await asyncio.sleep(2.0)
            return await super().run(call, *args, **kwargs)

    read: list[tuple[str, str]] = []

    class Model(ScriptedResponder):
        async def warm(self, messages: Sequence[Message], *, open_end: bool = False) -> None:
            read.append((messages[1].content, messages[-1].role) if len(messages) > 1 else ("", ""))

    parts = scripted(["What is the time at home?"], [])
    parts.responder = Model(["It is noon, and the sun is shining on all the roofs of the city."])
    parts.refining = Slow("slow")
    assert isinstance(parts.recognizer, ScriptedRecognizer)
    parts.recognizer.second = {"What is the time at home?": second}
    events, record = converse_now(parts, speech((0.5, 1.5), seconds=2))
    (turn,) = only(events, ev.UserTurn)
    (done,) = only(events, ev.ReplyDone)
    assert turn.text == "What is the time at home?"
    again = only(events, ev.UserHeardAgain)
    assert [(each.text, each.entry) for each in again] == ([(second, turn.entry)] if history == second else [])
    assert not again or events.index(again[0]) < events.index(done)
    assert record.turns[0].user == history
    assert parts.responder.prompts[-1][-1] == Message("user", "What is the time at home?")
    assert len(parts.responder.prompts) == 1
    assert read[-1] == (history, "assistant")


def test_a_second_pass_of_a_part_of_a_turn_corrects_nothing() -> None:
    """It was begun in a pause, and comes when the whole turn is over."""
    text = "I would like to know the time"
    understood = [("I wood", 4.0), ("I would like to know the rhyme", 0.1)]

    class Slow(Worker):
        async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
            recognizer.second[text], seconds = understood.pop(0)
            heard = await super().run(call, *args, **kwargs)
            await asyncio.sleep(seconds)
            return heard

    parts = scripted([text], ["It is noon."])
    parts.refining = Slow("slow")
    assert isinstance(parts.recognizer, ScriptedRecognizer)
    recognizer = parts.recognizer
    events, _ = converse_now(parts, speech((0.5, 1.5), (1.9, 2.9), seconds=8))
    assert understood == []
    assert [again.text for again in only(events, ev.UserHeardAgain)] == ["I would like to know the rhyme"]


def test_the_first_clause_is_spoken_while_the_rest_is_written() -> None:
    """Playing begins long before the language model has written its last word."""
    parts = scripted(["Tell me."], ["Well, " + "on and on " * 20 + "it goes."], per_word=0.1)
    events, _ = converse_now(parts, speech((0.5, 1.5), seconds=2))
    playing = next(i for i, event in enumerate(events) if isinstance(event, ev.ReplyPlaying))
    assert len(only(events[playing:], ev.ReplyText)) > 30


def test_barge_in_stops_the_voice_and_cuts_the_history() -> None:
    """The voice is silent 250 ms after the interruption began; the history has what was heard before."""
    replies = ["one two three four five six seven eight", "Fine."]
    parts = scripted(["Tell me a story.", "No, stop that please."], replies)
    sound = speech((0.5, 1.5), (3.1, 4.2), seconds=5)
    sink = TrackSink(None)
    events: list[ev.SessionEvent] = []

    async def main() -> Session:
        session = Session(parts, SessionSettings(), sink=sink)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(session.run())

            async def feed() -> None:
                for start in range(0, len(sound), 320):
                    await asyncio.sleep(0.02)
                    await session.hear(sound[start : start + 320])
                await asyncio.sleep(3)
                session.close()

            tasks.create_task(feed())
            async for event in session.events():
                events.append(event)
        return session

    session = run_virtual(main(), measured=False)
    audible = sink.levels.audible(2.0, 4.5)
    assert audible is not None
    assert audible[1] - 3.1 <= 0.25
    first, second = only(events, ev.ReplyDone)
    assert first.status == "interrupted"
    assert first.heard == "one two three four"
    assert session.memory.messages("") == [
        Message("user", "Tell me a story."),
        Message("assistant", "one two three four"),
        Message("user", "No, stop that please."),
        Message("assistant", second.heard),
    ]


def test_the_model_is_asked_when_it_is_free_again() -> None:
    """Who asks while a stopped reply still holds the model finds its cache of the conversation taken: after an
    interruption, and where the second pass changes a turn whose reply is being written.
    """
    beside: list[tuple[str, int]] = []

    class Model(ScriptedResponder):
        async def reply(self, messages: Sequence[Message], **options: Any) -> AsyncGenerator[str, None]:
            beside.append(("reply", self.running))
            async with aclosing(super().reply(messages, **options)) as pieces:
                async for piece in pieces:
                    yield piece

        async def warm(self, messages: Sequence[Message], *, open_end: bool = False) -> None:
            beside.append(("warm", self.running))

    parts = scripted(["Tell me astronomy.", "No, stop that please."], [])
    parts.responder = Model(["once upon a time " * 20, "there was a fox " * 20, "Fine."], per_word=0.2)
    assert isinstance(parts.recognizer, ScriptedRecognizer)
    parts.recognizer.second = {"Tell me astronomy.": "Tell me a story."}
    events, _ = converse_now(parts, speech((0.5, 1.5), (5.1, 6.2), seconds=7))
    assert [done.status for done in only(events, ev.ReplyDone)] == ["interrupted", "completed"]
    assert [what for what, _ in beside].count("reply") == 3
    assert ("warm", 0) in beside
    assert all(others == 0 for _, others in beside)


def test_a_model_that_does_not_let_go_is_not_waited_for() -> None:
    """The interruption is answered all the same."""

    class Stuck(ScriptedResponder):
        async def reply(self, messages: Sequence[Message], **options: Any) -> AsyncGenerator[str, None]:
            try:
                async with aclosing(super().reply(messages, **options)) as pieces:
                    async for piece in pieces:
                        yield piece
            finally:
                if len(self.prompts) == 1:
                    await asyncio.sleep(60)

    parts = scripted(["Tell me a story.", "No, stop that please."], [])
    parts.responder = Stuck(["once upon a time " * 20, "Fine."], per_word=0.2)
    events, _ = converse_now(parts, speech((0.5, 1.5), (5.1, 6.2), seconds=7))
    first, second = only(events, ev.ReplyDone)
    assert (first.status, second.status, second.heard) == ("interrupted", "completed", "Fine.")
    assert only(events, ev.ReplyStarted)[-1].at < 8


@pytest.mark.parametrize(("most", "limited"), [(3, True), (4, False)])
def test_a_reply_that_may_not_be_longer_says_so(most: int, limited: bool) -> None:
    """All that it may have is spoken."""
    parts = scripted(["Tell me a story."], ["one two three four"])
    events, _ = converse_now(parts, speech((0.5, 1.5), seconds=3), max_tokens=most)
    assert [event.limited for event in only(events, ev.ReplyWritten)] == [limited]
    (done,) = only(events, ev.ReplyDone)
    assert (done.status, len(done.heard.split())) == ("completed", most)


def test_a_backchannel_does_not_stop_the_agent() -> None:
    """After "mm-hm" the reply goes on, and all of it is heard."""
    reply = "one two three four five six seven eight nine ten"
    parts = scripted(["Tell me a story.", "Mm-hmm."], [reply])
    events, record = converse_now(parts, speech((0.5, 1.5), (3.0, 3.4), seconds=5))
    (turn,) = record.turns
    assert turn.status == "completed"
    assert turn.heard == reply
    (aside,) = only(events, ev.UserBackchannel)
    assert aside.text == "Mm-hmm."


def test_a_noise_does_not_stop_the_agent() -> None:
    """A voice over the reply in which nothing is recognized lets it go on from the word that was cut."""
    parts = scripted(["Tell me a story.", ""], ["one two three four five six seven eight"])
    events, record = converse_now(parts, speech((0.5, 1.5), (3.0, 3.5), seconds=5))
    (held,) = only(events, ev.ReplyHeld)
    (resumed,) = only(events, ev.ReplyResumed)
    assert resumed.position <= held.position
    assert record.turns[0].heard == "one two three four five six seven eight"


def test_a_pause_inside_the_turn_is_waited_for() -> None:
    """A pause after "and" ends nothing; the dropped preparation is never seen."""
    parts = scripted(["I want tea and"], ["Here."])
    events, record = converse_now(parts, speech((0.5, 1.5), (2.5, 3.5), seconds=5))
    assert len(record.turns) == 1
    assert [started.reply for started in only(events, ev.ReplyStarted)] == [2]


@pytest.mark.parametrize("text", [".", "♪"])
def test_marks_alone_are_a_noise(text: str) -> None:
    """What a recognizer makes of music is answered by nobody, also where the agent has just asked something."""
    parts = scripted(["Hello.", text, "Fine."], ["How are you?", "Good."])
    events, record = converse_now(parts, speech((0.5, 1.5), (4, 5), (7, 8), seconds=9))
    assert [turn.user for turn in record.turns] == ["Hello.", "Fine."]
    assert [aside.text for aside in only(events, ev.UserBackchannel)] == [""]


def test_a_failing_language_model_leaves_the_session_alive() -> None:
    """The turn that could not be answered stays in the history, the reason is told, and the next is answered."""
    parts = scripted(["First.", "Second."], ["Yes.", "Here I am."])
    assert isinstance(parts.responder, ScriptedResponder)
    parts.responder.failures = 1
    events, record = converse_now(parts, speech((0.5, 1.5), (4, 5), seconds=6))
    failed, answered = only(events, ev.ReplyDone)
    assert (failed.status, failed.reason) == ("failed", "the language model is away")
    assert answered.status == "completed"
    assert [turn.user for turn in record.turns] == ["First.", "Second."]
    assert record.problems == ["the language model is away"]


def test_a_failing_recognizer_leaves_the_session_alive() -> None:
    """What failed is told, and the next turn is heard."""
    parts = scripted(["First.", "Second."], ["Yes."])
    assert isinstance(parts.recognizer, ScriptedRecognizer)
    parts.recognizer.failures = 2  # what is written down in good time, and again where that failed
    events, record = converse_now(parts, speech((0.5, 1.5), (4, 5), seconds=6))
    problems = only(events, ev.Problem)
    assert len(problems) == 2
    assert all("the recognizer broke" in problem.message for problem in problems)
    assert [turn.user for turn in record.turns] == ["Second."]


def test_words_are_written_down_before_the_silence_is_sure() -> None:
    """At the first silent window, and once for each pause; not again at the second one, which makes sure of it."""
    window = 512 / INPUT_RATE
    parts = scripted(["What time is it?"], ["It is noon."])
    heard: list[float] = []

    class Counting(ScriptedRecognizer):
        def open(self, language: str | None = None) -> ScriptedStream:
            return Counted(self, self.texts[0])

    class Counted(ScriptedStream):
        def ended(self) -> Heard:
            heard.append(self.seconds)
            return super().ended()

    parts.recognizer = Counting(["What time is it?"])
    # A dip of one window, and of two, inside the turn.
    first, second, end = 30 * window, 50 * window, 80 * window
    sound = speech((0.5, first), (first + window, second), (second + 2 * window, end), seconds=end + 1)
    _, record = converse_now(parts, sound)
    assert [turn.user for turn in record.turns] == ["What time is it?"]
    begin = heard[0] - (first + window)
    assert heard == [pytest.approx(begin + at + window, abs=1e-3) for at in (first, second, end)]


def test_half_duplex_does_not_hear_itself() -> None:
    """Through open speakers the agent's own voice is no interruption."""
    parts = scripted(["Tell me a story.", "echo"], ["one two three four five six"])
    events, record = converse_now(parts, speech((0.5, 1.5), (2.3, 3.4), seconds=5), half_duplex=True)
    assert record.turns[0].status == "completed"
    assert only(events, ev.UserStarted)[1:] == []


def test_a_voice_that_is_loaded_for_one_conversation_keeps_no_other_waiting() -> None:
    """It takes seconds; the voices that are there already speak on."""
    loaded = threading.Event()

    def open_voice(language: str, name: str | None) -> ToneVoice:
        assert language == "en" or loaded.wait(30)
        return ToneVoice()

    async def scenario() -> None:
        parts = scripted([], [])
        parts.open_voice = open_voice
        voice = await parts.voice("en")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(parts.voice("pt"))
            await asyncio.sleep(0)
            async with asyncio.timeout(10):
                assert (await parts.speaking.run(voice.synthesize, "Hello.")).words
            loaded.set()

    try:
        asyncio.run(scenario())
    finally:
        loaded.set()


@pytest.mark.parametrize(
    ("spoken", "changes", "answered"),
    [
        (("de", "pt", "nn", "en"), {}, ("English", "Portuguese", "Portuguese", "English")),
        (("pt", "en"), {"voice": "joe"}, ("Portuguese", "English")),
        (("de", "pt"), {"speak": False}, ("German", "Portuguese")),
        (("de", "pt"), {"language": "en"}, ("English", "English")),
    ],
    ids=["any voice", "a voice", "text", "a language"],
)
def test_a_turn_in_a_language_without_a_voice_is_answered_all_the_same(
    spoken: Sequence[str], changes: dict[str, object], answered: Sequence[str]
) -> None:
    """Aloud in the last language that a voice speaks, or in English: a short word is soon taken for Nynorsk. The voice
    that was asked for speaks what it can.
    """

    class Stream(ScriptedStream):
        def ended(self) -> Heard:
            return Heard(self.text, language=self.text)

    class Ear(ScriptedRecognizer):
        def open(self, language: str | None = None) -> ScriptedStream:
            return Stream(**vars(super().open(language)))

    def open_voice(language: str, name: str | None) -> ToneVoice:
        if not speaks(language, name or "auto"):
            raise DragomanError(f"no voice speaks {language!r}")
        return ToneVoice()

    parts = scripted([], ["Yes."])
    parts.recognizer, parts.open_voice = Ear(list(spoken)), open_voice
    parts.speaks = lambda language, name: speaks(language, name or "auto")
    sound = speech(*((4 * turn + 0.5, 4 * turn + 1.5) for turn in range(len(spoken))), seconds=4 * len(spoken))
    _, record = converse_now(parts, sound, **{"language": None, **changes})
    assert [turn.heard for turn in record.turns] == ["Yes."] * len(spoken)
    assert isinstance(parts.responder, ScriptedResponder)
    tongues = [prompt[0].content.split()[-1].rstrip(".") for prompt in parts.responder.prompts]
    assert tongues == list(answered)


@pytest.mark.parametrize(
    "written",
    [
        "Hello there, friend.",
        "See [this](https://example.org/a?b=c):\n```\nif  x:\n    pass\n```\n",
        "\U0001f600",
        " \n ",
    ],
    ids=["plain", "marked up", "emoji", "blank"],
)
def test_text_only_replies_are_heard_whole(written: str) -> None:
    """Without a voice all that was written is in the history, what can't be said too."""

    class Writing(ScriptedResponder):
        async def reply(self, messages: Sequence[Message], **_: object) -> AsyncGenerator[str, None]:
            self.prompts.append(list(messages))
            for start in range(0, len(written), 3):
                yield written[start : start + 3]

    parts = scripted(["Hello.", "Bye."], [])
    parts.responder = responder = Writing([])
    events, record = converse_now(parts, speech((0.5, 1.5), (4.5, 5.5), seconds=6), speak=False)
    whole = written.strip()
    assert [turn.heard for turn in record.turns] == [whole] * 2
    remembered = [message.content for message in responder.prompts[-1] if message.role == "assistant"]
    assert remembered == [whole] * bool(whole)
    assert only(events, ev.ReplyPlaying) == []


def test_text_only_replies_are_shown_as_they_are_written() -> None:
    """Who reads needs no voice to begin."""
    shown: list[tuple[float, str]] = []

    def note(event: ev.SessionEvent, _: object) -> None:
        if isinstance(event, ev.ReplyText):
            shown.append((asyncio.get_running_loop().time(), event.text))

    parts = scripted(["Hello."], ["word " * 50], per_word=0.1)
    settings = SessionSettings(speak=False)
    run_virtual(converse(parts, settings, [speech((0.5, 1.5), seconds=2)], told=note), measured=False)
    assert len(shown) == 50
    assert shown[0][0] < 2.5 < shown[-1][0] - 3


def test_manual_turns() -> None:
    """With turn detection off nothing happens until the client commits and asks."""
    parts = scripted(["Hello."], ["Good morning."])
    events: list[ev.SessionEvent] = []

    async def main() -> None:
        session = Session(parts, SessionSettings(turn_detection=False))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(session.run())
            await session.hear(speech((0.2, 0.8), seconds=3))
            await asyncio.sleep(2)
            assert not [event for event in events if isinstance(event, ev.UserTurn)]
            await session.commit()
            await asyncio.sleep(0.1)
            session.respond()
            asyncio.get_running_loop().call_later(3, session.close)
            async for event in session.events():
                events.append(event)

    run_virtual(main(), measured=False)
    (turn,) = only(events, ev.UserTurn)
    (done,) = only(events, ev.ReplyDone)
    assert (turn.text, done.heard) == ("Hello.", "Good morning.")


def test_a_slow_device_delays_what_counts_as_heard() -> None:
    """A reply is over when its last sample has sounded, not when it was handed to the device."""

    class Slow(TrackSink):
        @property
        def latency_s(self) -> float:
            return 0.5

    async def main() -> tuple[float, float]:
        session = Session(scripted(["Hi."], ["one two"]), SessionSettings(turn_detection=False), sink=Slow(None))
        loop, times = asyncio.get_running_loop(), {}
        async with asyncio.TaskGroup() as tasks:
            session.respond()
            tasks.create_task(session.run())
            async for event in session.events():
                times[type(event)] = loop.time()
                if isinstance(event, ev.ReplyDone):
                    session.close()
        return times[ev.ReplyPlaying], times[ev.ReplyDone]

    playing, done = run_virtual(main(), measured=False)
    assert done - playing == pytest.approx(0.5 + 0.5, abs=0.05)


def test_closing_stops_everything() -> None:
    """After ``close`` no task is left and the language model does not write any more."""
    parts = scripted(["Hi."], ["word " * 500], per_word=0.5)
    scripted_responder = parts.responder
    assert isinstance(scripted_responder, ScriptedResponder)

    async def main() -> int:
        session = Session(parts, SessionSettings(turn_detection=False))
        running = asyncio.create_task(session.run())
        await asyncio.sleep(0)
        session.respond()
        await asyncio.sleep(5)
        assert scripted_responder.running == 1
        session.close()
        await running
        return len(asyncio.all_tasks())

    assert run_virtual(main(), measured=False) == 1
    assert scripted_responder.running == 0


def test_events_that_nobody_reads_end_the_session() -> None:
    """A reader that is gone is an error, not a queue that grows."""

    async def main() -> None:
        settings = SessionSettings(turn_detection=False, max_tokens=6000)
        session = Session(scripted(["Hi."], ["word " * 6000], per_word=0), settings)
        running = asyncio.create_task(session.run())
        await asyncio.sleep(0)
        session.respond()
        await running

    with pytest.raises((DragomanError, ExceptionGroup)) as raised:
        run_virtual(main(), measured=False)
    assert "not read fast enough" in str(raised.value.__cause__ or raised.getrepr())


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=30))
def test_any_chunking_hears_the_same(sizes: list[int]) -> None:
    """However the sound is cut, the turns and their times are the same."""
    sound = speech((0.3, 0.9), seconds=2.5)

    async def turns(chunks: list[Samples]) -> list[ev.SessionEvent]:
        session = Session(scripted(["Hello."], ["Yes."]), SessionSettings(create_response=False))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(session.run())
            for chunk in chunks:
                await session.hear(chunk)
            asyncio.get_running_loop().call_later(1, session.close)
            return [e async for e in session.events() if isinstance(e, ev.UserStarted | ev.UserStopped | ev.UserTurn)]
        raise AssertionError

    cuts = np.cumsum(np.resize(sizes, 2 + len(sound) // min(sizes)))
    chunks = [piece for piece in np.split(sound, cuts[cuts < len(sound)]) if len(piece)]
    whole = run_virtual(turns([sound]), measured=False)
    assert len(whole) == 3
    assert run_virtual(turns(chunks), measured=False) == whole


@pytest.mark.parametrize("sample", [np.float32(np.nan), np.float32(np.inf), np.int16(3)])
def test_what_is_no_sound_is_refused(sample: np.generic) -> None:
    """And nothing of it is heard: the next sound is."""

    async def scenario() -> list[ev.SessionEvent]:
        session = Session(scripted(["Hello."], ["Hi."]))
        sound = speech((0, 1), seconds=3)
        with pytest.raises(DragomanError, match="give finite floats, from -1 to 1"):
            await session.hear(np.append(np.zeros(9, sample.dtype), sample))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(session.run())
            for start in range(0, len(sound), 320):
                await session.hear(sound[start : start + 320])
                await asyncio.sleep(0.02)
            session.close()
        return [event async for event in session.events()]

    assert [turn.text for turn in only(run_virtual(scenario(), measured=False), ev.UserTurn)] == ["Hello."]


def test_nothing_grows() -> None:
    """After many turns the session holds no more than after few, but for the bounded history."""
    parts = scripted(["Hello there."], ["Hi."])
    spans = [(2.0 * i + 0.3, 2.0 * i + 0.8) for i in range(120)]

    async def main() -> Session:
        session = Session(parts, SessionSettings())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(session.run())

            async def feed() -> None:
                sound = speech(*spans, seconds=242)
                for start in range(0, len(sound), 320):
                    await asyncio.sleep(0.02)
                    await session.hear(sound[start : start + 320])
                session.close()

            tasks.create_task(feed())
            async for _ in session.events():
                pass
        return session

    session = run_virtual(main(), measured=False)
    assert len(session.memory.messages("")) == 240
    writer = session._writer
    assert len(session._reply_text) + len(writer._writing) + len(writer._leaving) + len(session._out._withheld) <= 1
    assert len(session.memory._replies) <= 64
    assert session._ear._past_length <= 3 * 16_000
