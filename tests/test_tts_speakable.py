"""What a voice is given to say of a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.tts.speakable import Cleaner, CleanWord, clean_words, speakable

MARKDOWN = st.text(alphabet="ab1 .,*_`#-[]()<>|~\n🙂é", max_size=60)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("**Bold** and *thin* and `code`.", "Bold and thin and code."),
        ("# A title\n\nText.", "A title Text."),
        ("- one\n- two", "one two"),
        ("1. First\n2. Second", "First Second"),
        ("See [the docs](https://example.com/a?b=1).", "See the docs."),
        ("Go to https://www.example.com/path?q=1.", "Go to example.com."),
        ("Try https://ann:secret@example.com/a, not https://example.com/@ann.", "Try example.com, not example.com."),
        ("Go to (www.example.com/path), not awww.dear.", "Go to (example.com), not awww.dear."),
        ("Fine 🙂👍🏽 then", "Fine then"),
        ("Great!🙂Let's go👍🏽", "Great! Let's go"),
        ("2^10 is 1,024 ^_^", "2^10 is 1,024"),
        ("snake_case and 5*3 stay", "snake_case and 5*3 stay"),
        ("It costs $9.99, i.e. 1,250.5 yen.", "It costs $9.99, i.e. 1,250.5 yen."),
        ("As shown [1], yes.", "As shown , yes."),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a b 1 2"),
        ("Run:\n```python\nprint(1)\n```\nDone.", "Run: Done."),
        ("~~~\nprint(1)\n~~~\nDone.", "Done."),
        ("Yay~~~ it's ~50 km~!", "Yay it's ~50 km!"),
        ("<b>Bold</b><br>next", "Bold next"),
        ("42.", "42."),
        ("56. Want another one?", "56. Want another one?"),
        ("1. Eggs\n2. Milk\n\n12. There are twelve.", "Eggs Milk 12. There are twelve."),
        ("", ""),
        (" \n\t ", ""),
        ("🙂", ""),
    ],
)
def test_says_the_words_alone(written: str, said: str) -> None:
    """Marks of writing are taken out, words, numbers and their punctuation stay."""
    assert speakable(written) == said


def test_list_items_and_paragraphs_begin_anew() -> None:
    """What a reader sees as a break is one, though no mark ends the line before it."""
    assert clean_words("Buy\n- milk\n- bread\n\nThen go") == [
        CleanWord("Buy"),
        CleanWord("milk", True),
        CleanWord("bread", True),
        CleanWord("Then", True),
        CleanWord("go"),
    ]


def test_a_wrapped_line_goes_on() -> None:
    """A single line break inside a paragraph is a space."""
    assert not clean_words("one\ntwo")[1].breaks


@given(MARKDOWN, st.lists(st.integers(1, 7), min_size=1))
def test_any_chunking_gives_the_same_words(text: str, sizes: list[int]) -> None:
    """The words don't depend on how the text arrives."""
    cleaner, words, start, turn = Cleaner(), [], 0, 0
    while start < len(text):
        size = sizes[turn % len(sizes)]
        words += cleaner.feed(text[start : start + size])
        start, turn = start + size, turn + 1
    assert words + cleaner.flush() == clean_words(text)


@given(st.text(max_size=80))
def test_no_text_breaks_it(text: str) -> None:
    """Any text at all gives words without white space in them."""
    assert all(word.text and not word.text.isspace() and len(word.text.split()) == 1 for word in clean_words(text))
