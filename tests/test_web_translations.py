"""Translation sessions over a real socket, with scripted interpreters; every event is proved against the reference."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from dataclasses import dataclass, field

import httpx
import numpy as np
import pytest
from openai.types.realtime import RealtimeTranslationServerEvent
from pydantic import TypeAdapter
from web_served import served
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from dragoman.agent.interpreter import Event, Hearing, Recognized, Revised, Spoken
from dragoman.agent.settings import SessionSettings
from dragoman.audio.types import DragomanError, Samples
from dragoman.translation.retranslation import Update
from dragoman.web import translations
from dragoman.web.app import create_app
from dragoman.web.realtime import Backend
from dragoman.web.translations import Appended, Telling

reference: TypeAdapter[object] = TypeAdapter(RealtimeTranslationServerEvent)
SECOND = base64.b64encode(np.zeros(24_000, "<i2").tobytes()).decode()


@dataclass
class Scripted:
    """Says its events when it has heard a second, and its target's name for each second at the end."""

    target: str
    events: tuple[Event, ...] = ()
    fails: bool = False
    fails_last: bool = False
    heard: int = 0

    async def run(self, frames: AsyncIterable[Samples]) -> AsyncGenerator[Event, None]:
        told = False
        async for pcm in frames:
            self.heard += len(pcm)
            if self.heard >= 15_000 and not told:
                told = True
                for event in self.events:
                    yield event
                if self.fails:
                    raise DragomanError("the translator is gone")
        if self.fails_last:
            raise DragomanError("the translator is gone")
        yield Revised(Update(99, 1, f"{self.target} {round(self.heard / 16_000)}", "", 1, True), 0.0, 0.0)


@dataclass
class Interpreters:
    events: tuple[Event, ...] = ()
    asked: list[tuple[str | None, str, bool]] = field(default_factory=list)
    failing: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()
    leaving_last: bool = False
    times: int = 1_000_000
    """So often what fails or leaves does so."""
    broken: Exception | None = None
    unknown: tuple[str, ...] = ()

    def __call__(self, source: str | None, target: str, speaks: bool) -> Scripted:
        self.asked.append((source, target, speaks))
        if target in self.failing:
            raise DragomanError(f"no translator to {target}")
        if self.broken is not None:
            raise self.broken
        leaves = target in self.leaving and len(self.asked) <= self.times
        return Scripted(target, self.events if leaves or not self.leaving else (), leaves, self.leaving_last)

    def require(self, source: str | None, target: str, speaks: bool) -> None:
        if target in self.unknown:
            raise DragomanError(f"no translator to {target}")


def run(
    interpreters: Interpreters,
    test: Callable[[ClientConnection], Awaitable[None]],
    query: str = "",
    max_queue: int | None = 16,
) -> None:
    async def transcribe(pcm: Samples, language: str | None) -> str:
        return ""

    backend = Backend(lambda settings: pytest.fail("no conversation"), transcribe, SessionSettings())

    async def main() -> None:
        app = create_app(backend, interpreters=interpreters, require_pair=interpreters.require)  # type: ignore[arg-type]
        async with (
            asyncio.timeout(20),
            served(app) as address,
            connect(f"ws://{address}/v1/realtime/translations{query}", max_queue=max_queue) as socket,
        ):
            await test(socket)

    asyncio.run(main())


async def received(socket: ClientConnection, *, until: str = "session.closed") -> list[dict[str, object]]:
    """All events up to one of this kind, each as the reference has it but for our own."""
    got: list[dict[str, object]] = []
    while not got or got[-1]["type"] != until:
        got.append(json.loads(await socket.recv()))
        if not str(got[-1]["type"]).startswith("dragoman."):
            assert reference.validate_python(got[-1]).type == got[-1]["type"]  # type: ignore[attr-defined]
    return got


async def say(socket: ClientConnection, *events: dict[str, object]) -> None:
    for each in events:
        await socket.send(json.dumps(each))


def append(audio: str = SECOND) -> dict[str, object]:
    return {"type": "session.input_audio_buffer.append", "audio": audio}


