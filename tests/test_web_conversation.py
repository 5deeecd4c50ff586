"""The protocol's bookkeeping: golden traces, each event proved against the reference's types."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from web_scripted import ScriptedControl, numbered, valid

from dragoman.agent import events as on
from dragoman.audio.types import Word
from dragoman.web import protocol as ask
from dragoman.web.conversation import Conversation
from dragoman.web.events import ProtocolError, ServerEvent
from dragoman.web.protocol import SessionConfig

ONE_SECOND = np.full(24_000, 0.25, np.float32)
WORDS = (Word("Hello", 0.0, 0.4), Word("there,", 0.4, 1.0))
MORE = (Word("old", 1.0, 1.5), Word("friend.", 1.5, 2.0))


PLAYED = on.ReplyDone(1, 3.7, "completed", "Hello there, old friend.", "Hello there, old friend.")


class Desk:
    """A conversation over a scripted session; all that it says is checked and kept."""

    def __init__(self, *, extended: bool = False, **config: object) -> None:
        self.session = ScriptedControl()
        self.conversation = Conversation(self.session, SessionConfig().merged(config), numbered(), extended=extended)
        self.said: list[ServerEvent] = []
        self._check = not extended

    def send(self, type_: str, **fields: object) -> list[ServerEvent]:
        return self._keep(self.conversation.client(ask.parse(json.dumps({"type": type_, **fields}))))

    def happen(self, *events: on.SessionEvent) -> list[ServerEvent]:
        return self._keep([each for event in events for each in self.conversation.session(event)])

    def _keep(self, events: list[ServerEvent]) -> list[ServerEvent]:
        self.said += valid(events) if self._check else events
        return events


def types(events: list[ServerEvent]) -> list[str]:
    return [str(each["type"]).removeprefix("conversation.item.").removeprefix("response.") for each in events]


def item_of(events: list[ServerEvent]) -> str:
    """The newest item with sound."""
    return [str(each["item_id"]) for each in events if each["type"] == "response.output_audio.delta"][-1]


def heard(desk: Desk, item: str) -> str:
    """What the conversation keeps of an answer."""
    (kept,) = desk.send("conversation.item.retrieve", item_id=item)
    return str(kept["item"]["content"][0]["transcript"])


def typed(name: str) -> dict[str, object]:
    """A message whose text is its id."""
    content = [{"type": "input_text", "text": name}]
    return {"type": "message", "role": "user", "id": name, "content": content}


def spoken_turn(number: int = 1) -> list[on.SessionEvent]:
    return [
        on.UserStarted(number, 0.5),
        on.UserPartial(number, "Good mor", 1),
        on.UserStopped(number, 1.2),
        on.UserPartial(number, "Good morning.", 2),
        on.UserTurn(number, "Good morning.", 0.5, 1.2, entry=7),
    ]


def spoken_reply(reply: int = 1, turn: int = 1) -> list[on.SessionEvent]:
    return [
        on.ReplyStarted(reply, turn, 1.7),
        on.ReplyText(reply, "Hello there, "),
        on.ReplyText(reply, "old friend."),
        on.ReplyAudio(reply, ONE_SECOND, WORDS),
        on.ReplyAudio(reply, ONE_SECOND, MORE),
    ]


def test_first_event_reports_the_session() -> None:
    """session.created holds the whole configuration, and tracing, which a client reads."""
    desk = Desk()
    (created,) = valid(desk.conversation.open())
    session = created["session"]
    assert created["type"] == "session.created"
    assert isinstance(session, dict)
    assert session["tracing"] is None
    assert session["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24000}


def test_golden_trace_of_one_exchange() -> None:
    """A spoken turn and its spoken answer give the reference's events in the reference's order."""
    desk = Desk()
    desk.happen(
        *spoken_turn(),
        *spoken_reply(),
        on.ReplyWritten(1),
    )
    assert desk.happen(PLAYED) == []
    assert types(desk.said) == [
        "input_audio_buffer.speech_started",
        "input_audio_transcription.delta",
        "input_audio_transcription.delta",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "added",
        "done",
        "input_audio_transcription.completed",
        "created",
        "output_item.added",
        "added",
        "content_part.added",
        "output_audio_transcript.delta",
        "output_audio_transcript.delta",
        *["output_audio.delta"] * 10,
        "output_audio.done",
        "output_audio_transcript.done",
        "content_part.done",
        "done",
        "output_item.done",
        "done",
    ]


def test_items_name_the_one_before() -> None:
    """previous_item_id: null for the first, then the item before."""
    desk = Desk()
    desk.happen(*spoken_turn(), *spoken_reply())
    user, answer = [each for each in desk.said if each["type"] == "conversation.item.added"]
    assert user["previous_item_id"] is None
    assert answer["previous_item_id"] == user["item"]["id"]


def test_words_that_are_not_known_yet_are_no_words() -> None:
    """LiveKit keeps what an item says when it is added, and the transcript behind it."""
    desk = Desk()
    desk.happen(*spoken_turn())
    told = [each["item"]["content"] for each in desk.said if "item" in each]
    assert told == [[{"type": "input_audio", "transcript": None}]] * 2
    assert heard(desk, str(desk.said[0]["item_id"])) == "Good morning."


def test_transcription_deltas_join_to_the_stable_words() -> None:
    """A delta can't be taken back, so it waits until its words are stable."""
    desk = Desk()
    desk.happen(on.UserStarted(1, 0.0), on.UserPartial(1, "I have a cat", 2), on.UserPartial(1, "I have a car", 4))
    deltas = [str(each["delta"]) for each in desk.said if str(each["type"]).endswith("transcription.delta")]
    assert deltas == ["I have", " a car"]


def test_audio_is_sent_whole() -> None:
    """The deltas, joined, are the reply's sound as PCM16."""
    desk = Desk()
    desk.happen(*spoken_reply(turn=0))
    wire = b"".join(
        base64.b64decode(str(each["delta"])) for each in desk.said if each["type"] == "response.output_audio.delta"
    )
    assert np.array_equal(np.frombuffer(wire, "<i2"), np.full(48_000, round(0.25 * 32767)))


