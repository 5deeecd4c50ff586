"""Training examples: a clip cut at a random moment, and the words that were over by then."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from dragoman.asr.causal.augment import augment, nothing
from dragoman.asr.causal.corpus import Clip
from dragoman.asr.causal.mel import Mel, log_mel
from dragoman.audio.types import INPUT_RATE, Samples, Word

FRAME_S: Final = 0.02
GRAIN: Final = 8
"""Frames of the smallest step: cuts lie on it."""

SAID_S: Final = 0.2
"""A word is written once it has been over for so long: time for the sound after it to tell what it was."""

LONGEST: Final = 1496
"""Frames that fit Whisper's 30 s."""

MARKED_S: Final = 0.5
"""A mark after the last word waits for so much silence, or for the next word."""

_MARKS: Final = ".,;:!?…"

_PAUSE_S: Final = 0.3
"""Silence between two words from which on it is a pause."""

_NOTICED_S: Final = (0.05, 0.3)
"""So long after the last word a session knows that there is silence, and takes it that the sound ends there."""

_TAIL_S: Final = 0.4
"""Silence that a session puts behind a sound that ends, at least."""

_ENDED: Final = 0.3
_PAUSED: Final = 0.35
"""How often a clip is taken to its end, and how often one with pauses to one of them."""


class TextEncoder(Protocol):
    """A tokenizer: text to numbers."""

    def encode(self, text: str) -> list[int]:
        """The tokens of ``text``."""


@dataclass(frozen=True, slots=True)
class Example:
    """Sound up to a cut, and what to write for it. ``shared`` tokens are those of the whole clip's text too, and
    ``alike`` frames are of its sound: behind them is the silence of a sound that ended early.
    """

    mel: Mel
    frames: int
    tokens: tuple[int, ...]
    shared: int
    alike: int


def written(words: Sequence[Word], until: float, *, ended: bool) -> tuple[list[str], bool]:
    """The words to write at ``until``, and whether the last mark is held back."""
    said = [word for word in words if word.end + (0.0 if ended else SAID_S) <= until]
    texts = [word.text for word in said]
    followed = len(said) < len(words) and words[len(said)].start < until - SAID_S
    if texts and not ended and not followed and until - said[-1].end < MARKED_S:
        bare = texts[-1].rstrip(_MARKS)
        if bare and bare != texts[-1]:
            return [*texts[:-1], bare], True
    return texts, False


@dataclass(frozen=True, slots=True, order=True)
class Cut:
    """A moment of a clip: so many ``frames`` are heard. Where the sound has ``ended``, there is silence from
    ``until_s`` on, and all words before it are written.
    """

    frames: int
    ended: bool
    until_s: float


def draw_cut(clip: Clip, rng: np.random.Generator) -> Cut:
    """A moment of the clip: its end, a pause, or any."""
    drawn = rng.random()
    if drawn < _ENDED:
        frames = _grains(clip.seconds) + GRAIN * int(rng.integers(0, 4))
        return Cut(min(frames, LONGEST), True, clip.seconds)
    pauses = _pauses(clip.words) if drawn < _ENDED + _PAUSED else []
    if pauses:
        start, end = pauses[int(rng.integers(len(pauses)))]
        until = min(end, start + rng.uniform(*_NOTICED_S))
        return Cut(min(_grains(until + _TAIL_S), LONGEST), True, until)
    frames = min(GRAIN * int(rng.integers(2, max(3, _grains(clip.seconds) // GRAIN))), LONGEST)
    return Cut(frames, False, frames * FRAME_S)


def _grains(seconds: float) -> int:
    """Frames of the whole steps that so long a sound has begun."""
    return GRAIN * math.ceil(seconds / (GRAIN * FRAME_S))


def _pauses(words: Sequence[Word]) -> list[tuple[float, float]]:
    """From where to where nothing is said between two words."""
    gaps = [(word.end, after.start) for word, after in pairwise(words)]
    return [(start, end) for start, end in gaps if end - start >= _PAUSE_S]


def make_example(
    clip: Clip,
    cut: Cut,
    rng: np.random.Generator,
    encoder: TextEncoder,
    babble: Samples | None = None,
) -> Example:
    """The clip up to a cut, as another microphone heard it."""
    texts, held = written(clip.words, cut.until_s, ended=cut.ended)
    tokens = [token for text in texts for token in encoder.encode(" " + text)]
    shared = len(tokens) - (len(encoder.encode(" " + texts[-1])) if held else 0)
    pcm = clip.pcm[: int((cut.frames * FRAME_S + 1.0) * INPUT_RATE)]
    if not clip.heard:
        pcm = augment(pcm, rng, babble)
    alike = cut.frames
    if cut.ended and cut.until_s < clip.seconds:
        pcm, alike = pcm[: int(cut.until_s * INPUT_RATE)], min(alike, int(cut.until_s / FRAME_S))
    return Example(log_mel(pcm, 2 * cut.frames + 1), cut.frames, tuple(tokens), shared, alike)


def make_nothing(rng: np.random.Generator) -> Example:
    """A sound without speech: nothing is to be written."""
    pcm = nothing(rng)
    frames = max(GRAIN, int(len(pcm) / INPUT_RATE / FRAME_S) // GRAIN * GRAIN)
    return Example(log_mel(pcm, 2 * frames + 1), frames, (), 0, 0)


def padded_tokens(
    examples: Sequence[Example], prompts: Sequence[Sequence[int]], end: int, longest: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Decoder inputs and targets, [B, n]; a target of -100 counts for nothing. The prompts are of one length."""
    rows = [[*prompt, *example.tokens][:longest] for prompt, example in zip(prompts, examples, strict=True)]
    lead = len(prompts[0]) - 1
    size = max(map(len, rows))
    inputs = np.full((len(rows), size), end, np.int64)
    targets = np.full((len(rows), size), -100, np.int64)
    for i, (row, example) in enumerate(zip(rows, examples, strict=True)):
        inputs[i, : len(row)] = row
        follow = [*example.tokens, end][: len(row) - lead]
        targets[i, lead : lead + len(follow)] = follow
    return inputs, targets
