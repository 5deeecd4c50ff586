"""Voice activity: Silero on real sound, and the edges drawn from its probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.agent.ports import VoiceActivity
from dragoman.asr.vad import WINDOW, Ended, SileroVad, SpeechEdges, Started
from dragoman.audio.levels import trim_silence

RATE = 16_000
PROBABILITIES = st.lists(st.floats(0, 1), max_size=200)


def edges_of(probabilities, **settings):
    machine = SpeechEdges(**settings)
    return [edge for p in probabilities if (edge := machine.push(p)) is not None]


def edges_in(pcm, vad=None):
    vad = vad or SileroVad()
    whole = pcm[: len(pcm) - len(pcm) % WINDOW]
    return edges_of([vad.probability(window) for window in whole.reshape(-1, WINDOW)])


def padded(pcm, seconds=0.5):
    silence = np.zeros(int(seconds * RATE), np.float32)
    return np.concatenate([silence, pcm, silence])


def test_onset_is_the_first_window_over_the_threshold():
    """Two windows of three start speech, dated back to the first of them."""
    assert edges_of([0, 0.6, 0.4, 0.6]) == [Started(WINDOW)]
    assert edges_of([0.6, 0.6]) == [Started(0)]


def test_one_window_does_not_start_speech():
    """A click, however often, is no voice."""
    assert edges_of([0.99, 0, 0] * 5) == []


def test_end_comes_after_two_silent_windows():
    """The pause is reported 64 ms after it began, and dated to its beginning."""
    machine = SpeechEdges()
    found = [machine.push(p) for p in [0.9, 0.9, 0.9, 0.1, 0.1]]
    assert found == [None, Started(0), None, None, Ended(3 * WINDOW)]


def test_a_dip_between_the_thresholds_does_not_end_speech():
    """Hysteresis: what is neither clearly speech nor clearly silence changes nothing."""
    assert edges_of([0.9, 0.9, *[0.4] * 20]) == [Started(0)]


@given(PROBABILITIES, st.integers(1, 5))
def test_edges_alternate_and_never_go_back(probabilities, silent):
    """Whatever is heard: start, end, start, ... at positions that grow and have been heard."""
    edges = edges_of(probabilities, silent=silent)
    assert all(isinstance(edge, Started) for edge in edges[::2])
    assert all(isinstance(edge, Ended) for edge in edges[1::2])
    positions = [edge.at for edge in edges]
    assert positions == sorted(positions)
    assert all(0 <= at <= len(probabilities) * WINDOW for at in positions)
    assert all(at % WINDOW == 0 for at in positions)


@given(PROBABILITIES)
def test_an_edge_is_reported_soon(probabilities):
    """A start is told within three windows of its onset, an end two windows after it."""
    machine = SpeechEdges()
    for p in probabilities:
        match machine.push(p):
            case Started(at):
                assert machine.position - at <= 3 * WINDOW
            case Ended(at):
                assert machine.position - at == 2 * WINDOW


@pytest.mark.parametrize("settings", [{"threshold": 0.3, "release": 0.5}, {"silent": 0}, {"release": 0.0}])
def test_senseless_settings_are_refused(settings):
    """A release above the threshold would never settle."""
    with pytest.raises(ValueError, match="needs"):
        SpeechEdges(**settings)


def test_silero_is_a_voice_activity():
    """It has the port's shape, and refuses a window of another length."""
    vad: VoiceActivity = SileroVad()
    assert vad.hop == WINDOW
    with pytest.raises(ValueError, match="512"):
        vad.probability(np.zeros(WINDOW - 1, np.float32))


@pytest.mark.parametrize(
    "pcm",
    [
        np.zeros(3 * RATE),
        np.random.default_rng(1).normal(0, 0.1, 3 * RATE),
        np.random.default_rng(1).normal(0, 0.001, 3 * RATE),
        0.3 * np.sin(2 * np.pi * 440 * np.arange(3 * RATE) / RATE),
        np.tile(np.eye(1, RATE // 4)[0], 12),
    ],
    ids=["silence", "noise", "soft noise", "tone", "clicks"],
)
def test_what_is_no_voice_starts_no_speech(pcm):
    """Silence, noise, tones and clicks draw no edge."""
    assert edges_in(pcm.astype(np.float32)) == []


def test_edges_of_real_speech(spoken):
    """A spoken sentence starts and ends within 0.15 s of where its sound does."""
    pcm = padded(spoken("The quick brown fox jumps over the lazy dog."))
    start, end = trim_silence(pcm, RATE)
    edges = edges_in(pcm)
    assert isinstance(edges[0], Started)
    assert isinstance(edges[-1], Ended)
    assert edges[0].at == pytest.approx(start, abs=0.15 * RATE)
    assert edges[-1].at == pytest.approx(end, abs=0.15 * RATE)


def test_streams_share_the_network_and_not_what_they_heard(spoken):
    """Two detectors fed in turns hear what each would hear alone."""
    speech = padded(spoken("The quick brown fox jumps over the lazy dog."))
    noise = np.random.default_rng(2).normal(0, 0.01, len(speech)).astype(np.float32)
    both = SileroVad(), SileroVad()
    heard = [[], []]
    for start in range(0, len(speech) - WINDOW + 1, WINDOW):
        for vad, found, pcm in zip(both, heard, (speech, noise), strict=True):
            found.append(vad.probability(pcm[start : start + WINDOW]))
    assert edges_of(heard[0]) == edges_in(speech)
    assert edges_of(heard[1]) == []


def test_reset_forgets(spoken):
    """After a reset the same sound gives the same probabilities."""
    vad = SileroVad()
    pcm = padded(spoken("The quick brown fox jumps over the lazy dog."))
    first = edges_in(pcm, vad)
    vad.reset()
    assert edges_in(pcm, vad) == first
