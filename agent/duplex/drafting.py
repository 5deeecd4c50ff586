"""What a trained drafter drafts over recorded conversations: as it comes, and when it has not understood.

The drafter hears a conversation with its true past; before and at each begin that is due it forks, and what it drafts
is kept. As it comes: the recognizer's own words, at their own rate of errors. Spoilt: a turn that is cut early, and
every turn once more as ``corruption`` spoils it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal, TypeAlias

import numpy as np

from dragoman.agent.duplex.conversation import AgentUtterance, Conversation
from dragoman.agent.duplex.corruption import Corruption, spoil
from dragoman.agent.duplex.drafts import Draft
from dragoman.agent.duplex.frames import FRAME, decided_s, first_decided
from dragoman.agent.duplex.history import WORDS, Numbers, dialogue_before, make_history
from dragoman.agent.duplex.runtime import DuplexRuntime, Heard
from dragoman.agent.duplex.windows import Features
from dragoman.agent.ports import Recognizer
from dragoman.audio.types import Samples

Kind: TypeAlias = Literal["natural", "cut"] | Corruption
"""``natural``: as it comes; ``cut``: the turn was not over; and the ways in which a turn is spoilt."""

EARLY: Final = 2
"""Frames before a begin is due at which a reply may be armed."""

PREFIX: Final = (3, 8)
"""Words of a draft: from, to; in use, drafts have a word more than is said, so that the last one is known."""

_CUT: Final = (0.3, 0.75)
"""Of a turn, where it is cut."""

_LEAST_CUT: Final = 5
"""Words that a turn must have to be cut."""


@dataclass(frozen=True, slots=True)
class Drafted:
    """A draft, and the true dialogue that it should answer: turns (role, text), the user's last. ``early``: frames
    before the begin was due (0 for a cut turn); ``situation`` of the turn.
    """

    name: str
    conversation: str
    kind: Kind
    early: int
    situation: str
    dialogue: tuple[tuple[str, str], ...]
    draft: Draft = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Due:
    """A fork that is due."""

    reply: AgentUtterance
    kind: Kind
    early: int


class Drafter:
    """Runs a drafter over conversations. Deterministic by ``seed``."""

    def __init__(
        self,
        runtime: DuplexRuntime,
        hear: Callable[[Samples], Features],
        seed: int = 1,
        recognizer: Recognizer | None = None,
    ) -> None:
        """``hear``: the ear's features of a sound. Without ``recognizer``, natural drafts get every true word."""
        self._runtime, self._hear, self._seed, self._recognizer = runtime, hear, seed, recognizer

    def draft(
        self, conversation: Conversation, features: Features, others: Sequence[Conversation] = ()
    ) -> Iterator[Drafted]:
        """All drafts of one conversation with its sound; ``others`` lend their turns to spoil it with."""
        heard = None if self._recognizer is None else recognized(self._recognizer, conversation.pcm)
        rng = Random(f"{self._seed}/{conversation.id}/drafts")
        due: dict[int, list[_Due]] = {}
        for reply in _replies(conversation):
            for early in range(min(EARLY, reply.frame) + 1):
                due.setdefault(reply.frame - early, []).append(_Due(reply, "natural", early))
            if (cut := _cut(conversation, reply, rng)) is not None:
                due.setdefault(cut, []).append(_Due(reply, "cut", 0))
        yield from self._run(conversation, conversation, features, due, heard)

        spoilt = spoil(conversation, others, f"{self._seed}")
        due = {}
        for reply in _replies(conversation):
            kind = spoilt.how[_answered(conversation, reply.frame)]
            for early in {0, rng.randint(1, EARLY)} if reply.frame >= EARLY else {0}:
                due.setdefault(reply.frame - early, []).append(_Due(reply, kind, early))
        yield from self._run(conversation, spoilt.conversation, self._hear(spoilt.conversation.pcm), due, None)

    def _run(
        self,
        truth: Conversation,
        given: Conversation,
        features: Features,
        due: Mapping[int, Sequence[_Due]],
        heard: Sequence[Sequence[str]] | None,
    ) -> Iterator[Drafted]:
        runtime, history = self._runtime, make_history(given, self._runtime.vocabulary)
        words = _known(history.words) if heard is None else self._read(heard)
        rng = Random(f"{self._seed}/{truth.id}/lengths")
        stream, before = runtime.open(truth.context), 0
        for frame in range(min(len(features), max(due, default=-1) + 1)):
            stream.own.previous = int(history.previous[frame])
            runtime.step([stream], [Heard(features[frame], bool(history.sounding[frame]), words[frame])])
            if stream.frames <= before:  # the oldest were dropped, and are text from now on
                runtime.remember(stream, dialogue_before(truth, frame + 1 - stream.frames))
            before = stream.frames
            for one in due.get(frame, ()):
                [draft] = runtime.draft([runtime.fork(stream)], rng.randint(*PREFIX))
                if draft.tokens:
                    yield _drafted(truth, one, draft)

    def _read(self, heard: Sequence[Sequence[str]]) -> list[list[int]]:
        """Tokens of the words that were recognized; what does not fit into a frame comes with the next."""
        waiting, out = deque[int](), []
        for words in heard:
            for word in words:
                waiting += self._runtime.vocabulary.read(" " + word)
            out.append([waiting.popleft() for _ in range(min(len(waiting), WORDS))])
        return out


def recognized(recognizer: Recognizer, pcm: Samples) -> list[list[str]]:
    """For each frame the words that a streaming recognizer was sure of since the last: what it finds in the sound up to
    a frame comes with the next. It is asked every second frame.
    """
    stream, known = recognizer.open("en"), 0
    out: list[list[str]] = [[]]
    for frame in range(len(pcm) // FRAME):
        stream.accept(pcm[frame * FRAME : (frame + 1) * FRAME])
        stable: list[str] = []
        if frame % 2:
            hypothesis = stream.partial()
            stable = hypothesis.text.split()[: hypothesis.stable]
        out.append(stable[known:])
        known = max(known, len(stable))
    return out[:-1]


def _drafted(truth: Conversation, due: _Due, draft: Draft) -> Drafted:
    dialogue = tuple(dialogue_before(truth, due.reply.frame + 1))
    event = truth.user[_answered(truth, due.reply.frame)]
    name = f"{truth.id}/{due.reply.frame}/{due.kind}-{due.early}"
    return Drafted(name, truth.id, due.kind, due.early, event.situation, dialogue, draft)


def _replies(conversation: Conversation) -> list[AgentUtterance]:
    return [said for said in conversation.agent if said.kind == "reply"]


def _answered(conversation: Conversation, frame: int) -> int:
    """The place of the turn that a reply due at ``frame`` answers."""
    now = decided_s(frame)
    return [i for i, event in enumerate(conversation.user) if event.answered and event.end_s <= now][-1]


def _cut(conversation: Conversation, reply: AgentUtterance, rng: Random) -> int | None:
    """A frame in the midst of the turn that is answered; None where it is short, or the agent speaks then."""
    event = conversation.user[_answered(conversation, reply.frame)]
    frame = first_decided(event.start_s + rng.uniform(*_CUT) * (event.end_s - event.start_s))
    speaks = bool(conversation.agent_speaking()[frame])
    return None if len(event.words) < _LEAST_CUT or speaks or frame >= reply.frame - EARLY else frame


def _known(words: Numbers) -> list[list[int]]:
    return [[int(token) for token in row[row >= 0]] for row in np.asarray(words)]
