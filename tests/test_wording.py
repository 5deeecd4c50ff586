"""Whether two recognizers heard the same thing."""

from __future__ import annotations

import pytest

from dragoman.agent.engine.wording import same_meaning


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Hello, what is it?", "hello. What is it"),
        ("What should I eat when I am there?", "And what should I eat when I'm there?"),
        ("What is two plus three?", "What is 2 plus 3?"),
        ("I can't see it", "I cannot see it."),
        ("well, I do not know", "I don’t know."),
        ("a check-in", "the check in"),
        ("Yeah.", "Yes"),
    ],
)
def test_spelling_and_weak_words_change_nothing(first: str, second: str) -> None:
    """The reply to one answers the other."""
    assert same_meaning(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a fox and a raven", "a fox and a riff"),
        ("I can see it", "I can't see it"),
        ("Peter's dog", "Peter is dog"),
        ("two of them", "three of them"),
        ("so", "well"),
        ("", "yes"),
    ],
)
def test_other_words_are_other_words(first: str, second: str) -> None:
    """A negation, a name, a number; where nothing carries anything, every word counts."""
    assert not same_meaning(first, second)
