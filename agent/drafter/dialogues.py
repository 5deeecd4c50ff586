"""Dialogues as text, with what the slow path answers in them: what the drafter learns to begin replies from.

Text costs a hundredth of the sound of the same conversation, so there can be far more of it. A shard is made from its
seed and number alone, and is of one split, with talks of its own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from dragoman.agent.duplex.answers import Answers, Dialogue
from dragoman.agent.duplex.chat import Chat, Line
from dragoman.agent.duplex.conversation import SPLITS, Split
from dragoman.agent.duplex.scripts import draw_script
from dragoman.audio.reading import ANEW, expecting
from dragoman.audio.writing import replacing

DIALOGUES: Final = 40
"""Dialogues of a shard."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A turn of the user's and the first words of its answer, of which the user heard ``heard`` (None: all). The answer
    is ``complete`` when it has no more words than these.
    """

    text: str
    answer: str
    complete: bool
    situation: str
    heard: int | None = None


@dataclass(frozen=True, slots=True)
class TextDialogue:
    """``context``: turns (role, text) before; then the turns that are answered."""

    id: str
    context: tuple[tuple[str, str], ...]
    turns: tuple[Answered, ...]


class Dialogues:
    """Writes shards of dialogues into ``folder``. ``talks``: what people said, by the name of the talk."""

    def __init__(self, folder: Path, seed: int, talks: Mapping[str, Sequence[Line]], answers: Answers) -> None:
        self._folder, self._seed, self._answers = folder, seed, answers
        self._chats = {split: Chat(talks, split) for split in SPLITS}

    def path(self, split: Split, number: int) -> Path:
        """Where a shard lies, or will lie."""
        return self._folder / f"{split}-{self._seed}-{number:05}.jsonl"

    async def write(self, split: Split, number: int) -> list[TextDialogue]:
        """Make a shard; it appears whole or not at all. Raises ``DragomanError`` when the language model fails."""
        path = self.path(split, number)
        made = await asyncio.gather(*(self._dialogue(split, f"{path.stem}/{i}") for i in range(DIALOGUES)))
        dialogues = [_plain(dialogue) for dialogue in made if dialogue.answers]
        save_dialogues(path, dialogues)
        return dialogues

    async def _dialogue(self, split: Split, name: str) -> Dialogue:
        return await self._answers.hold(draw_script(Random(f"{name}/script"), self._chats[split], name))


def dialogue_shards(folder: Path, split: Split) -> list[Path]:
    """The shards of a split that a folder holds, in a fixed order."""
    return sorted(folder.glob(f"{split}-*-?????.jsonl"))


def save_dialogues(path: Path, dialogues: Sequence[TextDialogue]) -> None:
    """Write a shard, a dialogue a line."""
    lines = (
        json.dumps(
            {
                "id": one.id,
                "context": one.context,
                "turns": [[t.text, t.answer, t.complete, t.situation, t.heard] for t in one.turns],
            }
        )
        for one in dialogues
    )
    with replacing(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def load_dialogues(path: Path) -> list[TextDialogue]:
    """The dialogues of a shard. Raises ``DragomanError``."""
    with expecting("a shard of dialogues", path, ANEW):
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [
            TextDialogue(
                one["id"],
                tuple((role, text) for role, text in one["context"]),
                tuple(Answered(*turn) for turn in one["turns"]),
            )
            for one in found
        ]


def _plain(dialogue: Dialogue) -> TextDialogue:
    return TextDialogue(
        dialogue.script.id,
        dialogue.script.context,
        tuple(
            Answered(exchange.text, answer.text, answer.complete, exchange.situation, heard)
            for exchange, answer, heard in zip(dialogue.exchanges, dialogue.answers, dialogue.interrupted, strict=True)
        ),
    )
