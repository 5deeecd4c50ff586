"""``/v1/realtime/translations``: one WebSocket is one interpreter; sound goes in, appended text and speech come out.

What may still be revised is not part of this protocol. Who asks for it (``?extensions=dragoman``) gets each revision as
a ``dragoman.translation.update`` beside it, and is told what the voice left out because it was too late (``...
.unspoken``); ``?from=pt`` names the spoken language instead of the server's, and
``?speech=off`` does without the voice.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Final, TypeAlias

from starlette.websockets import WebSocket, WebSocketDisconnect

from dragoman.agent.interpreter import Event, Hearing, Interpreter, Recognized, Revised, Spoken, Unspoken
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, DragomanError, Samples
from dragoman.web import translation_protocol as ask
from dragoman.web.codec import Decoder, Encoder
from dragoman.web.events import ProtocolError, ServerEvent, error_event, event
from dragoman.web.protocol import Pcm
from dragoman.web.realtime import STALL_S, TooSlow, first_of
from dragoman.web.translation_protocol import FRAME_MS, TranslationConfig

OpenInterpreter: TypeAlias = Callable[[str | None, str, bool], Interpreter]
"""(spoken language or None to detect it, target, whether it speaks) -> an interpreter. Blocking, seconds the first
time. Raises ``DragomanError``."""

_LIFETIME_S: Final = 24 * 3600
_AGAIN_S: Final = 5.0
_LATEST_AGAIN_S: Final = 60.0
"""After so many seconds of sound what failed is tried again: twice as many each time, up to a minute."""

_WAITING: Final = 600
"""Pieces of sound, of a fifth of a second at most, that may wait while models load: beyond them the client is not
read."""


class Appended:
    """Text that grows and is revised, as pieces to append: each word is given once it is certain."""

    def __init__(self) -> None:
        self._given = 0
        self._any = False

    def broken_off(self) -> None:
        """The open text ends where it is: what follows is another."""
        self._given = 0

    def partial(self, text: str, certain: int) -> str:
        """The piece for an open text whose first ``certain`` words will not change; may be empty."""
        fresh = text.split()[self._given : certain]
        self._given += len(fresh)
        return self._piece(fresh)

    def closed(self, text: str) -> str:
        """The rest of a text that is complete; what is open now follows it."""
        words = text.split()
        fresh = words[self._given :]
        self._given = max(0, self._given - len(words))
        return self._piece(fresh)

    def _piece(self, words: list[str]) -> str:
        if not words:
            return ""
        text = ("" if not self._any else " ") + " ".join(words)
        self._any = True
        return text


@dataclass
class Telling:
    """What an interpreter's events become on the wire."""

    transcription: bool = False
    extended: bool = False
    received: int = 0
    """Samples of the client's sound, at 16 kHz."""

    def __post_init__(self) -> None:
        self._heard, self._said = Appended(), Appended()
        self._encoder = Encoder(Pcm())

    def failed(self, error: DragomanError) -> list[ServerEvent]:
        """The server's events for an interpreter that is broken off."""
        self._heard.broken_off()
        self._said.broken_off()
        return [error_event(str(error), kind="server_error", code="interpreter_failed")]

    def tell(self, happened: Event) -> list[ServerEvent]:
        """The server's events for one of the interpreter's."""
        match happened:
            case Hearing(text, certain, _):
                return self._input(self._heard.partial(text, certain))
            case Recognized(text=text):
                return self._input(self._heard.closed(text))
            case Revised(update):
                told = self._said.closed if update.final else lambda text: self._said.partial(text, len(text.split()))
                delta = told(update.stable_text)
                events = [self._event("session.output_transcript.delta", delta)] if delta else []
                if self.extended:
                    events.append(event("dragoman.translation.update", **asdict(update), elapsed_ms=self._elapsed))
                return events
            case Spoken(pcm=pcm):
                pieces = [*self._encoder.encode(pcm), *self._encoder.flush()]
                form: dict[str, str | int] = {"sample_rate": OUTPUT_RATE, "channels": 1, "format": "pcm16"}
                return [self._event("session.output_audio.delta", piece, **form) for piece in pieces]
            case Unspoken(segment, text, late) if self.extended:
                return [event("dragoman.translation.unspoken", segment=segment, text=text, late_s=round(late, 3))]
            case _:
                return []

    def _input(self, delta: str) -> list[ServerEvent]:
        return [self._event("session.input_transcript.delta", delta)] if delta and self.transcription else []

    def _event(self, type_: str, delta: str, **fields: str | int) -> ServerEvent:
        return event(type_, delta=delta, elapsed_ms=self._elapsed, **fields)

    @property
    def _elapsed(self) -> int:
        return self.received * 1000 // INPUT_RATE // FRAME_MS * FRAME_MS


