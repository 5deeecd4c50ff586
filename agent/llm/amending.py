"""Where a language model goes on against the first words of its reply, it is made to correct itself in so many words.

The first words were said before the language model had thought. "Yes, it is. No, it isn't" contradicts itself; "Yes,
it is. Well, actually, no, it isn't" is what a person says who has just noticed. Dropping the second half would be
smoother, and would leave the user with what is wrong. English, as the drafter is.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from dragoman.audio.text import whole_sentence
from dragoman.verifier.contradictions import AGREES, mood

CORRECTION: Final = "Well, actually,"

_WORDS: Final = 5
"""Of what follows, that are waited for at most: the voice waits for the end of a clause anyway."""
_CLAUSE: Final = 3
"""Words behind whose comma enough is known: "No, that's great" is of the same mind."""

_LEAD: Final = r"\W*(?:(?:oh|ah|well|hm+|and)\b\W*)*"
_THEN: Final = r"(?=\W*$|[,.!;:]|\s+(?:i|it|that|this|there|you|he|she|we|they)\b)"
_YES: Final = re.compile(
    _LEAD + rf"(?:(?:{AGREES}|correct|right|i agree){_THEN}|(?:that's|you're|you are) (?:right|true|correct)\b)",
    re.IGNORECASE,
)
_NO: Final = re.compile(
    _LEAD + rf"(?:(?:no|nope){_THEN}|not (?:really|at all|exactly)\b|i (?:disagree|don't think so|don't agree)\b"
    r"|(?:that's|you're|you are) (?:not (?:right|true|correct)|wrong)\b)",
    re.IGNORECASE,
)


def turns_against(first: str, rest: str) -> bool:
    """Whether a new sentence takes back the one before it: no after yes, comfort after congratulations, or the
    other way round.
    """
    said, says = _answer(first), _answer(rest)
    felt, feels = mood(first), mood(rest)
    return said * says < 0 or felt * feels < 0


class Amender:
    """Passes on what is written after ``prefix``, piece by piece; a correction comes before what turns against it."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        # What has come while it is not known whether it turns against the prefix; None once all passes as it comes.
        self._held: str | None = "" if whole_sentence(prefix.split()) and _takes_sides(prefix) else None

    def feed(self, piece: str) -> str:
        """What can be said now; may be empty."""
        if self._held is None:
            return piece
        self._held += piece
        words = len(self._held.split())
        ended = re.search(r"[.!?;:,]\s" if words > _CLAUSE else r"[.!?;:](?:\s|$)", self._held) is not None
        return self.close() if ended or words > _WORDS else ""

    def close(self) -> str:
        """What was held back."""
        held, self._held = self._held, None
        if not held or not turns_against(self._prefix, held):
            return held or ""
        rest = held.lstrip()
        if not re.match(r"I\b", rest):
            rest = rest[:1].lower() + rest[1:]
        return f" {CORRECTION} {rest}"


async def amended(pieces: AsyncGenerator[str, None], prefix: str) -> AsyncGenerator[str, None]:
    """What is said after ``prefix``, of a stream that goes on from it: see ``Amender``."""
    amender = Amender(prefix)
    async with aclosing(pieces):
        async for piece in pieces:
            if text := amender.feed(piece):
                yield text
    if text := amender.close():
        yield text


def _answer(text: str) -> int:
    return 1 if _YES.match(text) else -1 if _NO.match(text) else 0


def _takes_sides(text: str) -> bool:
    return bool(_answer(text) or mood(text))
