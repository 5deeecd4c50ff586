"""One WebSocket is one session: what the client sends goes in, what happens comes out, in one task group."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from dragoman.agent.parts import Parts
from dragoman.agent.ports import Bounded
from dragoman.agent.session import Session
from dragoman.agent.settings import SessionSettings
from dragoman.audio.types import DragomanError, Samples
from dragoman.web import protocol as ask
from dragoman.web.codec import Decoder
from dragoman.web.conversation import Conversation
from dragoman.web.events import ProtocolError, ServerEvent
from dragoman.web.protocol import MAX_TEXT_BYTES, SemanticVad, ServerVad, SessionConfig

STALL_S: Final = 10.0
"""A client that takes nothing for so long is let go: nothing may pile up for it."""
MUTE_S: Final = 2.0
"""A client that sends no sound for so long, and waits for an answer, has switched its microphone off."""
_LEISURE: Final = {"low": 2.0, "high": 0.5}
"""How much longer than usual a silence must be, by ``eagerness``."""


async def _require_nothing(settings: SessionSettings) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Backend:
    """What the server serves: how to open a session, and how to hear a sound that a client puts in at once."""

    open_session: Callable[[SessionSettings], Session]
    transcribe: Callable[[Samples, str | None], Awaitable[str]]
    settings: SessionSettings
    """What clients get that don't say otherwise."""
    require: Callable[[SessionSettings], Awaitable[None]] = _require_nothing
    """Raises ``ProtocolError`` where no session can have these settings."""
    longest: int = MAX_TEXT_BYTES
    """Bytes of the longest text that a client may put in at once."""

    @classmethod
    def of(cls, parts: Parts, settings: SessionSettings | None = None) -> Backend:
        """The real one."""

        async def transcribe(pcm: Samples, language: str | None) -> str:
            def work() -> str:
                stream = parts.recognizer.open(language)
                stream.accept(pcm)
                return stream.final().text.strip()

            return await parts.refining.run(work)  # it may be minutes: nobody's turn waits behind it

        served = settings or SessionSettings()

        async def require(wanted: SessionSettings) -> None:
            param = "session.audio.input.transcription.language"
            if wanted.voice is not None and wanted.voice.endswith(".onnx") and wanted.voice != served.voice:
                raise ProtocolError("name a voice: files are the server's own", param="session.audio.output.voice")
            try:
                parts.recognizer.open(wanted.language)
                if wanted.speak:
                    param = param if wanted.voice is None else "session.audio.output.voice"
                    await parts.voice(wanted.language or "en", wanted.voice)
            except DragomanError as error:
                raise ProtocolError(str(error), param=param) from error

        longest = parts.responder.longest if isinstance(parts.responder, Bounded) else MAX_TEXT_BYTES
        return cls(lambda wanted: Session(parts, wanted), transcribe, served, require, longest)


def settings_for(config: SessionConfig, base: SessionSettings) -> SessionSettings:
    """The session's settings that a client's configuration means."""
    heard, spoken, limit = config.audio.input, config.audio.output, config.max_output_tokens
    turns, transcription = heard.turn_detection, heard.transcription
    settings = replace(
        base,
        instructions=config.instructions or base.instructions,
        language=(transcription.language if transcription else None) or base.language,
        turn_detection=turns is not None,
        create_response=turns is not None and turns.create_response and config.type == "realtime",
        interrupt_response=turns is not None and turns.interrupt_response,
        speed=spoken.speed,
        max_tokens=limit if isinstance(limit, int) else base.max_tokens,
        speak=config.speaks and config.type == "realtime",
        voice=spoken.own_voice or base.voice,
        leisure=_LEISURE.get(turns.eagerness, 1.0) if isinstance(turns, SemanticVad) else 1.0,
    )
    if not isinstance(turns, ServerVad):
        return settings
    return replace(
        settings,
        silence_ms=turns.silence_duration_ms or base.silence_ms,
        threshold=min(0.99, max(0.21, turns.threshold)),
        prefix_padding_ms=turns.prefix_padding_ms,
    )


class _Control:
    """The session as the bookkeeping sees it. What has to wait behind the sound is done by ``settle``."""

    def __init__(self, session: Session, base: SessionSettings) -> None:
        self._base = base
        self._session = session
        self._unsettled: list[Callable[[], Awaitable[None]]] = []
        self.respond = session.respond
        self.cancel = session.cancel
        self.truncate = session.truncate
        self.remember = session.remember
        self.forget = session.forget

    def commit(self) -> None:
        self._unsettled.append(self._session.commit)

    def clear(self) -> None:
        self._unsettled.append(self._session.clear)

    async def settle(self) -> None:
        unsettled, self._unsettled = self._unsettled, []
        for act in unsettled:
            await act()

    def configure(self, config: SessionConfig) -> None:
        self._session.configure(settings_for(config, self._base))


