"""The conversation as it stands: the open turn, the reply, and what may be done with a turn whoever has the floor."""

from __future__ import annotations

from dragoman.agent.engine import commands as do
from dragoman.agent.engine.policy import Policy
from dragoman.agent.engine.replies import Replies
from dragoman.agent.engine.state import SPOKEN_OVER, Phase, Turn


class Turns:
    """One turn at most is open, and one reply at most is prepared or played."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.phase = Phase.IDLE
        self._now = 0
        self._out: list[do.Command] = []
        self._turn: Turn | None = None
        self._turns = 0
        self._replies = Replies(lambda command: self._out.append(command))
        self._asked = False
        self._voiced = False
        """What the voice detector says."""
        self._late: tuple[int, int | None] | None = None
        """Where what is said while a committed turn waits for its words began, and ended."""

    @property
    def reply(self) -> int:
        """Number of the reply that is prepared or played; 0 for none."""
        return self._replies.current.number if self._replies.current else 0

    @property
    def open_turn(self) -> int:
        """Number of the turn that still takes sound; 0 for none."""
        return self._turn.number if self._turn and not self._turn.committed else 0

    @property
    def asked(self) -> bool:
        """Whether a reply was asked for that waits for the open turn: if that gets one of its own, it is this."""
        return self._asked

    @property
    def written(self) -> bool:
        """Whether all of that reply is there."""
        return self._replies.current is not None and self._replies.current.written

    @property
    def ending(self) -> bool:
        """Whether the open turn was heard to be over, and just waits for its words."""
        return self._turn is not None and self._turn.over

    def _take_floor(self, turn: Turn) -> None:
        if not turn.floor:
            turn.floor = turn.shown = True
            self._out.append(do.TakeFloor(turn.number, turn.start))

    def _yield_floor(self, turn: Turn) -> None:
        if turn.shown:
            turn.shown = False
            self._out.append(do.YieldFloor(turn.number, turn.end))

    def _transcribe(self, turn: Turn) -> None:
        turn.revision += 1
        turn.quick = self.phase in SPOKEN_OVER and self.policy.interruptible and not turn.committed
        self._out.append(do.Transcribe(turn.number, turn.revision, turn.quick))

    def _forget_opening(self, turn: Turn) -> None:
        if turn.opening is not None:
            self._out.append(do.DropOpening(turn.opening.draft))
            turn.opening = None

    def _close(self, turn: Turn) -> None:
        self._forget_opening(turn)
        self._out.append(do.CloseEar(turn.number))
        self._turn = None
