"""The engine: each input has its rule. Those of the client's hand are here, those of voices and replies the floor's.

``handle`` is the only way in, its commands the only way out.
"""

from __future__ import annotations

from dragoman.agent.engine import commands as do
from dragoman.agent.engine import inputs as on
from dragoman.agent.engine.arming import Arming
from dragoman.agent.engine.state import SPOKEN_OVER, Phase


class Engine(Arming):
    """Decides who has the floor, and what is to be done about it."""

    def handle(self, event: on.Input, now: int) -> list[do.Command]:
        """Take one event at ``now`` (samples of input heard so far; never goes back) and say what to do."""
        self._now = max(self._now, now)
        self._out = []
        match event:
            case on.SpeechStarted(at):
                self._voice(at)
            case on.SpeechStopped(at):
                self._silence(at)
            case on.Partial(turn, text):
                self._partial(turn, text)
            case on.Transcript():
                self._transcript(event)
            case on.BackchannelHint():
                self._hint()
            case on.TurnOver(at):
                self._over(at)
            case on.EndsSoon(sure):
                self._soon(sure)
            case on.Interrupted():
                self._interrupted()
            case on.Opening():
                self._opening(event)
            case on.Attend() if self.phase is Phase.LISTENING and self._turn is not None:
                self._out.append(do.ShowAttention(self._turn.number))
            case on.ReplySpeech(reply, words, seconds):
                self._speech(reply, words, seconds)
            case on.ReplyWritten(reply) | on.ReplyFailed(reply):
                self._written(reply, event.reason if isinstance(event, on.ReplyFailed) else "")
            case on.Played(reply, seconds):
                self._played(reply, seconds)
            case on.Commit():
                self._commit()
            case on.Clear():
                self._clear()
            case on.Ask():
                self._ask()
            case on.Cancel():
                self._cancel()
            case on.Truncate(reply, seconds):
                self._truncate(reply, seconds)
            case on.Remembered():
                self._prepare_anew()
        self._pass_time()
        return self._out

    # ---- the client's hand

    def _commit(self) -> None:
        self._settled()
        turn = self._turn
        if turn is None or turn.committed:
            return
        if self.phase in SPOKEN_OVER and self.policy.interruptible:
            self._take_floor(turn)  # who commits what was said over the reply wants it answered
            self._replies.end("interrupted")
            self.phase = Phase.PAUSING
        turn.committed = True
        turn.end = max(turn.end, self._now)
        if self.phase in (Phase.LISTENING, Phase.PAUSING, Phase.REPLYING):
            self._drop_reply()
            self.phase = Phase.PAUSING
        turn.speaking = False
        self._yield_floor(turn)
        self._transcribe(turn)

    def _clear(self) -> None:
        self._settled()
        turn = self._turn
        if turn is None or turn.committed:
            return
        if self.phase in SPOKEN_OVER:
            self._go_on(turn)
        else:
            self._drop_reply()
            self._close(turn)
            self._rest()
            self._ask_later()

    def _cancel(self) -> None:
        self._settled()
        if self._asked:
            self._asked = False
            self._prepare_anew()  # it may be written as it was asked for
        if self._replies.current is not None and self._replies.current.announced:
            self._replies.end("cancelled")
            self._after_reply()

    def _truncate(self, number: int, seconds: float) -> None:
        self._settled()
        if reply := self._replies.numbered(number):
            reply.position = min(seconds, reply.seconds)
            if self.phase is not Phase.HELD:
                if not seconds:
                    reply.words.clear()  # those of a text too, which take no time
                self._replies.end("interrupted")
                self._after_reply()
        elif self._replies.rewrite(number, seconds):
            self._prepare_anew()

    def _prepare_anew(self) -> None:
        """What is prepared for the open turn was begun without knowing."""
        turn, reply = self._turn, self._replies.current
        waiting = self.phase in (Phase.PAUSING, Phase.REPLYING)
        if waiting and turn is not None and reply is not None and not reply.announced:
            self._forget_opening(turn)
            self._replies.drop()
            self._replies.begin(turn.number, turn.text)
