"""Sounds that are no speech, for tests: music, noises, silence. All at 16 kHz, the same at each call."""

from __future__ import annotations

import numpy as np

from dragoman.audio.types import INPUT_RATE, Samples


def silence(seconds: float) -> Samples:
    """Digital silence."""
    return np.zeros(round(seconds * INPUT_RATE), np.float32)


def melody(seconds: float, each: float = 0.4, level: float = 0.2) -> Samples:
    """Plucked tones with overtones."""
    rng = np.random.default_rng(0)
    tones = [_pluck(220 * 2 ** (rng.integers(0, 13) / 12), each) for _ in range(round(seconds / each))]
    return (level * np.concatenate(tones)).astype(np.float32)


def chords(seconds: float, each: float = 1.6, level: float = 0.12) -> Samples:
    """Held triads of an organ with a slow vibrato, one after the other: C, a, F, G."""
    triads = ((262, 330, 392), (220, 262, 330), (175, 220, 262), (196, 247, 294))
    t = np.arange(round(each * INPUT_RATE)) / INPUT_RATE
    fade = np.minimum(1.0, np.minimum(t, each - t) / 0.05)
    vibrato = 0.003 * np.sin(2 * np.pi * 5 * t) * 5
    held = [
        fade * sum(np.sin(2 * np.pi * pitch * k * t + k * vibrato) / k**1.5 for pitch in triad for k in range(1, 5))
        for triad in triads
    ]
    pieces = [held[i % len(held)] for i in range(round(seconds / each))]
    return (level * np.concatenate(pieces)).astype(np.float32)


def drums(seconds: float, each: float = 0.25, level: float = 0.4) -> Samples:
    """A bass drum and a snare in turn, a hi-hat on every beat."""
    rng = np.random.default_rng(1)
    t = np.arange(round(each * INPUT_RATE)) / INPUT_RATE
    bass = np.sin(2 * np.pi * (50 * t + 8 * (1 - np.exp(-20 * t)))) * np.exp(-12 * t)
    beats = []
    for beat in range(round(seconds / each)):
        hiss = rng.normal(0, 1, len(t))
        snare = 0.5 * hiss * np.exp(-18 * t) + 0.5 * np.sin(2 * np.pi * 190 * t) * np.exp(-25 * t)
        hat = 0.2 * np.diff(hiss, prepend=0.0) * np.exp(-60 * t)
        beats.append((bass if beat % 4 in (0, 1) else snare if beat % 4 == 2 else 0.0 * t) + hat)
    return (level * np.concatenate(beats)).astype(np.float32)


def band(seconds: float) -> Samples:
    """Melody, chords and drums together."""
    parts = [melody(seconds), chords(seconds), drums(seconds)]
    length = min(map(len, parts))
    return sum((0.7 * part[:length] for part in parts), np.zeros(length, np.float32)).astype(np.float32)


def hiss(seconds: float, level: float = 0.05) -> Samples:
    """White noise."""
    return np.random.default_rng(2).normal(0, level, round(seconds * INPUT_RATE)).astype(np.float32)


def rumble(seconds: float, level: float = 0.1) -> Samples:
    """Traffic: noise that falls with its pitch, and the hum of a mains."""
    count = round(seconds * INPUT_RATE)
    spectrum = np.fft.rfft(np.random.default_rng(3).normal(0, 1, count))
    spectrum /= np.maximum(1.0, np.fft.rfftfreq(count, 1 / INPUT_RATE) / 60)
    noise = np.fft.irfft(spectrum, count)
    hum = np.sin(2 * np.pi * 50 * np.arange(count) / INPUT_RATE)
    return (level * (noise / np.abs(noise).max() + 0.3 * hum)).astype(np.float32)


def coughs(seconds: float, each: float = 2.0, level: float = 0.5) -> Samples:
    """Short coloured bursts with pauses between them: throats, chairs, doors."""
    rng = np.random.default_rng(4)
    pieces = []
    for _ in range(round(seconds / each)):
        t = np.arange(round(rng.uniform(0.1, 0.35) * INPUT_RATE)) / INPUT_RATE
        burst = np.convolve(rng.normal(0, 1, len(t)), np.ones(6) / 6, "same") * np.exp(-14 * t)
        pieces += [level * burst, np.zeros(round(each * INPUT_RATE) - len(t))]
    return np.concatenate(pieces).astype(np.float32)


def _pluck(pitch: float, seconds: float) -> Samples:
    t = np.arange(round(seconds * INPUT_RATE)) / INPUT_RATE
    return (sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 6)) * np.exp(-5 * t)).astype(np.float32)
