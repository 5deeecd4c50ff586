"""What happens to a voice on its way to a microphone: rooms, tone, noise, level. Seeded, and it never moves a word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.audio.types import INPUT_RATE, Samples

_FULL: Final = 0.97

_BANDS: Final = np.array([0, 150, 400, 1000, 2500, 5000, 8000], np.float64)
"""Hertz."""


def augment(pcm: Samples, rng: np.random.Generator, babble: Samples | None = None) -> Samples:
    """A copy as another microphone would have heard it. ``babble``: someone else, for a voice in the background."""
    [heard] = augment_apart((pcm,), rng, babble)
    return np.asarray(np.clip(heard, -1.0, 1.0), np.float32)


def augment_apart(parts: Sequence[Samples], rng: np.random.Generator, babble: Samples | None = None) -> list[Samples]:
    """Sounds of one length that sound together, each as the microphone hears it, and what else it hears in the first.

    Their sum, clipped, is what ``augment`` makes of theirs.
    """
    out = [part.astype(np.float32) for part in parts]
    if rng.random() < 0.5:
        bands = _tone(rng)
        out = [_shaped(part, bands) for part in out]
    if rng.random() < 0.35:
        response = _room(rng)
        out = [_reflected(part, response) for part in out]
    level = 10 ** (rng.uniform(-55, -14) / 20)
    whole = _together(out)
    loud = float(np.sqrt(np.mean(np.square(whole[np.abs(whole) > 1e-3]) if (np.abs(whole) > 1e-3).any() else 1.0)))
    out = [part * (level / max(loud, 1e-4)) for part in out]
    if rng.random() < 0.7:
        out[0] = out[0] + noise(len(whole), rng) * (level * 10 ** (-rng.uniform(3, 40) / 20))
    if babble is not None and len(babble) and rng.random() < 0.15:
        other = np.resize(babble, len(whole))
        out[0] = out[0] + other * (level * 10 ** (-rng.uniform(12, 30) / 20) / max(float(np.std(other)), 1e-4))
    peak = float(np.abs(_together(out)).max(initial=0.0))
    if peak > _FULL and rng.random() < 0.8:
        out = [part * (_FULL / peak) for part in out]
    return out


def noise(count: int, rng: np.random.Generator) -> Samples:
    """Noise of unit power: white to brown, with a hum or a slow swell now and then."""
    spectrum = np.fft.rfft(rng.standard_normal(count).astype(np.float32))
    frequency = np.maximum(np.fft.rfftfreq(count, 1 / INPUT_RATE), 20.0)
    out = np.fft.irfft(spectrum * frequency ** -rng.uniform(0.0, 1.2), count)
    if rng.random() < 0.2:
        hum = rng.choice((50.0, 60.0, rng.uniform(100, 3000)))
        out = out / np.std(out) + np.sin(2 * np.pi * hum * np.arange(count) / INPUT_RATE) * rng.uniform(0.2, 2.0)
    if rng.random() < 0.3:
        out = out * (1.0 + 0.8 * np.sin(2 * np.pi * rng.uniform(0.05, 2.0) * np.arange(count) / INPUT_RATE))
    return np.asarray(out / max(float(np.std(out)), 1e-9), np.float32)


def nothing(rng: np.random.Generator) -> Samples:
    """A sound in which no one speaks: silence, noise, tones, clicks; 0.3 to 9 s."""
    count = int(rng.uniform(0.3, 9.0) * INPUT_RATE)
    out = noise(count, rng) * 10 ** (rng.uniform(-90, -20) / 20)
    kind = rng.random()
    if kind < 0.25:
        out = np.zeros(count, np.float32)
    elif kind < 0.5:
        line = np.arange(count) / INPUT_RATE
        for _ in range(int(rng.integers(1, 4))):
            pitch = rng.uniform(80, 4000) * (1 + rng.choice((0.0, 0.02)) * np.sin(2 * np.pi * 5 * line))
            out = out + np.sin(2 * np.pi * np.cumsum(pitch) / INPUT_RATE) * 10 ** (rng.uniform(-50, -12) / 20)
    elif kind < 0.65:
        at = rng.integers(0, count, size=int(rng.integers(1, 12)))
        out[at] += rng.uniform(-0.8, 0.8, size=len(at))
    return np.asarray(np.clip(out, -1, 1), np.float32)


def _together(parts: Sequence[Samples]) -> Samples:
    out = parts[0]
    for part in parts[1:]:
        out = out + part
    return out


def _tone(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Decibels of ``_BANDS``: a smooth random equalizer, or a telephone's band."""
    decibels = rng.uniform(-9, 9, len(_BANDS))
    if rng.random() < 0.2:
        decibels[[0, -2, -1]] -= 30
    return decibels


def _shaped(pcm: Samples, decibels: npt.NDArray[np.float64]) -> Samples:
    """Another tone."""
    spectrum = np.fft.rfft(pcm)
    frequency = np.fft.rfftfreq(len(pcm), 1 / INPUT_RATE)
    gain = 10 ** (np.interp(frequency, _BANDS, decibels) / 20)
    return np.asarray(np.fft.irfft(spectrum * gain, len(pcm)), np.float32)


def _room(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """The response of a room: the direct sound, then noise that decays."""
    seconds = rng.uniform(0.08, 0.5)
    line = np.arange(int(seconds * INPUT_RATE)) / INPUT_RATE
    response = rng.standard_normal(len(line)) * np.exp(-6.9 * line / seconds)
    response[: int(rng.uniform(0.001, 0.01) * INPUT_RATE)] = 0
    response *= 10 ** (-rng.uniform(0, 15) / 20) / np.sqrt(np.sum(response**2))
    response[0] = 1.0
    return np.asarray(response, np.float64)


def _reflected(pcm: Samples, response: npt.NDArray[np.float64]) -> Samples:
    size = len(pcm) + len(response)
    wet = np.fft.irfft(np.fft.rfft(pcm, size) * np.fft.rfft(response, size), size)
    return np.asarray(wet[: len(pcm)], np.float32)