def test_resumed_turn_is_announced_once() -> None:
    """A user who pauses and goes on is one turn for the client: one start, one stop."""
    desk = Desk()
    desk.happen(on.UserStarted(1, 0.5), on.UserStopped(1, 1.0), on.UserStarted(1, 1.4), on.UserStopped(1, 2.0))
    desk.happen(on.UserTurn(1, "Well, hello.", 0.5, 2.0, entry=1))
    started = [each for each in desk.said if each["type"] == "input_audio_buffer.speech_started"]
    stopped = [each for each in desk.said if each["type"] == "input_audio_buffer.speech_stopped"]
    assert [each["audio_start_ms"] for each in started] == [500]
    assert [each["audio_end_ms"] for each in stopped] == [2000]


def test_hold_is_a_cancelled_response() -> None:
    """The user speaks over the reply: speech_started, then response.done with reason turn_detected."""
    desk = Desk()
    desk.happen(*spoken_reply())
    held = desk.happen(on.UserStarted(2, 3.0), on.ReplyHeld(1, 3.2, 1.2))
    assert types(held)[0] == "input_audio_buffer.speech_started"
    response = held[-1]["response"]
    assert isinstance(response, dict)
    assert response["status"] == "cancelled"
    assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}


def test_cough_brings_the_rest_as_a_new_response() -> None:
    """After a false interruption the rest of text and sound comes as a new response."""
    desk = Desk()
    desk.happen(*spoken_reply(), on.UserStarted(2, 3.0), on.ReplyHeld(1, 3.2, 1.2))
    rest = desk.happen(on.UserBackchannel(2, "", 3.4), on.ReplyResumed(1, 3.5, 1.0))
    desk.happen(on.ReplyWritten(1), PLAYED)
    assert types(rest)[:2] == ["input_audio_buffer.speech_stopped", "created"]
    text = "".join(str(each["delta"]) for each in rest if str(each["type"]).endswith("transcript.delta"))
    sound = sum(
        len(base64.b64decode(str(each["delta"]))) for each in rest if each["type"] == "response.output_audio.delta"
    )
    assert text == "old friend."
    assert sound == 2 * 24_000
    assert desk.said[-1]["response"]["output"][0]["content"][0]["transcript"] == "old friend."


@pytest.mark.parametrize(
    ("written", "spoken", "before", "later", "rest"),
    [
        ("One two three ", "One two three", 2, "four.", "three four."),
        ("One two.\n", "One two.", 1, "Three.", "two.\nThree."),
        ("One two.", "One two.", 2, " Three.", " Three."),
        ("Sure! 😀 - First, mix **the** flour. Then eat.", "Sure! First, mix the flour. Then eat.", 5, "", "Then eat."),
        ("See https://www.a.org/b for that. Go.", "See a.org for that. Go.", 3, "", "that. Go."),
        ("One! — Two three.", "One! Two three.", 2, "", "three."),
        ("One two.", "One 2.", 2, "", "two."),
    ],
)
def test_rest_of_the_text_is_what_was_not_heard(written: str, spoken: str, before: int, later: str, rest: str) -> None:
    """As it was written, whatever of it is not said aloud; a word too many rather than one too few."""
    words = tuple(Word(word, i / 4, (i + 1) / 4) for i, word in enumerate(spoken.split()))
    desk = Desk()
    desk.happen(on.ReplyStarted(1, 1, 0.0), on.ReplyText(1, written))
    desk.happen(on.ReplyAudio(1, np.zeros(6_000 * len(words), np.float32), words), on.ReplyHeld(1, 1.0, before / 4))
    said = desk.happen(on.ReplyResumed(1, 1.5, before / 4), on.ReplyText(1, later))
    assert "".join(str(each["delta"]) for each in said if str(each["type"]).endswith("transcript.delta")) == rest


def test_held_reply_sends_nothing_until_it_is_decided() -> None:
    """What is still written and synthesized for a held reply doesn't reach the client."""
    desk = Desk()
    desk.happen(on.ReplyStarted(1, 1, 0.0), on.ReplyAudio(1, ONE_SECOND, WORDS), on.ReplyHeld(1, 0.5, 0.5))
    assert desk.happen(on.ReplyText(1, "more"), on.ReplyAudio(1, ONE_SECOND, MORE)) == []


def test_hold_after_the_response_is_done_only_tells_of_speech() -> None:
    """The client stops by itself; what it truncates then is cut in the history too."""
    desk = Desk()
    desk.happen(*spoken_reply(), on.ReplyWritten(1))
    assert types(desk.happen(on.ReplyHeld(1, 3.2, 1.2))) == ["input_audio_buffer.speech_started"]
    assert desk.send("response.cancel") == []
    item = item_of(desk.said)
    assert types(desk.send("conversation.item.truncate", item_id=item, audio_end_ms=1200)) == ["truncated"]
    assert desk.session.calls == [("truncate", 1, 1.2)]
    assert heard(desk, item) == "Hello there,"


def test_cough_after_the_response_is_done_brings_the_rest_whole() -> None:
    """All was written: the new response is done at once."""
    desk = Desk()
    desk.happen(*spoken_reply(), on.ReplyWritten(1), on.ReplyHeld(1, 3.2, 1.2))
    rest = desk.happen(on.ReplyResumed(1, 3.5, 1.0))
    assert types(rest)[0] == "created"
    assert rest[-1]["response"]["status"] == "completed"
    assert heard(desk, item_of(rest)) == "old friend."
    assert desk.happen(PLAYED) == []


def test_rest_of_a_response_that_was_done_stands_in_one_item() -> None:
    """Also for a client that cuts nothing, or late: the one before ends where the rest begins."""
    desk = Desk()
    desk.happen(*spoken_reply(), on.ReplyWritten(1))
    before = item_of(desk.said)
    desk.happen(on.ReplyHeld(1, 3.2, 1.2))
    rest = item_of(desk.happen(on.ReplyResumed(1, 3.5, 1.0)))
    desk.happen(PLAYED)
    desk.send("conversation.item.truncate", item_id=before, audio_end_ms=1500)  # it has played on until now
    assert (heard(desk, before), heard(desk, rest)) == ("Hello there,", "old friend.")


def test_interruption_after_the_response_is_done_cuts_its_item() -> None:
    """Also for a client that says nothing of it."""
    desk = Desk()
    desk.happen(*spoken_reply(), on.ReplyWritten(1), on.ReplyHeld(1, 3.2, 1.2))
    desk.happen(on.ReplyDone(1, 4.0, "interrupted", "Hello there, old friend.", "Hello there,"))
    assert heard(desk, item_of(desk.said)) == "Hello there,"


