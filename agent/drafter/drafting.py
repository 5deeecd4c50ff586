"""What a trained drafter drafts in dialogues that it never met: as it comes, and when it has not understood.

As it comes: the turn with a recognizer's mistakes at their own rate, made (``hearing``) or real. Spoilt: the same turn
once more, as ``corruption`` spoils it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final, Literal, TypeAlias

from dragoman.agent.drafter.corruption import Corruption, spoil
from dragoman.agent.drafter.drafts import Draft
from dragoman.agent.drafter.hearing import heard
from dragoman.agent.drafter.runtime import DrafterRuntime, Reading
from dragoman.agent.duplex.conversation import Conversation, Situation
from dragoman.agent.duplex.frames import first_decided
from dragoman.agent.duplex.history import dialogue_before
from dragoman.agent.openings import MOST, sayable
from dragoman.agent.ports import Recognizer
from dragoman.audio.types import INPUT_RATE

Kind: TypeAlias = Literal["natural", "alternative"] | Corruption
"""``natural``: as it comes; ``alternative``: with another beginning than the likeliest; and the ways in which a turn is
spoilt.
"""

_AROUND_S: Final = 0.3
"""Of sound before a turn and after it, for who recognizes it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A turn (``text``) and the true dialogue (role, text) before it. ``heard``: as a recognizer heard it, if one did;
    ``conversation``: whose it is.
    """

    name: str
    conversation: str
    text: str
    before: tuple[tuple[str, str], ...]
    situation: Situation = "chat"
    heard: str | None = None


@dataclass(frozen=True, slots=True)
class Drafted:
    """A draft, the part of it that would be said, and the true dialogue that it should answer: turns (role, text), the
    user's last; ``heard`` is what the drafter read in its place.
    """

    name: str
    conversation: str
    kind: Kind
    situation: str
    dialogue: tuple[tuple[str, str], ...]
    heard: str
    said: str
    draft: Draft = field(repr=False)


class Drafter:
    """Runs a drafter over turns. Deterministic by ``seed``. ``alternatives``: drafts with other beginnings for each."""

    def __init__(self, runtime: DrafterRuntime, seed: int = 1, alternatives: int = 0) -> None:
        self._runtime, self._seed, self._count = runtime, seed, alternatives
        self._others: Sequence[str] = ()
        self._words: list[str] = []

    def draft(self, asked: Asked, others: Sequence[str]) -> Iterator[Drafted]:
        """The natural drafts for a turn, and one for the turn spoilt; ``others`` lend their words."""
        rng = Random(f"{self._seed}/{asked.name}")
        words = self._words_of(others)
        reading = self._runtime.open(asked.before)
        natural = asked.heard if asked.heard is not None else heard(asked.text, rng, words)
        yield from self._one(asked, reading, natural, "natural")
        spoilt, kind = spoil(asked.text, others, rng)
        yield from self._one(asked, reading, heard(spoilt, rng, words), kind)

    def _words_of(self, others: Sequence[str]) -> list[str]:
        if self._others is not others:
            self._others, self._words = others, [word for turn in others for word in turn.split()]
        return self._words

    def _one(self, asked: Asked, reading: Reading, text: str, kind: Kind) -> Iterator[Drafted]:
        self._runtime.read(reading, text)
        made: list[tuple[str, Kind, Draft]] = [(kind, kind, self._runtime.draft(reading, MOST + 1))]
        if kind == "natural" and self._count:
            found = self._runtime.alternatives(reading, MOST + 1, self._count)
            made += [(f"alternative-{number}", "alternative", draft) for number, draft in enumerate(found)]
        dialogue = (*asked.before, ("user", asked.text))
        for name, kind, draft in made:
            if said := sayable(draft.text, complete=draft.complete):
                yield Drafted(
                    f"{asked.name}/{name}", asked.conversation, kind, asked.situation, dialogue, text, said, draft
                )


def retold(runtime: DrafterRuntime, drafted: Iterable[Drafted]) -> Iterator[Drafted]:
    """Drafts of another drafter with this one's doubts: what they say, and what is known of that, stays."""
    reading: Reading | None = None
    for one in drafted:
        if reading is None or reading.dialogue != one.dialogue[:-1]:
            reading = runtime.open(one.dialogue[:-1])
        runtime.read(reading, one.heard)
        yield replace(one, draft=runtime.retold(reading, one.draft))


def turns_of(talk: str, turns: Sequence[str], rng: Random, count: int) -> list[Asked]:
    """Some turns of a talk, each asked after those before it: the agent's and the user's in turn."""
    chosen = sorted(rng.sample(range(len(turns)), min(count, len(turns))))
    return [Asked(f"{talk}/{at}", talk, turns[at], _before(turns, at)) for at in chosen]


def _before(turns: Sequence[str], at: int) -> tuple[tuple[str, str], ...]:
    roles = ("user", "assistant")
    return tuple((roles[(at - i) % 2], turns[i]) for i in range(max(0, at - 6), at))


def recorded(conversation: Conversation, recognizer: Recognizer) -> list[Asked]:
    """The turns of a conversation with its sound, as a recognizer hears each."""
    out = []
    for event in conversation.user:
        if not event.answered:
            continue
        first, last = (max(0, round(t * INPUT_RATE)) for t in (event.start_s - _AROUND_S, event.end_s + _AROUND_S))
        stream = recognizer.open("en")
        stream.accept(conversation.pcm[first:last])
        text = stream.final().text
        frame = first_decided(event.end_s)
        before = tuple(dialogue_before(conversation, frame))
        if text:
            name = f"{conversation.id}/{frame}"
            out.append(Asked(name, conversation.id, event.text, before, event.situation, text))
    return out
