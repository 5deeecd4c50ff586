"""A language model behind an OpenAI-compatible server: vLLM, Ollama, llama.cpp, LM Studio, or a service."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

import httpx
from httpx_sse import ServerSentEvent, SSEError, aconnect_sse

from dragoman.agent.llm.prefill import following, last_message
from dragoman.agent.llm.servers import UNKNOWN, Found, identify, on_this_machine, prompt_end
from dragoman.agent.llm.thinking import Thoughts
from dragoman.agent.ports import Message, unnoticed
from dragoman.audio.clock import marked
from dragoman.audio.types import DragomanError

_KEPT: Final = httpx.Limits(keepalive_expiry=60.0)
"""A connection outlasts the user's turn. One that the server has closed meanwhile is seen to be so, and not used."""
_LEAVES_S: Final = 0.2
_ENDS: Final = ("stop", "length", "eos_token", "stop_sequence")
"""Why a reply may end without a word: all was said. A filter, say, is none of these."""


class OpenAIResponder:
    """A ``Responder`` over ``/v1/chat/completions``, streaming. Made by ``connect``; shared by all sessions."""

    def __init__(
        self, client: httpx.AsyncClient, server: Found, model: str, seed: int | None = None, prompt: str = ""
    ) -> None:
        """``prompt``: how the model's prompts end, where that is known."""
        self._client = client
        self._server = server
        self._seed = seed
        self._prompt = prompt
        self._refused: frozenset[str] = frozenset()
        """Fields of a request that this model is served without."""
        self.model = model

    @classmethod
    async def connect(cls, spec: str, *, seed: int | None = None, timeout: float = 60.0) -> OpenAIResponder:
        """Reach the server at ``http://host:port[/v1][#model]``, learn its kind, and choose the model (the first).

        The key is ``DRAGOMAN_LLM_KEY``, or ``OPENAI_API_KEY`` where the address is https. ``timeout`` is for the
        longest silence of the server, in seconds. Raises ``DragomanError``.
        """
        address, _, model = spec.partition("#")
        client = _client(address, timeout)
        url = address.rstrip("/").removesuffix("/v1")
        try:
            server = await identify(client, url)
            if model and model not in server.models:
                raise DragomanError(f"{url} has no model {model}: it has {', '.join(server.models) or 'none'}")
            if not server.models:
                raise DragomanError(f"{server.kind.name} at {url} has no model: load one there first")
            model = model or server.models[0]
            prompt = await prompt_end(client, server, model)
        except BaseException:
            await client.aclose()
            raise
        return cls(client, server, model, seed, prompt)

    @property
    def server(self) -> Found:
        """What was found at the address."""
        return self._server

    async def reply(
        self,
        messages: Sequence[Message],
        *,
        prefix: str = "",
        max_tokens: int = 160,
        limited: Callable[[], None] = unnoticed,
    ) -> AsyncGenerator[str]:
        """See ``Responder.reply``. Closing the iterator closes the stream, which stops the server."""
        body = self._body(messages, prefix, max_tokens)
        thoughts = Thoughts("" if prefix else self._prompt)  # what is continued is no thought
        async with (
            contextlib.aclosing(marked(self._answer(body, thoughts, limited))) as pieces,
            contextlib.aclosing(following(pieces, prefix, self._server.kind)) as rest,
        ):
            async for piece in rest:
                yield piece

    async def warm(self, messages: Sequence[Message], *, open_end: bool = False) -> None:
        """See ``Responder.warm``. Does nothing where a prompt read ahead would only cost money."""
        if not self._server.kind.caches:
            return
        async with contextlib.aclosing(marked(self._stream(self._body(messages, "", 1), Thoughts()))) as pieces:
            async for _ in pieces:
                pass

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _body(self, messages: Sequence[Message], prefix: str, max_tokens: int) -> dict[str, object]:
        kind = self._server.kind
        sent = [{"role": m.role, "content": m.content} for m in messages]
        if prefix:
            sent.append(last_message(prefix, kind))
        body: dict[str, object] = {
            "model": self.model,
            "messages": sent,
            "stream": True,
            "max_tokens": max_tokens,
            "temperature": 0.3,
        }
        if self._seed is not None:
            body["seed"] = self._seed
        return body | kind.unthinking | (kind.extra if prefix else {})

    async def _answer(
        self, body: dict[str, object], thoughts: Thoughts, limited: Callable[[], None]
    ) -> AsyncGenerator[str]:
        """The stream, without what the model only thinks."""
        async with contextlib.aclosing(self._stream(body, thoughts, limited)) as pieces:
            async for piece in pieces:
                if text := thoughts.feed(piece):
                    yield text
        if text := thoughts.close():
            yield text

    async def _stream(
        self, body: dict[str, object], thoughts: Thoughts, limited: Callable[[], None] = unnoticed
    ) -> AsyncGenerator[str]:
        url = self._server.url
        try:
            async with self._begun(body) as events:
                ended: object = None
                written = False
                async for event in events:
                    if (data := event.data.strip()) == "[DONE]":
                        await _left(events)
                        ended = ended or data
                        break
                    if not data:  # "retry:" or "event: ping" alone is no piece
                        continue
                    delta, reason = _delta(url, data)
                    if isinstance(text := delta.get("content"), str) and text:
                        written = True
                        yield _whole(text)
                    thoughts.seen |= bool(delta.get("reasoning_content") or delta.get("reasoning"))
                    if reason == "length":
                        limited()
                    ended = reason or ended
                if not ended:  # the server is gone, or a proxy has had enough
                    raise DragomanError(f"the language model at {url} broke off: its reply has no end")
                if not (written or thoughts.seen or ended in _ENDS):
                    raise DragomanError(f"the language model at {url} wrote nothing: it ended with {ended}")
        except httpx.TimeoutException as error:
            raise DragomanError(f"the language model at {url} is silent: {type(error).__name__}") from error
        except (httpx.HTTPError, SSEError) as error:
            reason = str(error) or type(error).__name__
            raise DragomanError(f"the language model at {url} broke off: {reason}") from error

    @contextlib.asynccontextmanager
    async def _begun(self, body: dict[str, object]) -> AsyncGenerator[AsyncIterator[ServerSentEvent]]:
        """A reply's events. What the server refuses, and can do without, it is not asked for again."""
        url, refused = self._server.url, self._refused
        while True:
            sent = {name: value for name, value in body.items() if name not in refused}
            if "max_tokens" in refused:  # OpenAI's own models that think call it otherwise
                sent["max_completion_tokens"] = body["max_tokens"]
            async with aconnect_sse(self._client, "POST", f"{url}/v1/chat/completions", json=sent) as source:
                if source.response.is_success:
                    self._refused = refused
                    yield source.aiter_sse()
                    return
                await source.response.aread()
                optional = self._optional(source.response) & body.keys()
                if optional <= refused:
                    raise DragomanError(_refusal(url, source.response))
                refused |= optional

    def _optional(self, response: httpx.Response) -> frozenset[str]:
        """The fields of a request that a refusal may be about."""
        if response.status_code not in (400, 422):
            return frozenset()
        if self._server.kind is UNKNOWN:  # it says which
            return frozenset(name for name in ("max_tokens", "temperature") if name in response.text)
        return frozenset(self._server.kind.unthinking)


