"""Reading a text off frames: freely, beginning with given words, and close to an earlier text."""

from __future__ import annotations

from itertools import groupby, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.translation.ctc import BLANK, _aligned, read
from dragoman.translation.marian import Floats

SYMBOLS = 5


def opinions(seed: int, frames: int, symbols: int = SYMBOLS) -> Floats:
    scores = np.random.default_rng(seed).normal(0, 2, (frames, symbols)).astype(np.float32)
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


def sure(path: list[int]) -> Floats:
    """Frames that say a path and doubt little."""
    chances = np.full((len(path), SYMBOLS), 0.02, np.float32)
    chances[np.arange(len(path)), path] = 0.92
    return np.log(chances)


def collapsed(path: list[int]) -> list[int]:
    return [symbol for symbol, _ in groupby(path) if symbol != BLANK]


given_symbols = st.lists(st.integers(1, SYMBOLS - 1), min_size=1, max_size=5)


def test_repeats_count_once_and_blanks_not_at_all() -> None:
    """A blank between two that are the same keeps both."""
    reading = read(sure([0, 1, 1, 0, 1, 2, 0, 0]))
    assert reading.symbols == [1, 1, 2]
    assert reading.frames == [1, 4, 5]


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_freely_read_it_is_the_likeliest_path(seed: int, frames: int) -> None:
    """Frame by frame."""
    logp = opinions(seed, frames)
    assert read(logp).symbols == collapsed([int(i) for i in logp.argmax(axis=1)])


@given(st.integers(0, 10_000), st.integers(1, 12), given_symbols)
def test_it_begins_with_what_is_forced(seed: int, frames: int, forced: list[int]) -> None:
    """Come what may, and each symbol is read off a frame, in order."""
    reading = read(opinions(seed, frames), forced)
    assert reading.symbols[: len(forced)] == forced
    assert len(reading.frames) == len(reading.symbols)
    assert reading.frames == sorted(reading.frames)
    assert all(0 <= frame < frames for frame in reading.frames)


@given(st.integers(0, 10_000), st.integers(1, 10))
def test_what_would_be_said_anyway_changes_nothing_when_forced(seed: int, frames: int) -> None:
    """Whether all of it or a beginning is forced: nothing is twice, nothing is lost."""
    logp = opinions(seed, frames)
    free = read(logp)
    for cut in range(1, len(free.symbols) + 1):
        assert read(logp, free.symbols[:cut]).symbols[:cut] == free.symbols[:cut]
    assert read(logp, free.symbols).symbols == free.symbols


@given(st.integers(0, 10_000), st.lists(st.integers(1, 2), min_size=1, max_size=2))
def test_the_alignment_is_the_likeliest_of_all(seed: int, symbols: list[int]) -> None:
    """Against every path of a few frames that begins with the symbols, and goes on freely."""
    logp = opinions(seed, 5, 3)
    rest = np.append(np.cumsum(logp.max(axis=1)[::-1])[::-1], 0)
    found = _aligned(logp, symbols, rest, BLANK)
    scores = {
        head: sum(logp[t, s] for t, s in enumerate(head)) + rest[len(head)]
        for length in range(1, 6)
        for head in product(range(3), repeat=length)
        if collapsed(list(head)) == symbols and head[-1] == symbols[-1]
    }
    own = tuple(BLANK if i < 0 else symbols[i] for i in found)
    assert scores[own] == pytest.approx(max(scores.values()), abs=1e-4)


def test_too_few_frames_give_what_is_forced() -> None:
    """And nothing else."""
    reading = read(opinions(1, 2), [1, 2, 3])
    assert reading.symbols == [1, 2, 3]
    assert reading.frames == [0, 1, 1]


def test_unknown_symbols_can_be_forced() -> None:
    """The rest goes on behind the frame that fits least badly."""
    reading = read(sure([1, 0, 2, 0, 3, 0]), [1, -1])
    assert reading.symbols == [1, -1, 3]


def test_what_follows_the_forced_begins_a_word() -> None:
    """A symbol that goes on a word can't stand behind whole words."""
    openers = np.array([True, True, True, False, True])
    logp = sure([1, 3, 2, 0])
    assert read(logp, [1]).symbols == [1, 3, 2]
    assert read(logp, [1], openers=openers).symbols == [1, 2]


@given(st.integers(0, 10_000), st.integers(1, 12), given_symbols)
def test_a_draft_without_bias_changes_nothing(seed: int, frames: int, draft: list[int]) -> None:
    """It is only checked."""
    logp = opinions(seed, frames)
    assert read(logp, draft=draft).symbols == read(logp).symbols


def test_a_draft_holds_while_it_is_about_as_likely() -> None:
    """With a bias of 0.2 a symbol may be a quarter less likely than the likeliest."""
    logp = np.log(np.array([[0.02, 0.4, 0.54, 0.02, 0.02], [0.9, 0.02, 0.04, 0.02, 0.02]], np.float32))
    assert read(logp).symbols == [2]
    assert read(logp, draft=[1], bias=0.2).symbols == [1]
    assert read(logp, draft=[1], bias=0.1).symbols == [2]
    assert read(logp, draft=[3], bias=0.2).symbols == [2]


def test_behind_the_point_where_a_draft_fails_the_frames_decide() -> None:
    """What was right stays."""
    logp = sure([1, 0, 2, 0, 3, 0])
    assert read(logp, draft=[1, 4, 4], bias=0.3).symbols == [1, 2, 3]
    assert read(logp, draft=[1, -1], bias=0.3).symbols == [1, 2, 3]
