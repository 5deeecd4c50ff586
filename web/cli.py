"""``dragoman serve``: the Realtime server and its page."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from dragoman.agent.cli.output import JsonOption, console, emit, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.agent.config import Config, load_parts
from dragoman.agent.llm.prompts import instructions_in_force
from dragoman.agent.settings import DEFAULT_PORT, SessionSettings
from dragoman.audio.text import language_of
from dragoman.audio.types import DragomanError
from dragoman.web.app import MAX_MESSAGE_BYTES, Server, create_app
from dragoman.web.realtime import Backend

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for the network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = DEFAULT_PORT,
    key: Annotated[str | None, typer.Option(envvar="DRAGOMAN_KEY", help="Clients must send this key (Bearer).")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Conversations at once.")] = 4,
    lang: Annotated[str, typer.Option(help="What people speak by default: en, pt, ... or auto.")] = "en",
    asr: Annotated[str, typer.Option(help="Recognizer: auto, tiny.en, base, or a path.")] = "auto",
    llm: Annotated[
        str,
        typer.Option(help="Language model: auto, a catalog name, a .gguf file, or http://host:port\\[#model]."),
    ] = "auto",
    voice: Annotated[str, typer.Option(help="Voice: auto, a name, or a Piper voice's .onnx.")] = "auto",
    turns: Annotated[
        str, typer.Option(help="Who takes turns: model (by ear), words (silence), smart-turn, auto.")
    ] = "auto",
    instructions: Annotated[str | None, typer.Option(help="The agent's system prompt.")] = None,
    certificate: Annotated[
        str | None, typer.Option(help="TLS certificate (PEM): browsers elsewhere need it to speak and to hear.")
    ] = None,
    certificate_key: Annotated[str | None, typer.Option(help="The certificate's private key (PEM).")] = None,
    json: JsonOption = False,
) -> None:
    """Serve the Realtime protocol at /v1/realtime, and a page to talk at /."""
    with errors():
        if key is not None and not re.fullmatch("[!-~]+", key):
            raise DragomanError("--key: give one or more letters, digits and signs, without spaces or accents")
        language = language_of(lang)
        config = Config(language=language, recognizer=asr, llm=llm, voice=voice, turns=turns, slots=min(limit, 4))
        settings = SessionSettings(instructions=instructions, language=language)
        _check_certificate(certificate, certificate_key)
        listener = _bound(host, port)
        scheme = "https" if certificate else "http"
        with suppress(KeyboardInterrupt), listener:
            asyncio.run(
                _serve(listener, config, settings, scheme, key, limit, (certificate, certificate_key), json=json)
            )


def _check_certificate(certificate: str | None, key: str | None) -> None:
    """Before the models are loaded. Raises ``DragomanError``."""
    if certificate is None and key is not None:
        raise DragomanError("--certificate-key needs --certificate")
    given = [(option, path) for option, path in (("--certificate", certificate), ("--certificate-key", key)) if path]
    for option, path in given:
        try:
            Path(path).read_bytes()
        except OSError as error:
            raise DragomanError(f"{option} {path}: can't be read ({error.strerror})") from error
    try:
        if certificate is not None:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        files = " ".join(f"{option} {path}" for option, path in given)
        raise DragomanError(f"{files}: not a certificate with its private key, in PEM") from error


def _bound(host: str, port: int) -> socket.socket:
    """The port, taken before the models are loaded; nobody is answered yet. Raises ``DragomanError``."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise DragomanError(f"{host}: no such address ({error.strerror})") from error
    listener = socket.socket(family, kind, proto)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise DragomanError(f"port {port} on {host} is taken: choose another with --port") from error
        raise DragomanError(f"can't listen on {host}:{port}: {error.strerror}") from error
    return listener


async def _serve(
    listener: socket.socket,
    config: Config,
    settings: SessionSettings,
    scheme: str,
    key: str | None,
    limit: int,
    certificate: tuple[str | None, str | None],
    *,
    json: bool,
) -> None:
    with progress_of("loading the models", json) as progress:
        parts = await load_parts(config, progress)
        progress("reading the instructions", 0, 1)
        await parts.instruct(instructions_in_force(settings.language, settings.instructions), config.slots)
    listener.listen()  # whoever reads the address may connect at once
    host, port = listener.getsockname()[:2]
    app = create_app(Backend.of(parts, settings), key=key, limit=limit, local=host in _LOOPBACK)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            ws="websockets-sansio",
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,  # sound hardly shrinks, and the loop has better things to do
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=2,
            ssl_certfile=certificate[0],
            ssl_keyfile=certificate[1],
        )
    )
    shown = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)
    page = f"{scheme}://{shown}:{port}/"
    endpoint = f"{'wss' if scheme == 'https' else 'ws'}://{shown}:{port}/v1/realtime"
    if json:
        emit("serving", page=page, realtime=endpoint)
    else:
        console.print(f"[bold green]ready[/]  page [bold]{page}[/]  realtime [bold]{endpoint}[/]")
        if key is None and host not in _LOOPBACK:
            console.print("[yellow]anyone on this network can talk to it: set a key with --key[/]")
        console.print("[dim]Ctrl-C ends it[/]")
    try:
        await server.serve(sockets=[listener])
    finally:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)  # Ctrl-C has cancelled this task: it is taken here, and the models are freed
        await parts.aclose()
        state: Server = app.state.server
        if json:
            emit("summary", sessions=state.served)
