"""Sheets of items that readers judge, pass by pass, without knowing what any model thinks of them: one JSON file each.

A sheet is drawn once, and each pass over it has an order of its own, so that a second pass by the same reader repeats
nothing but the items.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from dragoman.audio.reading import expecting
from dragoman.audio.types import DragomanError, Json
from dragoman.audio.writing import replacing
from dragoman.verifier.figures import kappa


class Named(Protocol):
    """What is judged: a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]  # as the standard library types it

    @property
    def name(self) -> str:
        """No two items of a sheet have the same."""


ItemT = TypeVar("ItemT", bound=Named)
VerdictT = TypeVar("VerdictT", bound=str)


@dataclass(frozen=True)
class Kind(Generic[ItemT, VerdictT]):
    """What a sheet holds, in words; its ``verdicts``; and how an item, kept as the dataclass that it is, is read."""

    what: str
    verdicts: tuple[VerdictT, ...]
    read: Callable[[dict[str, Json]], ItemT]


@dataclass(frozen=True)
class Pass(Generic[VerdictT]):
    """What one reader said in one pass, by the names of items."""

    reader: str
    verdicts: Mapping[str, VerdictT]


class Sheet(Generic[ItemT, VerdictT]):
    """The items and the passes over them, in a file that is written after every answer."""

    def __init__(self, path: Path, kind: Kind[ItemT, VerdictT]) -> None:
        """Read it. Raises ``DragomanError`` when it is not there or no sheet of this kind."""
        with expecting(f"a sheet of {kind.what}", path):
            data = json.loads(path.read_text(encoding="utf-8"))
            self.items = [kind.read(item) for item in data.pop("items")]
            passes = {int(number): Pass[VerdictT](**one) for number, one in data.pop("passes").items()}
            if not {verdict for one in passes.values() for verdict in one.verdicts.values()} <= set(kind.verdicts):
                raise ValueError(f"verdicts are {', '.join(kind.verdicts)}")
        self.passes = passes
        self.about: Mapping[str, Json] = data
        """What the items were made of."""
        self._path, self._kind = path, kind

    def open_items(self, number: int) -> list[ItemT]:
        """What is still to be judged in a pass, in its order."""
        order = list(self.items)
        Random(f"pass {number}").shuffle(order)
        done = self.passes[number].verdicts if number in self.passes else {}
        return [item for item in order if item.name not in done]

    def answer(self, number: int, reader: str, item: ItemT, verdict: VerdictT) -> None:
        """Keep an answer. Raises ``DragomanError`` when another reader began this pass."""
        self._look()
        begun = self.passes.get(number, Pass[VerdictT](reader, {}))
        if begun.reader != reader:
            raise DragomanError(f"pass {number} was begun by {begun.reader}: take another, or give --reader")
        self._set(number, Pass(reader, {**begun.verdicts, item.name: verdict}))

    def take_back(self, number: int) -> ItemT | None:
        """Forget the last answer of a pass, and give its item."""
        self._look()
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

    def agreed(self) -> dict[str, VerdictT]:
        """The verdicts on which the first two passes agree."""
        first, second = (self.passes[n].verdicts if n in self.passes else {} for n in (1, 2))
        return {name: verdict for name, verdict in first.items() if second.get(name) == verdict}

    def _look(self) -> None:
        """What was answered elsewhere meanwhile is known, and not written over: two may read at the same time."""
        self.passes = Sheet(self._path, self._kind).passes

    def _set(self, number: int, one: Pass[VerdictT]) -> None:
        self.passes[number] = one
        write(self._path, self.items, self.about, self.passes)


def write(
    path: Path,
    items: Sequence[ItemT],
    about: Mapping[str, Json],
    passes: Mapping[int, Pass[VerdictT]] | None = None,
) -> None:
    """Write a sheet; it appears whole or not at all. ``about``: what the items were made of."""
    known = {str(n): {"reader": one.reader, "verdicts": dict(one.verdicts)} for n, one in (passes or {}).items()}
    data = {**about, "items": [asdict(item) for item in items], "passes": known}
    with replacing(path) as partial:
        partial.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def turns(dialogue: Json) -> tuple[tuple[str, str], ...]:
    """A dialogue of turns (role, text), as JSON has it."""
    if not isinstance(dialogue, list):
        raise TypeError("a dialogue is a list of turns")
    made = []
    for turn in dialogue:
        if not isinstance(turn, list) or len(turn) != 2:
            raise TypeError("a turn is a role and a text")
        made.append((str(turn[0]), str(turn[1])))
    return tuple(made)
