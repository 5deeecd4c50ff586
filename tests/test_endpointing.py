"""How complete words sound, and what that does to the agent's patience."""

from __future__ import annotations

import pytest

from dragoman.agent.endpointing import TextTurnDetector

ORDER = (
    ("What time is it?", "I will go home."),
    ("I will go home.", "who wrote romeo and juliet"),
    ("who wrote romeo and juliet", "on monday"),
    ("on monday", "I wanted to ask,"),
    ("I wanted to ask,", "I wanted to ask you about the..."),
    ("I wanted to ask you about the...", ""),
)


@pytest.mark.parametrize(("more", "less"), [pair for pair in ORDER if pair[1]])
def test_more_complete_words_score_higher(more: str, less: str) -> None:
    """A question is surely over; a trailing ellipsis is not."""
    detector = TextTurnDetector()
    assert detector.complete(more) > detector.complete(less)


@pytest.mark.parametrize(
    "text", ["I think that, um", "tea and", "Eu quero um", "quiero ir a la", "ich möchte ein", "je veux un"]
)
def test_a_word_that_ends_nothing_waits(text: str) -> None:
    """Fillers, conjunctions and articles, in any language, with a period or without."""
    assert TextTurnDetector().complete(text) < 0.2
    assert TextTurnDetector().complete(text + ".") < 0.2


def test_nothing_is_not_complete() -> None:
    """No words, no end."""
    assert TextTurnDetector().complete("  ") == 0.0
