"""What of a growing translation is said, when, and how fast."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.agent.interpreted_speech import FASTEST, Sayings, Timeline, catch_up
from dragoman.translation.retranslation import Update


def update(stable: str, *, segment: int = 0, final: bool = False, unstable: str = "") -> Update:
    return Update(segment, 1, stable, unstable, 0, final)


def test_only_what_is_committed_is_said() -> None:
    """A clause when it is complete; the rest at the end."""
    sayings = Sayings("en")
    assert sayings.push(update("", unstable="well, not yet")) == []
    said = sayings.push(update("on the other hand, it", unstable="may"))
    assert [(s.text, s.final) for s in said] == [("on the other hand,", False)]
    said = sayings.push(update("on the other hand, it is late.", final=True))
    assert [(s.text, s.final) for s in said] == [("it is late.", True)]


def test_segments_don_t_run_into_each_other() -> None:
    """Each begins anew."""
    sayings = Sayings("en")
    sayings.push(update("one two.", final=True))
    said = sayings.push(update("three four.", segment=1, final=True))
    assert [(s.segment, s.text) for s in said] == [(1, "three four.")]


def test_what_may_become_the_next_segment_repeats_nothing() -> None:
    """It is shown while the one before it is still open, and nothing of it is committed."""
    sayings = Sayings("en")
    said = sayings.push(update("when the weather is warm,"))
    said += sayings.push(update("", segment=1, unstable="because we have"))
    said += sayings.push(update("when the weather is warm, we swim,", final=True))
    said += sayings.push(update("because we have time.", segment=1, final=True))
    assert [s.text for s in said] == ["when the weather is warm,", "we swim,", "because we have time."]


@given(st.lists(st.tuples(st.sampled_from(["a", "de", "fim.", "sim,", "e", "Ana"]), st.booleans()), max_size=60))
def test_everything_is_said_once(words: list[tuple[str, bool]]) -> None:
    """However the stable text grows."""
    sayings, given_, said = Sayings("pt"), list[str](), list[str]()
    for word, told in words:
        given_.append(word)
        if told:
            said += [s.text for s in sayings.push(update(" ".join(given_)))]
    said += [s.text for s in sayings.push(update(" ".join(given_), final=True))]
    assert " ".join(said) == " ".join(given_)


def test_a_piece_begins_when_it_is_ready_or_after_the_last() -> None:
    """A sentence is followed by a longer silence than a clause."""
    line = Timeline()
    assert line.place(1.0, 2.0, final=False) == 1.0
    clause = line.place(1.5, 1.0)
    sentence = line.place(1.5, 1.0)
    assert 3.0 < clause < 3.1
    assert sentence - (clause + 1.0) == pytest.approx(0.25)
    assert line.place(19.0, 1.0) == 19.0
    assert line.end == 20.0


def test_a_piece_is_late_by_what_is_before_it() -> None:
    """Nothing before it, not late."""
    line = Timeline()
    assert line.late(3.0) == 0.0
    line.place(3.0, 4.0)
    assert line.late(5.0) == pytest.approx(2.25)
    assert line.late(9.0) == 0.0


def test_who_is_late_hurries_within_bounds() -> None:
    """Never slower than the voice, never faster than a quarter more."""
    assert catch_up(0.0) == catch_up(0.5) == 1.0
    assert 1.0 < catch_up(1.0) < catch_up(2.0) < FASTEST
    assert catch_up(3.0) == catch_up(100.0) == FASTEST