def test_what_comes_while_a_reply_plays_comes_after_it() -> None:
    """The reply has its place in the history; a request waits for its end, and the response is promised at once."""
    desk = Desk()
    desk.happen(*spoken_reply(), on.ReplyWritten(1))
    desk.send("conversation.item.create", item=typed("gone"))
    desk.send("conversation.item.create", item=typed("kept"))
    desk.send("conversation.item.delete", item_id="gone")
    assert types(desk.send("response.create", response={"instructions": "Sing."})) == ["created"]
    told = [("remember", "user", "gone"), ("remember", "user", "kept"), ("forget", 1)]
    assert desk.session.calls == told
    desk.happen(PLAYED)
    assert desk.session.calls == [*told, ("respond", "Sing.", None)]
    assert types(desk.happen(on.ReplyStarted(2, 0, 4.0)))[0] == "output_item.added"


@pytest.mark.parametrize("before", [True, False], ids=["asked before", "asked while it is held"])
def test_reply_that_is_held_is_not_taken_up_again_where_another_is_asked_for(before: bool) -> None:
    """There is one response at a time, and the client has stopped playing."""
    desk = Desk()
    desk.happen(*spoken_reply(), on.ReplyWritten(1))
    if before:
        desk.send("response.create")
    desk.happen(on.ReplyHeld(1, 3.2, 1.2))
    if not before:
        desk.send("response.create")
    assert desk.session.calls == [("cancel",)]
    late = desk.happen(on.ReplyResumed(1, 3.3, 1.0), on.UserBackchannel(2, "", 3.3))
    assert types(late) == ["input_audio_buffer.speech_stopped"]
    desk.happen(on.ReplyDone(1, 3.3, "cancelled", "Hello there, old friend.", "Hello there,"))
    assert desk.session.calls[1:] == [("respond", None, None)]
    desk.happen(*spoken_reply(2), on.ReplyWritten(2))
    assert types(desk.said).count("created") == 2


def test_request_waits_for_the_users_turn() -> None:
    """An answer that was written before the user has finished would miss what they say."""
    desk = Desk(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}})
    desk.happen(on.UserStarted(1, 0.5))
    desk.send("response.create")
    assert desk.session.calls == []
    desk.happen(on.UserTurn(1, "Good morning.", 0.5, 1.2, entry=1))
    assert desk.session.calls == [("respond", None, None)]


def test_request_in_a_turn_that_is_answered_anyway_says_how() -> None:
    """The turn's own reply is the response, with the instructions of the request."""
    desk = Desk()
    desk.happen(on.UserStarted(1, 0.5))
    (created,) = desk.send("response.create", response={"instructions": "Sing.", "max_output_tokens": 9})
    assert desk.session.calls == [("respond", "Sing.", 9)]
    desk.happen(*spoken_turn()[-1:], *spoken_reply(), on.ReplyWritten(1))
    assert desk.said[-1]["response"]["id"] == created["response"]["id"]
    assert desk.session.calls == [("respond", "Sing.", 9)]


def test_request_goes_on_when_it_was_only_a_noise() -> None:
    """The turn that it waited for is none."""
    desk = Desk(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}})
    desk.happen(on.UserStarted(1, 0.5))
    desk.send("response.create")
    desk.happen(on.UserBackchannel(1, "", 0.9))
    assert desk.session.calls == [("respond", None, None)]


@pytest.mark.parametrize(
    ("type_", "fields", "after"),
    [
        ("input_audio_buffer.clear", {}, [on.UserTurnDropped(0.6)]),
        ("session.update", {"session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}}}, []),
    ],
)
def test_request_goes_on_when_the_turn_is_dropped_or_is_the_clients(
    type_: str, fields: dict[str, object], after: list[on.SessionEvent]
) -> None:
    """Nobody will tell of the turn's end."""
    desk = Desk(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}})
    desk.conversation.received(16_000)
    desk.happen(on.UserStarted(1, 0.5))
    desk.send("response.create")
    desk.send(type_, **fields)
    desk.happen(*after)
    assert desk.session.calls[-1] == ("respond", None, None)


def test_commit_of_what_was_found_to_be_a_noise_gets_no_words() -> None:
    """The client ended the turn before it heard of that: what waits for the turn goes on, and the next is its own."""
    desk = Desk()
    desk.conversation.received(16_000)
    desk.happen(on.UserStarted(1, 0.1))
    item = desk.send("input_audio_buffer.commit")[-1]["item"]["id"]
    desk.send("response.create")
    (words,) = desk.happen(on.UserBackchannel(1, "", 0.4), on.UserTurnDropped(0.5))
    assert (words["item_id"], words["transcript"]) == (item, "")
    assert desk.session.calls == [("commit",), ("respond", None, None)]
    started, *_, words = desk.happen(on.UserStarted(2, 5.0), on.UserTurn(2, "What time is it?", 5.0, 6.0, 1))
    assert (words["item_id"], words["transcript"]) == (started["item_id"], "What time is it?")
    assert started["item_id"] != item


def test_cancel_of_a_request_that_waits_leaves_the_reply_playing() -> None:
    """The session never hears of it."""
    desk = Desk()
    desk.happen(*spoken_reply(), on.ReplyWritten(1))
    desk.send("response.create")
    assert desk.send("response.cancel")[-1]["response"]["status"] == "cancelled"
    desk.happen(PLAYED)
    assert desk.session.calls == []


def test_backchannel_stops_nothing() -> None:
    """ "mm-hm" over the reply, without a hold, is not the client's business."""
    desk = Desk()
    desk.happen(*spoken_reply())
    assert desk.happen(on.UserBackchannel(2, "mm-hm", 3.0)) == []


def test_truncate_keeps_just_the_words_that_were_heard() -> None:
    """The item is cut at the last whole word, and the session is told the exact time."""
    desk = Desk()
    desk.happen(*spoken_reply(), on.UserStarted(2, 3.0), on.ReplyHeld(1, 3.2, 1.9))
    item = next(each["item_id"] for each in desk.said if each["type"] == "response.output_audio.delta")
    (done,) = desk.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=1200)
    assert done["type"] == "conversation.item.truncated"
    assert ("truncate", 1, 1.2) in desk.session.calls
    (kept,) = desk.send("conversation.item.retrieve", item_id=item)
    assert kept["item"]["content"] == [{"type": "output_audio", "transcript": "Hello there,"}]


