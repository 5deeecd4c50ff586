"""The conversation's items as clients see them, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from dragoman.agent.ports import Role
from dragoman.audio.types import Json, Word
from dragoman.web.events import ProtocolError, ServerEvent, event
from dragoman.web.protocol import SessionConfig

Kind: TypeAlias = Literal["input_text", "input_audio", "output_text", "output_audio"]
Status: TypeAlias = Literal["completed", "incomplete", "in_progress"]

MAX_ITEMS = 1000
"""Older items are forgotten by the protocol (the session bounds its own history)."""
HEARD_SLACK_S = 0.03
"""A word counts as heard if at most so much of its end is missing."""


@dataclass(slots=True)
class Item:
    """A message. An answer knows its reply: the item's sound begins ``offset`` seconds into the reply."""

    id: str
    role: Role
    kind: Kind
    text: str = ""
    status: Status = "completed"
    entry: int = 0
    """The history's number for it; 0: it has none (yet)."""
    reply: int = 0
    offset: float = 0.0
    seconds: float = 0.0
    """Length of the sound that was sent for it."""
    words: list[Word] = field(default_factory=list)
    """The words of that sound, timed from its first sample."""

    def heard(self, seconds: float) -> str:
        """The words that were over by ``seconds`` of the item's sound."""
        return " ".join(word.text for word in self.words if word.end <= seconds + HEARD_SLACK_S)

    def cut(self, seconds: float) -> None:
        """No more of its sound counts."""
        self.text = self.heard(seconds)
        self.words = [word for word in self.words if word.end <= seconds + HEARD_SLACK_S]

    def json(self, *, empty: bool = False) -> dict[str, Json]:
        """The ``item`` object; ``empty``: as it looks before any content."""
        name = "text" if self.kind.endswith("text") else "transcript"
        # Of words that are not known yet, null is told: a client puts those that come later behind what it has.
        text = self.text or (None if self.kind == "input_audio" else "")
        content: list[Json] = [] if empty else [{"type": self.kind, name: text}]
        return {
            "id": self.id,
            "object": "realtime.item",
            "type": "message",
            "status": self.status,
            "role": self.role,
            "content": content,
        }


class Items:
    """Items in order, found by id."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    @property
    def last(self) -> str | None:
        """Id of the newest item."""
        return next(reversed(self._items), None)

    def get(self, item_id: str, wanted_to: str, param: str = "item_id") -> Item:
        """The item. Raises ``ProtocolError``; its code names what one ``wanted_to`` do, as in the reference: clients
        know by it that the session goes on.
        """
        item = self._items.get(item_id)
        if item is None:
            code = f"item_{wanted_to}_invalid_{param}"
            raise ProtocolError(f"no item {item_id!r} in this conversation", code=code, param=param)
        return item

    def find(self, item_id: str) -> Item | None:
        """The item, if it is there."""
        return self._items.get(item_id)

    def parts(self, reply: int) -> list[Item]:
        """What there is of a reply: it goes on in another item after a false interruption."""
        return [item for item in self if item.reply == reply]

    def add(self, item: Item) -> str | None:
        """Append ``item``; gives the id of the one before it. Raises ``ProtocolError`` if its id is taken."""
        if item.id in self._items:
            raise ProtocolError(
                f"item {item.id!r} already exists", code="item_create_duplicate_item_id", param="item.id"
            )
        previous = self.last
        self._items[item.id] = item
        if len(self._items) > MAX_ITEMS:
            del self._items[next(iter(self._items))]
        return previous

    def remove(self, item: Item) -> None:
        """Take the item out."""
        del self._items[item.id]


@dataclass(slots=True)
class View:
    """What the bookkeeping's parts share: the configuration in force, the items, and how ids are made."""

    config: SessionConfig
    new_id: Callable[[str], str]
    extended: bool
    conversation: str
    items: Items = field(default_factory=Items)

    def extra(self, name: str, **fields: Json) -> list[ServerEvent]:
        """An event of this server's own, for clients that asked for such."""
        return [event(f"dragoman.{name}", **fields)] if self.extended else []
