"""Cutting a reply into clauses while it is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.tts.clauses import FIRST, LATER, Clause, ClauseSplitter
from dragoman.tts.speakable import speakable

VOCABULARY = (
    "I you Dr. Smith J. went to New York at 3.5 1,000 km and but because, well, yes. no! why? e.g. - 1. **so** "
    "https://a.org/x 🙂 — the\n\n house \n- item de para com"
)
WORDS = st.sampled_from(VOCABULARY.split(" "))
TEXTS = st.lists(WORDS, max_size=60).map(" ".join)


def split(text: str, language: str = "en") -> list[Clause]:
    splitter = ClauseSplitter(language)
    return splitter.feed(text) + splitter.flush()


def test_the_first_clause_ends_at_the_first_comma() -> None:
    """What the listener waits for is short."""
    assert split("That sounds great, and I would love to come.")[0] == Clause("That sounds great,", False)


def test_one_word_is_not_a_first_clause() -> None:
    """A single word is too short to begin with."""
    assert split("Well, I think so.")[0].text == "Well, I think so."


def test_a_first_clause_without_marks_ends_before_a_joining_word() -> None:
    """After eight words a conjunction or a preposition is a boundary."""
    clauses = split("You could try making a really simple stir-fry with vegetables and tofu tonight.")
    assert clauses[0] == Clause("You could try making a really simple stir-fry", False)


def test_a_clause_comes_before_the_text_is_complete() -> None:
    """It is given as soon as the white space after it is written."""
    splitter = ClauseSplitter()
    assert splitter.feed("Of course,") == []
    assert splitter.feed(" I") == [Clause("Of course,", False)]


@pytest.mark.parametrize(
    "text",
    [
        "It is 3.5 km.",
        "They paid 1,000 euros.",
        "Ask Dr. Smith.",
        "Bring fruit, e.g. apples.",
        "J. K. Rowling wrote it.",
        "Open example.com now.",
    ],
)
def test_numbers_abbreviations_and_names_stay_whole(text: str) -> None:
    """A point or comma inside a word or after an abbreviation closes nothing."""
    assert all(clause.text.endswith((".", "fruit,")) for clause in split(text))
    assert [c.final for c in split(text)][-1] is True
    assert sum(c.final for c in split(text)) == 1


def test_an_initial_is_not_a_letter_that_ends_a_sentence() -> None:
    """ "vitamin C." ends a sentence, "J. K." does not."""
    assert len(split("You need vitamin C. Eat oranges.")) == 2


def test_monsieur_ends_no_sentence() -> None:
    assert [c.text for c in split("Je connais M. Dupont. Et vous ?")] == ["Je connais M. Dupont.", "Et vous ?"]


def test_sentence_ends_are_final() -> None:
    """Only they let the voice fall."""
    assert [c.final for c in split("Yes it is. If you would like, my friend, there is more? Good!")] == [
        True,
        False,
        True,
        True,
    ]


def test_list_items_are_clauses() -> None:
    """A list item ends where the next begins, with no mark."""
    assert [c.text for c in split("You need:\n- two eggs\n- some milk")] == ["You need:", "two eggs", "some milk"]


def test_a_reply_without_marks_is_bounded() -> None:
    """Words without end are cut all the same."""
    clauses = split("word " * 200)
    assert max(len(c.text.split()) for c in clauses) <= max(FIRST.most, LATER.most)


def test_a_reply_of_capitals_is_bounded() -> None:
    """Even what looks like one endless name is cut."""
    assert max(len(c.text.split()) for c in split("Word " * 300)) <= 2 * LATER.most


def test_portuguese_has_its_own_joining_words() -> None:
    """The boundaries are those of the language."""
    clauses = split("Você pode tentar fazer um prato bem simples com legumes", "pt")
    assert clauses[0].text == "Você pode tentar fazer um prato bem simples"


def test_flush_makes_it_new() -> None:
    """The next reply begins with a short clause again."""
    splitter = ClauseSplitter()
    splitter.feed("First of all, this. ")
    splitter.flush()
    assert splitter.feed("Of course, yes. ")[0].text == "Of course,"


@given(TEXTS)
def test_nothing_is_lost(text: str) -> None:
    """All words of the clauses are the words of the text."""
    assert " ".join(clause.text for clause in split(text)) == speakable(text)


@given(TEXTS, st.lists(st.integers(1, 9), min_size=1))
def test_any_chunking_gives_the_same_clauses(text: str, sizes: list[int]) -> None:
    """The clauses don't depend on how the model's text arrives."""
    splitter, clauses, start, turn = ClauseSplitter(), [], 0, 0
    while start < len(text):
        size = sizes[turn % len(sizes)]
        clauses += splitter.feed(text[start : start + size])
        start, turn = start + size, turn + 1
    assert clauses + splitter.flush() == split(text)