def test_truncate_of_a_resumed_item_counts_from_where_it_began() -> None:
    """The second response of a reply begins in the middle of it."""
    desk = Desk()
    desk.happen(*spoken_reply(), on.ReplyHeld(1, 3.2, 1.2), on.ReplyResumed(1, 3.5, 1.0))
    item = [each["item_id"] for each in desk.said if each["type"] == "response.output_audio.delta"][-1]
    desk.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=500)
    assert ("truncate", 1, 1.5) in desk.session.calls


def test_truncate_that_comes_when_the_reply_goes_on_again_leaves_the_rest_alone() -> None:
    """A client far away cuts what it was told of; by then a false interruption is over, and the rest is being sent."""
    desk = Desk()
    desk.happen(*spoken_reply(), on.ReplyHeld(1, 3.2, 1.2))
    cut = item_of(desk.said)
    rest = item_of(desk.happen(on.ReplyResumed(1, 3.5, 1.0)))
    assert types(desk.send("conversation.item.truncate", item_id=cut, audio_end_ms=500)) == ["truncated"]
    assert types(desk.send("conversation.item.delete", item_id=cut)) == ["deleted"]
    assert desk.session.calls == []
    assert types(desk.happen(on.ReplyWritten(1)))[-1] == "done"
    desk.happen(PLAYED)
    assert heard(desk, rest) == "old friend."


def test_reply_whose_items_are_all_deleted_is_forgotten() -> None:
    """Also where it went on after a false interruption, in whatever order."""
    for order in (0, -1):
        desk = Desk()
        desk.happen(*spoken_reply(), on.ReplyHeld(1, 3.2, 1.2))
        items = [item_of(desk.said), item_of(desk.happen(on.ReplyResumed(1, 3.5, 1.0), on.ReplyWritten(1), PLAYED))]
        desk.send("conversation.item.delete", item_id=items.pop(order))
        desk.send("conversation.item.delete", item_id=items.pop())
        assert desk.session.calls[-1] == ("truncate", 1, 0.0)


def test_truncate_beyond_the_sound_is_an_error() -> None:
    """audio_end_ms can't be more than was sent."""
    desk = Desk()
    desk.happen(*spoken_reply())
    item = next(each["item_id"] for each in desk.said if each["type"] == "response.output_audio.delta")
    (error,) = desk.send("conversation.item.truncate", item_id=item, audio_end_ms=2500, event_id="mine")
    assert error["error"]["param"] == "audio_end_ms"
    assert error["error"]["event_id"] == "mine"
    assert desk.session.calls == []


def test_cancel_ends_the_response_at_once() -> None:
    """response.cancel: done with client_cancelled, and later pieces of the reply are dropped."""
    desk = Desk()
    desk.happen(*spoken_reply())
    done = desk.send("response.cancel")[-1]
    assert done["response"]["status_details"]["reason"] == "client_cancelled"
    assert desk.session.calls == [("cancel",)]
    late = desk.happen(on.ReplyAudio(1, ONE_SECOND, ()), on.ReplyDone(1, 2.0, "cancelled", "Hello there,", "Hello"))
    assert late == []


def test_request_after_a_cancel_is_not_taken_for_the_one_before() -> None:
    """The session tells of the cancelled reply when the client has asked for another already."""
    desk = Desk()
    desk.send("response.create")
    desk.session.reply = 1
    desk.send("response.cancel")
    (created,) = desk.send("response.create", response={"metadata": {"which": "second"}})
    assert desk.happen(on.ReplyStarted(1, 0, 0.1), on.ReplyDone(1, 0.1, "cancelled", "", "")) == []
    *_, done = desk.happen(*spoken_reply(2), on.ReplyWritten(2))
    assert done["response"]["id"] == created["response"]["id"]
    assert (done["response"]["status"], done["response"]["metadata"]) == ("completed", {"which": "second"})


def test_cancel_without_a_response_is_an_error() -> None:
    """Nothing to cancel."""
    (error,) = Desk().send("response.cancel")
    assert error["error"]["code"] == "response_cancel_not_active"
    assert error["error"]["message"].startswith("Cancellation failed")  # by which LiveKit knows that it is no failure


def test_cancel_of_a_held_reply_leaves_it_to_be_resumed() -> None:
    """Clients cancel by themselves when they hear of speech; a cough must not silence the agent for good."""
    desk = Desk()
    desk.happen(*spoken_reply(), on.ReplyHeld(1, 3.2, 1.2))
    assert desk.send("response.cancel") == []
    assert desk.session.calls == []


def test_cancel_of_a_held_reply_by_its_name_ends_it() -> None:
    """Somebody wants none of the rest: it is not taken up again, and nothing more of it is told."""
    desk = Desk()
    held = desk.happen(*spoken_reply(), on.ReplyHeld(1, 3.2, 1.2))
    assert desk.send("response.cancel", response_id="another")[0]["error"]["code"] == "response_cancel_not_active"
    assert desk.send("response.cancel", response_id=held[-1]["response"]["id"]) == []
    assert desk.session.calls == [("cancel",)]
    assert desk.happen(on.ReplyResumed(1, 4.0, 1.2)) == []


def test_manual_turn_is_committed_at_once_and_transcribed_later() -> None:
    """With turn_detection null: no speech events, committed on commit, words when they are known."""
    desk = Desk(audio={"input": {"turn_detection": None}})
    desk.conversation.received(16_000)
    desk.happen(on.UserStarted(1, 0.0))
    committed = desk.send("input_audio_buffer.commit")
    created = desk.send("response.create")
    assert desk.session.calls == [("commit",)]
    words = desk.happen(on.UserTurn(1, "Good morning.", 0.0, 1.0, entry=1))
    assert types(committed) == ["input_audio_buffer.committed", "added", "done"]
    assert types(created) == ["created"]
    assert types(words) == ["input_audio_transcription.completed"]
    assert words[0]["item_id"] == committed[0]["item_id"]
    assert desk.session.calls == [("commit",), ("respond", None, None)]


@pytest.mark.parametrize("detection", [None, {"type": "server_vad"}], ids=["by hand", "detected"])
def test_turn_that_is_given_at_once_is_the_one_that_was_committed(detection: dict[str, object] | None) -> None:
    """Its commit comes before the session has heard it: what it tells then is of that item, and is waited for."""
    desk = Desk(audio={"input": {"turn_detection": detection}})
    desk.conversation.received(16_000)
    item = desk.send("input_audio_buffer.commit")[0]["item_id"]
    desk.send("response.create")
    told = desk.happen(*spoken_turn())
    assert types(told) == [*["input_audio_transcription.delta"] * 2, "input_audio_transcription.completed"]
    assert {each["item_id"] for each in told} == {item}
    assert desk.session.calls == [("commit",), ("respond", None, None)]