def into(language: str) -> dict[str, object]:
    return {"type": "session.update", "session": {"audio": {"output": {"language": language}}}}


CLOSE: dict[str, object] = {"type": "session.close"}
TRANSCRIBED: dict[str, object] = {
    "type": "session.update",
    "session": {"audio": {"input": {"transcription": {"model": "any"}}}},
}
TOLD: tuple[Event, ...] = (
    Hearing("Good mor", 1, 0.5),
    Revised(Update(0, 1, "Bom", "dia amigo", 2, False), 0.9, 0.8),
    Hearing("Good morning all", 2, 1.0),
    Recognized(0, "Good morning all.", 0.1, 1.2, 2.0),
    Revised(Update(0, 2, "Bom dia a todos.", "", 3, True), 2.1, 2.0),
    Spoken(0, "Bom dia a todos.", 2.5, np.zeros(7_200, np.float32)),
    Recognized(1, "Yes.", 3.0, 3.2, 4.0),
    Revised(Update(1, 1, "Sim.", "", 1, True), 4.1, 4.0),
)


def test_a_session_ends_when_it_said_it_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose time is over as it begins."""
    monkeypatch.setattr(translations, "_LIFETIME_S", 0)

    async def test(socket: ClientConnection) -> None:
        created, closed = await received(socket)
        assert created["session"]["expires_at"] <= time.time()  # type: ignore[index]
        assert closed["type"] == "session.closed"

    run(Interpreters(TOLD), test)


def test_text_and_speech_are_appended() -> None:
    """Words once they are certain, never taken back; sound in pieces of a fifth of a second."""

    async def test(socket: ClientConnection) -> None:
        await say(socket, TRANSCRIBED, append(), CLOSE)
        got = await received(socket)
        assert [e["type"] for e in got[:2]] == ["session.created", "session.updated"]
        said = [str(e["delta"]) for e in got if e["type"] == "session.output_transcript.delta"]
        assert said == ["Bom", " dia a todos.", " Sim.", " pt 1"]
        heard = [str(e["delta"]) for e in got if e["type"] == "session.input_transcript.delta"]
        assert heard == ["Good", " morning", " all.", " Yes."]
        sound = [e for e in got if e["type"] == "session.output_audio.delta"]
        assert sum(len(base64.b64decode(str(e["delta"]))) for e in sound) == 2 * 7_200
        assert {e["elapsed_ms"] for e in got if "elapsed_ms" in e} <= {800, 1000}
        assert (sound[0]["sample_rate"], sound[0]["channels"], sound[0]["format"]) == (24_000, 1, "pcm16")
        with pytest.raises(ConnectionClosed):
            await socket.recv()

    run(Interpreters(TOLD), test)


def test_what_was_said_is_sent_only_to_who_asks() -> None:
    """By default the translation alone."""

    async def test(socket: ClientConnection) -> None:
        await say(socket, append(), CLOSE)
        assert not [e for e in await received(socket) if e["type"] == "session.input_transcript.delta"]

    run(Interpreters(TOLD), test)


def test_revisions_are_an_extension() -> None:
    """Beside the appended text, for who opts in; others never see them."""

    async def extended(socket: ClientConnection) -> None:
        await say(socket, append(), CLOSE)
        updates = [e for e in await received(socket) if e["type"] == "dragoman.translation.update"]
        assert {key: updates[0][key] for key in ("segment", "revision", "stable_text", "unstable_text", "final")} == {
            "segment": 0,
            "revision": 1,
            "stable_text": "Bom",
            "unstable_text": "dia amigo",
            "final": False,
        }

    async def plain(socket: ClientConnection) -> None:
        await say(socket, append(), CLOSE)
        assert not [e for e in await received(socket) if str(e["type"]).startswith("dragoman.")]

    run(Interpreters(TOLD), extended, "?extensions=dragoman")
    run(Interpreters(TOLD), plain)


def test_the_languages_are_the_clients_choice() -> None:
    """The spoken one by the address, the other by the session; captions may do without a voice."""
    interpreters = Interpreters()

    async def test(socket: ClientConnection) -> None:
        created = (await received(socket, until="session.created"))[0]
        assert created["session"]["audio"]["output"]["language"] == "en"  # type: ignore[index]
        await say(socket, into("es"), append(), CLOSE)
        await received(socket)

    run(interpreters, test, "?from=pt&speech=off&model=any")
    assert interpreters.asked == [("pt", "es", False)]


@pytest.mark.parametrize(
    ("written", "source", "target"), [("en-US", "en", "pt"), ("PT", "pt", "en"), ("Auto", None, "pt")]
)
def test_the_spoken_language_may_be_written_as_a_browser_does(written: str, source: str | None, target: str) -> None:
    """With a region, in capitals: what is spoken by default is not translated into itself."""
    interpreters = Interpreters()

    async def test(socket: ClientConnection) -> None:
        await say(socket, append(), CLOSE)
        await received(socket)

    run(interpreters, test, f"?from={written}")
    assert interpreters.asked == [(source, target, True)]


def test_a_spoken_language_that_is_none_is_told_at_once() -> None:
    """Before any sound is sent in vain."""

    async def test(socket: ClientConnection) -> None:
        error = (await received(socket, until="error"))[-1]
        assert "'english' is no language's code" in error["error"]["message"]  # type: ignore[index]

    run(Interpreters(), test, "?from=english")


def test_another_target_ends_the_first_translation_and_begins_a_new_one() -> None:
    """What was said until then is not lost."""
    interpreters = Interpreters()

    async def test(socket: ClientConnection) -> None:
        await say(socket, append(), into("fr"))
        await say(socket, append(), append(), CLOSE)
        got = await received(socket)
        said = [str(e["delta"]) for e in got if e["type"] == "session.output_transcript.delta"]
        assert said == ["pt 1", " fr 2"]

    run(interpreters, test)
    assert [target for _, target, _ in interpreters.asked] == ["pt", "fr"]


def test_a_pair_that_nobody_can_translate_is_told_and_the_session_goes_on() -> None:
    """The client may ask for another language."""

    async def test(socket: ClientConnection) -> None:
        await say(socket, into("xx"), append())
        error = (await received(socket, until="error"))[-1]
        assert "no translator to xx" in error["error"]["message"]  # type: ignore[index]
        await say(socket, into("pt"), append(), CLOSE)
        got = await received(socket)
        assert [e["delta"] for e in got if e["type"] == "session.output_transcript.delta"] == ["pt 1"]

    run(Interpreters(failing=("xx",)), test)


def test_what_fails_inside_a_sentence_takes_no_words_from_the_next() -> None:
    """The sentence ends where it is; the next target's are whole."""

    async def test(socket: ClientConnection) -> None:
        await say(socket, append())
        error = (await received(socket, until="error"))[-1]
        assert "the translator is gone" in error["error"]["message"]  # type: ignore[index]
        await say(socket, into("fr"), append(), CLOSE)
        got = await received(socket)
        assert [e["delta"] for e in got if e["type"] == "session.output_transcript.delta"] == [" fr 1"]

    run(Interpreters(TOLD[:2], leaving=("pt",)), test)


