"""What a client does with a session while it is doing something else: turns by hand, settings, leaving."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from dragoman.agent import events as ev
from dragoman.agent.parts import Parts
from dragoman.agent.session import Session
from dragoman.agent.settings import SessionSettings
from dragoman.audio.clock import run_virtual
from dragoman.audio.types import INPUT_RATE, Samples

from .fakes import Heard, LoudIsSpeech, ScriptedResponder, ToneVoice, scripted, speech
from .test_session import only
from .test_turn_taking import ScriptedDrafter, ScriptedTurns, Trusting, Written

Drive = Callable[[Session], Awaitable[None]]


def held(
    parts: Parts, drive: Drive, left: list[float] | None = None, **settings: object
) -> tuple[Session, list[ev.SessionEvent]]:
    """Hold a conversation in virtual time, driven by a client that closes it in the end; ``left`` is given the seconds
    that it goes on after that.
    """
    events: list[ev.SessionEvent] = []

    async def client(session: Session) -> None:
        await drive(session)
        session.close()
        if left is not None:
            left.append(-asyncio.get_running_loop().time())

    async def conversation() -> Session:
        session = Session(parts, SessionSettings(**settings))  # type: ignore[arg-type]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(session.run())
            tasks.create_task(client(session))
            async for event in session.events():
                events.append(event)
        if left is not None:
            left[0] += asyncio.get_running_loop().time()
        return session

    return run_virtual(conversation(), measured=False), events


async def hear(session: Session, sound: Samples, at_once: bool = False) -> None:
    for start in range(0, len(sound), 320):
        await session.hear(sound[start : start + 320])
        if not at_once:
            await asyncio.sleep(0.02)


def history(session: Session) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in session.memory.messages("")]


def test_a_turn_that_is_committed_while_a_reply_sounds_comes_after_it() -> None:
    """In the history, whenever the reply ends: the language model answers the last question, not itself."""
    parts = scripted(["Who wrote Hamlet?", "And when?"], ["Shakespeare wrote it a long time ago.", "Around 1600."])

    async def drive(session: Session) -> None:
        for pause in (0.3, 3.0):
            await hear(session, speech((0.2, 0.8), seconds=1), at_once=True)
            await session.commit()
            await asyncio.sleep(pause)
            session.respond()
            await asyncio.sleep(0.8)
        await asyncio.sleep(2)

    session, _ = held(parts, drive, turn_detection=False)
    said = [
        ("user", "Who wrote Hamlet?"),
        ("assistant", "Shakespeare wrote it a long time ago."),
        ("user", "And when?"),
        ("assistant", "Around 1600."),
    ]
    assert history(session) == said
    assert isinstance(parts.responder, ScriptedResponder)
    assert [(m.role, m.content) for m in parts.responder.prompts[-1][1:]] == said[:3]


def test_a_reply_of_which_nothing_was_heard_leaves_no_trace() -> None:
    """Its place in the history stays empty."""
    parts = scripted(["Hello."], ["One two three."])

    async def drive(session: Session) -> None:
        session.respond()
        await asyncio.sleep(0.15)
        session.cancel()
        await asyncio.sleep(0.1)

    session, events = held(parts, drive)
    assert [done.status for done in only(events, ev.ReplyDone)] == ["cancelled"]
    assert history(session) == []


def test_what_a_client_heard_counts_where_the_session_thought_that_it_was_nothing() -> None:
    """A client that plays by itself knows better, and it is told of the interruption before it can say so."""
    parts = scripted(["Hello."], ["One two three."])

    async def drive(session: Session) -> None:
        session.respond()
        await asyncio.sleep(0.3)
        session.cancel()
        session.truncate(1, 0.55)
        await asyncio.sleep(0.1)

    session, events = held(parts, drive)
    assert [done.heard for done in only(events, ev.ReplyDone)] == [""]
    assert history(session) == [("assistant", "One two")]


@pytest.mark.parametrize("seconds", [0.15, 1.0], ids=["while it is written", "later"])
def test_a_text_only_reply_that_is_taken_back_leaves_no_trace(seconds: float) -> None:
    """Though its words take no time."""
    parts = scripted(["Hello."], ["One two three."])

    async def drive(session: Session) -> None:
        session.respond()
        await asyncio.sleep(seconds)
        session.truncate(1, 0.0)
        await asyncio.sleep(0.1)

    session, events = held(parts, drive, speak=False)
    assert len(only(events, ev.ReplyDone)) == 1
    assert history(session) == []


def test_a_reply_that_is_cancelled_before_the_session_runs_is_not_written() -> None:
    """The language model is asked for the next one only."""
    parts = scripted(["Hello."], ["One two three."])

    async def conversation() -> Session:
        session = Session(parts)
        session.respond()
        session.cancel()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(session.run())
            await asyncio.sleep(1)
            session.respond()
            await asyncio.sleep(3)
            session.close()
        return session

    session = run_virtual(conversation(), measured=False)
    assert history(session) == [("assistant", "One two three.")]
    assert isinstance(parts.responder, ScriptedResponder)
    assert len(parts.responder.prompts) == 1


@pytest.mark.parametrize("cancelled", [False, True])
def test_who_goes_on_giving_sound_to_a_session_that_is_over_does_not_wait(cancelled: bool) -> None:
    """Nor who gave more than it could take, and waited already."""
    parts = scripted(["Hello."], ["Yes."])

    async def conversation() -> None:
        session = Session(parts)
        running = asyncio.create_task(session.run())
        feeding = asyncio.create_task(session.hear(speech(seconds=60)))
        await asyncio.sleep(0)
        running.cancel() if cancelled else session.close()
        await asyncio.wait([running])
        await feeding
        for _ in range(100):
            await session.hear(speech(seconds=1))
        await session.commit()
        await session.clear()

    run_virtual(asyncio.wait_for(conversation(), 10), measured=False)


@dataclass
class Measuring:
    """Hears nothing but how long a turn was, and takes its time."""

    takes_s: float
    lengths: list[float] = field(default_factory=list)

    def open(self, language: str | None = None) -> Measured:
        return Measured(self)


@dataclass
class Measured:
    recognizer: Measuring
    seconds: float = 0.0

    def accept(self, pcm: Samples) -> None:
        self.seconds += len(pcm) / INPUT_RATE

    def partial(self) -> Heard:
        return Heard(f"{self.seconds:.2f}")

    def ended(self) -> Heard:
        return self.partial()

    def refined(self) -> Heard | None:
        return None

    def final(self) -> Heard:
        return self.partial()


@pytest.mark.parametrize("at_once", [True, False])
def test_what_is_said_after_a_commit_belongs_to_the_next_turn(at_once: bool) -> None:
    """All of it, and nothing of it to the first, however long that waits for its words."""
    parts = scripted(["x"], ["y"])
    parts.recognizer = Measuring(1.0)
    free, first = asyncio.Event(), parts.hearing.run

    async def slow(call: Callable[..., object], *args: object) -> object:
        await free.wait()
        return await first(call, *args)

    parts.hearing.run = slow  # type: ignore[method-assign, assignment]

    async def drive(session: Session) -> None:
        await hear(session, speech((0, 3), seconds=3), at_once)
        await session.commit()
        await hear(session, speech((0, 6), seconds=6), at_once)
        free.set()
        await asyncio.sleep(0.5)
        await session.commit()
        await asyncio.sleep(0.5)

    _, events = held(parts, drive, turn_detection=False)
    assert [float(turn.text) for turn in only(events, ev.UserTurn)] == [pytest.approx(s, abs=0.1) for s in (3, 6)]


def test_turns_that_are_given_at_once_are_each_their_own() -> None:
    """A client need not wait for words before it ends, or drops, what it says next; longer ones than are kept, too."""
    parts = scripted(["x"], ["y"])
    parts.recognizer = Measuring(1.0)

    async def drive(session: Session) -> None:
        for seconds in (1, 2, 4, 40, 8):
            await session.hear(speech((0, seconds), seconds=seconds))
            await (session.clear() if seconds == 2 else session.commit())
        await asyncio.sleep(1)

    _, events = held(parts, drive, turn_detection=False)
    said = [float(turn.text) for turn in only(events, ev.UserTurn)]
    assert said == [pytest.approx(seconds, abs=0.1) for seconds in (1, 4, 40, 8)]


@pytest.mark.parametrize("said", ["", "What time is it?"])
def test_a_turn_that_was_open_by_hand_ends_by_itself_when_voices_are_detected(said: str) -> None:
    """Though nobody speaks any more: what was said is answered, and a request does not wait for ever."""
    parts = scripted([said], ["It is noon."])

    async def drive(session: Session) -> None:
        await hear(session, speech((0.5, 0.9), seconds=2))
        session.configure(replace(session.settings, turn_detection=True))
        session.respond()
        await hear(session, np.zeros(4 * INPUT_RATE, np.float32))

    session, events = held(parts, drive, turn_detection=False)
    assert [turn.text for turn in only(events, ev.UserTurn)] == [said] * bool(said)
    assert [done.heard for done in only(events, ev.ReplyDone)] == ["It is noon."]
    assert session.phase == "idle"


def test_a_long_turn_is_heard_bite_by_bite() -> None:
    """The thread is everybody's: who sends minutes at once keeps it for seconds."""
    parts = scripted(["x"], ["y"])
    parts.recognizer, bites, first = Measuring(1.0), [], parts.hearing.run

    async def measured(call: Callable[[], object]) -> object:
        heard = await first(call)
        bites.append(float(heard.text))  # type: ignore[attr-defined]
        return heard

    parts.hearing.run = measured  # type: ignore[method-assign, assignment]

    async def drive(session: Session) -> None:
        await session.hear(speech((0, 60), seconds=60))
        await session.commit()
        await asyncio.sleep(1)

    _, events = held(parts, drive, turn_detection=False)
    assert [float(turn.text) for turn in only(events, ev.UserTurn)] == [pytest.approx(60, abs=0.1)]
    assert max(np.diff([0.0, *bites])) <= 2.01