def test_turn_that_is_given_at_once_stops_the_reply_that_plays() -> None:
    """The client is told to stop playing, though it has ended the turn before it was heard."""
    desk = Desk()
    desk.happen(*spoken_reply(), on.ReplyWritten(1))
    desk.conversation.received(16_000)
    item = desk.send("input_audio_buffer.commit")[0]["item_id"]
    (started,) = desk.happen(on.UserStarted(1, 0.5), on.ReplyHeld(1, 0.6, 1.2))
    assert (started["type"], started["item_id"]) == ("input_audio_buffer.speech_started", item)
    told = desk.happen(on.ReplyDone(1, 0.9, "interrupted", "Hello there,", "Hello"), *spoken_turn()[-1:])
    assert types(told) == ["input_audio_buffer.speech_stopped", "input_audio_transcription.completed"]


def test_message_after_a_commit_comes_after_it() -> None:
    """In the history as among the items, though the turn's words are known later."""
    desk = Desk(audio={"input": {"turn_detection": None}})
    desk.conversation.received(16_000)
    desk.send("input_audio_buffer.commit")
    desk.send("conversation.item.create", item=typed("after"))
    assert desk.session.calls == [("commit",)]
    desk.happen(on.UserTurn(1, "Good morning.", 0.0, 1.0, entry=1))
    assert desk.session.calls == [("commit",), ("remember", "user", "after")]


def test_message_before_a_commit_comes_before_it() -> None:
    """In the history as among the items, though a reply is still unfinished."""
    desk = Desk(audio={"input": {"turn_detection": None}})
    desk.happen(*spoken_reply())
    desk.conversation.received(16_000)
    desk.send("conversation.item.create", item=typed("before"))
    desk.send("input_audio_buffer.commit")
    desk.happen(on.ReplyDone(1, 1.0, "interrupted", "", ""), on.UserTurn(1, "Good morning.", 0.0, 1.0, entry=2))
    assert desk.session.calls == [("remember", "user", "before"), ("commit",)]


def test_commit_in_which_nobody_spoke_gets_no_words() -> None:
    """The session finds no turn that it could end; the next one is its own."""
    desk = Desk()
    desk.conversation.received(16_000)
    item = desk.send("input_audio_buffer.commit")[0]["item_id"]
    desk.send("response.create")
    assert desk.session.calls == [("commit",)]
    (words,) = desk.happen(on.UserTurnDropped(1.0))
    assert (words["item_id"], words["transcript"]) == (item, "")
    assert desk.session.calls == [("commit",), ("respond", None, None)]
    assert types(desk.happen(*spoken_turn()))[0] == "input_audio_buffer.speech_started"


