"""The state machine of a conversation between one person and the agent.

::

    IDLE ──voice──► LISTENING ◄──voice──► PAUSING ──patience──► REPLYING ──sound is ready──► SPEAKING ──end──► IDLE
                        ▲                                           │                          │   ▲
                        └──────────────── voice (same turn) ────────┘                    voice │   │ backchannel,
                        ▲                                                                      ▼   │ noise
                        └──────────────── it is an interruption ◄──────────────── OVERLAP ──► HELD

A reply is prepared while the agent still waits for the end of the turn (``Respond``), and becomes the answer
(``Release``) or is dropped without a sound. A voice over the reply first ducks it, then holds it, and is then found
to be an interruption or not. Every reply has a number of its own, and what comes late for another is ignored.
"""

from __future__ import annotations

from dragoman.agent.engine import commands as do
from dragoman.agent.engine import inputs as on
from dragoman.agent.engine.backchannel import is_backchannel
from dragoman.agent.engine.policy import samples
from dragoman.agent.engine.state import SPOKEN_OVER, Phase, Turn
from dragoman.agent.engine.turns import Turns
from dragoman.agent.engine.wording import same_meaning
from dragoman.audio.types import Word


class Floor(Turns):
    """How voices, words and replies change who has the floor; see the module's picture."""

    # ---- the user's voice

    def _voice(self, at: int) -> None:
        self._voiced = True
        turn = self._turn
        if turn is not None and turn.committed:
            self._late = (at if self._late is None else self._late[0], None)
            return
        if turn is not None:
            turn.speaking, turn.over = True, False
            self._forget_opening(turn)
            turn.hold_at = at + self.policy.hold()
            if self.phase in (Phase.PAUSING, Phase.REPLYING):
                self._drop_reply()
                self.phase = Phase.LISTENING
            if turn.floor and not turn.shown:
                turn.shown = True
                self._out.append(do.TakeFloor(turn.number, at))
            return
        self._turns += 1
        self._turn = turn = Turn(self._turns, at, at, hold_at=at + self.policy.hold())
        self._out.append(do.OpenEar(turn.number, at))
        if self.phase is Phase.SPEAKING:
            self.phase = Phase.OVERLAP
            if self.policy.interruptible:
                turn.ducks = True
                self._out.append(do.Duck(True))
            else:
                self._take_floor(turn)  # it stops nothing, but who hears of it may want to stop the reply
            return
        turn.silenced = self._drop_reply()
        self._listen(turn)

    def _listen(self, turn: Turn) -> None:
        """The turn is the user's own and has the floor."""
        self._take_floor(turn)
        self.phase = Phase.LISTENING if turn.speaking else Phase.PAUSING
        if self.phase is Phase.PAUSING:
            self._yield_floor(turn)
            if turn.quick:
                self._transcribe(turn)
            elif turn.transcribed == turn.revision:
                self._consider(turn)

    def _silence(self, at: int) -> None:
        self._voiced = False
        turn = self._turn
        if turn is None or not turn.speaking:
            self._late = self._late and (self._late[0], at)
            return
        turn.speaking = False
        turn.end = max(turn.end, at)
        if self.phase is Phase.LISTENING:
            self.phase = Phase.PAUSING
        self._yield_floor(turn)
        self._transcribe(turn)

    def _hint(self) -> None:
        if self.phase is Phase.OVERLAP and self._turn is not None and self._turn.hold_at is not None:
            self._turn.hold_at = self._turn.start + self.policy.hold(hum=True)

    # ---- what a model of turn-taking hears

    def _over(self, at: int) -> None:
        """The turn is over, though a noise may still sound like a voice to the detector."""
        turn = self._turn
        if turn is None or turn.committed or self.phase not in (Phase.LISTENING, Phase.PAUSING):
            return
        if turn.speaking:
            turn.speaking, turn.end = False, max(turn.start, min(at, self._now))
            self.phase = Phase.PAUSING
            self._yield_floor(turn)
            self._transcribe(turn)
        turn.over = True

    def _interrupted(self) -> None:
        """The user wants the floor: over a reply that sounds, or one that answers half a turn."""
        turn = self._turn
        if not self._voiced or not self.policy.interruptible:
            return
        if self.phase is Phase.SPEAKING:
            self._voice(self._now)
            turn = self._turn
        if self.phase in SPOKEN_OVER and turn is not None and not turn.committed:
            self._interrupt(turn)
        elif self.phase is Phase.REPLYING and turn is not None:
            self._voice(self._now)

    # ---- the fast path's first words

    def _opening(self, opening: on.Opening) -> None:
        """Keep what is trusted until the turn is over; what is late is said while the slow path has nothing."""
        turn = self._turn
        waits = turn is not None and turn.number == opening.turn and not turn.committed and not turn.speaking
        wanted = waits and self.phase in (Phase.PAUSING, Phase.REPLYING) and self.policy.respond
        if turn is None or not wanted or turn.misheard_by(opening):
            self._out.append(do.DropOpening(opening.draft))
        elif self._keep_opening(turn, opening):
            self._open_if_due(turn)

    def _keep_opening(self, turn: Turn, opening: on.Opening) -> bool:
        """Keep it in place of an older one, if it is trusted; a reply that was to begin with that one begins anew."""
        self._forget_opening(turn)
        trusted, reply = opening.trust >= self.policy.trust, self._replies.current
        if reply is not None and reply.opened and not reply.announced:
            self._replies.drop()
            if not trusted:
                self._replies.begin(turn.number, turn.text)
        if trusted:
            turn.opening = opening
        else:
            self._out.append(do.DropOpening(opening.draft))
        return trusted

    def _open_if_due(self, turn: Turn) -> None:
        """The words of a pause are there: its reply begins with the fast path's, unless the slow path was faster. Until
        the turn is over, it is prepared like any other.
        """
        reply = self._replies.current
        due = self.phase is Phase.REPLYING or (self.phase is Phase.PAUSING and turn.transcribed == turn.revision)
        if not due or turn.opening is None or (reply is not None and reply.sayable):
            return
        opening, turn.opening = turn.opening, None
        self._replies.drop()
        self._replies.open(turn.number, turn.text, opening)
        self._release_if_ready()

    # ---- what the user says

    def _partial(self, number: int, text: str) -> None:
        turn = self._turn
        if turn is None or turn.number != number:
            return
        turn.text = text
        if self.phase in SPOKEN_OVER and turn.speaking and is_backchannel(text):
            self._hint()

    def _transcript(self, event: on.Transcript) -> None:
        turn = self._turn
        if turn is None or event.turn != turn.number or event.revision != turn.revision:
            return
        before, again = turn.text, turn.transcribed == event.revision
        turn.text, turn.complete, turn.transcribed = event.text.strip(), event.complete, event.revision
        in_time = not turn.text or self._now <= turn.heard_at + samples(self.policy.reconsider_ms)
        if turn.opening is not None and turn.misheard_by(turn.opening):
            self._forget_opening(turn)
        if turn.committed:
            self._finish_turn(turn)
            if self.phase in SPOKEN_OVER:
                self.phase = Phase.SPEAKING
            else:
                self._rest()
            self._after_commit()
        elif self.phase in (Phase.PAUSING, Phase.REPLYING):
            if not again:
                turn.heard_at = self._now
            elif in_time and not same_meaning(before, turn.text):
                self._replies.drop()  # a second pass heard other words than those that it answers
            self._consider(turn)
        elif self.phase in SPOKEN_OVER and not turn.speaking and self.policy.interruptible:
            if not turn.text or is_backchannel(turn.text):
                self._go_on(turn)
            else:
                self._interrupt(turn)

    def _after_commit(self) -> None:
        """What came while the committed turn waited for its words."""
        late, self._late = self._late, None
        if late is not None:
            self._voice(late[0])
            if late[1] is not None:
                self._silence(late[1])
        self._ask_later()

    def _consider(self, turn: Turn) -> None:
        """A pause has its words: forget a noise, prepare the reply to a turn that may be over."""
        reply = self._replies.current
        answered = reply is not None and reply.turn == turn.number  # to other words, which a late second pass changes
        if not turn.text or (turn.aside and not answered and is_backchannel(turn.text)):
            self._out.append(do.NoteBackchannel(turn.number, turn.text, turn.start))
            self._close(turn)
            self._rest()
            self._asked = self._asked or turn.silenced
            self._ask_later()
        elif self.policy.respond and reply is None:
            if turn.opening is None:
                self._replies.begin(turn.number, turn.text)
            self._open_if_due(turn)

    def _pass_time(self) -> None:
        turn = self._turn
        if turn is None:
            return
        if self.policy.by_hand and not turn.committed:
            self._ask_later()  # the turn has become the client's, who may leave it open for long
        if self.phase is Phase.PAUSING and not turn.committed:
            due = turn.end + self.policy.patience(turn.complete, turn.over)
            if turn.transcribed == turn.revision and self._now >= due:
                self._end_turn(turn)
        elif self.phase in SPOKEN_OVER and not self.policy.interruptible:
            self._sound_again(turn)
        elif self.phase in SPOKEN_OVER:
            if not turn.speaking:
                if self._now >= turn.end + samples(self.policy.forget_ms):
                    self._go_on(turn)
            elif self._now >= turn.start + self.policy.confirm(is_backchannel(turn.text)):
                self._interrupt(turn)
            elif self.phase is Phase.OVERLAP and turn.hold_at is not None and self._now >= turn.hold_at:
                self._hold(turn)

    def _end_turn(self, turn: Turn) -> None:
        if not self.policy.respond:
            self._drop_reply()
            self._finish_turn(turn)
            self._rest()
            self._ask_later()
            return
        self.phase = Phase.REPLYING
        if self._replies.current is None and turn.opening is None:
            self._replies.begin(turn.number, turn.text)  # replies were not wanted when its words came
        self._open_if_due(turn)
        self._release_if_ready()

    def _rest(self) -> None:
        """No one speaks; a reply that was asked for may be on its way."""
        self.phase = Phase.IDLE if self._replies.current is None else Phase.REPLYING
        self._release_if_ready()

    def _finish_turn(self, turn: Turn) -> None:
        if self._replies.current is not None and self._replies.current.turn == turn.number:
            self._asked = False  # its own reply is the one that was asked for
        self._out.append(do.FinishTurn(turn.number, turn.text, turn.start, turn.end))
        self._close(turn)

    # ---- the reply

    def _drop_reply(self) -> bool:
        """What is being prepared answers less than what is said now; what was asked for by hand is the client's. True
        where one was dropped that was asked for.
        """
        reply = self._replies.current
        if reply is None or (reply.announced and self.policy.by_hand):
            return False
        self._replies.drop()
        return reply.announced

    def _release_if_ready(self) -> None:
        reply, turn = self._replies.current, self._turn
        if reply is None or not (reply.sayable or reply.failure):
            return
        if self.phase is Phase.REPLYING:
            if turn is not None:
                self._finish_turn(turn)
            self.phase = Phase.SPEAKING
        elif self.phase in (Phase.LISTENING, Phase.PAUSING) and reply.announced and not self.policy.interruptible:
            self.phase = Phase.OVERLAP  # asked for while a turn is open that only the client ends
        else:
            return
        self._out.append(do.Release(reply.number, reply.turn))
        reply.announced = True
        self._end_if_played()

    def _speech(self, number: int, words: tuple[Word, ...], seconds: float) -> None:
        if (reply := self._replies.numbered(number)) is None:
            return
        reply.words.extend(words)
        reply.seconds += seconds
        self._release_if_ready()

    def _written(self, number: int, failure: str) -> None:
        if (reply := self._replies.numbered(number)) is None:
            return
        reply.written, reply.failure = True, failure
        self._release_if_ready()
        self._end_if_played()

    def _played(self, number: int, seconds: float) -> None:
        reply = self._replies.numbered(number)
        if reply is None or self.phase not in (Phase.SPEAKING, Phase.OVERLAP):
            return
        reply.position = max(reply.position, seconds)
        self._end_if_played()

    def _end_if_played(self) -> None:
        reply = self._replies.current
        playing = self.phase in (Phase.SPEAKING, Phase.OVERLAP)
        if reply is None or not playing or not reply.written or reply.position < reply.seconds - 1e-3:
            return
        self._replies.end("failed" if reply.failure else "completed")
        self._after_reply()

    def _after_reply(self) -> None:
        """Nothing plays any more: a voice that was over the reply is a turn of its own now."""
        if self._turn is None:
            self.phase = Phase.IDLE
        else:
            last = self._replies.last
            self._turn.aside = not last.asks
            self._listen(self._turn)

    # ---- a voice over the reply

    def _hold(self, turn: Turn) -> None:
        if self._replies.current is None or not self._replies.current.seconds:
            return  # what is text alone disturbs nobody who speaks
        self._take_floor(turn)
        self.phase = Phase.HELD
        self._out.append(do.Hold(self._replies.current.number, turn.number, turn.start))

    def _interrupt(self, turn: Turn) -> None:
        self._take_floor(turn)
        self._replies.end("interrupted")
        self._listen(turn)

    def _go_on(self, turn: Turn) -> None:
        """It was a backchannel or a noise."""
        reply = self._replies.current
        if reply is None:
            return
        self._out.append(do.NoteBackchannel(turn.number, turn.text, turn.start))  # it ends before the reply goes on
        self._sound_again(turn)
        self._close(turn)
        self.phase = Phase.SPEAKING

    def _sound_again(self, turn: Turn) -> None:
        """The voice over the reply does not stop it."""
        reply = self._replies.current
        if turn.ducks:
            turn.ducks = False
            self._out.append(do.Duck(False))
        if self.phase is Phase.HELD and reply is not None:
            self.phase = Phase.OVERLAP
            reply.rewind(self.policy.rewind_s)
            self._out.append(do.Resume(reply.number, reply.position))

    # ---- a reply that is asked for

    def _ask(self) -> None:
        reply, turn = self._replies.current, self._turn
        waits = not self.policy.by_hand if reply is None else not reply.announced
        if turn is not None and (turn.committed or waits):
            self._asked = True  # there may be more to answer
        elif reply is None:
            self._replies.begin(0, None)
            if turn is None:
                self.phase = Phase.REPLYING

    def _ask_later(self) -> None:
        """What the reply that was asked for had to wait for is over."""
        if self._asked:
            self._asked = False
            self._ask()