def test_second_pass_does_not_keep_the_sound_of_a_long_turn() -> None:
    """Who streams for an hour and commits then has it heard as it comes; its words are told when they are asked for."""
    kept = [0.0]

    class Keeping(Measured):
        def accept(self, pcm: Samples) -> None:
            super().accept(pcm)
            kept.append(kept[-1] + len(pcm) / INPUT_RATE)

        def refined(self) -> Heard | None:
            kept.append(0.0)
            return Heard("All of it.")

    parts = scripted(["x"], ["y"])
    parts.recognizer = recognizer = Measuring(1.0)
    recognizer.open = lambda language=None: Keeping(recognizer)  # type: ignore[method-assign]

    async def drive(session: Session) -> None:
        for _ in range(300):
            await session.hear(speech((0, 1), seconds=1))
            await asyncio.sleep(1)
        await session.commit()
        await asyncio.sleep(1)

    _, events = held(parts, drive, turn_detection=False)
    assert max(kept) <= 40
    assert "All of it." not in [partial.text for partial in only(events, ev.UserPartial)]
    assert [turn.text for turn in only(events, ev.UserTurn)] == ["300.00"]
    assert [again.text for again in only(events, ev.UserHeardAgain)] == ["All of it."]


@pytest.mark.parametrize("detected", [True, False])
def test_a_turn_that_is_open_when_turn_detection_changes_has_an_end(detected: bool) -> None:
    """What came before is ended by whoever ends turns now, and a reply that is asked for then is given."""
    parts = scripted([""], ["Yes."])

    async def drive(session: Session) -> None:
        await hear(session, speech(seconds=1), at_once=True)
        await asyncio.sleep(0.1)
        session.configure(replace(session.settings, turn_detection=detected))
        if not detected:
            await session.commit()
        await hear(session, speech(seconds=1), at_once=True)
        await asyncio.sleep(0.1)
        session.respond()
        await asyncio.sleep(1)

    _, events = held(parts, drive, turn_detection=not detected)
    assert len(only(events, ev.UserBackchannel if detected else ev.UserTurn)) == 1
    assert len(only(events, ev.ReplyDone)) == 1


