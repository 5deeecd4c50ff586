"""Windows: the pieces of conversations that the model is trained on, and their batches as plain arrays.

A window is what a session holds at some moment: the dialogue so far as text (the sink), and then frames. Behind them
stand forks: drafts that begin after some frame and see what came before it, but that no frame sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.agent.duplex.conversation import Conversation
from dragoman.agent.duplex.frames import Control
from dragoman.agent.duplex.history import WORDS, Flags, History, Numbers, dialogue_before
from dragoman.agent.duplex.vocabulary import Vocabulary
from dragoman.asr.causal.features import BLOCK

SINK: Final = 64
"""Tokens of context at most."""

WINDOW: Final = 192
"""Frames at most that are seen at once: 30.7 s."""

ARMED: Final = 3
"""A draft may begin so many frames before its reply is due, when the end of the turn is foreseen."""

DRAFT: Final = 16
"""Tokens of a draft at most."""

POSITIONS: Final = SINK + WINDOW + DRAFT
"""Tokens and frames that a past can hold."""

IGNORED: Final = -1

Features = npt.NDArray[np.floating]
"""The ear's features of frames, [frames, BLOCK, d]."""


@dataclass(frozen=True, slots=True)
class Fork:
    """A draft that begins after the window's frame ``after``: ``tokens`` (a control first) and what follows each of
    them, as rows of the drafts' table.
    """

    after: int
    tokens: tuple[int, ...]
    follow: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """Context tokens; per frame ``features`` [frames, 8, d], a ``History``, whether a turn ``ends`` soon and how much
    that counts; forks.
    """

    context: tuple[int, ...]
    features: Features
    history: History
    ends: Flags
    counts: npt.NDArray[np.float32]
    forks: tuple[Fork, ...]

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return len(self.history.due)

    @property
    def length(self) -> int:
        """Tokens and frames, the forks' too."""
        return len(self.context) + self.frames + sum(len(fork.tokens) for fork in self.forks)


def cut_window(
    conversation: Conversation,
    features: Features,
    history: History,
    vocabulary: Vocabulary,
    start: int,
    rng: np.random.Generator | None = None,
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
        forks=tuple(_forks(conversation, history, vocabulary, start, stop, rng)),
    )


def _forks(
    conversation: Conversation,
    history: History,
    vocabulary: Vocabulary,
    start: int,
    stop: int,
    rng: np.random.Generator | None,
) -> list[Fork]:
    found = []
    for said in conversation.agent:
        control = Control.BOS if said.kind == "reply" else Control.BOC
        after = said.frame
        if rng is not None and said.kind == "reply":
            if rng.random() < 0.5:
                after -= int(rng.integers(1, ARMED + 1))
            else:
                while after + 1 < stop and history.due[after + 1] == control:
                    after += 1
        if not start <= after < stop:
            continue
        text = vocabulary.write(said.text)[: DRAFT - 1]
        follow = [vocabulary.rows[token] for token in text]
        whole = said.complete and len(text) < DRAFT - 1
        follow.append(len(vocabulary.kept) if whole else IGNORED)
        found.append(Fork(after - start, (vocabulary.control(control), *text), tuple(follow)))
    return found


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows as arrays. A row holds the context, then frames (from column ``first`` on), then forks; rows are padded.

    ``tokens`` [B, n]; ``frames`` [B, t] true for frames that exist; ``features`` [B, t, 8, d]; ``sounding`` [B, t];
    ``words`` [B, t, WORDS]; ``positions`` [B, n]; ``seen`` [B, n, n]; ``due``, ``ends``, ``counts`` [B, t];
    ``follow`` [B, n] rows of the drafts' table, ``IGNORED`` elsewhere.
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
    follow: Numbers
    size: int
    """Tokens and frames that exist."""


def make_batch(windows: Sequence[Window]) -> Batch:
    """Pad windows to one size."""
    count = len(windows)
    first = max(len(window.context) for window in windows)
    longest = max(window.frames for window in windows)
    tail = max(sum(len(fork.tokens) for fork in window.forks) for window in windows)
    n, width = first + longest + tail, windows[0].features.shape[-1]
    tokens, positions = np.zeros((count, n), np.int64), np.zeros((count, n), np.int64)
    group, limit = np.full((count, n), -1, np.int64), np.full((count, n), -1, np.int64)
    follow = np.full((count, n), IGNORED, np.int64)
    features = np.zeros((count, longest, BLOCK, width), np.float32)
    frames, sounding, ends = (np.zeros((count, longest), np.bool_) for _ in range(3))
    words = np.full((count, longest, WORDS), -1, np.int64)
    due, counts = np.zeros((count, longest), np.int64), np.zeros((count, longest), np.float32)
    for b, window in enumerate(windows):
        t, c = window.frames, len(window.context)
        # The context stands next to the frames, so that what is padded lies before both.
        tokens[b, first - c : first + t] = (*window.context, *window.history.previous)
        positions[b, first - c : first + t] = np.arange(c + t)
        group[b, first - c : first + t] = 0
        limit[b, first - c : first + t] = np.arange(first - c, first + t)
        features[b, :t], frames[b, :t], sounding[b, :t] = window.features, True, window.history.sounding
        words[b, :t], due[b, :t], ends[b, :t] = window.history.words, window.history.due, window.ends
        counts[b, :t] = window.counts
        at = first + longest
        for number, fork in enumerate(window.forks, 1):
            span = slice(at, at + len(fork.tokens))
            tokens[b, span], follow[b, span] = fork.tokens, fork.follow
            positions[b, span] = c + fork.after + 1 + np.arange(len(fork.tokens))
            group[b, span], limit[b, span] = number, first + fork.after
            at = span.stop
    seen, size = _seen(group, limit), int((group >= 0).sum())
    return Batch(tokens, first, frames, features, sounding, words, positions, seen, due, ends, counts, follow, size)


def _seen(group: Numbers, limit: Numbers) -> Flags:
    """What each row sees: of the main stream all up to its limit, and of its own fork all up to itself. What is padded
    sees itself, so that no row is empty.
    """
    line = np.arange(group.shape[1])
    mine, theirs = group[:, :, None], group[:, None, :]
    seen = (theirs == 0) & (line[None, None] <= limit[:, :, None])
    seen |= (theirs == mine) & (mine > 0) & (line[None, None] <= line[None, :, None])
    seen |= (mine < 0) & np.eye(len(line), dtype=np.bool_)
    return np.asarray(seen)