def test_what_was_cleared_before_it_was_heard_is_not_told_of() -> None:
    """A request waits until the session has dropped it: heard before that, it would stop the answer."""
    desk = Desk()
    desk.conversation.received(16_000)
    assert types(desk.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    desk.send("response.create")
    assert desk.happen(on.UserStarted(1, 0.5)) == []
    assert desk.session.calls == [("clear",)]
    assert desk.happen(on.UserTurnDropped(1.0)) == []
    assert desk.session.calls == [("clear",), ("respond", None, None)]
    assert types(desk.happen(*spoken_turn(2)))[0] == "input_audio_buffer.speech_started"


def test_commit_of_nothing_is_an_error() -> None:
    """A turn needs 100 ms of sound."""
    desk = Desk()
    desk.conversation.received(1599)
    (error,) = desk.send("input_audio_buffer.commit")
    assert error["error"]["code"] == "input_audio_buffer_commit_empty"


def test_metadata_comes_back() -> None:
    """A client finds its own request by response.metadata, in created and in done."""
    desk = Desk()
    desk.send("response.create", response={"metadata": {"client_event_id": "abc"}, "instructions": "Sing."})
    desk.happen(*spoken_reply(turn=0), on.ReplyDone(1, 2.0, "completed", "Hello", "Hello"))
    responses = [each["response"] for each in desk.said if "response" in each]
    assert [each["metadata"] for each in responses] == [{"client_event_id": "abc"}] * 2
    assert desk.session.calls == [("respond", "Sing.", None)]


def test_second_response_waits_for_the_first() -> None:
    """One response at a time."""
    desk = Desk()
    desk.send("response.create")
    (error,) = desk.send("response.create")
    assert error["error"]["code"] == "conversation_already_has_active_response"


def test_promised_response_that_never_begins_is_ended() -> None:
    """A reply that was dropped before its first word still ends its response."""
    desk = Desk()
    desk.send("response.create")
    (done,) = desk.happen(on.ReplyDone(1, 2.0, "interrupted", "", ""))
    assert done["response"]["status"] == "cancelled"
    assert done["response"]["output"] == []


@pytest.mark.parametrize("held", [False, True])
def test_response_that_may_not_be_longer_is_incomplete(held: bool) -> None:
    """With the reference's reason, and all its sound; also where it is taken up again after a false interruption."""
    desk = Desk(max_output_tokens=5)
    desk.happen(*spoken_reply())
    pause = [on.ReplyHeld(1, 2.0, 0.0), on.ReplyWritten(1, True), on.ReplyResumed(1, 3.0, 0.0)]
    desk.happen(*(pause if held else [on.ReplyWritten(1, True)]), PLAYED)
    response = desk.said[-1]["response"]
    assert (response["status"], response["max_output_tokens"]) == ("incomplete", 5)
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    (item,) = response["output"]
    assert (item["status"], item["content"][0]["transcript"]) == ("incomplete", "Hello there, old friend.")
    sound = sum(len(base64.b64decode(e["delta"])) for e in desk.said if e["type"] == "response.output_audio.delta")
    assert sound == 4 * 24_000 * (2 if held else 1)


def test_failure_is_told() -> None:
    """A language model that fails: response.done says so."""
    desk = Desk()
    desk.send("response.create")
    desk.happen(on.ReplyStarted(1, 0, 0.0), on.ReplyDone(1, 0.1, "failed", "", "", "the server is gone"))
    details = desk.said[-1]["response"]["status_details"]
    assert details["error"]["message"] == "the server is gone"


def test_failure_of_something_else_leaves_a_response_that_is_on_its_way() -> None:
    """What fails beside the reply is told, and the reply is still the response that was asked for."""
    desk = Desk()
    desk.send("response.create", response={"metadata": {"client_event_id": "abc"}})
    assert types(desk.happen(on.Problem("the model of turn-taking failed: it is away", 0.0))) == ["error"]
    desk.happen(*spoken_reply(turn=0), on.ReplyDone(1, 2.0, "completed", "Hello", "Hello"))
    (created, done) = (each["response"] for each in desk.said if "response" in each)
    assert (created["id"], done["status"], done["metadata"]) == (done["id"], "completed", {"client_event_id": "abc"})


def test_request_that_waits_for_a_turn_which_is_not_recognized_fails() -> None:
    """There is nothing to answer."""
    desk = Desk(audio={"input": {"turn_detection": None}})
    desk.conversation.received(16_000)
    desk.send("input_audio_buffer.commit")
    desk.send("response.create")
    assert types(desk.happen(on.Problem("recognition failed: it broke", 0.0))) == ["done", "error"]
    desk.happen(on.UserTurn(1, "", 0.0, 1.0, 0))
    assert ("respond", None, None) not in desk.session.calls


def test_text_session_sends_no_sound() -> None:
    """output_modalities ["text"]: text deltas and an output_text item."""
    desk = Desk(output_modalities=["text"])
    desk.happen(on.ReplyStarted(1, 0, 0.0), on.ReplyText(1, "Hello."), on.ReplyAudio(1, ONE_SECOND[:0], ()))
    desk.happen(on.ReplyDone(1, 0.1, "completed", "Hello.", "Hello."))
    assert [name for name in types(desk.said) if "audio" in name] == []
    content = desk.said[-1]["response"]["output"][0]["content"]
    assert content == [{"type": "output_text", "text": "Hello."}]


def test_response_in_another_format_is_refused() -> None:
    """It would be noise to its client."""
    desk = Desk()
    for form, answer in (({"type": "audio/pcmu"}, "error"), ({"type": "audio/pcm", "rate": 24000}, "created")):
        told = desk.send("response.create", response={"audio": {"output": {"format": form, "voice": "marin"}}})
        assert types(told) == [answer]


def test_reply_that_was_spoken_when_text_was_asked_for_is_written() -> None:
    """A response of text has no sound, whatever the session had prepared."""
    desk = Desk()
    desk.send("session.update", session={"output_modalities": ["text"]})
    said = desk.happen(*spoken_reply(), on.ReplyHeld(1, 2.0, 0.5), on.ReplyResumed(1, 3.0, 0.5), on.ReplyWritten(1))
    assert "output_text.delta" in types(said)
    assert not [each for each in types(said) if "audio" in each and "speech" not in each]


def test_typed_message_goes_into_the_history() -> None:
    """conversation.item.create: added and done, remembered; delete: forgotten."""
    desk = Desk()
    created = desk.send("conversation.item.create", item=typed("mine"), previous_item_id="root")
    assert types(created) == ["added", "done"]
    assert types(desk.send("conversation.item.delete", item_id="mine")) == ["deleted"]
    assert desk.session.calls == [("remember", "user", "mine"), ("forget", 1)]


def test_spoken_message_can_be_deleted() -> None:
    """By its entry in the history."""
    desk = Desk()
    desk.happen(*spoken_turn())
    (committed,) = [each for each in desk.said if each["type"] == "input_audio_buffer.committed"]
    assert types(desk.send("conversation.item.delete", item_id=committed["item_id"])) == ["deleted"]
    assert desk.session.calls == [("forget", 7)]


def test_message_deleted_before_its_words_are_known_is_forgotten_then() -> None:
    """A turn committed by hand is an item at once."""
    desk = Desk(audio={"input": {"turn_detection": None}})
    desk.conversation.received(16_000)
    committed = desk.send("input_audio_buffer.commit")[0]
    desk.send("conversation.item.delete", item_id=committed["item_id"])
    desk.happen(on.UserTurn(1, "Good morning.", 0.0, 1.0, entry=7))
    assert desk.session.calls == [("commit",), ("forget", 7)]


def test_response_answers_the_last_of_several_commits() -> None:
    """It waits until all of them have their words."""
    desk = Desk(audio={"input": {"turn_detection": None}})
    for _ in range(2):
        desk.conversation.received(16_000)
        desk.send("input_audio_buffer.commit")
    desk.send("response.create")
    assert desk.session.calls == [("commit",), ("commit",)]
    desk.happen(on.UserTurn(1, "Good morning.", 0.0, 1.0, entry=1))
    assert len(desk.session.calls) == 2
    desk.happen(on.UserTurn(2, "How are you?", 1.0, 2.0, entry=2))
    assert desk.session.calls[2:] == [("respond", None, None)]


def test_what_is_appended_while_a_committed_turn_waits_can_be_committed() -> None:
    """The words of the turn before don't empty the buffer."""
    desk = Desk(audio={"input": {"turn_detection": None}})
    desk.conversation.received(16_000)
    desk.send("input_audio_buffer.commit")
    desk.conversation.received(16_000)
    desk.happen(on.UserTurn(1, "Good morning.", 0.0, 1.0, entry=1))
    assert types(desk.send("input_audio_buffer.commit")) == ["input_audio_buffer.committed", "added", "done"]


def test_item_that_is_too_long_is_refused() -> None:
    """It is neither read in part nor kept; one that just fits is."""
    desk = Desk()
    fits = "é" * (ask.MAX_TEXT_BYTES // 2)
    for text in (fits + "!", fits):
        content = [{"type": "input_text", "text": text}]
        desk.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    assert desk.said[0]["error"] == {
        "type": "invalid_request_error",
        "code": "invalid_value",
        "message": f"the item has {ask.MAX_TEXT_BYTES + 1} bytes of text, more than the language model reads at once: "
        f"shorten it to {ask.MAX_TEXT_BYTES}",
        "param": "item.content",
        "event_id": None,
    }
    assert desk.session.calls == [("remember", "user", fits)]


def test_item_can_not_be_added_twice() -> None:
    """Ids are unique, and a refused item is not remembered."""
    desk = Desk()
    desk.send("conversation.item.create", item=typed("mine"))
    (error,) = desk.send("conversation.item.create", item=typed("mine"))
    assert error["error"]["code"] == "item_create_duplicate_item_id"
    assert len(desk.session.calls) == 1


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type_": "conversation.item.retrieve", "item_id": "gone"}, "item_retrieve_invalid_item_id"),
        ({"type_": "conversation.item.delete", "item_id": "gone"}, "item_delete_invalid_item_id"),
        (
            {"type_": "conversation.item.truncate", "item_id": "gone", "audio_end_ms": 1},
            "item_truncate_invalid_item_id",
        ),
        (
            {"type_": "conversation.item.create", "item": typed("new"), "previous_item_id": "gone"},
            "item_create_invalid_previous_item_id",
        ),
    ],
)
def test_item_that_is_gone_is_told_by_the_references_code(event: dict[str, object], code: str) -> None:
    """Pipecat ends its conversation at an error whose code it does not know."""
    (error,) = Desk().send(**event)
    assert error["error"]["code"] == code
    assert "'gone'" in error["error"]["message"]


