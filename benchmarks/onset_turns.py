"""Held-out turns for the onset benchmark: the sound of each with its true end, and the dialogue before it.

A turn is cut out of its conversation with a little of the background before it. What follows its end is that same
background for as long as a reply may take: no echo of the recorded agent, no next turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

import numpy as np

from dragoman.agent.duplex.conversation import Conversation
from dragoman.agent.duplex.history import dialogue_before
from dragoman.agent.duplex.store import load_conversations
from dragoman.agent.ports import Role
from dragoman.audio.types import INPUT_RATE, DragomanError, Samples
from dragoman.benchmarks.turn_taking import Turn, turns_of
from dragoman.models.catalog import Progress

BEFORE_S: Final = 0.5
"""Background before a turn, where nothing else sounds there."""

_LEAST_AFTER_S: Final = 0.25
"""Background after a turn that is enough to go on with."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """``pcm`` at 16 kHz, heard from silence to ``end_s``, the last sample of the user's speech, and on into ``quiet``:
    background that may be repeated. ``dialogue``: turns (role, text) before it; ``text``: what the user says.
    """

    name: str
    conversation: str
    pcm: Samples = field(repr=False, compare=False)
    quiet: Samples = field(repr=False, compare=False)
    end_s: float
    dialogue: tuple[tuple[Role, str], ...]
    text: str

    @property
    def context(self) -> tuple[tuple[str, str], ...]:
        """What a reply to it really answers: turns (role, text), the user's last."""
        return (*self.dialogue, ("user", self.text))

    def background(self, samples: int) -> Samples:
        """So much of the background after it."""
        return np.resize(self.quiet, samples)


def held_out(shards: Sequence[Path], progress: Progress, seed: int = 1) -> list[HeldOut]:
    """Every turn of some shards, in an order that puts turns of one conversation apart. The same from the same seed.

    Raises ``DragomanError``.
    """
    found: list[HeldOut] = []
    for number, shard in enumerate(shards):
        progress("cutting turns", number, len(shards))
        for conversation in (heard.unechoed() for heard in load_conversations(shard)):
            found += (cut(conversation, turn) for turn in turns_of(conversation) if usable(conversation, turn))
    progress("cutting turns", len(shards), len(shards))
    if not found:
        raise DragomanError("the conversations hold no turn that can be cut out")
    return apart(found, seed)


def usable(conversation: Conversation, turn: Turn) -> bool:
    """Whether a turn can stand alone: it has words, nothing of the agent's sounds in it, and it can be heard to end."""
    alone = turn.event.kind == "turn" or conversation.echo_db is None
    return alone and bool(turn.event.text.strip()) and turn.until_s - turn.event.end_s >= _LEAST_AFTER_S


def cut(conversation: Conversation, turn: Turn) -> HeldOut:
    """One turn by itself."""
    event = turn.event
    others = [other.end_s for other in conversation.user if other.end_s <= event.start_s]
    if conversation.echo_db is not None:
        others += [said.end_s for said in conversation.agent if said.end_s <= event.start_s]
    start_s = max([0.0, event.start_s - BEFORE_S, *others])
    start, end = round(start_s * INPUT_RATE), round(event.end_s * INPUT_RATE)
    until = round(turn.until_s * INPUT_RATE)
    after = conversation.pcm[end:until]
    half = after[len(after) // 2 :]  # the room still rings in the first half
    *before, last = dialogue_before(conversation, turn.reply.frame + 1)
    if last[0] != "user":
        raise DragomanError(f"{conversation.id}: the turn at {event.start_s:.2f} s is not the last of its dialogue")
    return HeldOut(
        name=f"{conversation.id}/{turn.reply.frame}",
        conversation=conversation.id,
        pcm=conversation.pcm[start:until].copy(),
        quiet=np.concatenate((half[::-1], half)),  # mirrored, it repeats without a click
        end_s=event.end_s - start_s,
        dialogue=tuple((_role(role), text) for role, text in before),
        text=event.text,
    )


def apart(turns: Sequence[HeldOut], seed: int = 1) -> list[HeldOut]:
    """Turns drawn conversation by conversation: a language model that has just read one has not read the next."""
    rng = Random(f"{seed}/onset")
    groups: dict[str, list[HeldOut]] = {}
    for turn in turns:
        groups.setdefault(turn.conversation, []).append(turn)
    waiting = [rng.sample(group, len(group)) for group in groups.values()]
    out: list[HeldOut] = []
    while waiting := [group for group in waiting if group]:
        rng.shuffle(waiting)
        out += (group.pop() for group in waiting)
    return out


def _role(role: str) -> Role:
    return "assistant" if role == "assistant" else "user"
