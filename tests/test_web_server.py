"""The server over a real socket: who may enter, what a connection survives, how it ends."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import typer
import websockets
from fakes import ScriptedRecognizer, ScriptedResponder, ScriptedStream, ToneVoice, scripted, speech
from typer.testing import CliRunner
from web_scripted import ScriptedSession
from web_served import served
from websockets.asyncio.client import ClientConnection, connect

from dragoman import web
from dragoman.agent import events as on
from dragoman.agent.settings import SessionSettings
from dragoman.audio.types import DragomanError, Samples
from dragoman.web import cli
from dragoman.web.app import create_app
from dragoman.web.realtime import Backend

sessions: list[ScriptedSession] = []


def backend() -> Backend:
    sessions.clear()

    def opened(settings: SessionSettings) -> ScriptedSession:
        sessions.append(ScriptedSession(settings))
        return sessions[-1]

    async def transcribe(pcm: Samples, language: str | None) -> str:
        return f"{len(pcm) / 16_000:.1f} seconds in {language}"

    return Backend(opened, transcribe, SessionSettings())


def run(test: Callable[[str], Awaitable[None]], **options: object) -> None:
    async def main() -> None:
        async with served(create_app(backend(), **options)) as address:
            async with asyncio.timeout(20):
                await test(address)

    asyncio.run(main())


async def told(socket: ClientConnection, kind: str) -> dict[str, object]:
    """The next event of this kind."""
    while True:
        event: dict[str, object] = json.loads(await socket.recv())
        if event["type"] == kind:
            return event


async def send(socket: ClientConnection, kind: str, **fields: object) -> None:
    await socket.send(json.dumps({"type": kind, **fields}))


def test_sound_reaches_the_session_at_16_khz() -> None:
    """Appended sound is decoded, resampled and heard, all of it before the commit is."""

    async def test(address: str) -> None:
        async with connect(f"ws://{address}/v1/realtime?model=m") as socket:
            created = await told(socket, "session.created")
            assert created["session"]["model"] == "m"
            await send(socket, "session.update", session={"audio": {"input": {"turn_detection": None}}})
            sound = base64.b64encode(np.zeros(24_000, "<i2").tobytes()).decode()
            await send(socket, "input_audio_buffer.append", audio=sound)
            await send(socket, "input_audio_buffer.commit")
            await told(socket, "input_audio_buffer.committed")
            assert sessions[0].heard == 16_000
            assert sessions[0].calls[-1] == ("commit",)

    run(test)


def test_update_reaches_the_session() -> None:
    """The configuration becomes the session's settings."""

    async def test(address: str) -> None:
        async with connect(f"ws://{address}/v1/realtime") as socket:
            turns = {"type": "server_vad", "silence_duration_ms": 700, "create_response": False}
            change = {"instructions": "Be kind.", "audio": {"input": {"turn_detection": turns}}}
            await send(socket, "session.update", session=change)
            await told(socket, "session.updated")
            settings = sessions[0].calls[-1][1]
            assert isinstance(settings, SessionSettings)
            assert settings.instructions == "Be kind."
            assert settings.silence_ms == 700
            assert settings.create_response is False

    run(test)


@pytest.mark.parametrize(("eagerness", "leisure"), [("low", 2.0), ("medium", 1.0), ("auto", 1.0), ("high", 0.5)])
def test_eagerness_is_how_long_a_pause_may_be(eagerness: str, leisure: float) -> None:
    """And it is forgotten where turns are to end otherwise."""

    async def test(address: str) -> None:
        async with connect(f"ws://{address}/v1/realtime") as socket:
            for turns in ({"type": "semantic_vad", "eagerness": eagerness}, {"type": "server_vad"}):
                await send(socket, "session.update", session={"audio": {"input": {"turn_detection": turns}}})
                await told(socket, "session.updated")
            settings = [call[1] for call in sessions[0].calls]
            assert [each.policy().leisure for each in settings if isinstance(each, SessionSettings)] == [leisure, 1.0]

    run(test)


