"""Training examples: a clip cut at a random moment, and the words that were over by then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


class TextEncoder(Protocol):
    """A tokenizer: text to numbers."""

    def encode(self, text: str) -> list[int]:
        """The tokens of ``text``."""


@dataclass(frozen=True, slots=True)
class Example:
    """Sound up to a cut, and what to write for it. ``shared`` tokens are those of the whole clip's text too."""

    mel: Mel
    frames: int
    tokens: tuple[int, ...]
    shared: int


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


def draw_cut(clip: Clip, rng: np.random.Generator) -> tuple[int, bool]:
    """Frames to a random moment of the clip, and whether it is its end (three in ten are)."""
    frames = -(-int(clip.seconds / FRAME_S) // GRAIN)
    whole = bool(rng.random() < 0.3)
    count = frames + int(rng.integers(0, 4)) if whole else int(rng.integers(2, max(3, frames)))
    return min(GRAIN * count, LONGEST), whole


def make_example(
    clip: Clip,
    cut: tuple[int, bool],
    rng: np.random.Generator,
    encoder: TextEncoder,
    babble: Samples | None = None,
) -> Example:
    """The clip up to a cut, as another microphone heard it."""
    frames, whole = cut
    texts, held = written(clip.words, frames * FRAME_S, ended=whole)
    tokens = [token for text in texts for token in encoder.encode(" " + text)]
    shared = len(tokens) - (len(encoder.encode(" " + texts[-1])) if held else 0)
    pcm = augment(clip.pcm[: int((frames * FRAME_S + 1.0) * INPUT_RATE)], rng, babble)
    return Example(log_mel(pcm, 2 * frames + 1), frames, tuple(tokens), shared)


def make_nothing(rng: np.random.Generator) -> Example:
    """A sound without speech: nothing is to be written."""
    pcm = nothing(rng)
    frames = max(GRAIN, int(len(pcm) / INPUT_RATE / FRAME_S) // GRAIN * GRAIN)
    return Example(log_mel(pcm, 2 * frames + 1), frames, (), 0)


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
