"""One conversation: an engine, its models and its clock in one task group.

The shell is thin. Sound and results go to the engine as inputs; the engine's commands are carried out at once, on
the event loop; everything that computes is on a worker's thread. What happens comes out as one stream of events.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np

from dragoman.agent import events as ev
from dragoman.agent.ear import Ear
from dragoman.agent.engine import Command, Engine, Input, Phase
from dragoman.agent.engine import commands as do
from dragoman.agent.engine import inputs as on
from dragoman.agent.fast_path import FastPath
from dragoman.agent.intake import Intake
from dragoman.agent.llm.prompts import instructions_in_force
from dragoman.agent.memory import Memory
from dragoman.agent.openings import Prefix
from dragoman.agent.outbox import Outbox
from dragoman.agent.parts import Parts
from dragoman.agent.player import NoSink, Player
from dragoman.agent.ports import Message, Role, Sink, Synthesizer
from dragoman.agent.replies import Order, ReplyWriter
from dragoman.agent.settings import SessionSettings
from dragoman.agent.turn_taking import Standing
from dragoman.agent.warming import Warmer
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, DragomanError, Samples, finite

_STEP = INPUT_RATE // 2


class Session:
    """One person's conversation with the agent.

    ``run`` it as a task, feed it with ``hear``, read ``events``, and ``close`` it. All methods belong to the event
    loop that runs it.
    """

    def __init__(self, parts: Parts, settings: SessionSettings | None = None, *, sink: Sink | None = None) -> None:
        self.settings = settings or SessionSettings()
        self.memory = Memory()
        self._parts = parts
        self._engine = Engine(self.settings.policy())
        self._player = Player(
            sink or NoSink(),
            lambda reply, at: self._out.put_of(reply, ev.ReplyPlaying(reply, self.now, at)),
            lambda reply, seconds: self._tell(on.Played(reply, seconds)),
        )
        self._playout = self._player.playout
        self._ear = Ear(
            parts.recognizer,
            parts.voice_activity(),
            parts.turn_detector,
            parts.hearing,
            parts.refining,
            self._tell,
            lambda error: self._problem(f"recognition failed: {error}"),
            lambda: self.memory.last("assistant"),
            parts.sound_detector,
            self._heard_again,
        )
        llm = parts.conversation()
        self._writer = ReplyWriter(
            llm, parts.speaking, self._voice, wrote=self._wrote, spoke=self._spoke, ended=self._ended
        )
        self._warmer = Warmer(llm, self._prompt, after=self._writer.left)
        self._fast = FastPath(parts, lambda: self.settings, self._floor, self._tell, self._apply, self._problem)
        self._sound = Intake()
        self._out = Outbox(self._overrun)
        self._closing = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._early: Order | None = None
        self._newest: Order | None = None
        self._reply_text: dict[int, str] = {}
        self._last_turn = (0, 0)
        self._phase = self._engine.phase
        self._failure: DragomanError | None = None
        self._asked: tuple[str | None, int | None] = (None, None)
        self._apply()

    # ---- the outside

    @property
    def now(self) -> float:
        """Seconds of sound heard so far: the clock of every event."""
        return self._ear.received / INPUT_RATE

    @property
    def phase(self) -> str:
        """The conversation's state."""
        return self._engine.phase.value

    async def run(self) -> None:
        """Hold the conversation until ``close``; cancelling it cleans up too."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                servants = [
                    tasks.create_task(self._listen(), name="listen"),
                    tasks.create_task(self._ear.run(), name="recognize"),
                    tasks.create_task(self._ear.refine(), name="refine"),
                    tasks.create_task(self._player.run(), name="play"),
                    tasks.create_task(self._fast.run(self.memory), name="take turns"),
                ]
                if self._early is not None and self._early.reply == self._engine.reply:
                    self._start_writing(self._early)
                else:
                    self._warmer.begin(self._reads_ahead)
                await self._closing.wait()
                self._warmer.stop()
                self._fast.close()
                self._writer.stop()
                for task in servants:
                    task.cancel()
            if self._failure is not None:
                raise self._failure
        finally:
            self._tasks = None
            self._sound.end()
            self._out.end()

    def close(self) -> None:
        """Let ``run`` return and ``events`` end."""
        self._closing.set()

    async def hear(self, pcm: Samples) -> None:
        """Give it sound, 16 kHz mono, any length; waits while the session is behind, and once it is over for nothing.
        Raises what ``finite`` does.
        """
        for start in range(0, len(finite(pcm)), _STEP):
            await self._sound.put(pcm[start : start + _STEP], self.settings.turn_detection)

    def events(self) -> AsyncIterator[ev.SessionEvent]:
        """Everything that happens, for one reader; ends after ``close``."""
        return self._out.events()

    async def commit(self) -> None:
        """End the turn by hand, after all the sound that was given before."""
        await self._sound.put(on.Commit(), self.settings.turn_detection)

    async def clear(self) -> None:
        """Drop the open turn and its sound, after all that was given before."""
        await self._sound.put(on.Clear(), self.settings.turn_detection)

    def respond(self, *, instructions: str | None = None, max_tokens: int | None = None) -> None:
        """Ask for a reply to the history as it is, or that to the turn that is open; ignored while there is one."""
        self._asked = (instructions, max_tokens)
        self._tell(on.Ask())
        if self._asked != (None, None):
            self._tell(on.Remembered())

    def cancel(self) -> int:
        """Stop the reply that is written or played; gives its number, 0 if there is none."""
        reply, self._asked = self._engine.reply, (None, None)
        self._tell(on.Cancel())
        return reply if self._engine.reply != reply else 0

    def truncate(self, reply: int, seconds: float) -> None:
        """Only ``seconds`` of ``reply`` were heard: the history keeps the words before."""
        if seconds < 0:
            raise DragomanError("a reply can't be cut before its beginning: give 0 ms or more")
        self._tell(on.Truncate(reply, seconds))

    def remember(self, role: Role, text: str) -> int:
        """Add a message to the history; gives its number."""
        entry = self.memory.add(role, text)
        self._tell(on.Remembered())
        return entry

    def forget(self, entry: int) -> bool:
        """Remove a message from the history; False if it is not there."""
        if removed := self.memory.remove(entry):
            self._tell(on.Remembered())
        return removed

    def configure(self, settings: SessionSettings) -> None:
        """Change the settings from now on; a reply that is being written keeps its own."""
        self.settings = settings
        self._apply()
        self._tell(on.Tick())

    def _apply(self) -> None:
        policy, judge = self.settings.policy(), self._parts.judge
        trust = policy.trust if judge is None else judge.threshold
        self._engine.policy = replace(policy, modelled=self._fast.turns is not None, trust=trust)
        self._ear.language = self.settings.language
        self._ear.prefix = round(self.settings.prefix_padding_ms * INPUT_RATE / 1000)
        self._ear.tune(self.settings.threshold)

    # ---- sound, and turn-taking by it

    async def _listen(self) -> None:
        while True:
            given, detect = await self._sound.get()
            if self._ear.full or not isinstance(given, np.ndarray):
                await self._ear.free.wait()  # what comes behind the end of a turn is not that turn's
            if not (detect or self._engine.open_turn or isinstance(given, on.Clear)):
                self._tell(on.SpeechStarted(self._ear.heard))  # a turn that is ended by hand gets its words, if none
            if isinstance(given, np.ndarray):
                sound = given * 0 if self.settings.half_duplex and self._player.audible else given
                self._ear.hear(sound, detect=detect)
                if self._fast.turns is not None:
                    self._fast.turns.hear(sound, self._ear.received - len(sound))
                await asyncio.sleep(0)  # a client may send minutes at once; others are served in between
            else:
                self._ear.cut()
                if isinstance(given, on.Clear) or not self._engine.open_turn:
                    self._out.put(ev.UserTurnDropped(self.now))
                self._tell(given)

    def _floor(self) -> Standing:
        engine = self._engine
        return Standing(
            turn=engine.phase in (Phase.LISTENING, Phase.PAUSING) and not engine.ending,
            busy=engine.ending or engine.phase not in (Phase.IDLE, Phase.LISTENING, Phase.PAUSING),
            sounding=self._playout.sounding,
            text=self._reply_text.get(engine.reply, ""),
            written=engine.written,
        )

    # ---- the engine

    def _tell(self, event: Input) -> None:
        """Give the engine an input and carry out what it says. Who leaves is told no more."""
        if self._closing.is_set():
            return
        self._fast.hear(event)
        if isinstance(event, on.Partial | on.Transcript) and event.text:
            stable = event.stable if isinstance(event, on.Partial) else len(event.text.split())
            self._out.put(ev.UserPartial(event.turn, event.text, stable))
            if isinstance(event, on.Partial) and self._reads_ahead is not None:
                self._warmer.heard(self._reads_ahead, event.text)
                self._fast.read_ahead(self._reads_ahead, self.memory.dialogue(), event.text)
        asked = self._engine.asked
        for command in self._engine.handle(event, self._ear.heard):
            self._execute(command, asked)
        if self._phase is not self._engine.phase:
            self._phase = self._engine.phase
            self._out.put(ev.PhaseChanged(self._phase.value, self.now))
            self._settle()

    def _heard_again(self, turn: int, text: str) -> None:
        """The second pass of a turn that is over."""
        last, entry = self._last_turn
        if turn == last and self.memory.correct(entry, text):
            self._out.put(ev.UserHeardAgain(turn, text, entry))
            self._settle()

    def _settle(self) -> None:
        if self._phase is Phase.IDLE and self.memory.settle():
            self._warmer.begin(self._reads_ahead)

    def _execute(self, command: Command, asked: bool) -> None:
        match command:
            case do.OpenEar(turn, at):
                self._ear.open(turn, at)
            case do.CloseEar(turn):
                self._ear.close(turn)
            case do.Transcribe(turn, revision, quick):
                self._ear.transcribe(turn, revision, quick)
                self._warmer.pause(self._reads_ahead)
            case do.TakeFloor(turn, at):
                self._fast.stop_drafting()
                self._out.put(ev.UserStarted(turn, at / INPUT_RATE))
            case do.YieldFloor(turn, at):
                self._out.put(ev.UserStopped(turn, at / INPUT_RATE))
            case do.FinishTurn(turn, text, start, end):
                entry = self.memory.add("user", text) if text else 0
                self._last_turn = turn, entry
                self._fast.said("user", text)
                self._out.put(ev.UserTurn(turn, text, start / INPUT_RATE, end / INPUT_RATE, entry))
            case do.ShowAttention(turn):
                if self._fast.hum is not None and self.settings.attentive:
                    self._playout.aside(self._fast.hum)
                    self._out.put(ev.AgentAttends(turn, self.now))
            case do.NoteBackchannel(turn, text, at):
                self._out.put(ev.UserBackchannel(turn, text, at / INPUT_RATE))
            case do.Respond(reply, turn, text, opening, waits):
                self._newest = self._begin_reply(reply, turn, text, asked or text is None, self._fast.take(opening))
                if not waits:
                    self._start_writing(self._newest)
            case do.Arm(turn, text):
                self._fast.draft(self._tasks, turn, self.memory.dialogue(), text)
            case do.Play(reply):
                self._playout.release(reply)
            case do.GoOn(reply) if self._newest is not None and self._newest.reply == reply:
                self._start_writing(replace(self._newest, messages=self._prompt(None, asked)))
            case do.DropOpening(draft):
                self._fast.drop(draft)
            case do.DropReply(reply):
                self._out.forget()
                self._stop(reply)
            case do.Release(reply, turn):
                self._announce(reply, turn)
                self._playout.release(reply)
            case do.EndReply():
                self._end_reply(command)
            case do.Rewrite(reply, heard):
                self.memory.heard(reply, heard)
            case do.Duck(ducked):
                self._playout.duck(ducked)
            case do.Hold(reply):
                self._out.put(ev.ReplyHeld(reply, self.now, self._playout.hold()))
            case do.Resume(reply, position):
                self._playout.resume(position)
                self._out.put(ev.ReplyResumed(reply, self.now, position))

    # ---- replies

    def _prompt(self, said: str | None, asked: bool = False) -> list[Message]:
        """The history, and what the user said that is not in it yet; ``asked``: for the reply that was asked for."""
        language, _ = self.settings.reply_in(self._ear.spoken, self._parts.speaks)
        system = instructions_in_force(language, self._asked[0] if asked else None, self.settings.instructions)
        return self.memory.messages(system, *([] if said is None else [Message("user", said)]))

    @property
    def _reads_ahead(self) -> asyncio.TaskGroup | None:
        """Where the language model may read ahead; None while there is a reply, or none is wanted."""
        return self._tasks if self.settings.create_response and not self._engine.reply else None

    def _begin_reply(self, reply: int, turn: int, text: str | None, asked: bool, opening: Prefix | None) -> Order:
        self._warmer.answers(text or "")
        order = Order(
            reply=reply,
            messages=self._prompt(text, asked),
            rate=self.settings.speed,
            max_tokens=(self._asked[1] if asked else None) or self.settings.max_tokens,
            prefix=opening.text if opening else "",
            begun_s=len(opening.pcm) / OUTPUT_RATE if opening else 0.0,
        )
        self._playout.begin(reply)
        self._out.forget()
        self._reply_text[reply] = order.prefix
        if opening is not None:
            self._playout.append(reply, opening.pcm)
            self._out.put_of(reply, ev.ReplyOpened(reply, opening.text, opening.trust))
            self._out.put_of(reply, ev.ReplyText(reply, opening.text))
            self._out.put_of(reply, ev.ReplyAudio(reply, opening.pcm, opening.words))
        if text is None:
            self._announce(reply, turn)
        elif opening is None:
            self._fast.draft(self._tasks, turn, self.memory.dialogue(), text)
        return order

    def _start_writing(self, order: Order) -> None:
        if self._tasks is None:
            self._early = order  # asked for before ``run``
        else:
            self._writer.begin(self._tasks, order)

    async def _voice(self) -> Synthesizer | None:
        language, name = self.settings.reply_in(self._ear.spoken, self._parts.speaks)
        return await self._parts.voice(language or "en", name) if self.settings.speak else None

    def _wrote(self, reply: int, text: str) -> None:
        if reply in self._reply_text:
            self._reply_text[reply] += text
            self._out.put_of(reply, ev.ReplyText(reply, text))

    def _spoke(self, reply: int, pcm: Samples, speech: on.ReplySpeech) -> None:
        if self._playout.append(reply, pcm):
            self._out.put_of(reply, ev.ReplyAudio(reply, pcm, speech.words))
            self._tell(speech)

    def _ended(self, event: on.ReplyWritten | on.ReplyFailed) -> None:
        if isinstance(event, on.ReplyWritten) and event.reply == self._engine.reply:
            self._out.put_of(event.reply, ev.ReplyWritten(event.reply, event.limited))
        self._tell(event)

    def _announce(self, reply: int, turn: int) -> None:
        self.memory.place(reply)
        self._out.announce(reply, ev.ReplyStarted(reply, turn, self.now))

    def _end_reply(self, end: do.EndReply) -> None:
        text = self._reply_text.get(end.reply, "").strip()
        self._stop(end.reply)
        self._fast.said("assistant", end.heard)
        self.memory.heard(end.reply, end.heard)
        self._out.put(ev.ReplyDone(end.reply, self.now, end.status, text, end.heard, end.reason))
        self._warmer.begin(self._reads_ahead)

    def _stop(self, reply: int) -> None:
        self._reply_text.pop(reply, None)
        self._writer.stop(reply)
        self._playout.stop(reply)

    # ---- telling

    def _problem(self, message: str) -> None:
        self._out.put(ev.Problem(message, self.now))

    def _overrun(self) -> None:
        self._failure = DragomanError("the session's events are not read fast enough: it was ended")
        self._closing.set()
