"""The HTTP and WebSocket application: the Realtime endpoints, the page, and a few words about the server."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import Final, TypeAlias

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from dragoman import __version__
from dragoman.agent.interpreters import LATEST_S, Interpreters
from dragoman.audio.text import language_of
from dragoman.audio.types import DragomanError
from dragoman.web.access import Access
from dragoman.web.events import error_event
from dragoman.web.protocol import SessionConfig
from dragoman.web.realtime import Backend, Connection, TooSlow
from dragoman.web.translation_protocol import TranslationAudio, TranslationConfig, TranslationOutput
from dragoman.web.translations import OpenInterpreter, TranslationConnection

MAX_MESSAGE_BYTES: Final = 16 * 2**20
"""Largest message from a client."""
LEAVE_S: Final = 2.0
"""How long a client that is sent away has to hear why."""
_REASON_BYTES: Final = 123
"""A close holds no longer reason."""
RequirePair: TypeAlias = Callable[[str | None, str, bool], None]
"""Raises ``DragomanError`` where no interpreter can be opened for these (see ``OpenInterpreter``); loads nothing."""
_STATIC = Path(str(files("dragoman.web"))) / "static"
_POLICY: Final = (
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_log = logging.getLogger(__name__)


class Server:
    """The routes' state: how many sessions are open, of how many."""

    def __init__(
        self, backend: Backend, access: Access, interpreters: OpenInterpreter, require: RequirePair, *, limit: int
    ) -> None:
        self._backend = backend
        self._interpreters = interpreters
        self._require = require
        self._access = access
        self._limit = limit
        self._started = int(time.time())
        self.open = 0
        """Sessions now."""
        self.served = 0
        """Sessions ever."""

    async def realtime(self, socket: WebSocket) -> None:
        """``/v1/realtime``: one session."""
        await self._admit(socket, self._converse)

    async def translations(self, socket: WebSocket) -> None:
        """``/v1/realtime/translations``: one interpreter."""
        await self._admit(socket, self._interpret)

    async def _admit(self, socket: WebSocket, serve: Callable[[WebSocket], Awaitable[None]]) -> None:
        """Let a client in, if it may and there is room, and say why where a session fails."""
        offered = list(socket.scope.get("subprotocols", []))
        refusal = self._access.refusal(socket, offered=offered)
        if refusal is not None:
            await socket.send_denial_response(_refused(refusal))
            return
        await socket.accept(subprotocol="realtime" if "realtime" in offered else None)
        if self.open >= self._limit:
            message = f"all {self._limit} sessions of this server are taken: try again later"
            await _leave(socket, message, code=1013, kind="server_error", name="session_limit")
            return
        self.open += 1
        self.served += 1
        try:
            await serve(socket)
        except TooSlow as error:
            _log.warning("a session was ended: %s", error)
            await _leave(socket, str(error), code=1013)
        except DragomanError as error:
            await _leave(socket, str(error), code=1011)
        except Exception:
            _log.exception("a session failed")
            await _leave(socket, "the server failed; its log says how", code=1011)
        finally:
            self.open -= 1

    async def _converse(self, socket: WebSocket) -> None:
        query = socket.query_params
        config = SessionConfig(
            type="transcription" if query.get("intent") == "transcription" else "realtime",
            model=query.get("model") or "dragoman",
        )
        await Connection(socket, self._backend, config, extended=_extended(socket)).serve()

    async def _interpret(self, socket: WebSocket) -> None:
        query = socket.query_params
        spoken = query.get("from") or self._backend.settings.language
        source = None if spoken is None else language_of(spoken)
        output = TranslationOutput(language="en" if source not in (None, "en") else "pt")
        speaks = query.get("speech") != "off"
        config = TranslationConfig(model=query.get("model") or "dragoman", audio=TranslationAudio(output=output))
        await TranslationConnection(
            socket,
            self._interpreters,
            config.requiring(lambda target: self._require(source, target, speaks)),
            source=source,
            speaks=speaks,
            extended=_extended(socket),
        ).serve()

    async def models(self, request: Request) -> Response:
        """``/v1/models``: there is one, whatever it is called by."""
        refusal = self._access.refusal(request)
        if refusal is not None:
            return _refused(refusal)
        model = {"id": "dragoman", "object": "model", "created": self._started, "owned_by": "dragoman"}
        return JSONResponse({"object": "list", "data": [model]})

    async def health(self, request: Request) -> Response:
        """``/health``: for whoever watches over it."""
        return JSONResponse({"status": "ok", "version": __version__, "sessions": self.open, "limit": self._limit})


def create_app(
    backend: Backend,
    *,
    key: str | None = None,
    limit: int = 4,
    local: bool = True,
    interpreters: OpenInterpreter | None = None,
    require_pair: RequirePair = lambda source, target, speaks: None,
) -> Starlette:
    """The application. ``local``: it listens on this machine only (see ``Access``). ``interpreters`` serve translation
    sessions between languages that ``require_pair`` lets pass; by default with the embedded models.
    """
    if interpreters is None:
        interpreters, require_pair = _embedded()
    server = Server(backend, Access(key, local=local), interpreters, require_pair, limit=limit)

    async def page(request: Request) -> Response:
        return FileResponse(_STATIC / "index.html")

    app = Starlette(
        routes=[
            Route("/", page),
            Route("/health", server.health),
            Route("/v1/models", server.models),
            WebSocketRoute("/v1/realtime", server.realtime),
            WebSocketRoute("/v1/realtime/translations", server.translations),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ],
        middleware=[Middleware(_SafeHeaders)],
    )
    app.state.server = server
    return app


def _embedded() -> tuple[OpenInterpreter, RequirePair]:
    models = Interpreters(latest=LATEST_S)
    return (
        lambda source, target, speaks: models.open(source, target, "auto" if speaks else None),
        lambda source, target, speaks: models.require(source, target, "auto" if speaks else None),
    )


def _extended(socket: WebSocket) -> bool:
    """Whether the client asked for this server's own events."""
    return "dragoman" in socket.query_params.getlist("extensions")


class _SafeHeaders:
    """The page loads nothing from elsewhere and is framed by no one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []),
                    (b"content-security-policy", _POLICY.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"no-referrer"),
                    (b"cache-control", b"no-cache"),
                ]
            await send(message)

        await self._app(scope, receive, guarded if scope["type"] == "http" else send)


def _refused(why: str) -> JSONResponse:
    needs_key = why.startswith("a key")
    body = {"error": {"type": "invalid_request_error", "code": "refused", "message": why, "param": None}}
    return JSONResponse(body, status_code=401 if needs_key else 403)


async def _leave(
    socket: WebSocket, message: str, *, code: int, kind: str = "server_error", name: str | None = None
) -> None:
    """Say why, and close; the client may be gone already."""
    event = {"event_id": "event_last", **error_event(message, kind=kind, code=name)}
    try:
        async with asyncio.timeout(LEAVE_S):
            await socket.send_text(json.dumps(event))
            await socket.close(code, message.encode()[:_REASON_BYTES].decode(errors="ignore"))
    except (RuntimeError, OSError, WebSocketDisconnect):  # TimeoutError is an OSError
        _log.debug("the client was gone before it could be told: %s", message)
