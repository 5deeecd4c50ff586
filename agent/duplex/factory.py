"""The factory: shards of conversations, each made from a seed and its number alone.

So a stopped run goes on where it was, and several machines share the work by numbers. A shard is of one split: talks,
voices and shards are shared out three ways.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Final

from dragoman.agent.duplex.answers import Dialogue, Holder
from dragoman.agent.duplex.chat import Chat, Line
from dragoman.agent.duplex.conversation import SPLITS, Split
from dragoman.agent.duplex.delivery import Unspeakable
from dragoman.agent.duplex.mixing import Take, stage
from dragoman.agent.duplex.personas import Cast
from dragoman.agent.duplex.scripts import draw_script
from dragoman.agent.duplex.store import save_conversations, shard_path

CONVERSATIONS: Final = 10
"""Conversations of a shard."""

SHARD_S: Final = 450.0
"""About how long a shard is."""

_TURN: Final[tuple[Split, ...]] = ("drafter", "test", "verifier", "drafter", "drafter", "drafter", "drafter")
_TRIES: Final = 5


def split_of(number: int) -> Split:
    """The split of a shard: five of seven are the drafter's."""
    return _TURN[number % len(_TURN)]


class Factory:
    """Makes shards in ``folder``. ``talks``: what people said, by the name of the talk; ``size``: of a shard;
    ``scripts``: the seed whose dialogues are spoken, here by others and elsewhere. None: the seed's own.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        talks: Mapping[str, Sequence[Line]],
        answers: Holder,
        cast: Cast,
        size: int = CONVERSATIONS,
        scripts: int | None = None,
    ) -> None:
        self._folder = folder
        self._seed = seed
        self._chats = {split: Chat(talks, split) for split in SPLITS}
        self._answers = answers
        self._cast = cast
        self._size = size
        self._scripts = seed if scripts is None else scripts

    def path(self, number: int) -> Path:
        """Where a shard lies, or will lie."""
        return shard_path(self._folder, split_of(number), self._seed, number)

    async def write(self, number: int) -> list[Dialogue]:
        """What is said in a shard. Raises ``DragomanError`` when the language model fails."""
        split, name = split_of(number), self.path(number).stem
        script = shard_path(self._folder, split, self._scripts, number).stem
        each = (self._dialogue(split, f"{name}/{i}", f"{script}/{i}") for i in range(self._size))
        return list(await asyncio.gather(*each))

    def perform(
        self, number: int, dialogues: Sequence[Dialogue], told: Callable[[], None] = lambda: None
    ) -> list[Take]:
        """Speak what was written, and keep it as a shard. ``told`` is called for each conversation. Takes minutes.

        A conversation of which a voice makes nothing is left out.
        """
        takes: list[Take] = []
        for dialogue in dialogues:
            user, agent = self._cast(Random(f"{dialogue.script.id}/cast"), split_of(number))
            babble = takes[-1].user if takes else None
            with suppress(Unspeakable):
                takes.append(stage(dialogue, split_of(number), user, agent, f"{dialogue.script.id}/scene", babble))
            told()
        save_conversations(self.path(number), [take.conversation for take in takes])
        return takes

    async def _dialogue(self, split: Split, name: str, script_name: str) -> Dialogue:
        for attempt in range(_TRIES):
            script = draw_script(Random(f"{script_name}/script/{attempt}"), self._chats[split], name)
            dialogue = await self._answers.hold(script)
            if dialogue.answers:
                break
        return dialogue