@pytest.mark.parametrize("padding", [300, 5000])
def test_as_much_sound_before_a_voice_belongs_to_its_turn_as_is_wanted(padding: int) -> None:
    """Up to the most that a client may ask for, but nothing of the turn before."""
    parts = scripted([], [])
    parts.recognizer = Measuring(0.0)

    async def drive(session: Session) -> None:
        await hear(session, speech((6, 7), (10, 11), seconds=13))

    _, events = held(parts, drive, create_response=False, prefix_padding_ms=padding)
    lengths = [float(turn.text) for turn in only(events, ev.UserTurn)]
    assert lengths == [pytest.approx(1 + most, abs=0.2) for most in (padding / 1000, min(3, padding / 1000))]


def test_a_noise_that_is_taken_for_a_voice_is_none_any_more_when_the_threshold_is_raised() -> None:
    """A client that raises it because of a noise does so while that is heard."""

    class Unsure(LoudIsSpeech):
        def probability(self, window: Samples) -> float:
            return 0.6 * super().probability(window)

    parts = scripted(["Hello."], [])
    parts.voice_activity = Unsure

    async def drive(session: Session) -> None:
        noise = speech((0, 1), seconds=1)
        await hear(session, noise)
        session.configure(replace(session.settings, threshold=0.9))
        await hear(session, np.tile(noise, 3))

    _, events = held(parts, drive, create_response=False)
    assert [round(stopped.at) for stopped in only(events, ev.UserStopped)] == [1]
    assert len(only(events, ev.UserStarted)) == len(only(events, ev.UserTurn)) == 1