def test_deleted_answer_is_cut_to_nothing() -> None:
    """Truncate at 0 ms arrives as a delete of the answer."""
    desk = Desk()
    desk.happen(*spoken_reply(), on.ReplyDone(1, 2.0, "completed", "Hello there, old friend.", "Hello"))
    item = next(each["item_id"] for each in desk.said if each["type"] == "response.output_audio.delta")
    desk.send("conversation.item.delete", item_id=item)
    assert desk.session.calls == [("truncate", 1, 0.0)]


def test_answer_that_is_deleted_while_it_comes_is_ended_before() -> None:
    """By the client, and nothing is told of an item that is gone."""
    desk = Desk()
    item = item_of(desk.happen(*spoken_reply()))
    *cut, deleted = desk.send("conversation.item.delete", item_id=item)
    assert cut[-1]["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert types([deleted]) == ["deleted"]
    assert desk.happen(on.ReplyDone(1, 2.0, "interrupted", "Hello there, old friend.", "")) == []


CLIENTS = {
    "openai-agents-js": {
        "type": "realtime",
        "instructions": "Be brief.",
        "model": "m",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "noise_reduction": None,
                "transcription": {"model": "gpt-4o-mini-transcribe"},
                "turn_detection": {"type": "semantic_vad"},
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "speed": 1},
        },
    },
    "openai-agents-js, tracing": {"type": "realtime", "tracing": "auto"},
    "livekit": {
        "type": "realtime",
        "audio": {
            "input": {
                "format": {"rate": 24000, "type": "audio/pcm"},
                "noise_reduction": None,
                "transcription": {"model": "gpt-4o-mini-transcribe"},
                "turn_detection": {
                    "type": "semantic_vad",
                    "create_response": True,
                    "eagerness": "medium",
                    "interrupt_response": True,
                },
            },
            "output": {"format": {"rate": 24000, "type": "audio/pcm"}, "speed": 1.0, "voice": "marin"},
        },
        "max_output_tokens": "inf",
        "model": "m",
        "output_modalities": ["audio"],
        "tool_choice": "auto",
        "tracing": None,
    },
    "pipecat": {
        "type": "realtime",
        "model": "gpt-realtime-2.1",
        "instructions": "Be brief.",
        "audio": {
            "input": {
                "transcription": {"model": "gpt-realtime-whisper"},
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                },
            }
        },
    },
}
"""What the clients send first, as recorded."""


@pytest.mark.parametrize("session", CLIENTS.values(), ids=CLIENTS)
def test_first_update_of_every_client_is_taken(session: dict[str, object]) -> None:
    """And what is reported back holds what it asked for."""
    (updated,) = Desk().send("session.update", session=session)
    audio = updated["session"]["audio"]
    wanted = session.get("audio", {}).get("input", {}).get("turn_detection", {})
    assert audio["input"]["turn_detection"].items() >= wanted.items()


def test_report_holds_null_only_where_clients_allow_it() -> None:
    """One client ends its connection at a null that its types don't foresee."""
    desk = Desk(audio={"input": {"turn_detection": None, "transcription": None}})
    (off,) = valid(desk.conversation.open())
    (on_,) = valid(Desk().conversation.open())
    assert {name for name, value in off["session"]["audio"]["input"].items() if value is None} == {
        "noise_reduction",
        "turn_detection",
        "transcription",
    }
    assert "null" not in json.dumps(on_["session"]["audio"]).replace('"noise_reduction": null', "")


def test_update_merges() -> None:
    """What an update leaves out stays; null clears turn_detection."""
    desk = Desk(instructions="Be brief.")
    change = {"type": "realtime", "audio": {"input": {"turn_detection": None}, "output": {"speed": 1.2}}}
    (updated,) = desk.send("session.update", session=change)
    session = updated["session"]
    assert isinstance(session, dict)
    assert session["instructions"] == "Be brief."
    assert session["audio"]["input"]["turn_detection"] is None
    assert session["audio"]["input"]["transcription"] is not None
    assert session["audio"]["output"]["speed"] == 1.2


def test_null_leaves_a_value_as_it_is_by_default() -> None:
    """Also in an object that replaces another: some clients send all that they know, and null for what is not set."""
    desk = Desk()
    nothing = {"type": "semantic_vad", "eagerness": None, "create_response": None, "interrupt_response": False}
    form, transcription = {"type": "audio/pcma", "rate": None}, {"model": None, "language": None}
    for change in ({"turn_detection": None, "transcription": None}, {"turn_detection": nothing, "format": form}):
        desk.send("session.update", session={"type": "realtime", "audio": {"input": change}})
    form = {"type": "audio/pcm", "rate": None}
    change = {"format": form, "transcription": transcription}
    (updated,) = desk.send("session.update", session={"type": "realtime", "audio": {"input": change}})
    heard = updated["session"]["audio"]["input"]
    assert heard["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": False,
    }
    assert heard["format"] == {"type": "audio/pcm", "rate": 24000}
    assert heard["transcription"] == {"model": "dragoman"}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"output_modalities": ["smell"]}, "session.output_modalities.0"),
        ({"audio": {"output": {"speed": 9}}}, "session.audio.output.speed"),
        ({"tools": [{"type": "function", "name": "f"}]}, "session.tools"),
        ({"audio": {"input": {"turn_detection": {"type": "x"}}}}, "session.audio.input.turn_detection"),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 5}}}},
            "session.audio.input.turn_detection.silence_duration_ms",
        ),
        ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 8000}}}}, "session.audio.input.format.rate"),
        ({"max_output_tokens": 0}, "session.max_output_tokens"),
        ({"audio": {"output": {"voice": 3}}}, "session.audio.output.voice"),
        ({"prompt": {"id": "pmpt_1"}}, "session.prompt"),
        ({"include": ["item.input_audio_transcription.logprobs"]}, "session.include"),
        ({"truncation": "disabled"}, "session.truncation"),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 6000}}}},
            "session.audio.input.turn_detection.idle_timeout_ms",
        ),
        ({"audio": {"input": {"transcription": {"prompt": "Names"}}}}, "session.audio.input.transcription.prompt"),
    ],
)
def test_bad_update_changes_nothing(change: dict[str, object], param: str) -> None:
    """An error names the field, and the old configuration stays in force."""
    desk = Desk()
    before = desk.conversation.config
    (error,) = desk.send("session.update", session=change)
    assert error["error"]["param"] == param
    assert error["error"]["code"] == "invalid_value"
    assert desk.conversation.config == before