class EnglishEar(ScriptedRecognizer):
    def open(self, language: str | None = None) -> ScriptedStream:
        if language != "en":
            raise DragomanError(f"this ear does not know {language!r}")
        return super().open(language)


@pytest.mark.parametrize(
    ("change", "param", "says"),
    [
        (
            {"input": {"transcription": {"language": "xx"}}},
            "session.audio.input.transcription.language",
            "this ear does not know 'xx'",
        ),
        ({"output": {"voice": "nobody"}}, "session.audio.output.voice", "no voice is named 'nobody'"),
        ({"output": {"voice": "/tmp/mine.onnx"}}, "session.audio.output.voice", "files are the server's own"),
    ],
)
def test_what_the_models_can_not_do_is_refused_at_the_update(change: dict[str, object], param: str, says: str) -> None:
    """The session goes on as it was."""

    def open_voice(language: str, name: str | None) -> ToneVoice:
        if name == "nobody":
            raise DragomanError("no voice is named 'nobody'")
        return ToneVoice()

    async def main() -> None:
        parts = scripted(["Hello."], ["Good day."])
        parts.recognizer, parts.open_voice = EnglishEar(["Hello."]), open_voice
        async with (
            asyncio.timeout(20),
            served(create_app(Backend.of(parts))) as address,
            connect(f"ws://{address}/v1/realtime") as socket,
        ):
            before = (await told(socket, "session.created"))["session"]
            await send(socket, "session.update", session={"instructions": "Be kind.", "audio": change}, event_id="mine")
            error = (await told(socket, "error"))["error"]
            assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_value")
            assert (error["param"], error["event_id"]) == (param, "mine")
            assert says in error["message"]
            await send(socket, "session.update", session={})
            assert (await told(socket, "session.updated"))["session"] == before
            content = [{"type": "input_text", "text": "Hello."}]
            await send(socket, "conversation.item.create", item={"type": "message", "role": "user", "content": content})
            await send(socket, "response.create")
            assert (await told(socket, "response.done"))["response"]["status"] == "completed"

    asyncio.run(main())


class ShortOfMemory(ScriptedResponder):
    longest = 20


def test_text_that_the_language_model_can_not_read_is_refused() -> None:
    """The bound is the model's; the session goes on."""

    async def main() -> None:
        parts = scripted([], [])
        parts.responder = ShortOfMemory(["Good day."])
        async with (
            asyncio.timeout(20),
            served(create_app(Backend.of(parts))) as address,
            connect(f"ws://{address}/v1/realtime") as socket,
        ):
            for text in ("Hello, hello, hello, hello.", "Hello."):
                item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
                await send(socket, "conversation.item.create", item=item, event_id="mine")
            error = (await told(socket, "error"))["error"]
            assert (error["code"], error["param"], error["event_id"]) == ("invalid_value", "item.content", "mine")
            assert "shorten it to 20" in error["message"]
            await send(socket, "response.create")
            assert (await told(socket, "response.done"))["response"]["status"] == "completed"
            assert [message.content for message in parts.responder.prompts[0][1:]] == ["Hello."]

    asyncio.run(main())


def test_answer_that_is_asked_for_after_a_cancel_is_given() -> None:
    """All three at once: the first response is the cancelled one, the second is answered."""

    async def main() -> None:
        async with (
            asyncio.timeout(20),
            served(create_app(Backend.of(scripted([], ["Good day.", "Good night."])))) as address,
            connect(f"ws://{address}/v1/realtime") as socket,
        ):
            for kind in ("response.create", "response.cancel", "response.create"):
                await send(socket, kind)
            done = [(await told(socket, "response.done"))["response"]["status"] for _ in range(2)]
            assert done == ["cancelled", "completed"]

    asyncio.run(main())


