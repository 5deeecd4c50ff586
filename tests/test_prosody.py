"""The melody of a voice: pitch and loudness are found, silence and noise have none, and a stream is as the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.agent.duplex.features import EarStream, open_ear
from dragoman.agent.duplex.frames import FRAME
from dragoman.agent.duplex.prosody import AHEAD, HOP, PROSODY, ProsodyStream
from dragoman.asr.causal.features import BLOCK
from dragoman.audio.types import INPUT_RATE, Samples


def voice(*pitches: float, seconds: float = 0.5, level: float = 0.1) -> Samples:
    """Pulses of these pitches, one after the other, as a throat makes them."""
    each = [np.full(round(seconds * INPUT_RATE), pitch) for pitch in pitches]
    phase = np.cumsum(np.concatenate(each)) / INPUT_RATE
    pulses = sum(np.cos(2 * np.pi * k * phase) / k for k in range(1, 8))
    return np.asarray(level * pulses / np.sqrt(np.mean(np.square(pulses))), np.float32)


@pytest.mark.parametrize("pitch", [80, 110, 160, 240, 320, 450])
def test_pitch_is_found(pitch: float) -> None:
    """In octaves around 160 Hz, wherever a voice may lie, and under noise."""
    noise = np.random.default_rng(1).standard_normal(INPUT_RATE // 2).astype(np.float32)
    for pcm in (voice(pitch), voice(pitch) + 0.02 * noise):
        found = ProsodyStream().push(pcm)[3:-3]
        assert (found[:, 1] > 0.75).all()
        np.testing.assert_allclose(found[:, 2] / found[:, 1], np.log2(pitch / 160), atol=0.06)


def test_a_melody_falls() -> None:
    found = ProsodyStream().push(voice(*range(240, 120, -10), seconds=0.1))[3:-3]
    melody = found[:, 2] / found[:, 1]
    assert melody[0] - melody[-1] == pytest.approx(np.log2(240 / 130), abs=0.1)
    assert (np.diff(melody) < 0.05).all()


def test_loudness_is_told_in_decibels() -> None:
    loud, soft = (ProsodyStream().push(voice(150, level=level))[4, 0] for level in (0.1, 0.01))
    assert loud == pytest.approx(1.5, abs=0.05)
    assert soft == pytest.approx(0.5, abs=0.05)


def test_silence_and_noise_have_no_pitch() -> None:
    """Nothing breaks, either."""
    silence = ProsodyStream().push(np.zeros(INPUT_RATE, np.float32))
    assert np.isfinite(silence).all()
    assert not silence[:, 1:].any()
    noise = ProsodyStream().push(0.1 * np.random.default_rng(1).standard_normal(INPUT_RATE).astype(np.float32))
    assert np.median(noise[:, 1]) < 0.4


@given(st.lists(st.integers(0, 2000), max_size=12))
def test_any_packets_give_the_same(sizes: list[int]) -> None:
    """To the bit, and each number comes half a window after its 20 ms."""
    pcm = voice(120, 200, seconds=0.4)
    whole, stream, at, parts = ProsodyStream().push(pcm), ProsodyStream(), 0, []
    for size in [*sizes, len(pcm)]:
        parts.append(stream.push(pcm[at : at + size]))
        at = min(len(pcm), at + size)
        assert sum(map(len, parts)) == max(0, (at - AHEAD) // HOP)
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_it_comes_with_the_ears_features() -> None:
    """Frame by frame, and it is that of the frame's own sound."""
    pcm = np.concatenate([voice(200, seconds=0.32), np.zeros(4 * FRAME, np.float32)])
    ear = open_ear()
    stream, found = EarStream(ear), []
    for start in range(0, len(pcm), 700):
        features, prosody = stream.push(pcm[start : start + 700])
        assert features.shape[:2] == (len(prosody), BLOCK)
        assert prosody.shape[1:] == (BLOCK, PROSODY)
        found += list(prosody)
    assert len(found) == 5
    assert (found[0][1:, 1] > 0.8).all()
    assert not found[3][:, 1:].any()
