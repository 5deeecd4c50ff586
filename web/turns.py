"""The user's turns as the client sees them: speech started and stopped, committed, transcribed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from dragoman.agent import events as on
from dragoman.audio.types import Json
from dragoman.web.events import ServerEvent, event
from dragoman.web.items import Item, View


@dataclass(slots=True)
class _Turn:
    """A turn that the client knows by an item's id, before it has its words."""

    item: str
    number: int = 0
    announced: bool = False
    sent: int = 0
    text: str = ""
    """What was said in it, where that asks for nothing."""


class Turns:
    """At most one turn is open; those that were committed by hand wait for their words in order, and clears for the
    session to do them. Until then it tells of what was appended before.

    ``forget`` takes an entry out of the history: a turn may be deleted before its words are known.
    """

    def __init__(self, view: View, forget: Callable[[int], object]) -> None:
        self._view = view
        self._forget = forget
        self._turn: _Turn | None = None
        self._by_hand: deque[_Turn | None] = deque()
        """Committed turns without their words; None: a clear."""
        self._last = ""
        """Id of the item of the last turn that has its words."""

    @property
    def open(self) -> bool:
        """Whether the session has said that the user speaks."""
        return self._turn is not None

    @property
    def waiting(self) -> int:
        """How many turns were committed by hand and have no words yet, or cleared and are not dropped yet."""
        return len(self._by_hand)

    @property
    def _first(self) -> _Turn | None:
        """The turn of the oldest commit, unless a clear came before it."""
        return self._by_hand[0] if self._by_hand else None

    def started(self, number: int, at: float) -> list[ServerEvent]:
        """The user began to speak; ``number`` 0: and a reply stops playing."""
        turn = self._first
        if self._by_hand and number:
            if turn is not None:
                turn.number = number
            return []
        turn = turn or self._turn
        if turn is None or (turn.number and number and turn.number != number):
            turn = self._turn = self._new()
        turn.number = number or turn.number
        if turn.announced or self._view.config.audio.input.turn_detection is None:
            return []
        turn.announced = True
        start = max(0, round(at * 1000))
        return [event("input_audio_buffer.speech_started", audio_start_ms=start, item_id=turn.item)]

    def partial(self, number: int, text: str, stable: int) -> list[ServerEvent]:
        """Words of the turn so far. Deltas can't be taken back, so they hold the stable words only."""
        known = [*self._by_hand, self._turn]
        turn = next((each for each in known if each is not None and each.number == number), None)
        if turn is None or self._view.config.audio.input.transcription is None:
            return []
        events = self._view.extra("transcript", item_id=turn.item, text=text, stable=stable)
        new = text.split()[turn.sent : stable]
        if new:
            delta = (" " if turn.sent else "") + " ".join(new)
            turn.sent += len(new)
            kind = "conversation.item.input_audio_transcription.delta"
            events.append(event(kind, item_id=turn.item, content_index=0, delta=delta))
        return events

    def commit(self, at: float) -> list[ServerEvent]:
        """The client ended the turn."""
        turn, self._turn = self._turn or self._new(), None
        self._by_hand.append(turn)
        return self._stopped(turn, at) + self._add(turn)

    def clear(self) -> None:
        """The client dropped the open turn."""
        self._turn = None
        self._by_hand.append(None)

    def none(self, at: float) -> list[ServerEvent]:
        """The session has done what the client did by hand, and no words come of it."""
        turn = self._by_hand.popleft() if self._by_hand else None
        if turn is None:
            return []
        if (item := self._view.items.find(turn.item)) is not None:
            item.text = turn.text
        return self._stopped(turn, at) + self._transcribed(turn, turn.text, 0.0)

    def over(self, happened: on.UserTurn) -> list[ServerEvent]:
        """The turn has its words and is in the history."""
        if (turn := self._first) is not None:
            self._by_hand.popleft()
            events = self._stopped(turn, happened.end)
        else:
            turn = self._turn if self._turn and self._turn.number in (0, happened.turn) else self._new()
            self._turn = None
            events = self._stopped(turn, happened.end) + self._add(turn)
        item = self._view.items.find(turn.item)
        if item is not None:
            item.text, item.entry = happened.text, happened.entry
            self._last = item.id
        elif happened.entry:
            self._forget(happened.entry)
        return events + self._transcribed(turn, happened.text, happened.end - happened.start)

    def corrected(self, happened: on.UserHeardAgain) -> list[ServerEvent]:
        """Other words were understood of a turn that is over. What was told of it can't be taken back."""
        item = self._view.items.find(self._last)
        if item is None or item.entry != happened.entry:
            return []
        item.text = happened.text
        return self._view.extra("corrected", item_id=item.id, text=happened.text)

    def dropped(self, number: int, text: str, at: float) -> list[ServerEvent]:
        """What was said asks for nothing, or was no speech: the client is only told that it ended. If it has committed
        the turn meanwhile, these are all the words that this will get.
        """
        events = list[ServerEvent]()
        if (turn := self._first) is not None and turn.number == number:
            turn.text = text
        elif self._turn is not None:
            events = self._stopped(self._turn, at)
            self._turn = None
        return [*events, *self._view.extra("backchannel", text=text)]

    def _new(self) -> _Turn:
        return _Turn(self._view.new_id("item"))

    def _stopped(self, turn: _Turn, at: float) -> list[ServerEvent]:
        if not turn.announced:
            return []
        turn.announced = False
        end = max(0, round(at * 1000))
        return [event("input_audio_buffer.speech_stopped", audio_end_ms=end, item_id=turn.item)]

    def _add(self, turn: _Turn) -> list[ServerEvent]:
        item = Item(turn.item, "user", "input_audio")
        previous = self._view.items.add(item)
        return [
            event("input_audio_buffer.committed", item_id=item.id, previous_item_id=previous),
            event("conversation.item.added", item=item.json(), previous_item_id=previous),
            event("conversation.item.done", item=item.json(), previous_item_id=previous),
        ]

    def _transcribed(self, turn: _Turn, text: str, seconds: float) -> list[ServerEvent]:
        if self._view.config.audio.input.transcription is None:
            return []
        usage: dict[str, Json] = {"type": "duration", "seconds": round(max(0.0, seconds), 3)}
        kind = "conversation.item.input_audio_transcription.completed"
        return [event(kind, item_id=turn.item, content_index=0, transcript=text, usage=usage)]
