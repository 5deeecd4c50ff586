"""What an endpointer is taught: at which frames a turn is over, and in which it pauses.

How long after a turn's end it still can be heard that it is over depends on the agent, which answers: from then on the
microphone hears the answer. Late frames of ends are therefore rarer than they would be without it, and each counts the
more (inverse probability of censoring weighting, Robins and Finkelstein 2000).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.agent.duplex.conversation import Conversation
from dragoman.agent.duplex.frames import BEGIN_AFTER_S, decided_s, first_decided

KNOWN_S: Final = 0.06
"""The ear is behind: nothing is taught of a silence before it has lasted so long."""

BEGUN_S: Final = 0.3
"""Nothing is taught of the first moments of a turn."""

SPEECH: Final = 0.15
"""How much a frame counts in which the user speaks."""

LATEST_S: Final = 1.5
"""So long after its end a turn is over for an endpointer, if nobody answers."""

MOST: Final = 5.0
"""What a frame counts at most."""


WORD_S: Final = 0.08
"""A word can be named so long after its end."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Of each frame of a conversation: whether its turn is ``over`` [frames], and how much that ``counts`` [frames], 0
    where nothing is taught; and the number of the word that was ``said`` last when it can first be named [frames],
    -1 at all other frames.
    """

    over: npt.NDArray[np.bool_]
    counts: npt.NDArray[np.float32]
    said: npt.NDArray[np.int64]


def common_words(conversations: Sequence[Conversation], most: int) -> dict[str, int]:
    """The words that users say most often, numbered from 1; all others are 0.

    A word like "the" ends no turn, and an "um" neither: who can name them knows more of pauses.
    """
    said = Counter(_plain(w.text) for c in conversations for event in c.user for w in event.words)
    return {word: number for number, (word, _) in enumerate(said.most_common(most), 1)}


class Replies:
    """How long after the ends of turns replies begin to sound."""

    def __init__(self, conversations: Sequence[Conversation]) -> None:
        self._after = np.sort([s for c in conversations for _, s in _ends(c) if s is not None])

    def silent(self, seconds: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Share of turns of which the reply is still to come so long after their end."""
        if not len(self._after):
            return np.ones(len(seconds))
        return np.asarray(1 - np.searchsorted(self._after, seconds) / len(self._after), np.float64)


def endpoints(conversation: Conversation, replies: Replies, words: Mapping[str, int]) -> Endpoints:
    """What is taught of a conversation; ``words``: those that are to be named."""
    now = np.array([decided_s(frame) for frame in range(conversation.frames)])
    over, counts = np.zeros(len(now), np.bool_), np.zeros(len(now), np.float32)
    answers = dict(_ends(conversation))
    for number, event in enumerate(conversation.user):
        if not event.answered:
            continue
        counts[(now >= event.start_s + BEGUN_S) & (now < event.end_s)] = SPEECH
        for pause in event.pauses:
            counts[(now >= pause.start_s) & (now < pause.start_s + KNOWN_S)] = 0
            counts[(now >= pause.start_s + KNOWN_S) & (now < pause.end_s)] = 1
        latest = answers.get(number)
        after = (now >= event.end_s + KNOWN_S) & (now < event.end_s + (LATEST_S if latest is None else latest))
        over |= after
        counts[after] = np.minimum(MOST, 1 / np.maximum(1e-6, replies.silent(now[after] - event.end_s)))
    return Endpoints(over, counts, _said(conversation, words))


def _said(conversation: Conversation, words: Mapping[str, int]) -> npt.NDArray[np.int64]:
    said = np.full(conversation.frames, -1, np.int64)
    for event in conversation.user:
        for word in event.words:
            frame = first_decided(word.end + WORD_S)
            if frame < len(said):
                said[frame] = words.get(_plain(word.text), 0)
    return said


def _plain(word: str) -> str:
    return re.sub(r"[^a-z']", "", word.lower())


def judged(conversation: Conversation, late: int = 0) -> list[tuple[int, bool]]:
    """The frames by which an endpointer is judged: for each pause and each end that of a begin's label, or ``late``
    frames behind it, and whether it is an end.
    """
    found: list[tuple[int, bool]] = []
    answers = dict(_ends(conversation))
    for number, event in enumerate(conversation.user):
        if not event.answered:
            continue
        latest = answers.get(number)
        silences = [(pause.start_s, pause.end_s, False) for pause in event.pauses]
        silences.append((event.end_s, event.end_s + (LATEST_S if latest is None else latest), True))
        for start_s, end_s, over in silences:
            frame = first_decided(start_s + BEGIN_AFTER_S) + late
            if start_s + KNOWN_S <= decided_s(frame) <= end_s and frame < conversation.frames:
                found.append((frame, over))
    return found


def _ends(conversation: Conversation) -> list[tuple[int, float | None]]:
    """Of each turn (its number among the user's events): how long after its end the agent is heard; None: never."""
    found = []
    for number, event in enumerate(conversation.user):
        if event.answered:
            after = [said.start_s - event.end_s for said in conversation.agent if said.start_s > event.end_s]
            found.append((number, min(after, default=None)))
    return found
