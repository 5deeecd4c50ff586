"""The re-translation engine: what is asked, shown, revised and committed when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.audio.types import Word
from dragoman.translation.retranslation import Request, Retranslator, Stability, Update
from dragoman.translation.segmenter import Heard, Segment, Source
from dragoman.translation.steering import Translation

FREE = Stability(hold_back=0, agreement=99)
"""Everything is shown, nothing committed."""


def words(text: str, start: int = 0) -> tuple[Word, ...]:
    return tuple(Word(word, start + i * 0.3, start + i * 0.3 + 0.25) for i, word in enumerate(text.split()))


def open_(text: str, *, number: int = 0, certain: int | None = None) -> Source:
    known = words(text)
    return Source((), (Segment(number, known, len(known) if certain is None else certain),))


def closed(text: str, number: int = 0) -> Source:
    return Source((Segment(number, words(text)),), ())


def told(engine: Retranslator, source: Source, answer: str, sources: tuple[int, ...] = ()) -> Update | None:
    """The update after one state and its translation."""
    engine.heard(source)
    return answered(engine, answer, sources)


def answered(engine: Retranslator, answer: str, sources: tuple[int, ...] = ()) -> Update | None:
    """The update after the translation that is asked for."""
    request = engine.request()
    assert request is not None
    return engine.translated(request, Translation(answer, sources))


def test_the_whole_open_segment_is_translated_again_at_each_change() -> None:
    """Requests hold all of it; updates replace one another."""
    engine = Retranslator(FREE)
    first = told(engine, open_("the cat"), "o gato")
    assert first == Update(0, 1, "", "o gato", 2, False)
    engine.heard(open_("the cat sleeps"))
    request = engine.request()
    assert request is not None
    assert (request.text, request.steering.last, request.final) == ("the cat sleeps", "o gato", False)
    assert engine.translated(request, Translation("a gata dorme")) == Update(0, 2, "", "a gata dorme", 3, False)


def test_nothing_is_asked_twice() -> None:
    """A state that says the same costs nothing; silence asks nothing."""
    engine = Retranslator(FREE)
    engine.heard(Source((), ()))
    assert engine.request() is None
    told(engine, open_("yes"), "sim")
    engine.heard(open_("yes"))
    assert engine.idle


def test_the_newest_state_wins() -> None:
    """States that come while a translation runs are skipped but for the last."""
    engine = Retranslator(FREE)
    engine.heard(open_("one"))
    running = engine.request()
    assert running is not None
    for count in range(2, 30):
        engine.heard(open_(" ".join(["one"] * count)))
    engine.translated(running, Translation("um"))
    request = engine.request()
    assert request is not None
    assert request.words == 29
    engine.translated(request, Translation("um " * 29))
    assert engine.idle


def test_every_closed_segment_gets_its_final_text_in_order() -> None:
    """They are not skipped, and come before what is open."""
    engine = Retranslator(FREE)
    for number in range(3):
        engine.heard(closed(f"sentence {number}.", number))
    engine.heard(open_("and then", number=3))
    asked = []
    while (request := engine.request()) is not None:
        asked.append(request.segment)
        update = engine.translated(request, Translation(request.text.upper()))
        assert update is not None
        assert update.final == (request.segment < 3)
        assert update.unstable_text == "" or not update.final
    assert asked == [0, 1, 2, 3]


def test_the_last_words_of_an_open_segment_are_held_back() -> None:
    """They come when the segment is closed."""
    engine = Retranslator(Stability(hold_back=2, agreement=99))
    update = told(engine, open_("the black cat sleeps"), "o gato preto dorme")
    assert update is not None
    assert update.text == "o gato"
    assert update.source_words_covered == 2
    final = told(engine, closed("the black cat sleeps"), "o gato preto dorme")
    assert final == Update(0, 2, "o gato preto dorme", "", 4, True)


def test_what_was_shown_and_is_confirmed_stays() -> None:
    """A shorter translation does not take back words that it still says."""
    engine = Retranslator(Stability(hold_back=2, agreement=99))
    told(engine, open_("the black cat sleeps a lot"), "o gato preto dorme muito bem")
    assert told(engine, open_("the black cat sleeps lots"), "o gato preto dorme muito") is None
    update = told(engine, open_("the cat sleeps"), "o gato dorme")
    assert update is not None
    assert update.text == "o gato"


def test_words_on_which_translations_agree_are_committed() -> None:
    """When they are made of certain words that are not the newest; later requests begin with them."""
    engine = Retranslator(Stability(hold_back=0, agreement=2, behind=2))
    told(engine, open_("one two three four"), "um dois três quatro")
    update = told(engine, open_("one two three four five"), "um dois tres quatro cinco")
    assert update is not None
    assert (update.stable_text, update.unstable_text) == ("um dois", "tres quatro cinco")
    engine.heard(open_("one two three four five six"))
    request = engine.request()
    assert request is not None
    assert request.steering.prefix == "um dois"


def test_what_may_still_change_commits_nothing() -> None:
    """Neither words made of uncertain ones, nor those at the end."""
    engine = Retranslator(Stability(hold_back=0, agreement=2, behind=1))
    told(engine, open_("one two three", certain=1), "um dois três")
    update = told(engine, open_("one two three four", certain=1), "um dois três quatro", (0, 1, 2, 3))
    assert update is not None
    assert update.stable_text == "um"
    update = told(engine, open_("one two three four five", certain=4), "um dois três quatro cinco", (3, 1, 2, 3, 4))
    assert update is not None
    assert update.stable_text == "um dois três quatro"


def test_of_a_segment_that_may_be_one_nothing_is_committed_before_what_it_follows() -> None:
    """A long sentence is about to be cut at its comma: what is committed, and said at once, still comes in order."""
    engine = Retranslator(Stability(hold_back=0, agreement=2, behind=1))

    def second(text: str) -> Segment:
        return Segment(1, words(text), len(text.split()))

    def grown(text: str) -> Source:
        return Source((), (Segment(0, words("one two,"), 2), second(text)))

    told(engine, grown("three four"), "um dois,")
    answered(engine, "três quatro")
    update = told(engine, grown("three four five"), "três quatro cinco")
    assert update == Update(1, 2, "", "três quatro cinco", 3, False)
    final = told(engine, Source((Segment(0, words("one two,")),), (second("three four five six"),)), "um dois,")
    assert final == Update(0, 2, "um dois,", "", 2, True)
    update = answered(engine, "três quatro cinco seis")
    assert update == Update(1, 3, "três quatro cinco", "seis", 4, False)


def test_what_a_segment_says_of_the_next_one_is_not_said_again() -> None:
    """A long sentence that is cut at its last comma, behind which words are committed already."""
    engine = Retranslator(Stability(hold_back=0, agreement=2, behind=1))
    begun, cause = "nadamos, porque temos tempo", "because we have time now"
    told(engine, open_("we swim, because we have time"), begun, (1, 2, 4, 5))
    update = told(engine, open_("we swim, because we have time now"), f"{begun} agora", (1, 2, 4, 5, 6))
    assert update is not None
    assert update.stable_text == begun
    rest = Segment(1, words(cause), 5)
    told(engine, Source((), (Segment(0, words("we swim,"), 2), rest)), begun)
    update = answered(engine, "porque temos tempo agora", (0, 2, 3, 4))
    assert update == Update(1, 1, "", "porque temos tempo agora", 5, False)
    final = told(engine, Source((Segment(0, words("we swim,")),), (rest,)), begun)
    assert final == Update(0, 4, begun, "", 2, True)
    request = engine.request()
    assert request is not None
    assert request.steering.prefix == "porque temos tempo"
    update = engine.translated(request, Translation("porque temos tempo agora", (0, 2, 3, 4)))
    assert update == Update(1, 2, "", "agora", 5, False)
    assert told(engine, closed(cause, 1), "porque temos tempo agora") == Update(1, 3, "agora", "", 5, True)


def test_an_engine_that_begins_otherwise_is_put_behind_what_is_committed() -> None:
    """What was committed is neither changed nor said twice."""
    engine = Retranslator(Stability(hold_back=0, agreement=2, behind=1))
    told(engine, open_("to the north of it"), "para o norte dela")
    told(engine, open_("to the north of it is"), "para o norte dela está")
    final = told(engine, closed("to the north of it is a town"), "Ao norte dela está uma cidade")
    assert final is not None
    assert final.text == "para o norte dela está uma cidade"


def test_without_revisions_only_what_is_committed_is_shown() -> None:
    """The view that only appends."""
    engine = Retranslator(Stability(agreement=2, behind=1, revise=False))
    assert told(engine, open_("one two three"), "um dois três") is None
    update = told(engine, open_("one two three four"), "um dois três quatro")
    assert update is not None
    assert (update.stable_text, update.unstable_text) == ("um dois três", "")


def test_a_segment_that_turns_out_to_be_none_is_taken_back() -> None:
    """A full stop that the recognizer withdraws joins two segments again."""
    engine = Retranslator(FREE)
    engine.heard(Source((), (Segment(0, words("I see."), 0), Segment(1, words("he went"), 0))))
    for answer in ("Entendo.", "ele foi"):
        request = engine.request()
        assert request is not None
        engine.translated(request, Translation(answer))
    assert engine.heard(open_("I see he went")) == [Update(1, 2, "", "", 0, True)]


def test_a_late_answer_for_such_a_segment_is_dropped() -> None:
    """It says nothing any more."""
    engine = Retranslator(FREE)
    engine.heard(Source((), (Segment(0, words("I see."), 0), Segment(1, words("he went"), 0))))
    first = engine.request()
    assert first is not None
    engine.translated(first, Translation("Entendo."))
    second = engine.request()
    assert second is not None
    engine.heard(open_("I see he went"))
    assert engine.translated(second, Translation("ele foi")) is None


@pytest.mark.parametrize("answer", ["", "   "])
def test_a_translator_that_says_nothing_stalls_nothing(answer: str) -> None:
    """Empty translations are empty texts."""
    engine = Retranslator()
    told(engine, open_("hm"), answer)
    assert told(engine, closed("hm"), answer) == Update(0, 1, "", "", 1, True)
    assert engine.idle


VOCABULARY = st.lists(st.sampled_from(["um", "dois", "três,", "Ana", "fim."]), max_size=8)


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3), VOCABULARY, st.booleans()), max_size=25),
    st.builds(
        Stability,
        hold_back=st.integers(0, 4),
        agreement=st.integers(1, 4),
        behind=st.integers(0, 4),
        revise=st.booleans(),
    ),
)
def test_whatever_the_translator_says_the_promises_hold(
    steps: list[tuple[int, int, list[str], bool]], stability: Stability
) -> None:
    """Stable text is only continued, revisions count up, a final update is the last, and all is translated."""
    engine, heard = Retranslator(stability), Heard()
    spoken = words(" ".join(f"w{i}{'.' if i % 7 == 6 else ''}" for i in range(120)))
    latest: dict[int, Update] = {}
    ended: set[int] = set()
    expected: set[int] = set()

    def take(update: Update | None) -> None:
        if update is None:
            return
        before = latest.get(update.segment)
        # Only a segment that was never certain may vanish, and come back as another.
        if before is not None and not (before.final and before.text == ""):
            assert not before.final
            assert update.revision == before.revision + 1
            if update.text or update.source_words_covered:
                assert f"{update.stable_text} ".startswith(f"{before.stable_text} " if before.stable_text else "")
        assert stability.revise or not update.unstable_text
        latest[update.segment] = update
        if update.final and update.text:
            ended.add(update.segment)

    def answer(request: Request | None, text: list[str]) -> None:
        if request is not None:
            take(engine.translated(request, Translation(" ".join(text) or "x")))

    known = certain = 0
    for grown, uncertain, text, twice in steps:
        known = min(len(spoken), known + grown)
        certain = max(certain, known - uncertain)
        source = heard.partial(spoken[:known], certain)
        expected |= {segment.number for segment in source.closed}
        for update in engine.heard(source):
            take(update)
        answer(engine.request(), text)
        if twice:
            answer(engine.request(), text)
    source = heard.ended(spoken[:known], complete=True)
    expected |= {segment.number for segment in source.closed}
    for update in engine.heard(source):
        take(update)
    while not engine.idle:
        answer(engine.request(), ["fim"])
    assert ended == expected