def test_what_failed_is_tried_again_a_while_later() -> None:
    """A language model's server that was busy for a moment does not end a talk of hours."""
    interpreters = Interpreters(leaving=("pt",), times=2)

    async def test(socket: ClientConnection) -> None:
        await say(socket, *[append()] * (1 + 5 + 1 + 10 + 3), CLOSE)
        got = await received(socket)
        assert [e["type"] for e in got if e["type"] in ("error", "session.output_transcript.delta")] == [
            "error",
            "error",
            "session.output_transcript.delta",
        ]
        assert got[-2]["delta"] == "pt 3"

    run(interpreters, test)
    assert len(interpreters.asked) == 3


def test_what_fails_at_the_very_end_does_not_hold_the_session() -> None:
    async def test(socket: ClientConnection) -> None:
        await say(socket, append(), CLOSE)
        got = await received(socket)
        assert [e["type"] for e in got[-2:]] == ["error", "session.closed"]

    run(Interpreters(leaving_last=True), test)


def test_a_pair_that_is_known_to_have_no_translator_is_refused_at_the_update() -> None:
    """Before any sound; what is being translated goes on, and so do the settings, through later changes too."""

    async def test(socket: ClientConnection) -> None:
        await say(socket, append(), TRANSCRIBED, into("xx"))
        error = (await received(socket, until="error"))[-1]["error"]
        assert (error["code"], error["param"]) == ("invalid_value", "session.audio.output.language")  # type: ignore[index]
        await say(socket, append(), CLOSE)
        got = await received(socket)
        assert [e["delta"] for e in got if e["type"] == "session.output_transcript.delta"] == ["pt 2"]

    run(Interpreters(unknown=("xx",)), test)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"type": "nonsense"}, "does not match"),
        ({"type": "session.input_audio_buffer.append"}, "Field required"),
        ({"type": "session.input_audio_buffer.append", "audio": "%%"}, "not base64"),
        (into("Portuguese"), "pattern"),
        ({"type": "session.update", "session": {"model": "other"}}, "can't be changed"),
        ({"type": "session.update", "session": {"type": "realtime"}}, "can't be changed"),
    ],
)
def test_what_can_not_be_done_is_an_error_and_the_session_goes_on(message: dict[str, object], says: str) -> None:
    """One error each, with the event's id where it has one."""

    async def test(socket: ClientConnection) -> None:
        await say(socket, {**message, "event_id": "mine"})
        error = (await received(socket, until="error"))[-1]
        assert says in error["error"]["message"]  # type: ignore[index]
        assert error["error"]["event_id"] == "mine"  # type: ignore[index]
        await say(socket, CLOSE)
        assert (await received(socket))[-1]["type"] == "session.closed"

    run(Interpreters(), test)


