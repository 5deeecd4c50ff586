"""What the language model reads before a reply is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dragoman.agent.ports import Message
from dragoman.agent.warming import Warmer
from dragoman.audio.clock import run_virtual

from .fakes import ScriptedResponder


class Reader(ScriptedResponder):
    """Keeps what it was given to read, each in no time."""

    def __init__(self) -> None:
        super().__init__([])
        self.read: list[str] = []

    async def warm(self, messages: Sequence[Message], *, open_end: bool = False) -> None:
        self.read.append(messages[-1].content)


async def at_once() -> None:
    """Nobody holds the model."""


def test_the_words_of_a_pause_are_read_where_that_was_worth_it_before() -> None:
    """A recognizer whose shown words are the turn's is trusted the next time; no other is."""

    async def main() -> list[str]:
        reader = Reader()
        warmer = Warmer(reader, lambda said: [Message("user", said or "")], after=at_once)
        async with asyncio.TaskGroup() as tasks:
            for shown, turn in (("who", "who"), ("is it", "is it he"), ("is it", "is it")):
                warmer.begin(tasks)
                await asyncio.sleep(0)
                warmer.heard(tasks, shown)
                await asyncio.sleep(0)
                warmer.pause(tasks)
                await asyncio.sleep(0)
                warmer.stop()
                warmer.answers(turn)
        return reader.read

    assert run_virtual(main(), measured=False) == ["", "", "is it", ""]
