"""The replies of a conversation: the one that is prepared or played, and those before it, as far as they may matter."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from dragoman.agent.engine import commands as do
from dragoman.agent.engine.inputs import Opening
from dragoman.agent.engine.state import Reply
from dragoman.agent.events import ReplyStatus

_REMEMBERED = 64


class Replies:
    """Numbers them, and says what is to be done when one begins or ends. When that is, the engine decides."""

    def __init__(self, tell: Callable[[do.Command], None]) -> None:
        self._tell = tell
        self._count = 0
        self._past: OrderedDict[int, Reply] = OrderedDict()
        self.current: Reply | None = None
        """What is prepared or played."""

    @property
    def last(self) -> Reply:
        """The one that ended last. Raises ``KeyError`` before any did."""
        return self._past[next(reversed(self._past))]

    def numbered(self, number: int) -> Reply | None:
        """The current one, if ``number`` is its own: what comes late for another is ignored."""
        return self.current if self.current and self.current.number == number else None

    def begin(self, turn: int, text: str | None) -> None:
        """Prepare a reply to ``text``, or to the history as it is."""
        self._count += 1
        self.current = Reply(self._count, turn, announced=text is None)
        self._tell(do.Respond(self._count, turn, text))

    def open(self, turn: int, text: str, opening: Opening, *, waits: bool = False) -> None:
        """Begin a reply to ``text`` with words that are there; ``waits``: what follows them is asked for later."""
        self._count += 1
        self.current = Reply(self._count, turn, opened=True, words=list(opening.words), seconds=opening.seconds)
        self._tell(do.Respond(self._count, turn, text, opening.draft, waits))

    def end(self, status: ReplyStatus) -> None:
        """The current one is over; its heard words are kept."""
        reply = self.current
        if reply is None:
            return
        self._tell(do.EndReply(reply.number, status, reply.heard(reply.position), reply.failure))
        self._past[reply.number] = reply
        while len(self._past) > _REMEMBERED:
            self._past.popitem(last=False)
        self.current = None

    def drop(self) -> None:
        """The one that was being prepared is not wanted after all."""
        if self.current is None:
            return
        if self.current.announced:
            self.end("interrupted")
        else:
            self._tell(do.DropReply(self.current.number))
            self.current = None

    def rewrite(self, number: int, seconds: float) -> bool:
        """Of a reply that is over, only ``seconds`` were heard; whether other words than were thought."""
        if (reply := self._past.get(number)) is None:
            return False
        before, heard = reply.heard(reply.position), reply.heard(seconds) if seconds else ""
        reply.position = seconds
        self._tell(do.Rewrite(number, heard))
        return heard != before
