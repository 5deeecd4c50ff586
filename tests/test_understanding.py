"""Telling words that were understood from what another language sounds like."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.agent.understanding import hesitates, understood
from dragoman.audio.types import Word


def words(*doubts: float | None) -> list[Word]:
    """Words with so many nats of doubt."""
    return [Word(f"w{i}", i, i + 1, None if d is None else math.exp(-d)) for i, d in enumerate(doubts)]


@pytest.mark.parametrize(
    ("doubts", "clear"),
    [
        ([0.01] * 6, [True] * 6),
        ([None] * 4, [True] * 4),
        ([], []),
        # A sentence in another language.
        ([1.0] * 8, [False] * 8),
        ([1.3] * 4, [False] * 4),
        # In the middle, at the end, and at the beginning.
        ([0.1] * 4 + [1.2] * 8 + [0.1] * 4, [True] * 4 + [False] * 8 + [True] * 4),
        ([0.1] * 4 + [1.2] * 8, [True] * 4 + [False] * 8),
        ([1.2] * 8 + [0.1] * 4, [False] * 8 + [True] * 4),
        # Names and a noisy room are no other language.
        ([0.1, 0.1, 2.5, 0.1, 0.1, 1.5, 1.5, 0.1], [True] * 8),
        ([0.55] * 12, [True] * 12),
        ([2.0], [True]),
    ],
)
def test_runs_of_doubtful_words_were_not_understood(doubts: list[float | None], clear: list[bool]) -> None:
    """Not single ones, and none without a probability."""
    assert understood(words(*doubts))[0] == clear


@given(st.lists(st.one_of(st.none(), st.floats(0, 4)), max_size=30), st.lists(st.floats(0, 4), max_size=12))
def test_what_is_settled_stays_whatever_follows(doubts: list[float | None], more: list[float]) -> None:
    """So it may be committed."""
    clear, settled = understood(words(*doubts))
    later, settled_later = understood(words(*doubts, *more))
    assert len(clear) == len(doubts)
    assert later[:settled] == clear[:settled]
    assert settled_later >= settled


def test_clear_speech_is_settled_to_its_last_word() -> None:
    """Nothing is held back for long."""
    assert understood(words(*[0.05] * 9))[1] == 8
    assert understood(words(*[0.05] * 9, 1.2, 1.2))[1] == 9


@pytest.mark.parametrize(
    ("text", "language", "searching"),
    [
        ("um,", "en", True),
        ("Uh...", "en", True),
        ("umbrella", "en", False),
        ("um", "pt", False),
        ("er", "de", False),
        ("Er,", "en", True),
        ("um", None, False),
    ],
)
def test_who_searches_for_words_says_none(text: str, language: str | None, searching: bool) -> None:
    """In the language that is spoken."""
    assert hesitates(Word(text, 0.0, 0.2), language) == searching
