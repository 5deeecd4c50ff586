"""A reply that has begun aloud, continued by a language model on any server: what to ask it, how its words join on."""

from __future__ import annotations

import re
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


_WORD: Final = re.compile(r"[^\W_]+")
_MARKS: Final = re.compile(r"(?:[^\w\s]|_)*")
_CLOSING: Final = ".,!?;:…"
_EMPHASIS: Final = '*_~`"”»'
"""What closes around repeated words, and was opened before them."""
_ATTACHED: Final = re.compile(r"[.,!?;:…)\]}”»%°/–—]|-[^\W\d]|['’](?:s|m|d|t|re|ve|ll)\b|n['’]t\b", re.IGNORECASE)
"""What stands next to the word before it."""
_UNSURE: Final = re.compile(r"\s*|-|['’]\S{0,2}|n(?:['’]t?)?", re.IGNORECASE)
"""What may yet become such, or not."""


class Seam:
    """Joins what ``server`` writes to ``prefix``, piece by piece.

    Where the server repeats the prefix's words, in whatever letters and marks, they are dropped; where a space is
    missing, it is added; a mark that ends what was said stands next to it, without the space that some models write
    before it. Nothing else changes. A server that continues exactly is taken at its word: it may go on inside a word.
    """

    def __init__(self, prefix: str, server: Kind) -> None:
        self._prefix = prefix
        self._words = [word.casefold() for word in _WORD.findall(prefix)]
        self._exactly = server.continues == "exactly"
        # What has come while it may still be a repetition, or be nothing but space; None once all passes as it comes.
        self._held: str | None = "" if prefix else None

    def feed(self, piece: str) -> str:
        """What can be said now; may be empty."""
        if self._held is None:
            return piece
        self._held += piece
        rest = self._rest(self._held, over=False)
        if rest is None or _UNSURE.fullmatch(rest):
            return ""
        self._held = None
        return self._joined(rest)

    def close(self) -> str:
        """What was held back, where the stream ends."""
        held, self._held = self._held, None
        rest = self._rest(held or "", over=True)
        return self._joined(rest) if rest and not rest.isspace() else ""

    def _rest(self, text: str, *, over: bool) -> str | None:
        """``text`` without the prefix's words; None while it may still turn out to begin with them."""
        if self._exactly or not self._words:
            return text
        end, found = 0, _WORD.finditer(text)
        for wanted in self._words:
            word = next(found, None)
            if word is None:
                return text if over else None
            end, said = word.end(), word.group().casefold()
            if end == len(text) and not over and wanted.startswith(said):
                return None
            if said != wanted:
                return text
        marks = _MARKS.match(text, end)
        assert marks is not None
        rest = text[marks.end() :]
        if not rest and not over:
            return None
        if self._prefix.rstrip()[-1].isalnum():
            return marks.group().lstrip(_EMPHASIS) + rest
        # "Well-known" begins with "Well", but does not repeat "Well,".
        inside_a_word = rest[:1].strip() and not set(marks.group()) & set(_CLOSING)
        return text if inside_a_word else rest

    def _joined(self, rest: str) -> str:
        rest = _closed(rest)
        if self._exactly:
            return rest
        if self._prefix[-1:].isspace():
            return rest.lstrip()
        return rest if rest[:1].isspace() or _ATTACHED.match(rest) else f" {rest}"


def _closed(rest: str) -> str:
    """Without the space before a mark that ends what stands before."""
    return rest.lstrip() if rest.lstrip()[:1] in tuple(_CLOSING) else rest
