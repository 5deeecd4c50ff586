"""Resampling in chunks gives what resampling at once gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.audio.resample import StreamResampler, resample

PAIRS = [
    (48_000, 16_000),
    (44_100, 16_000),
    (8_000, 16_000),
    (24_000, 48_000),
    (24_000, 16_000),
    (16_000, 16_000),
]


def noise(n: int) -> np.ndarray:
    return np.random.default_rng(7).uniform(-0.5, 0.5, n).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(pair=st.sampled_from(PAIRS), cuts=st.lists(st.integers(0, 9_000), max_size=12))
def test_any_chunking_gives_the_same_sound(pair, cuts):
    """However the input is cut (empty pieces too), the joined output is that of one call."""
    pcm = noise(9_000)
    stream = StreamResampler(*pair)
    out = [stream.push(piece) for piece in np.split(pcm, sorted(cuts))]
    joined = np.concatenate([*out, stream.flush()])
    whole = resample(pcm, *pair)
    assert len(joined) == len(whole)
    np.testing.assert_allclose(joined, whole, atol=1e-6)


@pytest.mark.parametrize("pair", PAIRS)
def test_length_and_pitch_are_kept(pair):
    """A second stays a second, and a 440 Hz tone stays at 440 Hz."""
    source, target = pair
    tone = np.sin(2 * np.pi * 440 * np.arange(source) / source).astype(np.float32)
    out = resample(tone, source, target)
    assert abs(len(out) - target) <= 1
    assert np.abs(np.fft.rfft(out)).argmax() * target / len(out) == pytest.approx(440, abs=1)


def test_can_be_used_again_after_flush():
    """A flushed resampler starts anew: nothing of the last sound leaks into the next."""
    stream = StreamResampler(48_000, 16_000)
    first = np.concatenate([stream.push(noise(4_800)), stream.flush()])
    second = np.concatenate([stream.push(noise(4_800)), stream.flush()])
    np.testing.assert_array_equal(first, second)


def test_rates_must_be_positive():
    """A rate of zero is refused at once."""
    with pytest.raises(ValueError, match="positive"):
        StreamResampler(0, 16_000)
