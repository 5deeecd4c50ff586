"""Windows: the pieces of conversations that the model is trained on, and their batches as plain arrays.

A window is what a session holds at some moment: the dialogue so far as text (the sink), and then frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.agent.duplex.conversation import Conversation
from dragoman.agent.duplex.history import WORDS, Flags, History, Numbers, dialogue_before, said
from dragoman.agent.duplex.vocabulary import Vocabulary
from dragoman.asr.causal.features import BLOCK

SINK: Final = 64
"""Tokens of context at most."""

WINDOW: Final = 192
"""Frames at most that are seen at once: 30.7 s."""

POSITIONS: Final = SINK + WINDOW
"""Tokens and frames that a past can hold."""

Features = npt.NDArray[np.floating]
"""The ear's features of frames, [frames, BLOCK, d]."""


@dataclass(frozen=True, slots=True)
class Window:
    """Context tokens; per frame ``features`` [frames, 8, d], a ``History``, whether a turn ``ends`` soon and how much
    that counts, and the words that were ``said`` (tokens [frames, WORDS], -1 for none).
    """

    context: tuple[int, ...]
    features: Features
    history: History
    ends: Flags
    counts: npt.NDArray[np.float32]
    said: Numbers

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return len(self.history.due)

    @property
    def length(self) -> int:
        """Tokens and frames."""
        return len(self.context) + self.frames


def cut_window(
    conversation: Conversation,
    features: Features,
    history: History,
    vocabulary: Vocabulary,
    start: int,
    frames: int = WINDOW,
) -> Window:
    """The window of ``frames`` from ``start`` on. ``features`` and ``history`` are those of the whole conversation."""
    stop = min(conversation.frames, start + frames, len(features))
    span = slice(start, stop)
    turns = dialogue_before(conversation, start) if start else list(conversation.context)
    speaking = conversation.user_speaking()[span]
    return Window(
        context=tuple(vocabulary.context(turns, SINK)),
        features=features[span],
        history=History(history.previous[span], history.sounding[span], history.words[span], history.due[span]),
        ends=conversation.ends_soon()[span],
        counts=np.where(speaking, 1.0, 0.2).astype(np.float32),
        said=said(conversation, vocabulary)[span],
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows as arrays. A row holds the context, then frames (from column ``first`` on); rows are padded.

    ``tokens`` [B, n]; ``frames`` [B, t] true for frames that exist; ``features`` [B, t, 8, d]; ``sounding`` [B, t];
    ``words``, ``said`` [B, t, WORDS]; ``positions`` [B, n]; ``seen`` [B, n, n]; ``due``, ``ends``, ``counts`` [B, t].
    """

    tokens: Numbers
    first: int
    frames: Flags
    features: npt.NDArray[np.float32]
    sounding: Flags
    words: Numbers
    positions: Numbers
    seen: Flags
    due: Numbers
    ends: Flags
    counts: npt.NDArray[np.float32]
    said: Numbers
    size: int
    """Tokens and frames that exist."""


def make_batch(windows: Sequence[Window]) -> Batch:
    """Pad windows to one size."""
    count = len(windows)
    first = max(len(window.context) for window in windows)
    longest = max(window.frames for window in windows)
    n, width = first + longest, windows[0].features.shape[-1]
    tokens, positions = np.zeros((count, n), np.int64), np.zeros((count, n), np.int64)
    exist = np.zeros((count, n), np.bool_)
    features = np.zeros((count, longest, BLOCK, width), np.float32)
    frames, sounding, ends = (np.zeros((count, longest), np.bool_) for _ in range(3))
    words, known = (np.full((count, longest, WORDS), -1, np.int64) for _ in range(2))
    due, counts = np.zeros((count, longest), np.int64), np.zeros((count, longest), np.float32)
    for b, window in enumerate(windows):
        t, c = window.frames, len(window.context)
        # The context stands next to the frames, so that what is padded lies before both.
        tokens[b, first - c : first + t] = (*window.context, *window.history.previous)
        positions[b, first - c : first + t] = np.arange(c + t)
        exist[b, first - c : first + t] = True
        features[b, :t], frames[b, :t], sounding[b, :t] = window.features, True, window.history.sounding
        words[b, :t], due[b, :t], ends[b, :t] = window.history.words, window.history.due, window.ends
        counts[b, :t], known[b, :t] = window.counts, window.said
    # All that came before; what is padded sees itself, so that no row is empty.
    line = np.arange(n)
    seen = (exist[:, None] & exist[:, :, None] & (line[None] <= line[:, None])) | np.eye(n, dtype=np.bool_)
    size = int(exist.sum())
    return Batch(tokens, first, frames, features, sounding, words, positions, seen, due, ends, counts, known, size)