def test_client_that_sends_no_more_sound_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its microphone was switched off in the middle of a turn: what it types then waits for no silence."""
    monkeypatch.setattr("dragoman.web.realtime.MUTE_S", 0.0)

    async def main() -> None:
        parts = scripted(["Wait, stop."], ["Two."])
        async with (
            asyncio.timeout(20),
            served(create_app(Backend.of(parts))) as address,
            connect(f"ws://{address}/v1/realtime") as socket,
        ):
            wire = (np.repeat(speech((0.2, 1.4), seconds=1.4), 3)[::2] * 32767).astype("<i2").tobytes()
            await send(socket, "input_audio_buffer.append", audio=base64.b64encode(wire).decode())
            await told(socket, "input_audio_buffer.speech_started")
            content = [{"type": "input_text", "text": "What is one plus one?"}]
            await send(socket, "conversation.item.create", item={"type": "message", "role": "user", "content": content})
            await send(socket, "response.create")
            await told(socket, "input_audio_buffer.speech_stopped")
            assert (await told(socket, "response.done"))["response"]["status"] == "completed"
            said = [message.content for message in parts.responder.prompts[-1][1:]]
            assert said == ["Wait, stop.", "What is one plus one?"]

    asyncio.run(main())


def test_client_that_is_not_read_for_long_has_not_switched_its_microphone_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the sound of an item is recognized, what it sends waits on its way: the turn goes on."""
    monkeypatch.setattr("dragoman.web.realtime.MUTE_S", 0.3)

    async def slowly(pcm: Samples, language: str | None) -> str:
        await asyncio.sleep(0.6)
        return "What is one plus one?"

    async def main() -> None:
        async with (
            asyncio.timeout(20),
            served(create_app(replace(Backend.of(scripted(["Wait."], ["Two."])), transcribe=slowly))) as address,
            connect(f"ws://{address}/v1/realtime") as socket,
        ):
            wire = (np.repeat(speech((0.2, 1.4), seconds=1.4), 3)[::2] * 32767).astype("<i2").tobytes()
            sound = base64.b64encode(wire).decode()
            await send(socket, "input_audio_buffer.append", audio=sound)
            await told(socket, "input_audio_buffer.speech_started")
            item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": sound}]}
            await send(socket, "conversation.item.create", item=item)
            for kind, fields in (("response.create", {}), ("input_audio_buffer.append", {"audio": sound})):
                await send(socket, kind, **fields)
            await send(socket, "session.update", session={})
            seen: list[str] = []
            while "session.updated" not in seen:
                seen.append(str(json.loads(await socket.recv())["type"]))
            assert "conversation.item.done" in seen
            assert "input_audio_buffer.committed" not in seen

    asyncio.run(main())


