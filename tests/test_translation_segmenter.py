"""Cutting heard words into segments to translate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.audio.types import Word
from dragoman.translation.segmenter import Heard, Segment, Segmenter, Segmenting, Source

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


def test_what_may_change_is_foreseen_and_not_kept() -> None:
    """The tail stands behind the certain words; it closes nothing for good."""
    words = spoken("I see. Then he went")
    segmenter = Segmenter()
    segmenter.push(words[:1])
    first, second = segmenter.foreseen(words[1:])
    assert (first.text, first.number, first.certain, first.closed) == ("I see.", 0, 1, False)
    assert (second.text, second.number, second.certain) == ("Then he went", 1, 0)
    assert [word.text for word in segmenter.open] == ["I"]


def test_a_growing_hypothesis_closes_only_what_is_certain() -> None:
    """Sentences close when all of their words are stable; the rest is open."""
    heard = Heard()
    words = spoken("one two. three four")
    early = heard.partial(words[:2], 1)
    assert (early.closed, [s.text for s in early.open]) == ((), ["one two."])
    later = heard.partial(words, 3)
    assert [s.text for s in later.closed] == ["one two."]
    assert [(s.text, s.certain) for s in later.open] == [("three four", 1)]


def test_an_utterance_that_sounds_unfinished_goes_on_in_the_next() -> None:
    """Its words stay open until the next utterance, or a long pause, or the end."""
    heard = Heard()
    source = heard.ended(spoken("ask not"), complete=False)
    assert (source.closed, [s.text for s in source.open]) == ((), ["ask not"])
    source = heard.ended([w.shifted(1.5) for w in spoken("what it can do.")], complete=True)
    assert [s.text for s in source.closed] == ["ask not what it can do."]
    heard.ended(spoken("and then"), complete=False)
    assert [s.text for s in heard.over().closed] == ["and then"]


def test_a_text_that_is_heard_anew_at_its_end_loses_and_doubles_nothing() -> None:
    """What was taken as certain stays, and the rest is what follows it."""
    heard = Heard()
    heard.partial(spoken("we want to see it"), 3)
    source = heard.ended(spoken("Well, we want to see it now."), complete=True)
    assert [s.text for s in source.closed] == ["we want to see it now."]


@pytest.mark.parametrize("less", ["", "we", "We want."])
def test_a_moment_with_fewer_words_takes_nothing_back(less: str) -> None:
    """A recognizer that hears less for once has not unsaid what was certain: it comes once."""
    heard = Heard()
    heard.partial(spoken("we want to see it"), 3)
    assert [s.text for s in heard.partial(spoken(less), 1).open] == ["we want to"]
    assert [s.text for s in heard.partial(spoken("we want to see it all"), 5).open] == ["we want to see it all"]
    source = heard.ended(spoken("We want to see it all."), complete=True)
    assert [s.text for s in source.closed] == ["we want to see it all."]


@given(streams(), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1))
def test_hypotheses_of_any_growth_give_the_segments_of_their_final_text(
    words: list[Word], steps: list[tuple[int, int]]
) -> None:
    """Whatever is stable when, nothing is lost, doubled or cut elsewhere; what is open is bounded."""
    heard = Heard(Segmenting(most_words=9))
    found: list[Segment] = []
    known = certain = turn = 0
    while known < len(words):
        grown, open_ = steps[turn % len(steps)]
        known = min(len(words), known + max(1, grown))
        certain = max(certain, known - open_)
        source: Source = heard.partial(words[:known], certain)
        found += source.closed
        assert all(len(segment.words) <= 9 for segment in source.open)
        assert [s.number for s in source.open] == list(range(len(found), len(found) + len(source.open)))
        turn += 1
    found += heard.ended(words, complete=True).closed
    assert found == Segmenter(Segmenting(most_words=9)).push(words, final=True)