def anticipating(**responder: float) -> Parts:
    """First words are drafted where an end is foreseen, at 1.25 s."""
    parts = scripted(["Who wrote it?", "Hello?"], ["Jane Austen, who else.", "Yes."], **responder)
    parts.keep({("pt", None): ToneVoice()})
    parts.drafter, parts.judge = ScriptedDrafter(["I think that was she, dear"]), Trusting(["I"])
    parts.turn_model = model = ScriptedTurns({})
    model.soon = (1.25,)
    return parts


@pytest.mark.parametrize("change", [{"language": "pt"}, {"language": None}, {"speak": False}])
def test_first_words_that_are_held_survive_a_change_of_settings(change: dict[str, object]) -> None:
    """They are said or dropped; the reply has an end either way."""
    parts = anticipating(first=1.0)

    async def drive(session: Session) -> None:
        sound = speech((0.5, 1.5), seconds=8)
        await hear(session, sound[: round(1.48 * INPUT_RATE)])
        session.configure(replace(session.settings, **change))  # type: ignore[arg-type]
        await hear(session, sound[round(1.48 * INPUT_RATE) :])

    session, events = held(parts, drive)
    done = only(events, ev.ReplyDone)
    assert [one.status for one in done] == ["completed"]
    assert session.phase == "idle"
    assert history(session)[-1] == ("assistant", done[0].heard)


@pytest.mark.parametrize("hangs", [False, True])
def test_who_leaves_while_first_words_are_drafted_is_not_kept(hangs: bool) -> None:
    """No reply is begun any more, and nobody waits for a draft."""
    parts = scripted(["Who wrote it?"], ["word " * 400], first=2.0, per_word=0.1)

    class Slow(ScriptedDrafter):
        async def draft(self, dialogue: object, text: str, words: int) -> Written:
            self.asked.append(([], text))
            await asyncio.sleep(1e9 if hangs else 0.1)
            return Written("I think that was she, dear")

    parts.drafter, parts.judge = drafter, _ = Slow([]), Trusting(["I"])
    left: list[float] = []

    async def drive(session: Session) -> None:
        sound = speech((0.5, 1.5), seconds=3)
        for start in range(0, len(sound), 320):
            if drafter.asked:
                return
            await session.hear(sound[start : start + 320])
            await asyncio.sleep(0.02)

    held(parts, drive, left)
    assert drafter.asked
    assert left[0] < 0.01
    assert isinstance(parts.responder, ScriptedResponder)
    assert parts.responder.prefixes in ([], [""])
    assert parts.responder.running == 0


