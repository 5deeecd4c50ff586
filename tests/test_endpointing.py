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


@pytest.mark.parametrize("text", ["  ", ".", "♪", "?"])
@pytest.mark.parametrize("asked", ["", "How are you?"])
def test_nothing_is_not_complete(text: str, asked: str) -> None:
    """No words, no end."""
    assert TextTurnDetector().complete(text, asked) == 0.0


@pytest.mark.parametrize(
    ("text", "asked", "least", "most"),
    [
        ("555.", "What is your phone number?", 0.0, 0.3),
        ("555 0199 42.", "What is your phone number?", 0.8, 1.0),
        ("five five five", "", 0.0, 0.3),
        ("It is 4, 4, 1.", "", 0.0, 0.3),
        ("I have two dogs and one", "", 0.5, 1.0),
        ("I was born in 1980.", "", 0.8, 1.0),
        ("Just 2.", "How many tickets do you want?", 0.8, 1.0),
        ("I need milk, eggs, butter.", "", 0.0, 0.4),
        ("I need milk, eggs, butter, and bread.", "", 0.8, 1.0),
        ("Well, I went home, and then I slept for a very long time.", "", 0.8, 1.0),
        ("yes", "Do you like it?", 0.9, 1.0),
        ("no thanks", "Do you like it?", 0.9, 1.0),
        ("in Lisbon", "Where do you live?", 0.5, 1.0),
        ("in Lisbon", "", 0.0, 0.45),
        ("yes um", "Do you like it?", 0.0, 0.2),
    ],
)
def test_what_the_turn_is_makes_it_more_or_less_complete(text: str, asked: str, least: float, most: float) -> None:
    """Numbers and lists come in pieces; the answer to a question may be short."""
    assert least <= TextTurnDetector().complete(text, asked) <= most
