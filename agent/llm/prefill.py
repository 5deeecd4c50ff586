"""A reply that has begun aloud, continued by a language model on any server: what to ask it, how its words join on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dragoman.agent.llm.servers import KINDS, UNKNOWN, Kind
from dragoman.audio.types import DragomanError

_CONTINUE: Final = (
    "You have already begun your answer aloud with these words: «{prefix}». "
    "Write only what follows them. Do not repeat them, and do not begin anew."
)

ASKED: Final = UNKNOWN
"""Any server that is not known to continue a beginning: it is asked to, in words."""


EXACTLY: Final = next(kind for kind in KINDS if kind.continues == "exactly")
"""A server that goes on from a beginning to the letter, as the embedded engine does."""


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
        if text := seam.feed(piece):
            yield text
    if text := seam.close():
        yield text


class Seam:
    """Joins what ``server`` writes to ``prefix``, piece by piece.

    Where the server repeats the prefix, that is dropped; where a space is missing, it is added; a mark that ends what
    was said stands next to it, without the space that some models write before it. Nothing else changes. A server that
    continues exactly is taken at its word: it may go on inside a word.
    """

    def __init__(self, prefix: str, server: Kind) -> None:
        self._prefix = prefix
        self._exactly = server.continues == "exactly"
        # What has come while it may still be a repetition, or be nothing but space; None once all passes as it comes.
        self._held: str | None = "" if prefix else None

    def feed(self, piece: str) -> str:
        """What can be said now; may be empty."""
        if self._held is None:
            return piece
        self._held += piece
        if self._exactly:
            if not self._held.strip():
                return ""
            held, self._held = self._held, None
            return _closed(held)
        said, wanted = self._held.lstrip(), self._prefix.strip()
        if wanted.startswith(said) or said.rstrip() == wanted:
            return ""
        held, self._held = self._held, None
        # A word that only begins like it ("Well", "Wellness") is no repetition.
        again = said.startswith(wanted) and not (wanted[-1:].isalnum() and said[len(wanted)].isalnum())
        return self._joined(said[len(wanted) :] if again else held)

    def close(self) -> str:
        """What was held back, where the stream ends."""
        held, self._held = self._held, None
        if self._exactly or not held or held.strip() in ("", self._prefix.strip()):
            return ""
        return self._joined(held)

    def _joined(self, rest: str) -> str:
        rest = _closed(rest)
        if self._prefix[-1:].isspace():
            return rest.lstrip()
        return rest if rest[:1].isspace() or not rest[:1].isalnum() else f" {rest}"


def _closed(rest: str) -> str:
    """Without the space before a mark that ends what stands before."""
    return rest.lstrip() if rest.lstrip()[:1] in tuple(".,!?;:…") else rest
