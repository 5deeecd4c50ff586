"""The playout: what is given out, whatever happens to it and however it is asked for."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dragoman.audio.playout import Playout
from dragoman.audio.types import Samples

RATE = 1000
FADE = 5
"""Samples of a cut's ramp."""


def tone(count: int, value: float = 0.5) -> Samples:
    return np.full(count, value, np.float32)


def acts() -> st.SearchStrategy[tuple[str, int]]:
    kinds = ["append", "release", "hold", "resume", "duck", "unduck", "stop", "begin", "aside"]
    return st.tuples(st.sampled_from(kinds), st.integers(0, 40))


def act(playout: Playout, kind: str, value: int) -> None:
    match kind:
        case "append":
            playout.append(playout.reply, tone(value))
        case "release":
            playout.release(playout.reply)
        case "hold":
            playout.hold()
        case "resume":
            playout.resume(value / RATE)
        case "duck" | "unduck":
            playout.duck(kind == "duck")
        case "stop":
            playout.stop(playout.reply)
        case "begin":
            playout.begin(playout.reply + 1)
        case "aside":
            playout.aside(tone(value, 0.1))


@given(st.lists(st.tuples(acts(), st.integers(0, 30)), max_size=30), st.integers(1, 7))
def test_the_length_of_frames_does_not_matter(steps: list[tuple[tuple[str, int], int]], frame: int) -> None:
    """The same acts at the same samples give the same sound, and never more than there is."""
    whole, cut = Playout(RATE), Playout(RATE)
    for (kind, value), count in steps:
        act(whole, kind, value)
        act(cut, kind, value)
        one = whole.read(count)
        pieces = [cut.read(min(frame, count - start)) for start in range(0, count, frame)]
        np.testing.assert_allclose(one, np.concatenate([np.zeros(0, np.float32), *pieces]), atol=1e-6)
        assert whole.position == cut.position
        assert np.abs(one).max(initial=0.0) <= 1.1
        assert whole.position <= whole.length


@given(st.lists(st.integers(0, 30), max_size=8), st.integers(1, 20))
def test_what_is_appended_is_given_out_once_and_in_order(lengths: list[int], frame: int) -> None:
    """Whether it was there in time or not."""
    playout, values = Playout(RATE), iter(range(1, 1000))
    playout.begin(1)
    playout.release(1)
    given_, got = [], []
    for length in lengths:
        pcm = np.array([next(values) / 1000 for _ in range(length)], np.float32)
        given_.append(pcm)
        playout.append(1, pcm)
        got.append(playout.read(frame))
    while playout.playing:
        got.append(playout.read(frame))
    sound = np.concatenate([np.zeros(0, np.float32), *got])
    np.testing.assert_allclose(sound[sound > 0], np.concatenate([np.zeros(0, np.float32), *given_]), atol=1e-6)


def test_a_cut_fades_and_nothing_of_an_old_reply_is_heard_after_it() -> None:
    """Held, stopped or replaced: five milliseconds, then silence."""
    for cut in (Playout.hold, lambda p: p.stop(1), lambda p: p.begin(2)):
        playout = Playout(RATE)
        playout.begin(1)
        playout.append(1, tone(100))
        playout.release(1)
        playout.read(20)
        cut(playout)
        assert not playout.append(1, tone(10)) or cut is Playout.hold
        after = playout.read(40)
        assert (np.diff(after[: FADE + 1]) < 0).all()
        assert not after[FADE:].any()


def test_who_resumes_goes_back_but_never_ahead() -> None:
    """The sound before the hold is kept; what was not given out yet is not skipped."""
    playout = Playout(RATE)
    playout.begin(1)
    playout.append(1, np.linspace(0, 1, 100, dtype=np.float32))
    playout.release(1)
    playout.read(50)
    playout.hold()
    playout.read(20)
    playout.resume(0.08)
    assert playout.position == 0.05
    playout.hold()
    playout.resume(0.02)
    playout.read(30)
    assert playout.position == 0.05
    np.testing.assert_allclose(playout.read(50), np.linspace(0, 1, 100, dtype=np.float32)[50:], atol=1e-6)
