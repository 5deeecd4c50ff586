"""Cutting heard words into segments to translate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.audio.types import Word
from dragoman.translation.segmenter import Segment, Segmenter, Segmenting

VOCABULARY = "a Ana New York. 3 million, yes. no? Dr. e, mas 1,5"


def spoken(text: str, *, each: float = 0.3, gap: float = 0.05) -> list[Word]:
    """The words of ``text``, evenly in time."""
    return [Word(w, i * (each + gap), i * (each + gap) + each) for i, w in enumerate(text.split())]


def segments(words: list[Word], limits: Segmenting | None = None) -> list[str]:
    return [segment.text for segment in Segmenter(limits).push(words, final=True)]


@st.composite
def streams(draw: st.DrawFn) -> list[Word]:
    texts = draw(st.lists(st.sampled_from(VOCABULARY.split()), max_size=80))
    now, words = 0.0, []
    for text in texts:
        now += draw(st.sampled_from([0.0, 0.1, 0.9]))
        words.append(Word(text, now, now + 0.3))
        now += 0.3
    return words


def test_closes_at_the_end_of_a_sentence() -> None:
    """A sentence is a segment, an abbreviation is no end."""
    assert segments(spoken("I met Dr. Smith today. He was well.")) == ["I met Dr. Smith today.", "He was well."]


def test_closes_at_a_pause() -> None:
    """Silence closes what no mark does."""
    first, second = spoken("so I thought"), [w.shifted(4.5) for w in spoken("maybe not")]
    assert segments(first + second) == ["so I thought", "maybe not"]


def test_stays_open_until_something_closes_it() -> None:
    """What may go on is held."""
    segmenter = Segmenter()
    assert segmenter.push(spoken("I would like")) == []
    assert [w.text for w in segmenter.open] == ["I", "would", "like"]


def test_a_long_segment_closes_at_its_last_clause() -> None:
    """Length closes it at a comma where there is one."""
    words = spoken("one two three four, five six seven eight nine ten")
    assert segments(words, Segmenting(most_words=7))[0] == "one two three four,"


def test_length_breaks_neither_names_nor_numbers() -> None:
    """Without a comma the cut is before or after a name or a number, not inside."""
    assert segments(spoken("we all went to New York by train"), Segmenting(most_words=5))[0] == "we all went to"
    assert segments(spoken("they paid about 3 million for it all"), Segmenting(most_words=4))[0] == "they paid about"


def test_times_are_those_of_the_words() -> None:
    """A segment lasts from its first word to its last."""
    segment = Segmenter().push(spoken("one two. three"))[0]
    assert (segment.number, segment.start, segment.end) == (0, 0.0, pytest.approx(0.65))


@given(streams(), st.lists(st.integers(0, 5), min_size=1))
def test_any_split_of_the_stream_gives_the_same_segments(words: list[Word], sizes: list[int]) -> None:
    """Segments depend on the words alone."""
    segmenter = Segmenter(Segmenting(most_words=9))
    found: list[Segment] = []
    start, turn = 0, 0
    while start < len(words):
        size = sizes[turn % len(sizes)] if any(sizes) else 1
        found += segmenter.push(words[start : start + size])
        start, turn = start + size, turn + 1
    assert found + segmenter.push((), final=True) == Segmenter(Segmenting(most_words=9)).push(words, final=True)


@given(streams())
def test_nothing_is_lost_and_nothing_grows(words: list[Word]) -> None:
    """All words come out once and in order, in segments of bounded length."""
    found = Segmenter(Segmenting(most_words=9)).push(words, final=True)
    assert [w for s in found for w in s.words] == words
    assert all(len(s.words) <= 9 for s in found)
    assert [s.number for s in found] == list(range(len(found)))
