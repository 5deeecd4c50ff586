"""A reply that is ready before the turn is over: drafted on a likely end, released where that is heard.

::

    LISTENING ──it ends soon──► drafts on the words so far (``Arm``), held back ──it is over──► plays at once (``Play``)
                                               │                                                   │
                                               └──the user goes on: dropped without a sound        └──the turn's words
                                                                                                      come: it goes on

It is over where the model of turn-taking hears that, and at the first silence where the model was sure of the end
before it came. The first words of such a reply may sound while the turn's last words are still being recognized. Its
turn is finished, and the slow path asked to go on, when they are there; a voice that comes before finds the turn
finished with the words that were heard so far, and is a voice over the reply like any other.
"""

from __future__ import annotations

from dragoman.agent.engine import commands as do
from dragoman.agent.engine import inputs as on
from dragoman.agent.engine.floor import Floor
from dragoman.agent.engine.policy import samples
from dragoman.agent.engine.state import Phase, Turn
from dragoman.agent.engine.wording import same_meaning


class Arming(Floor):
    """A floor that anticipates. Without ``EndsSoon`` it is the floor it inherits."""

    def _soon(self, sure: bool) -> None:
        """The open turn is about to end: have first words ready."""
        turn = self._turn
        if turn is None or self.phase is not Phase.LISTENING or turn.committed or turn.aside:
            return
        if not self.policy.respond or not self.policy.modelled or self.policy.leisure > 1:
            return
        turn.soon_until = self._now + samples(self.policy.soon_ms)
        if sure:
            turn.sure_until = turn.soon_until
        self._arm(turn)

    def _arm(self, turn: Turn) -> None:
        if turn.text and turn.text != turn.armed:
            turn.armed = turn.text
            self._out.append(do.Arm(turn.number, turn.text))

    def _partial(self, number: int, text: str) -> None:
        super()._partial(number, text)
        turn = self._turn
        if turn is not None and self.phase is Phase.LISTENING and self._now <= turn.soon_until:
            self._arm(turn)  # its newest words

    def _opening(self, opening: on.Opening) -> None:
        turn = self._turn
        ahead = turn is not None and turn.number == opening.turn and turn.armed
        if turn is None or not ahead or self.phase is not Phase.LISTENING:
            super()._opening(opening)
        else:
            self._keep_opening(turn, opening)
        self._answer()

    def _silence(self, at: int) -> None:
        super()._silence(at)
        self._answer()

    def _over(self, at: int) -> None:
        super()._over(at)
        self._answer()

    def _answer(self) -> None:
        """Say what is held, if the turn is over though its words are still to come."""
        turn = self._turn
        if turn is None or turn.opening is None or self.phase is not Phase.PAUSING or turn.committed or not turn.armed:
            return
        if turn.end > (turn.soon_until if turn.over else turn.sure_until):
            return  # it was foreseen too long ago: more may have been said
        if not same_meaning(turn.opening.answers, turn.text):
            return
        if turn.transcribed == turn.revision or self._replies.current is not None:
            return  # the words are there: the usual way decides
        opening, turn.opening = turn.opening, None
        turn.answered = True
        self._replies.open(turn.number, turn.text, opening, waits=True)
        self._out.append(do.Play(self.reply))
        self.phase = Phase.SPEAKING

    def _settle(self, turn: Turn) -> None:
        """An answered turn has its words: it is finished, and the reply goes on from what is being said."""
        reply = self._replies.current
        self._finish_turn(turn)
        if reply is not None:
            self._out.append(do.Release(reply.number, reply.turn))
            reply.announced = True
            self._out.append(do.GoOn(reply.number))

    def _transcript(self, event: on.Transcript) -> None:
        turn = self._turn
        if turn is None or event.turn != turn.number or event.revision != turn.revision:
            return
        if turn.answered:
            turn.text = event.text.strip() or turn.text  # what was drafted for was heard
            self._settle(turn)
            return
        super()._transcript(event)

    def _voice(self, at: int) -> None:
        self._settled()
        if self._turn is not None:
            self._turn.armed = ""
        super()._voice(at)

    def _settled(self) -> None:
        """What happens now finds no turn that is answered and not finished."""
        if self._turn is not None and self._turn.answered:
            self._settle(self._turn)
