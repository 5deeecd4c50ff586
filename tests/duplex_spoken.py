"""Dialogues that several tests of the duplex data have spoken, by scripted voices."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fakes import ScriptedResponder, ToneVoice

from dragoman.agent.duplex.answers import Answer, Dialogue
from dragoman.agent.duplex.chat import Line
from dragoman.agent.duplex.mixing import Take, stage
from dragoman.agent.duplex.personas import Persona
from dragoman.agent.duplex.scripts import Exchange, Script
from dragoman.agent.ports import Message

USER = Persona("user", ToneVoice())
AGENT = Persona("agent", ToneVoice(), pitch=1.25)
ANSWERS = ("That is a lovely idea, tell me more about the garden please.", "Why?", "I am sorry to hear that, really.")


def dialogue(*exchanges: Exchange, interrupted: Sequence[int | None] = ()) -> Dialogue:
    script = Script("drafter-1-00000/0", (("assistant", "How are you?"),), exchanges)
    answers = tuple(Answer(ANSWERS[i % 3], True) for i in range(len(exchanges)))
    return Dialogue(script, answers, (*interrupted, *[None] * (len(exchanges) - len(interrupted))))


def plain(text: str, **what: object) -> Exchange:
    return replace(Exchange(text, text), **what)  # type: ignore[arg-type]


def staged(talk: Dialogue, seed: str = "1") -> Take:
    return stage(talk, "drafter", USER, AGENT, seed)


def talks(count: int = 60) -> dict[str, list[Line]]:
    """Talks of which each line names the talk."""
    number = "one two three four five six seven eight nine ten".split()
    return {
        f"talk-{i}": [
            Line("ab"[j % 2], f"this is talk {number[i // 10]} {number[i % 10]} and line {number[j]}") for j in range(9)
        ]
        for i in range(count)
    }


@dataclass
class Echoing(ScriptedResponder):
    """Answers at once with twenty words that name the last message."""

    replies: list[str] = field(default_factory=list)

    async def reply(self, messages: Sequence[Message], **options: Any) -> AsyncGenerator[str, None]:
        self.prompts.append(list(messages))
        for _ in range(20):
            yield f"{messages[-1].content.split()[-1].strip('.,?!')} "