def test_a_voice_that_breaks_ends_a_reply_and_nothing_else() -> None:
    """The user is told, and the next question is heard."""
    parts = scripted(["Hello.", "Again."], ["Yes."])

    def broken(language: str, name: str | None) -> ToneVoice:
        raise RuntimeError("out of memory")

    parts.open_voice = broken
    session, events = held(parts, lambda session: hear(session, speech((0.5, 1.5), (4, 5), seconds=6)), language="pt")
    assert [done.status for done in only(events, ev.ReplyDone)] == ["failed", "failed"]
    assert "out of memory" in only(events, ev.ReplyDone)[0].reason
    assert history(session) == [("user", "Hello."), ("user", "Again.")]


def test_a_reply_that_is_asked_for_in_a_turn_is_the_turns_own() -> None:
    """And comes at once where that was a noise."""
    for said, heard in ("", []), ("What time is it?", [("user", "What time is it?")]):
        parts = scripted([said], ["Welcome, I am here to help you."])

        async def drive(session: Session) -> None:
            sound = speech((0.5, 1.5), seconds=6)
            await hear(session, sound[:INPUT_RATE])
            session.respond()
            await hear(session, sound[INPUT_RATE:])

        session, events = held(parts, drive)
        assert history(session) == [*heard, ("assistant", "Welcome, I am here to help you.")]
        assert [done.status for done in only(events, ev.ReplyDone)] == ["completed"]
        assert session.phase == "idle"


def test_a_commit_over_a_reply_ends_it() -> None:
    """Whether it was ducked or held, and the next reply sounds in full."""
    for commit in (3.1, 3.4):
        replies = ["one two three four five six seven eight nine ten", "Foxes are red."]
        parts = scripted(["Tell me a story.", "and what about foxes"], replies)

        async def drive(session: Session) -> None:
            sound = speech((0.5, 1.5), (3.0, 3.75), seconds=12)
            first = round(commit * INPUT_RATE)  # noqa: B023
            await hear(session, sound[:first])
            await session.commit()
            await hear(session, np.zeros(INPUT_RATE, np.float32))
            session.respond()
            await hear(session, np.zeros(3 * INPUT_RATE, np.float32))

        session, events = held(parts, drive)
        done = only(events, ev.ReplyDone)
        assert [one.status for one in done] == ["interrupted", "completed"]
        assert history(session)[-2:] == [("user", "and what about foxes"), ("assistant", "Foxes are red.")]
        assert session.phase == "idle"


def test_what_was_asked_for_comes_after_a_noise() -> None:
    """One that is heard before its first sound, and as it was asked for."""
    parts = scripted([""], ["One two three.", "Four five six."], first=1.0)

    async def drive(session: Session) -> None:
        session.remember("user", "Count.")
        session.respond(instructions="Be brief.", max_tokens=2)
        await hear(session, speech((0.2, 0.5), seconds=4))

    _, events = held(parts, drive)
    assert [(done.status, done.heard) for done in only(events, ev.ReplyDone)] == [
        ("interrupted", ""),
        ("completed", "Four five"),
    ]
    assert isinstance(parts.responder, ScriptedResponder)
    assert [prompt[0].content for prompt in parts.responder.prompts] == ["Be brief."] * 2


def test_message_that_comes_while_the_agent_thinks_is_answered() -> None:
    """The reply to what was said before knows of it, though it was being prepared."""
    parts = scripted(["What time is it?"], ["One two three."], first=2.0)

    async def drive(session: Session) -> None:
        await hear(session, speech((0.2, 1.2), seconds=2.5))
        assert session.phase == "replying"
        session.remember("user", "In Lisbon.")
        await hear(session, speech(seconds=4))

    _, events = held(parts, drive)
    assert [done.heard for done in only(events, ev.ReplyDone)] == ["One two three."]
    assert isinstance(parts.responder, ScriptedResponder)
    assert [message.content for message in parts.responder.prompts[-1][1:]] == ["In Lisbon.", "What time is it?"]