def test_response_that_waits_for_a_voice_is_given_where_no_more_sound_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The voice was heard in what had come before the request; its client does nothing but wait."""
    monkeypatch.setattr("dragoman.web.realtime.MUTE_S", 0.01)

    async def test(address: str) -> None:
        async with connect(f"ws://{address}/v1/realtime") as socket:
            sound = base64.b64encode(np.zeros(24_000, "<i2").tobytes()).decode()
            await send(socket, "input_audio_buffer.append", audio=sound)
            await send(socket, "response.create")
            await told(socket, "response.created")
            sessions[0].tell(on.UserStarted(1, 0.2))
            await told(socket, "input_audio_buffer.speech_stopped")
            await told(socket, "input_audio_buffer.committed")
            assert sessions[0].calls[-1] == ("commit",)

    run(test)


@pytest.mark.parametrize("way", ["commit", "clear"])
def test_what_is_given_at_once_is_ended_as_a_whole(way: str) -> None:
    """Sound, its end or its refusal, and a request, all before anything was heard: one turn or none, and an answer."""

    async def main() -> None:
        async with (
            asyncio.timeout(20),
            served(create_app(Backend.of(scripted(["What time is it?"], ["It is noon."])))) as address,
            connect(f"ws://{address}/v1/realtime") as socket,
        ):
            wire = (np.repeat(speech((0.2, 1.4), seconds=1.4), 3)[::2] * 32767).astype("<i2").tobytes()
            await send(socket, "input_audio_buffer.append", audio=base64.b64encode(wire).decode())
            await send(socket, f"input_audio_buffer.{way}")
            await send(socket, "response.create")
            seen: list[dict[str, object]] = []
            while not seen or seen[-1]["type"] != "response.done":
                seen.append(json.loads(await socket.recv()))
            assert seen[-1]["response"]["status"] == "completed"
            assert [each["type"] for each in seen if "speech_st" in str(each["type"])] == []
            words = [each["transcript"] for each in seen if str(each["type"]).endswith("transcription.completed")]
            assert words == (["What time is it?"] if way == "commit" else [])

    asyncio.run(main())


def test_nonsense_leaves_the_session_open() -> None:
    """An error event, and the next event is served."""

    async def test(address: str) -> None:
        async with connect(f"ws://{address}/v1/realtime") as socket:
            await socket.send("nonsense")
            error = await told(socket, "error")
            assert error["error"]["code"] == "invalid_json"
            await send(socket, "input_audio_buffer.append", audio="~", event_id="bad")
            assert (await told(socket, "error"))["error"]["event_id"] == "bad"
            await send(socket, "conversation.item.create", item={"type": "function_call_output"}, event_id="worse")
            assert (await told(socket, "error"))["error"]["event_id"] == "worse"
            await send(socket, "input_audio_buffer.clear")
            await told(socket, "input_audio_buffer.cleared")

    run(test)


def test_spoken_item_is_transcribed() -> None:
    """An item with sound gets its words and is remembered."""

    async def test(address: str) -> None:
        async with connect(f"ws://{address}/v1/realtime") as socket:
            sound = base64.b64encode(np.zeros(48_000, "<i2").tobytes()).decode()
            item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": sound}]}
            await send(socket, "conversation.item.create", item=item)
            await told(socket, "conversation.item.done")
            assert sessions[0].calls == [("remember", "user", "2.0 seconds in en")]

    run(test)


def test_spoken_item_with_its_words_says_them_once() -> None:
    """Clients that replay a conversation send what they had understood with the sound."""

    async def test(address: str) -> None:
        async with connect(f"ws://{address}/v1/realtime") as socket:
            sound = base64.b64encode(np.zeros(48_000, "<i2").tobytes()).decode()
            part = {"type": "input_audio", "audio": sound, "transcript": "Good morning."}
            item = {"type": "message", "role": "user", "content": [part]}
            await send(socket, "conversation.item.create", item=item)
            await told(socket, "conversation.item.done")
            assert sessions[0].calls == [("remember", "user", "Good morning.")]

    run(test)


def test_spoken_item_that_can_not_be_recognized_is_refused() -> None:
    """The session goes on, without it."""

    async def main() -> None:
        parts = scripted(["Hello."], ["Good day."])
        assert isinstance(parts.recognizer, ScriptedRecognizer)
        parts.recognizer.failures = 1
        async with (
            asyncio.timeout(20),
            served(create_app(Backend.of(parts))) as address,
            connect(f"ws://{address}/v1/realtime") as socket,
        ):
            sound = base64.b64encode(np.zeros(48_000, "<i2").tobytes()).decode()
            item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": sound}]}
            await send(socket, "conversation.item.create", item=item, event_id="mine")
            error = (await told(socket, "error"))["error"]
            assert (error["message"], error["event_id"]) == ("recognition failed: the recognizer broke", "mine")
            await send(socket, "conversation.item.create", item=item)
            assert (await told(socket, "conversation.item.done"))["item"]["content"][0]["transcript"] == "Hello."

    asyncio.run(main())


def test_transcription_intent_asks_for_no_reply() -> None:
    """?intent=transcription."""

    async def test(address: str) -> None:
        async with connect(f"ws://{address}/v1/realtime?intent=transcription") as socket:
            created = await told(socket, "session.created")
            assert created["session"]["type"] == "transcription"
            assert sessions[0].settings.create_response is False

    run(test)


def test_session_ends_with_its_connection() -> None:
    """A client that leaves gives its place back."""

    async def test(address: str) -> None:
        async with httpx.AsyncClient() as http:
            for _ in range(3):
                async with connect(f"ws://{address}/v1/realtime") as socket:
                    await told(socket, "session.created")
                while (await http.get(f"http://{address}/health")).json()["sessions"]:
                    pass

    run(test, limit=1)


def test_full_server_says_so() -> None:
    """One over the limit gets an error that names the reason, and is closed."""

    async def test(address: str) -> None:
        async with connect(f"ws://{address}/v1/realtime") as first:
            await told(first, "session.created")
            async with connect(f"ws://{address}/v1/realtime") as second:
                error = await told(second, "error")
                assert error["error"]["code"] == "session_limit"
                with pytest.raises(websockets.ConnectionClosed) as closed:
                    await second.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1013

    run(test, limit=1)


@pytest.mark.parametrize(
    ("headers", "protocols", "allowed"),
    [
        ({"Authorization": "Bearer secret"}, None, True),
        ({}, ["realtime", "openai-insecure-api-key.secret"], True),
        ({}, ["realtime", "openai-insecure-api-key.%73ecret"], True),
        ({"Authorization": "Bearer wrong"}, None, False),
        ({}, None, False),
        ({"Origin": "http://elsewhere.example", "Authorization": "Bearer secret"}, None, True),
    ],
)
def test_key_opens_the_door(headers: dict[str, str], protocols: list[str] | None, allowed: bool) -> None:
    """By header, or by subprotocol as browsers must."""

    async def test(address: str) -> None:
        opening = connect(
            f"ws://{address}/v1/realtime",
            additional_headers=headers,
            subprotocols=protocols,
        )
        if allowed:
            async with opening as socket:
                assert socket.subprotocol == ("realtime" if protocols else None)
                await told(socket, "session.created")
        else:
            with pytest.raises(websockets.InvalidStatus) as refused:
                await opening
            assert refused.value.response.status_code == 401

    run(test, key="secret")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://elsewhere.example"},
        {"Host": "elsewhere.example", "Origin": "http://elsewhere.example"},
        {"Host": "["},
        {"Origin": "http://["},
    ],
)
def test_foreign_pages_are_refused(headers: dict[str, str]) -> None:
    """A page from elsewhere can't talk to a server on this machine, whatever name it gives it."""

    async def test(address: str) -> None:
        async with httpx.AsyncClient() as http:
            answer = await http.get(f"http://{address}/v1/models", headers=headers)
        assert answer.status_code == 403

    run(test)