def test_a_client_that_leaves_stops_its_interpreter() -> None:
    """The server has room for the next."""

    async def test(socket: ClientConnection) -> None:
        await say(socket, append())
        await socket.close()

    run(Interpreters(TOLD), test)


def test_a_broken_interpreter_ends_the_session_and_says_so() -> None:
    """It is not opened again and again."""
    interpreters = Interpreters(broken=RuntimeError("a wrong graph"))

    async def test(socket: ClientConnection) -> None:
        await say(socket, append())
        error = (await received(socket, until="error"))[-1]
        assert error["error"]["message"] == "the server failed; its log says how"  # type: ignore[index]
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011

    run(interpreters, test)
    assert len(interpreters.asked) == 1


def test_a_client_that_reads_nothing_is_let_go(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What it doesn't take must not pile up."""
    monkeypatch.setattr("dragoman.web.translations.STALL_S", 0.2)
    monkeypatch.setattr("dragoman.web.app.LEAVE_S", 0.1)
    minute = Spoken(0, "Bom dia.", 0.0, np.zeros(24_000 * 60, np.float32))

    async def test(socket: ClientConnection) -> None:
        await say(socket, append())
        host, port = socket.remote_address
        async with httpx.AsyncClient() as http:
            while (await http.get(f"http://{host}:{port}/health")).json()["sessions"]:
                pass
        assert caplog.messages == ["a session was ended: the client took nothing for 0 s"]
        socket.transport.abort()

    run(Interpreters((minute,) * 5), test, max_queue=1)


def test_appended_text_gives_each_word_once() -> None:
    """However the certain part grows, and across segments."""
    text = Appended()
    pieces = [text.partial("a b c", 1), text.partial("a b c. d", 3), text.closed("a b c."), text.partial("d e", 1)]
    pieces += [text.closed("d e."), text.closed("f.")]
    assert pieces == ["a", " b c.", "", " d", " e.", " f."]


def test_a_segment_that_vanished_says_nothing() -> None:
    """Nothing of it was certain."""
    telling = Telling()
    assert telling.tell(Revised(Update(3, 2, "", "", 0, True), 1.0, 1.0)) == []