def test_message_that_is_taken_back_while_the_agent_thinks_is_not_read() -> None:
    """The reply that was being prepared had read it."""
    parts = scripted(["What time is it?"], ["One two three."], first=2.0)

    async def drive(session: Session) -> None:
        entry = session.remember("user", "In Lisbon.")
        await hear(session, speech((0.2, 1.2), seconds=2.5))
        assert session.phase == "replying"
        assert session.forget(entry)
        assert not session.forget(entry)
        await hear(session, speech(seconds=4))

    _, events = held(parts, drive)
    assert [done.heard for done in only(events, ev.ReplyDone)] == ["One two three."]
    assert isinstance(parts.responder, ScriptedResponder)
    assert [message.content for message in parts.responder.prompts[-1][1:]] == ["What time is it?"]


@pytest.mark.parametrize("at", [1.0, 1.4, 1.7, 2.3])
@pytest.mark.parametrize("foreseen", [False, True])
def test_reply_that_is_asked_for_in_a_turn_is_written_as_it_was_asked_for(at: float, foreseen: bool) -> None:
    """The turn's own, though it may be prepared already; those after it are as always."""
    parts = anticipating(first=2.0) if foreseen else scripted(["Who wrote it?"], [], first=2.0)
    parts.responder = ScriptedResponder(["one two three four five six seven"], first=2.0)

    async def drive(session: Session) -> None:
        sound = speech((0.5, 1.5), (8.5, 9.5), seconds=15)
        await hear(session, sound[: round(at * INPUT_RATE)])
        assert session.phase in ("listening", "pausing", "replying")
        session.respond(instructions="Be brief.", max_tokens=3)
        await hear(session, sound[round(at * INPUT_RATE) :])

    _, events = held(parts, drive)
    assert isinstance(parts.responder, ScriptedResponder)
    done = only(events, ev.ReplyDone)
    assert [one.status for one in done] == ["completed", "completed"]
    assert [one.text.endswith("three") for one in done] == [True, False]
    systems = [prompt[0].content for prompt in parts.responder.prompts]
    assert "Be brief." in systems
    assert systems[-1] != "Be brief."


def test_reply_that_was_asked_for_does_not_wait_for_a_turn_that_becomes_the_clients() -> None:
    """Nobody may ever end that."""
    parts = scripted(["Hello."], ["Yes."])

    async def drive(session: Session) -> None:
        await hear(session, speech((0.2, 1), seconds=1))
        session.respond()
        await asyncio.sleep(1)
        session.configure(replace(session.settings, turn_detection=False))
        await asyncio.sleep(2)

    _, events = held(parts, drive)
    assert [done.heard for done in only(events, ev.ReplyDone)] == ["Yes."]


def test_request_that_is_cancelled_in_a_turn_does_not_say_how_that_is_answered() -> None:
    """Though the turn's reply was being prepared as it was asked for."""
    parts = scripted(["What time is it?"], ["One two three."], first=1.0)

    async def drive(session: Session) -> None:
        await hear(session, speech((0.2, 1.2), seconds=1.4))
        session.respond(instructions="Be brief.", max_tokens=2)
        await hear(session, speech(seconds=0.2))
        session.cancel()
        await hear(session, speech(seconds=4))

    _, events = held(parts, drive)
    assert [done.heard for done in only(events, ev.ReplyDone)] == ["One two three."]
    assert isinstance(parts.responder, ScriptedResponder)
    systems = [prompt[0].content for prompt in parts.responder.prompts]
    assert "Be brief." in systems[:-1]
    assert systems[-1] != "Be brief."


def test_reply_that_is_prepared_does_not_read_what_was_not_heard_after_all() -> None:
    """The client says so late, as of a far network."""
    parts = scripted(["Count.", "What was it?"], ["One two three four five six seven eight.", "Two."], first=0.3)

    async def drive(session: Session) -> None:
        await hear(session, speech((0.2, 1.0), (3.0, 4.2), seconds=4.55))
        assert session.phase == "pausing"
        session.truncate(1, 0.5)
        await hear(session, speech(seconds=4))

    _, events = held(parts, drive)
    assert [done.status for done in only(events, ev.ReplyDone)] == ["interrupted", "completed"]
    assert isinstance(parts.responder, ScriptedResponder)
    last = [message.content for message in parts.responder.prompts[-1][1:]]
    assert last == ["Count.", "One two", "What was it?"]