def test_page_is_served_with_all_that_it_needs() -> None:
    """Every file that the page names is there, and none is from elsewhere."""

    async def test(address: str) -> None:
        async with httpx.AsyncClient(base_url=f"http://{address}") as http:
            page = (await http.get("/")).text
            assert "http" + "://" not in page
            for name in ("app", "client", "log", "meter", "sound", "capture", "playback", "resampler"):
                answer = await http.get(f"/static/{name}.js")
                assert "javascript" in answer.headers["content-type"]
            assert (await http.get("/static/style.css")).status_code == 200

    run(test)


def luminance(colour: str) -> float:
    """Of #rrggbb, as WCAG has it."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_text_on_the_page_can_be_read() -> None:
    """WCAG AA, light and dark: 4.5 to 1."""
    style = (Path(web.__file__).parent / "static" / "style.css").read_text()
    light, dark = [dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in style.split("@media")[:2]]
    texts = [*itertools.product(("ink", "soft"), ("paper", "card", "mine")), ("accent-ink", "accent")]
    texts += [("accent", "card"), ("alarm", "alarm-card")]
    assert set(light) == set(dark) == {name for pair in texts for name in pair} | {"line"}
    for colours, (text, ground) in itertools.product((light, dark), texts):
        fainter, stronger = sorted(luminance(colours[name]) for name in (text, ground))
        assert (stronger + 0.05) / (fainter + 0.05) >= 4.5, (text, ground)


def test_events_go_out_in_order() -> None:
    """A long reply, told at once, arrives whole and in order."""

    async def test(address: str) -> None:
        async with connect(f"ws://{address}/v1/realtime") as socket:
            await told(socket, "session.created")
            tone = np.linspace(-0.5, 0.5, 24_000 * 20, dtype=np.float32)
            sessions[0].tell(
                on.ReplyStarted(1, 0, 0.0),
                *(on.ReplyAudio(1, part, ()) for part in np.split(tone, 20)),
                on.ReplyDone(1, 20.0, "completed", "", ""),
            )
            wire = b""
            while (event := json.loads(await socket.recv()))["type"] != "response.done":
                if event["type"] == "response.output_audio.delta":
                    wire += base64.b64decode(event["delta"])
            heard = np.frombuffer(wire, "<i2")
            assert len(heard) == len(tone)
            assert bool(np.all(np.diff(heard.astype(int)) >= 0))

    run(test)


def test_client_that_reads_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it doesn't take must not pile up: its session ends, and its place is free again."""
    monkeypatch.setattr("dragoman.web.realtime.STALL_S", 0.2)
    monkeypatch.setattr("dragoman.web.app.LEAVE_S", 0.1)

    async def test(address: str) -> None:
        async with httpx.AsyncClient() as http, connect(f"ws://{address}/v1/realtime", max_queue=1) as socket:
            await told(socket, "session.created")
            minute = np.zeros(24_000 * 60, np.float32)
            sessions[0].tell(on.ReplyStarted(1, 0, 0.0), *[on.ReplyAudio(1, minute, ())] * 5)
            while (await http.get(f"http://{address}/health")).json()["sessions"]:
                pass
            socket.transport.abort()

    run(test)


