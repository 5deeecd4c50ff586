"""What is voice and what is background in a recording of someone who speaks.

The rule for synthetic voices, -40 dB of the loudest frame, is of no use where the noise of a recording is louder than
that. Here a frame of 10 ms is audible when it rises out of the recording's own background, near where the session's
detector hears a voice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.asr.causal.mel import HOP, stock_log_mel
from dragoman.asr.vad import WINDOW, Ended, SileroVad, SpeechEdges, Started
from dragoman.audio.types import INPUT_RATE, Samples

FRAME: Final = HOP
"""Samples of a frame: 10 ms."""

_ENOUGH: Final = 12  # frames of background that tell what it is like
_BEFORE: Final = 40  # frames beside speech that may hold some of it
_AFTER: Final = 20
_EARLY: Final = 30  # frames by which the detector may be late at a start
_LATE: Final = 10
_SIGMAS: Final = 4.0
_LEAST: Final = 0.05  # decades
_DITHER: Final = 2e-5
_HEARD: Final = 0.5  # share of a voice's frames that must be audible
_WINDOW: Final = 4 * HOP


@dataclass(frozen=True, slots=True)
class Recorded:
    """``rises`` [frames]: how far each frame rises out of the background (decades, mean of 80 bands, beyond what noise
    does by itself); 0 is silence. ``background``: magnitudes of its noise, for evenly spaced frequencies.
    """

    rises: npt.NDArray[np.float64]
    background: npt.NDArray[np.float64]


def examined(pcm: Samples, until_s: float) -> Recorded | None:
    """Tell voice from background; None where there is no voice, or one that hardly rises out of it.

    A voice that begins after ``until_s`` is not counted.
    """
    speech = _voiced(pcm)
    if not speech or speech[0][0] >= until_s * INPUT_RATE:
        return None
    # Rounded to 16 bits, soft noise has gaps that are softer than any noise: a little more noise fills them.
    dithered = pcm + np.random.default_rng(0).normal(0, _DITHER, len(pcm)).astype(np.float32)
    mel = 4.0 * stock_log_mel(dithered, seconds=len(pcm) / INPUT_RATE)
    alive = np.add.reduceat(np.abs(pcm), np.arange(0, len(pcm), HOP))[: len(mel)] > 0
    quiet, near, voice = alive.copy(), *np.zeros((2, len(mel)), np.bool_)
    quiet[:2] = quiet[-2:] = False  # sounds may be faded at the ends
    for start, end in speech:
        quiet[max(0, start // HOP - _BEFORE) : end // HOP + _AFTER] = False
        if start < until_s * INPUT_RATE:
            near[max(0, start // HOP - _EARLY) : end // HOP + _LATE] = True
            voice[start // HOP : end // HOP] = True
    if quiet.sum() < _ENOUGH:
        loudness = mel.mean(1)
        quiet = alive & (loudness <= np.quantile(loudness[alive], max(0.1, _ENOUGH / alive.sum())))
    floor = np.median(mel[quiet], axis=0)
    over = np.convolve(np.maximum(mel - floor, 0).mean(1), np.ones(3) / 3, "same")
    # Medians: breath and knocks among the quiet frames are no background.
    usual = np.median(over[quiet])
    spread = 1.48 * np.median(np.abs(over[quiet] - usual))
    rises = np.maximum(over - (usual + _SIGMAS * spread + _LEAST), 0.0)
    if (rises[voice] > 0).mean() < _HEARD:
        return None
    return Recorded(np.where(near, rises, 0.0), _spectrum(pcm, quiet))


def noise(background: npt.NDArray[np.float64], count: int, rng: np.random.Generator) -> Samples:
    """So many samples of noise like a background."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    shape = np.interp(np.linspace(0, 1, len(spectrum)), np.linspace(0, 1, len(background)), background)
    return np.fft.irfft(spectrum * shape, count).astype(np.float32)


def _voiced(pcm: Samples) -> list[tuple[int, int]]:
    """Where the detector hears a voice, in samples."""
    vad, edges = SileroVad(), SpeechEdges()
    found: list[tuple[int, int]] = []
    begun: int | None = None
    padded = np.pad(pcm, (0, -len(pcm) % WINDOW + 3 * WINDOW))
    for start in range(0, len(padded), WINDOW):
        match edges.push(vad.probability(padded[start : start + WINDOW])):
            case Started(at):
                begun = at
            case Ended(at) if begun is not None:
                found.append((begun, min(at, len(pcm))))
                begun = None
    return found


def _spectrum(pcm: Samples, quiet: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Magnitudes such that white noise shaped by them is as loud as the quiet frames."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(pcm, (_WINDOW // 2, _WINDOW)), _WINDOW)[::HOP]
    chosen = frames[: len(quiet)][quiet].astype(np.float64)
    power = (chosen**2).mean(1)
    chosen = chosen[power <= np.median(power)]
    window = np.hanning(_WINDOW)
    found = np.abs(np.fft.rfft(chosen * window, axis=1)) ** 2
    return np.asarray(np.sqrt(found.mean(0) / (window**2).sum()))
