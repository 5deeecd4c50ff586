"""How a dialogue is put to the drafter: as lines of text, of which the last one is the reply that it writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dragoman.agent.duplex.vocabulary import Vocabulary

CONTEXT: Final = 96
"""Tokens of the dialogue before the user's turn, at most."""

TURN: Final = 80
"""Tokens of the user's turn, at most: of a longer one, the last."""

DRAFT: Final = 24
"""Tokens of a draft, at most."""

POSITIONS: Final = CONTEXT + TURN + DRAFT + 8
"""Tokens that a past can hold; some are those of the roles."""

MARKS: Final = ".,!?;:"
"""What a recognizer sets behind a word."""

OPEN: Final = "user:"
"""Stands before the user's turn."""

REPLY: Final = "assistant:"
"""Stands before the reply."""


def line(vocabulary: Vocabulary, role: str, text: str) -> list[int]:
    """A turn as tokens."""
    return vocabulary.read(f"{role}: {text.strip()}\n")


def before(vocabulary: Vocabulary, turns: Sequence[tuple[str, str]]) -> list[int]:
    """Tokens of the dialogue (role, text) before the user's turn: the last of it that fits."""
    return vocabulary.context(turns, CONTEXT)


def heard(vocabulary: Vocabulary, text: str) -> list[int]:
    """The user's turn behind ``OPEN``, as it is read while it is heard: of a long one the end."""
    return vocabulary.read(" " + text.strip())[-TURN:]


def asked(vocabulary: Vocabulary) -> list[int]:
    """What stands between a turn that was heard and its reply."""
    return [*vocabulary.read("\n"), *vocabulary.read(REPLY)]