@pytest.mark.parametrize(
    ("type_", "where", "name", "now"),
    [
        ("session.update", "session", "turn_detection", "audio.input.turn_detection"),
        ("session.update", "session", "modalities", "output_modalities"),
        ("response.create", "response", "modalities", "output_modalities"),
        ("response.create", "response", "voice", "audio.output.voice"),
    ],
)
def test_settings_by_the_betas_names_are_refused(type_: str, where: str, name: str, now: str) -> None:
    """As the reference does: who turns turn-taking off in the old way would be answered without being asked."""
    desk = Desk()
    before = desk.conversation.config
    (error,) = desk.send(type_, **{where: {name: None}})
    assert error["error"]["code"] == "unknown_parameter"
    assert error["error"]["param"] == f"{where}.{name}"
    assert error["error"]["message"] == f"{where}.{name} was the beta's name for {where}.{now}: use that"
    assert (desk.conversation.config, desk.session.calls) == (before, [])


def test_settings_that_are_off_are_no_settings() -> None:
    """Clients that send all that they know."""
    off = {"type": "server_vad", "idle_timeout_ms": None}
    change = {"tools": [], "prompt": None, "include": None, "truncation": "auto"}
    audio = {"input": {"turn_detection": off, "transcription": {"model": "m", "prompt": ""}}}
    assert types(Desk().send("session.update", session=change | {"audio": audio})) == ["session.updated"]


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        ({"tools": [{"type": "function", "name": "f"}]}, "response.tools"),
        ({"prompt": {"id": "pmpt_1"}}, "response.prompt"),
        ({"audio": {"output": {"voice": "other"}}}, "response.audio.output.voice"),
    ],
)
def test_response_can_not_have_what_the_session_has_not(wanted: dict[str, object], param: str) -> None:
    """It is told, and nothing was asked for."""
    desk = Desk(audio={"output": {"voice": "own"}})
    (error,) = desk.send("response.create", response=wanted)
    assert error["error"]["param"] == param
    assert desk.session.calls == []
    assert types(desk.send("response.create", response={"audio": {"output": {"voice": "own"}}})) == ["created"]


def test_voice_is_frozen_once_it_was_heard() -> None:
    """The reference's rule."""
    desk = Desk()
    desk.happen(*spoken_reply())
    (error,) = desk.send("session.update", session={"audio": {"output": {"voice": "other"}}})
    assert error["error"]["code"] == "cannot_update_voice"


def test_transcription_session_gives_no_response() -> None:
    """Its session object has no output, and response.create is an error."""
    desk = Desk(type="transcription")
    (created,) = valid(desk.conversation.open())
    assert created["session"]["type"] == "transcription"
    assert "output" not in created["session"]["audio"]
    assert types(desk.send("response.create")) == ["error"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"type": "session.explode"}', '{"type": "response.cancel", "response_id": 3}']
)
def test_nonsense_is_refused(text: str) -> None:
    """What is not an event of the protocol becomes an error."""
    with pytest.raises(ProtocolError):
        ask.parse(text)


def test_own_events_come_only_when_asked_for() -> None:
    """Clients raise on events that they don't know."""
    script = [
        *spoken_turn(),
        *spoken_reply(),
        on.PhaseChanged("speaking", 1.0),
        on.UserBackchannel(2, "mm", 2.0),
    ]
    plain, extended = Desk(), Desk(extended=True)
    plain.happen(*script)
    extended.happen(*script)
    own = {str(each["type"]) for each in extended.said if str(each["type"]).startswith("dragoman.")}
    assert own == {"dragoman.transcript", "dragoman.words", "dragoman.phase", "dragoman.backchannel"}
    assert not [each for each in plain.said if str(each["type"]).startswith("dragoman.")]


def test_what_was_understood_later_is_told_to_who_asked() -> None:
    """What was said of the turn before can't be taken back; its item has the words for everybody who asks for it. One
    that was deleted meanwhile, or is no more the last, stays as it is.
    """
    for extended in (False, True):
        desk = Desk(extended=extended)
        item = next(each["item_id"] for each in desk.happen(*spoken_turn(1)) if "item_id" in each)
        said = desk.happen(on.UserHeardAgain(1, "Good evening.", entry=7))
        assert [(each["type"], each["item_id"], each["text"]) for each in said] == (
            [("dragoman.corrected", item, "Good evening.")] if extended else []
        )
        (kept,) = desk.send("conversation.item.retrieve", item_id=item)
        assert kept["item"]["content"][0]["transcript"] == "Good evening."  # type: ignore[index]
        assert desk.happen(on.UserHeardAgain(2, "Hello?", entry=8)) == []
        desk.send("conversation.item.delete", item_id=item)
        assert desk.happen(on.UserHeardAgain(1, "Good evening!", entry=7)) == []


def test_what_the_fast_path_said_is_told_to_who_asked() -> None:
    """Words and trust, for the item that begins with them; other clients get the plain protocol."""
    begun = (on.ReplyStarted(1, 1, 0.0), on.ReplyOpened(1, "Hello there,", 0.8714), on.ReplyText(1, "Hello there,"))
    desk = Desk(extended=True)
    said = desk.happen(*begun)
    [opening] = [each for each in said if each["type"] == "dragoman.opening"]
    [added] = [each for each in said if each["type"] == "conversation.item.added"]
    assert (opening["text"], opening["trust"], opening["item_id"]) == ("Hello there,", 0.871, added["item"]["id"])
    assert desk.happen(on.ReplyOpened(7, "Late", 0.9)) == []
    assert not any(str(each["type"]).startswith("dragoman") for each in Desk().happen(*begun))
