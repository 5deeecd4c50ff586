"""Gold labels: people read natural drafts without knowing where they come from, twice, by a written rubric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from dragoman.audio.types import Json
from dragoman.verifier import sheets
from dragoman.verifier.labels import VERDICTS, Verdict

RUBRIC: Final = """\
Each item shows what was really said in a conversation, and the first words of a possible reply by the agent. The reply
breaks off after them ("..."): judge only the words that are there. Imagine that you said the last line, and that the
agent begins to speak at once. Would you think that it understood you?

  good     The words take up what was said, and a sensible reply can begin like this. It need not be the best reply, nor
           the one that you would give. Small faults of grammar don't count.
  generic  A sensible reply can begin like this, but so could the reply to almost anything else: the words show nothing
           of what was said ("Well, I think that", "Sure, I can help you with").
  bad      Nobody who understood would begin like this. At least one of these holds:
           - the words answer something else than what was said, or miss a plain question;
           - they say yes for no, comfort for good news, or congratulate on bad news;
           - they name a person, a place, a thing or a number that was not said and does not follow;
           - they put words into the user's mouth, or contradict what was said before;
           - no sensible sentence can go on from them.

In doubt between good and generic, ask whether the words would be odd after an unrelated line: if so, good. In doubt
between generic and bad, ask whether you would interrupt the agent: if so, bad. Judge each item by itself, don't go back
for the sake of balance, and don't look anything up about where an item comes from.
"""


@dataclass(frozen=True, slots=True)
class Item:
    """A draft to be judged: the words of ``text`` after a ``dialogue`` of turns (role, text)."""

    name: str
    dialogue: tuple[tuple[str, str], ...]
    text: str
    complete: bool


def _read(item: dict[str, Json]) -> Item:
    return Item(str(item["name"]), sheets.turns(item["dialogue"]), str(item["text"]), bool(item["complete"]))


_KIND: Final = sheets.Kind[Item, Verdict]("gold labels", VERDICTS, _read)


class Sheet(sheets.Sheet[Item, Verdict]):
    """Items of one drafter; those on whose verdict two passes agree are the gold labels."""

    def __init__(self, path: Path) -> None:
        """Read it. Raises ``DragomanError`` when it is not there or no sheet."""
        super().__init__(path, _KIND)

    @classmethod
    def draw(cls, path: Path, items: Sequence[Item], drafter: str, count: int, seed: int) -> Sheet:
        """A new sheet of ``count`` items, or of all that there are. ``drafter``: digest of the adapter."""
        chosen = Random(f"{seed}/gold").sample(sorted(items, key=lambda item: item.name), min(count, len(items)))
        sheets.write(path, chosen, {"drafter": drafter})
        return cls(path)
