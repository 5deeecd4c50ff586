"""What the drafter is trained on: whole dialogues as one text each, of which it learns to write the replies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.agent.drafter.dialogues import Answered, TextDialogue
from dragoman.agent.drafter.hearing import heard
from dragoman.agent.drafter.prompt import REPLY, TURN, before, line
from dragoman.agent.duplex.conversation import Conversation
from dragoman.agent.duplex.vocabulary import Vocabulary

LONGEST: Final = 256
"""Tokens of a lesson at most."""

IGNORED: Final = -1

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Lesson:
    """``tokens`` of a text, and what ``follow``s each of them as rows of the drafts' table: ``IGNORED`` where it is
    given, not written.
    """

    tokens: tuple[int, ...]
    follow: tuple[int, ...]


def make_lesson(
    dialogue: TextDialogue, vocabulary: Vocabulary, rng: Random | None = None, others: Sequence[str] = ()
) -> Lesson:
    """The lesson of a dialogue, from a turn on that ``rng`` draws; without it from the first, and heard as it was said.

    What does not fit into ``LONGEST`` is left out. Words are misheard as ``others``.
    """
    first = 0 if rng is None or rng.random() < 0.4 else rng.randrange(len(dialogue.turns))
    tokens = before(vocabulary, said_before(dialogue, first))
    follow = [IGNORED] * len(tokens)
    reply = vocabulary.read(REPLY)
    for count, turn in enumerate(dialogue.turns[first:]):
        text = turn.text if rng is None else heard(turn.text, rng, others)
        asked = [*line(vocabulary, "user", text)[-TURN:], *reply]
        words = turn.answer.split()[: turn.heard]
        written = vocabulary.write(" ".join(words))
        if count and len(tokens) + len(asked) + len(written) > LONGEST:
            break
        tokens += [*asked, *written]
        follow += [IGNORED] * (len(asked) - 1)
        follow += [vocabulary.rows[token] for token in written]
        whole = turn.complete and turn.heard is None
        follow.append(len(vocabulary.kept) if whole else IGNORED)
        end = vocabulary.read("\n")
        tokens += end
        follow += [IGNORED] * len(end)
    return Lesson(tuple(tokens[:LONGEST]), tuple(follow[:LONGEST]))


def said_before(dialogue: TextDialogue, turn: int) -> list[tuple[str, str]]:
    """The dialogue (role, text) before a turn."""
    out = list(dialogue.context)
    for one in dialogue.turns[:turn]:
        out += [("user", one.text), ("assistant", " ".join(one.answer.split()[: one.heard]))]
    return out


def of_conversation(conversation: Conversation) -> TextDialogue:
    """What was said in a conversation that was made with sound."""
    replies = [said for said in conversation.agent if said.kind == "reply"]
    turns = [event for event in conversation.user if event.answered]
    found = []
    for event, after in zip(turns, [*turns[1:], None], strict=True):
        until = after.end_s if after is not None else float("inf")
        reply = next((said for said in replies if event.end_s < said.start_s < until), None)
        if reply is not None:
            found.append(Answered(event.text, reply.text, reply.complete, event.situation, reply.heard))
    return TextDialogue(conversation.id, tuple(conversation.context), tuple(found))


def make_batch(lessons: Iterable[Lesson]) -> tuple[Numbers, Numbers]:
    """Lessons as arrays [B, n] of tokens and of what follows, padded at their end: who comes before does not see it."""
    found = list(lessons)
    n = max(len(lesson.tokens) for lesson in found)
    tokens = np.zeros((len(found), n), np.int64)
    follow = np.full((len(found), n), IGNORED, np.int64)
    for row, lesson in enumerate(found):
        tokens[row, : len(lesson.tokens)], follow[row, : len(lesson.follow)] = lesson.tokens, lesson.follow
    return tokens, follow
