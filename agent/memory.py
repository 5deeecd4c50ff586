"""What was said and heard: the history that the language model reads. It never holds a word that nobody heard."""

from __future__ import annotations

from collections import OrderedDict

from dragoman.agent.engine.wording import same_meaning
from dragoman.agent.ports import Message, Role

_MOST_ENTRIES = 400
"""Beyond this the oldest go: the language model's context is far smaller."""
_MOST_REPLIES = 64
"""What is known to have been heard of older ones does not change any more."""
_GO_AT_ONCE = 80
"""So many: where a prompt begins is counted from the oldest, and it must begin alike for several replies."""


class Memory:
    """Messages in order, each with a number of its own; bounded."""

    def __init__(self) -> None:
        self._entries: OrderedDict[int, Message] = OrderedDict()
        self._last = 0
        self._corrections: dict[int, str] = {}
        self._replies: dict[int, int] = {}

    def add(self, role: Role, text: str) -> int:
        """Append a message; gives its number."""
        self._last += 1
        self._entries[self._last] = Message(role, text)
        if len(self._entries) > _MOST_ENTRIES:
            for _ in range(_GO_AT_ONCE):
                self._entries.popitem(last=False)
        return self._last

    def place(self, reply: int) -> None:
        """It is heard from now on: that is its place, whatever of it will have been heard."""
        if reply not in self._replies:
            self._replies[reply] = self.add("assistant", "")
            if len(self._replies) > _MOST_REPLIES:
                del self._replies[next(iter(self._replies))]

    def heard(self, reply: int, text: str) -> None:
        """So much of a reply was heard; where that is nothing, it leaves no trace. One without a place is ignored."""
        if reply in self._replies:
            self.rewrite(self._replies[reply], text)

    def last(self, role: Role) -> str:
        """The newest message that has a text, if it is of ``role``; else nothing."""
        newest = next((entry for entry in reversed(self._entries.values()) if entry.content), None)
        return newest.content if newest is not None and newest.role == role else ""

    def rewrite(self, entry: int, text: str) -> None:
        """Change a message's text; an empty one keeps its place. Unknown numbers (long gone) are ignored."""
        if entry in self._entries:
            self._entries[entry] = Message(self._entries[entry].role, text)

    def correct(self, entry: int, text: str) -> bool:
        """Change a message's text, but not before ``settle``: what stands behind it has been read by the language
        model, which must read that again then. False where it is not there, or says the same.
        """
        self._corrections.pop(entry, None)
        known = self._entries.get(entry)
        if known is None or same_meaning(known.content, text):
            return False
        self._corrections[entry] = text
        return True

    def settle(self) -> bool:
        """There is time: make the corrections. Whether there were any."""
        corrections, self._corrections = self._corrections, {}
        for entry, text in corrections.items():
            self.rewrite(entry, text)
        return bool(corrections)

    def remove(self, entry: int) -> bool:
        """Take a message out; False if it is not there."""
        return self._entries.pop(entry, None) is not None

    def messages(self, instructions: str, *more: Message) -> list[Message]:
        """The prompt: instructions, history, and what is not in the history yet."""
        system = [Message("system", instructions)] if instructions else []
        return [*system, *(entry for entry in self._entries.values() if entry.content), *more]

    def dialogue(self) -> list[tuple[str, str]]:
        """The history as turns (role, text)."""
        return [(message.role, message.content) for message in self._entries.values() if message.content]