class TranslationConnection:
    """One client. ``source`` is the spoken language, None to detect it."""

    def __init__(
        self,
        socket: WebSocket,
        open_interpreter: OpenInterpreter,
        config: TranslationConfig,
        *,
        source: str | None,
        speaks: bool = True,
        extended: bool = False,
    ) -> None:
        self._socket = socket
        self._open = open_interpreter
        self._config = config
        self._source, self._speaks = source, speaks
        self._telling = Telling(extended=extended)
        self._decoder = Decoder(Pcm())
        self._sound: asyncio.Queue[Samples | None] = asyncio.Queue(_WAITING)
        self._tasks = asyncio.TaskGroup()
        self._run: asyncio.Task[None] | None = None
        self._id = f"sess_{secrets.token_hex(10)}"
        self._expires = int(time.time()) + _LIFETIME_S
        self._sending = asyncio.Lock()

    async def serve(self) -> None:
        """Interpret until the client leaves or closes the session, or its time is over. Raises ``TooSlow``."""
        try:
            async with self._tasks:
                await self._send([self._session("session.created")])
                await self._receive(asyncio.get_running_loop().time() + _LIFETIME_S)
                await self._settle()
                await self._send([event("session.closed")])
                await self._socket.close()
        except* WebSocketDisconnect:
            pass
        except* TooSlow as errors:
            raise first_of(errors) from None

    async def _receive(self, until: float) -> None:
        """Until the client closes the session, or that moment. Raises ``WebSocketDisconnect`` where it is gone."""
        while True:
            try:
                async with asyncio.timeout_at(until):
                    frame = await self._socket.receive()
            except TimeoutError:
                return
            if frame["type"] == "websocket.disconnect":
                raise WebSocketDisconnect
            cause: str | None = None
            try:
                message = ask.parse(frame.get("text") or frame.get("bytes") or "")
                cause = message.event_id
                if isinstance(message, ask.TranslationClose):
                    return
                await self._take(message)
            except ProtocolError as error:
                await self._send(
                    [error_event(str(error), code=error.code, param=error.param, cause=cause or error.cause)]
                )

    async def _take(self, message: ask.TranslationUpdate | ask.TranslationAppend) -> None:
        if isinstance(message, ask.TranslationAppend):
            for pcm in self._decoder.decode(message.audio):
                self._telling.received += len(pcm)
                if self._run is None:
                    self._run = self._tasks.create_task(self._interpret(self._config.target), name="interpret")
                await self._sound.put(pcm)
                await asyncio.sleep(0)  # others are served in between
            return
        config = self._config.merged(message.session)
        if config.target != self._config.target:
            await self._settle()  # what was said until now is translated as it was wanted then
        self._config = config
        self._telling.transcription = config.audio.input.transcription is not None
        await self._send([self._session("session.updated")])

    async def _settle(self) -> None:
        """Let the interpreter end with what it has heard."""
        if self._run is not None:
            await self._sound.put(self._decoder.flush())
            await self._sound.put(None)
            await self._run
        self._run = None
        self._decoder = Decoder(Pcm())
        self._sound = asyncio.Queue(_WAITING)

    async def _interpret(self, target: str) -> None:
        """Until the sound is over. What fails is told and tried again; the client is read on in between."""
        sound, pause = _Sound(self._sound), _AGAIN_S
        while True:
            try:
                interpreter = await asyncio.to_thread(self._open, self._source, target, self._speaks)
                async with aclosing(interpreter.run(sound)) as happenings:
                    async for happened in happenings:
                        await self._send(self._telling.tell(happened))
                        pause = _AGAIN_S
                return
            except DragomanError as error:
                await self._send(self._telling.failed(error))
            await sound.skip(pause)
            if sound.over:
                return
            pause = min(2 * pause, _LATEST_AGAIN_S)

    def _session(self, type_: str) -> ServerEvent:
        return event(type_, session=self._config.report(self._id, self._expires))

    async def _send(self, events: list[ServerEvent]) -> None:
        async with self._sending:
            for each in events:
                identified = {"event_id": f"event_{secrets.token_hex(10)}", **each}
                try:
                    async with asyncio.timeout(STALL_S):
                        await self._socket.send_text(json.dumps(identified, ensure_ascii=False))
                except TimeoutError as error:
                    raise TooSlow(f"the client took nothing for {STALL_S:.0f} s") from error


class _Sound:
    """What a queue holds, until None: ``over`` is set when that has come."""

    def __init__(self, queue: asyncio.Queue[Samples | None]) -> None:
        self._queue = queue
        self.over = False

    async def __aiter__(self) -> AsyncGenerator[Samples, None]:
        while not self.over:
            pcm = await self._queue.get()
            if pcm is None:
                self.over = True
            else:
                yield pcm

    async def skip(self, seconds: float) -> None:
        """Drop so much of it, or what there is."""
        left = seconds * INPUT_RATE
        async with aclosing(aiter(self)) as pieces:
            async for pcm in pieces:
                left -= len(pcm)
                if left <= 0:
                    return
