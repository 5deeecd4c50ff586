"""The kinds of language model server that are known: how to recognize one, and how it continues a beginning."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from dataclasses import dataclass, field
from typing import Final, Literal

import httpx

from dragoman.audio.clock import busy
from dragoman.audio.types import DragomanError


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of server: its usual port, what it writes as ``owned_by`` of its models, and its way with a prefix.

    ``continues``: a last message of the assistant is continued as it stands (``exactly``), usually but not
    with every template (``mostly``), or not (``no``: it must be asked to). ``extra`` goes into a request with a prefix,
    ``unthinking`` into each: a model that could think first answers at once. ``caches``: reading a prompt ahead helps
    and costs nothing. ``renders``: it tells what a prompt looks like to the model.
    """

    name: str
    port: int | None
    owners: tuple[str, ...]
    continues: Literal["exactly", "mostly", "no"]
    caches: bool = True
    extra: dict[str, bool] = field(default_factory=dict)
    unthinking: dict[str, object] = field(default_factory=dict)
    renders: bool = False


_TEMPLATE: Final[dict[str, object]] = {"chat_template_kwargs": {"enable_thinking": False}}

KINDS: Final = (
    Kind("Ollama", 11434, ("library", "ollama"), "mostly", unthinking={"reasoning_effort": "none"}),
    Kind("llama.cpp", 8080, ("llamacpp",), "exactly", unthinking=_TEMPLATE),
    Kind(
        "vLLM",
        8000,
        ("vllm",),
        "exactly",
        extra={"continue_final_message": True, "add_generation_prompt": False},
        unthinking=_TEMPLATE,
        renders=True,
    ),
    Kind("LM Studio", 1234, ("organization_owner",), "no"),
)
_LAST: Final = 8
"""Tokens of a prompt's end."""
UNKNOWN: Final = Kind("OpenAI-compatible", None, (), "no", caches=False)


@dataclass(frozen=True, slots=True)
class Found:
    """A server that answers: ``url`` without ``/v1``, and the names of its models."""

    kind: Kind
    url: str
    models: tuple[str, ...]


def on_this_machine(host: str) -> bool:
    """Whether a host is this machine: a proxy knows nothing of its own ports."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


async def identify(client: httpx.AsyncClient, url: str) -> Found:
    """Ask a server what it is and what it has. Raises ``DragomanError``."""
    with busy():  # a clock that skips idle waits would find it late at once
        return await _identified(client, url)


async def _identified(client: httpx.AsyncClient, url: str) -> Found:
    try:
        response = await client.get(f"{url}/v1/models")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        raise DragomanError(f"no language model server answers at {url}: {reason}") from error
    if response.status_code in (401, 403):
        raise DragomanError(f"{url} wants a key (HTTP {response.status_code}): set DRAGOMAN_LLM_KEY")
    if response.next_request is not None:
        moved = str(response.next_request.url).removesuffix("/v1/models")
        raise DragomanError(f"{url} has moved to {moved}: give that address")
    if response.status_code == 429 or response.is_server_error:
        raise DragomanError(f"{url} can't answer now (HTTP {response.status_code}): try again when it can")
    try:
        entries = response.raise_for_status().json()["data"]
        models = tuple(str(entry["id"]) for entry in entries)
        owners = {str(entry.get("owned_by", "")) for entry in entries}
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DragomanError(
            f"{url} is not an OpenAI-compatible server: /v1/models gave HTTP {response.status_code}"
        ) from error
    kind = next((kind for kind in KINDS if owners & set(kind.owners)), None)
    return Found(kind or await _by_version(client, url), url, models)


async def _by_version(client: httpx.AsyncClient, url: str) -> Kind:
    """Ollama puts the author's name on models that are not from its library."""
    try:
        response = await client.get(f"{url}/api/version")
        ollama = response.is_success and "version" in response.json()
    except (httpx.HTTPError, ValueError, TypeError):
        ollama = False
    return KINDS[0] if ollama else UNKNOWN


async def prompt_end(client: httpx.AsyncClient, server: Found, model: str) -> str:
    """How a prompt of ``model`` ends, where the server tells; else nothing."""
    if not server.kind.renders:
        return ""
    asked = {"model": model, "messages": [{"role": "user", "content": "Hello."}]} | server.kind.unthinking
    try:
        with busy():
            tokens = (await client.post(f"{server.url}/tokenize", json=asked)).raise_for_status().json()["tokens"]
            last = {"model": model, "tokens": tokens[-_LAST:]}
            told = (await client.post(f"{server.url}/detokenize", json=last)).raise_for_status().json()
        return str(told["prompt"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return ""


async def discover(timeout: float = 0.5, ports: tuple[int, ...] | None = None) -> tuple[Found, ...]:
    """The language model servers that run on this machine, on their usual ports (or ``ports``)."""
    wanted = ports or tuple(kind.port for kind in KINDS if kind.port)

    async def ask(client: httpx.AsyncClient, port: int) -> Found | None:
        try:
            return await identify(client, f"http://127.0.0.1:{port}")
        except DragomanError:
            return None

    async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client, asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(client, port)) for port in wanted]
    return tuple(found for task in tasks if (found := task.result()) is not None)
