"""Cutting sound into utterances, with a detector that takes loud for speech."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.agent.utterances import Patience, Utterance, Utterances
from dragoman.audio.types import INPUT_RATE, Samples


class Loudness:
    """Speech is what is loud."""

    hop = 512

    def probability(self, window: Samples) -> float:
        return min(1.0, 2 * float(np.abs(window).max()))


def sound(*parts: tuple[float, float]) -> Samples:
    """Seconds of a level, one after the other."""
    return np.concatenate([np.full(round(s * INPUT_RATE), level, np.float32) for s, level in parts])


def cut(pcm: Samples, patience: Patience | None = None) -> list[Utterance]:
    splitter = Utterances(Loudness(), patience)
    return splitter.push(pcm) + splitter.flush()


def test_a_pause_ends_an_utterance() -> None:
    """Speech, a pause, speech: two utterances at their places, with a little sound around each."""
    first, second = cut(sound((1, 0), (2, 1), (1, 0), (1.5, 1), (1, 0)))
    assert first.start / INPUT_RATE == pytest.approx(0.7, abs=0.05)
    assert len(first.pcm) / INPUT_RATE == pytest.approx(2.5, abs=0.1)
    assert second.start / INPUT_RATE == pytest.approx(3.7, abs=0.05)
    assert first.paused
    assert first.closed == pytest.approx(3.0 + Patience().fresh, abs=0.05)


def test_a_short_pause_does_not() -> None:
    """A breath belongs to the utterance."""
    assert len(cut(sound((1, 1), (0.3, 0), (1, 1), (1, 0)))) == 1


def test_patience_shrinks_with_length() -> None:
    """A pause that a short utterance survives ends a long one."""
    assert len(cut(sound((14, 1), (0.4, 0), (1, 1), (1, 0)))) == 2


def test_endless_speech_is_cut_where_it_is_least_likely_speech() -> None:
    """What holds the speech is bounded; the cut loses no sample."""
    pcm = sound((17, 1), (0.1, 0.3), (13, 1))
    first, second = cut(pcm)
    assert not first.paused
    assert (first.start + len(first.pcm)) / INPUT_RATE == pytest.approx(17.05, abs=0.1)
    assert second.start == first.start + len(first.pcm)
    assert len(first.pcm) + len(second.pcm) >= len(pcm)


def test_silence_gives_nothing_and_is_not_kept() -> None:
    """A silent hour holds less than a second."""
    splitter = Utterances(Loudness())
    for _ in range(100):
        assert splitter.push(sound((1, 0))) == []
    assert len(splitter._windows) * 512 < INPUT_RATE
    assert splitter.flush() == []


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.sampled_from([0.05, 0.3, 0.7, 2.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=8),
    st.lists(st.integers(100, 9000), min_size=1),
)
def test_any_chunking_gives_the_same_utterances(parts: list[tuple[float, float]], sizes: list[int]) -> None:
    """Utterances don't depend on the length of the frames."""
    pcm = sound(*parts)
    splitter, found, start, turn = Utterances(Loudness()), [], 0, 0
    while start < len(pcm):
        size = sizes[turn % len(sizes)]
        found += splitter.push(pcm[start : start + size])
        start, turn = start + size, turn + 1
    found += splitter.flush()
    expected = cut(pcm)
    assert [(u.start, len(u.pcm), u.closed, u.paused) for u in found] == [
        (u.start, len(u.pcm), u.closed, u.paused) for u in expected
    ]
