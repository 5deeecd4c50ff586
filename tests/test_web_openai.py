"""The ``openai`` package's own client, unmodified, on a real socket, with the real models."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Iterator

import numpy as np
import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeServerEvent
from web_served import served

from dragoman.agent.endpointing import TextTurnDetector
from dragoman.agent.llm.llamacpp import LlamaCppResponder
from dragoman.agent.parts import Parts
from dragoman.agent.ports import Recognizer
from dragoman.asr.vad import SileroVad
from dragoman.audio.types import OUTPUT_RATE, Samples
from dragoman.tts import Voice
from dragoman.web.app import create_app
from dragoman.web.realtime import Backend

Talk = Callable[[AsyncRealtimeConnection], Awaitable[None]]
QUESTION = "What is the capital of France?"


@pytest.fixture(scope="module")
def parts(english_recognizer: Recognizer, english_voice: Voice, responder: LlamaCppResponder) -> Iterator[Parts]:
    """The embedded models, as the server would share them."""
    opened = Parts(
        recognizer=english_recognizer,
        responder=responder,
        turn_detector=TextTurnDetector(),
        voice_activity=SileroVad,
        open_voice=lambda language, name: english_voice,
    )
    yield opened
    opened.hearing.close()
    opened.speaking.close()


@pytest.fixture(scope="module")
def question(english_voice: Voice) -> Samples:
    """The question aloud, with silence around it."""
    quiet = np.zeros(OUTPUT_RATE, np.float32)
    return np.concatenate([quiet[: OUTPUT_RATE // 2], english_voice.synthesize(QUESTION).pcm, quiet, quiet])


def connected(parts: Parts, talk: Talk) -> None:
    async def main() -> None:
        async with served(create_app(Backend.of(parts))) as address, asyncio.timeout(100):
            client = AsyncOpenAI(base_url=f"http://{address}/v1", websocket_base_url=f"ws://{address}/v1", api_key="x")
            async with client, client.realtime.connect(model="dragoman") as connection:
                await talk(connection)

    asyncio.run(main())


async def append(connection: AsyncRealtimeConnection, pcm: Samples) -> None:
    wire = (pcm * 32767).astype("<i2").tobytes()
    for start in range(0, len(wire), 9600):
        await connection.input_audio_buffer.append(audio=base64.b64encode(wire[start : start + 9600]).decode())


async def until(connection: AsyncRealtimeConnection, kind: str) -> list[RealtimeServerEvent]:
    """Events up to the first of ``kind``; an error event fails the test."""
    seen: list[RealtimeServerEvent] = []
    async for event in connection:
        assert event.type != "error", event
        seen.append(event)
        if event.type == kind:
            break
    return seen


def sound_of(events: list[RealtimeServerEvent]) -> Samples:
    wire = b"".join(base64.b64decode(e.delta) for e in events if e.type == "response.output_audio.delta")
    return np.frombuffer(wire, "<i2").astype(np.float32) / 32768


def test_spoken_question_is_answered_aloud(
    parts: Parts, question: Samples, transcribe: Callable[[Samples, str], str]
) -> None:
    """The question is transcribed, and the spoken answer says what its transcript says."""

    async def talk(connection: AsyncRealtimeConnection) -> None:
        await append(connection, question)
        events = await until(connection, "response.done")
        said = [e.transcript for e in events if e.type.endswith("input_audio_transcription.completed")]
        written = "".join(e.delta for e in events if e.type == "response.output_audio_transcript.delta")
        assert "capital of France" in said[0]
        assert "Paris" in written
        assert "Paris" in transcribe(sound_of(events), "en")
        assert events[-1].response.status == "completed"

    connected(parts, talk)


def test_manual_turn_is_answered_in_writing(parts: Parts, question: Samples) -> None:
    """turn_detection null and text output: commit, response.create, an answer to what was committed."""

    async def talk(connection: AsyncRealtimeConnection) -> None:
        audio = {"input": {"turn_detection": None}}
        await connection.session.update(session={"type": "realtime", "output_modalities": ["text"], "audio": audio})
        await append(connection, question)
        await connection.input_audio_buffer.commit()
        await connection.response.create()
        events = await until(connection, "response.done")
        written = "".join(e.delta for e in events if e.type == "response.output_text.delta")
        assert "Paris" in written
        assert not len(sound_of(events))

    connected(parts, talk)


def test_typed_message_is_answered(parts: Parts) -> None:
    """No microphone at all."""

    async def talk(connection: AsyncRealtimeConnection) -> None:
        content = [{"type": "input_text", "text": QUESTION}]
        await connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        await connection.response.create()
        events = await until(connection, "response.done")
        assert "Paris" in events[-1].response.output[0].content[0].transcript
        assert len(sound_of(events)) > OUTPUT_RATE // 2

    connected(parts, talk)


def test_truncated_answer_keeps_what_was_heard(parts: Parts) -> None:
    """A client that cuts the answer finds the item cut at a word, and may ask again at once."""

    async def talk(connection: AsyncRealtimeConnection) -> None:
        content = [{"type": "input_text", "text": "Tell me about the sea in two sentences."}]
        await connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        await connection.response.create()
        events = await until(connection, "response.output_audio.delta")
        item = events[-1].item_id
        await connection.conversation.item.truncate(item_id=item, content_index=0, audio_end_ms=150)
        events += await until(connection, "response.done")
        await connection.conversation.item.retrieve(item_id=item)
        (kept,) = (await until(connection, "conversation.item.retrieved"))[-1].item.content
        written = "".join(e.delta for e in events if e.type == "response.output_audio_transcript.delta")
        assert len(kept.transcript.split()) <= 1
        assert written.startswith(kept.transcript)
        await connection.response.create()
        await until(connection, "response.created")

    connected(parts, talk)


def test_message_typed_while_the_answer_plays_is_answered_after_it(parts: Parts) -> None:
    """A response is done long before it was heard; the next one waits for its end and is not lost."""

    async def talk(connection: AsyncRealtimeConnection) -> None:
        answers = []
        for question in (QUESTION, "And what is the capital of Italy?"):
            content = [{"type": "input_text", "text": question}]
            await connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
            await connection.response.create()
            answers.append((await until(connection, "response.done"))[-1].response.output[0].content[0].transcript)
        assert "Paris" in answers[0]
        assert "Rome" in answers[1]

    connected(parts, talk)