def _client(address: str, timeout: float) -> httpx.AsyncClient:
    """Raises ``DragomanError`` where the address is none, or what the environment says of proxies and keys no use."""
    try:
        parts = urlsplit(address)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:  # brackets or a port that can't be
        host = None
    if not host:
        raise DragomanError(f"{address} is no address of a server: write http://host:port#model")
    headers = {"Authorization": f"Bearer {key}"} if (key := _key(address)) else {}
    times = httpx.Timeout(timeout, connect=5.0)
    try:
        direct = httpx.AsyncHTTPTransport(limits=_KEPT) if on_this_machine(host) else None
        return httpx.AsyncClient(timeout=times, headers=headers, limits=_KEPT, transport=direct)
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
        raise DragomanError(
            f"{address} can't be asked with the proxy, key or certificates that the environment names: {error}"
        ) from error


async def _left(events: AsyncIterator[object]) -> None:
    """Read a stream that is done to its end: the next reply then finds the connection open, which over the internet
    saves a tenth of a second. One that does not end is not waited for.
    """
    with contextlib.suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(_LEAVES_S):
            async for _ in events:
                pass


def _delta(url: str, data: str) -> tuple[dict[object, object], object]:
    """What a piece adds to the reply, and why the reply ends with it, if it does."""
    try:
        chunk = json.loads(data)
    except ValueError as error:
        raise DragomanError(f"the language model at {url} sent no JSON: {data[:80]}") from error
    match chunk:
        case {"error": error} if error:
            message = error.get("message", error) if isinstance(error, dict) else error
            raise DragomanError(f"the language model at {url} failed: {message}")
        case {"choices": [{**choice}, *_]}:
            delta = choice.get("delta")
            return delta if isinstance(delta, dict) else {}, choice.get("finish_reason")
    return {}, None


def _whole(text: str) -> str:
    """A piece without halves of characters: some servers cut an emoji in two, and nobody could write that down."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _refusal(url: str, response: httpx.Response) -> str:
    """One line about a status that is not 200, with the server's own words where it has some."""
    try:
        error = response.json().get("error", "")
        message = error.get("message", "") if isinstance(error, dict) else str(error)
    except (ValueError, AttributeError):
        message = ""
    hint = ": set DRAGOMAN_LLM_KEY" if response.status_code in (401, 403) else ""
    said = " ".join((message or response.text or response.reason_phrase).split())[:200]
    return f"the language model at {url} refused with HTTP {response.status_code}: {said}{hint}"


def _key(url: str) -> str | None:
    # The key of a paid service is not for every server that somebody names: never in clear text.
    paid = os.environ.get("OPENAI_API_KEY") if url.startswith("https://") else None
    return os.environ.get("DRAGOMAN_LLM_KEY") or paid
