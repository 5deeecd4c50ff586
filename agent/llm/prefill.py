"""A reply that has begun aloud, continued by a language model on any server: what to ask it, how its words join on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from dragoman.agent.llm.openai_api import _CONTINUE, continuation
from dragoman.agent.llm.servers import KINDS, UNKNOWN, Kind
from dragoman.audio.types import DragomanError

ASKED: Final = UNKNOWN
"""Any server that is not known to continue a beginning: it is asked to, in words."""


@dataclass(frozen=True, slots=True)
class Request:
    """What goes to ``/v1/chat/completions`` for the rest of a reply; ``extra_body`` stands beside the messages."""

    messages: list[Mapping[str, object]]
    extra_body: dict[str, bool] = field(default_factory=dict)


def server_kind(name: str) -> Kind:
    """A kind of server by its name ("vLLM", "llama.cpp", "Ollama", ...), in capitals or not.

    Raises ``DragomanError`` when it is not known; ``ASKED`` is for all others.
    """
    kinds = (*KINDS, UNKNOWN)
    found = next((kind for kind in kinds if kind.name.lower() == name.lower()), None)
    if found is None:
        raise DragomanError(f"no kind of server is called {name}: there are {', '.join(kind.name for kind in kinds)}")
    return found


def last_message(prefix: str, server: Kind) -> dict[str, str]:
    """What ends the history so that ``server`` goes on after ``prefix``: the beginning itself, or a plea."""
    if server.continues == "no":
        return {"role": "system", "content": _CONTINUE.format(prefix=prefix)}
    return {"role": "assistant", "content": prefix}


def continued(messages: Sequence[Mapping[str, object]], prefix: str, server: Kind) -> Request:
    """The request for what follows ``prefix``, the first words of the reply to ``messages`` (role, content).

    Without a prefix it is the plain request for a whole reply.
    """
    if not prefix:
        return Request([*messages])
    return Request([*messages, last_message(prefix, server)], dict(server.extra))


async def following(pieces: AsyncIterator[str], prefix: str, server: Kind) -> AsyncGenerator[str]:
    """What is said after ``prefix``, of a stream that ``server`` wrote for it: see ``Seam``."""
    seam = Seam(prefix, server)
    async for piece in pieces:
        if text := await seam.feed(piece):
            yield text
    if text := await seam.close():
        yield text


class Seam:
    """Joins what ``server`` writes to ``prefix``, piece by piece, for who is handed the pieces.

    Where the server repeats the prefix, that is dropped; where a space is missing, it is added; nothing else changes.
    A server that continues exactly is taken at its word: it may go on inside a word.
    """

    def __init__(self, prefix: str, server: Kind) -> None:
        self._prefix = prefix
        # What has come while it may still be a repetition; None once all passes as it comes.
        self._held: list[str] | None = None if not prefix or server.continues == "exactly" else []

    async def feed(self, piece: str) -> str:
        """What can be said now; may be empty."""
        if self._held is None:
            return piece
        self._held.append(piece)
        text = await self._joined(_so_far(self._held))
        if text:
            self._held = None
        return text

    async def close(self) -> str:
        """What was held back, where the stream ends."""
        held, self._held = self._held, None
        return await self._joined(_whole(held)) if held else ""

    async def _joined(self, pieces: AsyncIterator[str]) -> str:
        said: list[str] = []
        with suppress(_MoreToCome):
            async for text in continuation(pieces, self._prefix):
                said.append(text)
        return "".join(said)


class _MoreToCome(Exception):
    """The stream goes on after what there is of it."""


async def _whole(pieces: Iterable[str]) -> AsyncGenerator[str]:
    for piece in pieces:
        yield piece


async def _so_far(pieces: Iterable[str]) -> AsyncGenerator[str]:
    for piece in pieces:
        yield piece
    raise _MoreToCome