@pytest.mark.parametrize(
    "reason", ["the language model is gone", "o modelo não está mais lá: " + "não há memória, " * 9]
)
def test_failed_session_says_so(reason: str) -> None:
    """A session that ends by itself closes its connection with the reason, or as much of it as a close can hold."""

    async def test(address: str) -> None:
        async with connect(f"ws://{address}/v1/realtime") as socket:
            await told(socket, "session.created")
            sessions[0].fail(DragomanError(reason))
            error = await told(socket, "error")
            assert error["error"]["message"] == reason
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1011
            assert reason.startswith(closed.value.rcvd.reason)

    run(test)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "{taken}"], "is taken: choose another"),
        (["--host", "no.such.host.invalid"], "no such address"),
        (["--lang", "english"], "'english' is no language's code"),
        (["--port", "0", "--lang", "DE-at"], "no voice speaks 'de'"),
        (["--certificate", "none.pem"], "--certificate none.pem: can't be read"),
        (["--certificate", __file__, "--certificate-key", "none.pem"], "--certificate-key none.pem: can't be read"),
        (["--certificate", __file__], "not a certificate with its private key"),
        (["--certificate-key", __file__], "needs --certificate"),
        (["--key", ""], "--key: give one or more"),
        (["--key", "my clé"], "--key: give one or more"),
    ],
)
def test_bad_input_is_one_clear_line(options: list[str], message: str) -> None:
    """Found before any model is loaded."""
    app = typer.Typer()
    cli.register(app)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(app, [each.format(taken=port) for each in options])
    assert result.exit_code == 1
    assert message in " ".join(result.stderr.split())