class TooSlow(Exception):
    """The client doesn't take what it is sent."""


class Connection:
    """One client. ``config`` is what its address asked for; ``extended`` adds events of this server's own."""

    def __init__(self, socket: WebSocket, backend: Backend, config: SessionConfig, *, extended: bool = False) -> None:
        self._socket = socket
        self._backend = backend
        self._session = backend.open_session(settings_for(config, backend.settings))
        self._control = _Control(self._session, backend.settings)
        self._conversation = Conversation(self._control, config, _new_id, extended=extended, longest=backend.longest)
        self._decoder = Decoder(config.audio.input.format)
        self._waited_s = 0.0
        """So long the client was waited for since it sent sound: what it sends while it is not read counts as sent."""
        self._sending = asyncio.Lock()

    async def serve(self) -> None:
        """Hold the conversation until the client leaves. Raises ``TooSlow`` and ``DragomanError``."""
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._send(self._conversation.open())
                tasks.create_task(self._session.run(), name="session")
                tasks.create_task(self._tell(), name="tell")
                await self._receive()
                self._session.close()
        except* WebSocketDisconnect:
            pass
        except* (TooSlow, DragomanError) as errors:
            raise first_of(errors) from None

    async def _tell(self) -> None:
        async for happened in self._session.events():
            await self._send(self._conversation.session(happened))

    async def _send(self, events: list[ServerEvent]) -> None:
        """Send in the order in which they were made: whoever made them first has the lock first."""
        async with self._sending:
            for each in events:
                try:
                    async with asyncio.timeout(STALL_S):
                        await self._socket.send_text(json.dumps(each, ensure_ascii=False))
                except TimeoutError as error:
                    raise TooSlow(f"the client took nothing for {STALL_S:.0f} s") from error

    async def _next(self) -> Message | None:
        """What the client sends; None where that is nothing for ``MUTE_S``."""
        before = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(MUTE_S):
                return await self._socket.receive()
        except TimeoutError:
            return None
        finally:
            self._waited_s += asyncio.get_running_loop().time() - before

    async def _receive(self) -> None:
        while True:
            if (frame := await self._next()) is None:
                if self._mute and self._conversation.awaited:
                    ended = self._conversation.muted()
                    await self._control.settle()
                    await self._send(ended)
                continue
            if frame["type"] == "websocket.disconnect":
                return
            try:
                message = ask.parse(frame.get("text") or frame.get("bytes") or "")
                events = await self._take(message)
            except ProtocolError as error:
                events = self._conversation.refuse(error, error.cause)
            await self._send(events)

    async def _take(self, message: ask.ClientEvent) -> list[ServerEvent]:
        transcript: str | None = None
        try:
            if isinstance(message, ask.Append):
                for pcm in self._decoder.decode(message.audio):
                    await self._hear(pcm)
            elif isinstance(message, ask.Commit | ask.Clear):
                await self._hear(self._decoder.flush())
            elif isinstance(message, ask.ItemCreate):
                transcript = await self._transcribe(message.item)
            elif isinstance(message, ask.SessionUpdate):
                wanted = self._conversation.config.merged(message.session)
                await self._backend.require(settings_for(wanted, self._backend.settings))
        except ProtocolError as error:
            return self._conversation.refuse(error, message.event_id)
        form, events = self._conversation.config.audio.input.format, list[ServerEvent]()
        if self._mute and isinstance(message, ask.ItemCreate | ask.ResponseCreate):
            events += self._conversation.muted()
        events += self._conversation.client(message, transcript=transcript)
        await self._control.settle()
        if self._conversation.config.audio.input.format != form:
            self._decoder = Decoder(self._conversation.config.audio.input.format)
        return events

    @property
    def _mute(self) -> bool:
        return self._waited_s >= MUTE_S

    async def _hear(self, pcm: Samples) -> None:
        if len(pcm):
            self._waited_s = 0.0
            self._conversation.received(len(pcm))
            await self._session.hear(pcm)

    async def _transcribe(self, item: ask.MessageItem) -> str | None:
        config = self._conversation.config.audio.input
        decoder = Decoder(config.format)
        sounds: list[Samples] = []
        for part in item.content:
            # Words that come with their sound are not told by both.
            for piece in decoder.decode("" if part.transcript else part.audio or ""):
                sounds.append(piece)
                await asyncio.sleep(0)  # others are served in between
        if not sounds:
            return None
        language = config.transcription.language if config.transcription else None
        pcm = np.concatenate([*sounds, decoder.flush()])
        try:
            return await self._backend.transcribe(pcm, language or self._backend.settings.language)
        except Exception as error:  # as with a turn that is spoken: it must not end the conversation
            raise ProtocolError(f"recognition failed: {error}", param="item.content") from error


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error in a group of them, however deep."""
    first = errors.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first


def _new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(10)}"
