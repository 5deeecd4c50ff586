"""The energy rule: where speech begins and ends."""

from __future__ import annotations

import numpy as np
import pytest

from dragoman.audio.levels import dbfs, frame_levels, rms, speech_end, trim_silence

RATE = 16_000


def tone(seconds: float, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 220 * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * RATE), np.float32)


def test_padding_is_not_audible():
    """Silence before and after a sound is outside of it, to the frame."""
    pcm = np.concatenate([silence(0.3), tone(0.5), silence(0.4)])
    assert speech_end(pcm, RATE) == pytest.approx(0.8, abs=0.011)
    start, end = trim_silence(pcm, RATE)
    assert start / RATE == pytest.approx(0.3, abs=0.011)
    assert len(pcm[start:end]) == pytest.approx(0.5 * RATE, abs=320)


def test_threshold_is_40_db_below_the_loudest_frame():
    """A tail at -38 dB counts as speech, one at -43 dB does not."""
    heard = np.concatenate([tone(0.5), tone(0.2, 0.5 * 10 ** (-38 / 20))])
    unheard = np.concatenate([tone(0.5), tone(0.2, 0.5 * 10 ** (-43 / 20))])
    assert speech_end(heard, RATE) == pytest.approx(0.7, abs=0.011)
    assert speech_end(unheard, RATE) == pytest.approx(0.5, abs=0.011)


def test_rule_does_not_depend_on_volume():
    """The same sound, a thousand times softer, has the same edges."""
    pcm = np.concatenate([silence(0.2), tone(0.3), silence(0.2)])
    assert trim_silence(pcm, RATE) == trim_silence(pcm / 1000, RATE)


@pytest.mark.parametrize("pcm", [silence(0), silence(0.5)])
def test_nothing_audible(pcm):
    """Silence has no speech."""
    assert trim_silence(pcm, RATE) == (0, 0)
    assert speech_end(pcm, RATE) == 0


def test_last_frame_may_be_short():
    """A sound whose length is no multiple of 10 ms ends where it ends."""
    pcm = tone(0.5)[: 8000 - 37]
    assert trim_silence(pcm, RATE) == (0, len(pcm))
    assert len(frame_levels(pcm, RATE)) == 50


def test_levels_in_decibels():
    """A sine of amplitude 1 has -3 dB; silence stops at -120."""
    assert dbfs(tone(1, 1.0)) == pytest.approx(-3.01, abs=0.01)
    assert dbfs(silence(1)) == -120
    assert rms(silence(0)) == 0
