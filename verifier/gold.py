"""Gold labels: people read drafts without knowing where they come from, twice, by a written rubric.

A sheet is drawn once from natural drafts, and each pass over it has an order of its own, so that a second pass by the
same reader repeats nothing but the drafts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Final

from dragoman.audio.types import DragomanError
from dragoman.audio.writing import replacing
from dragoman.verifier.figures import kappa
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


@dataclass(frozen=True, slots=True)
class Pass:
    """What one reader said in one pass, by the names of items."""

    reader: str
    verdicts: Mapping[str, Verdict]


class Sheet:
    """The items and the passes over them, in one JSON file that is written after every answer."""

    def __init__(self, path: Path) -> None:
        """Read it. Raises ``DragomanError`` when it is not there or no sheet."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            self.items = [
                Item(i["name"], tuple((role, text) for role, text in i["dialogue"]), i["text"], i["complete"])
                for i in data["items"]
            ]
            self.drafter = str(data["drafter"])
            self.passes = {int(number): Pass(**one) for number, one in data["passes"].items()}
            known = {verdict for one in self.passes.values() for verdict in one.verdicts.values()}
            if not known <= set(VERDICTS):
                raise ValueError(f"verdicts are {', '.join(VERDICTS)}")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DragomanError(f"{path}: not a sheet of gold labels ({error})") from error
        self._path = path

    @classmethod
    def draw(cls, path: Path, items: Sequence[Item], drafter: str, count: int, seed: int) -> Sheet:
        """A new sheet of ``count`` items, or of all that there are. ``drafter``: digest of the adapter."""
        chosen = Random(f"{seed}/gold").sample(sorted(items, key=lambda item: item.name), min(count, len(items)))
        _write(path, {"drafter": drafter, "items": [asdict(item) for item in chosen], "passes": {}})
        return cls(path)

    def open_items(self, number: int) -> list[Item]:
        """What is still to be judged in a pass, in its order."""
        order = list(self.items)
        Random(f"pass {number}").shuffle(order)
        done = self.passes[number].verdicts if number in self.passes else {}
        return [item for item in order if item.name not in done]

    def answer(self, number: int, reader: str, item: Item, verdict: Verdict) -> None:
        """Keep an answer. Raises ``DragomanError`` when another reader began this pass."""
        begun = self.passes.get(number, Pass(reader, {}))
        if begun.reader != reader:
            raise DragomanError(f"pass {number} was begun by {begun.reader}: take another, or give --reader")
        self._set(number, Pass(reader, {**begun.verdicts, item.name: verdict}))

    def take_back(self, number: int) -> Item | None:
        """Forget the last answer of a pass, and give its item."""
        begun = self.passes.get(number)
        if begun is None or not begun.verdicts:
            return None
        *kept, (name, _) = begun.verdicts.items()
        self._set(number, Pass(begun.reader, dict(kept)))
        return next(item for item in self.items if item.name == name)

    def agreement(self) -> tuple[int, float | None]:
        """How many items the first two passes share, and Cohen's kappa on them."""
        first, second = (self.passes[n].verdicts if n in self.passes else {} for n in (1, 2))
        both = [item.name for item in self.items if item.name in first and item.name in second]
        return len(both), kappa([first[name] for name in both], [second[name] for name in both])

    def agreed(self) -> dict[str, Verdict]:
        """The verdicts on which the first two passes agree: the gold labels."""
        first, second = (self.passes[n].verdicts if n in self.passes else {} for n in (1, 2))
        return {name: verdict for name, verdict in first.items() if second.get(name) == verdict}

    def _set(self, number: int, one: Pass) -> None:
        self.passes[number] = one
        _write(
            self._path,
            {
                "drafter": self.drafter,
                "items": [asdict(item) for item in self.items],
                "passes": {str(n): {"reader": p.reader, "verdicts": dict(p.verdicts)} for n, p in self.passes.items()},
            },
        )


def _write(path: Path, data: Mapping[str, object]) -> None:
    with replacing(path) as partial:
        partial.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
