"""The protocol's bookkeeping, without any I/O.

A client's event or a session's event goes in, events for the client come out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from dragoman.agent import events as on
from dragoman.agent.ports import Role
from dragoman.audio.types import INPUT_RATE, DragomanError
from dragoman.web import protocol as ask
from dragoman.web.events import ProtocolError, ServerEvent, error_event, event
from dragoman.web.items import Item, Items, Kind, View
from dragoman.web.protocol import SessionConfig
from dragoman.web.replies import Replies
from dragoman.web.turns import Turns


class Control(Protocol):
    """What the bookkeeping asks of the session; nothing of it waits. Each may raise ``DragomanError``."""

    def commit(self) -> None:
        """What was appended since the last turn is a turn."""

    def clear(self) -> None:
        """Drop the open turn, and what was appended to it."""

    def respond(self, *, instructions: str | None, max_tokens: int | None) -> None:
        """Reply to the history as it is."""

    def cancel(self) -> int:
        """Stop the reply; gives its number, 0 if there is none."""

    def truncate(self, reply: int, seconds: float) -> None:
        """Only so much of ``reply`` was heard."""

    def remember(self, role: Role, text: str) -> int:
        """Add to the history; gives the entry's number."""

    def forget(self, entry: int) -> bool:
        """Take an entry out of the history."""

    def configure(self, config: SessionConfig) -> None:
        """Put ``config`` in force."""


class Conversation:
    """One client's view of one session.

    ``new_id(prefix)`` makes ids; ``extended`` adds ``dragoman.*`` events, which other clients don't know; ``longest``
    is how many bytes of text an item may have.
    """

    def __init__(
        self,
        control: Control,
        config: SessionConfig,
        new_id: Callable[[str], str],
        *,
        extended: bool = False,
        longest: int = ask.MAX_TEXT_BYTES,
    ) -> None:
        self._control = control
        self._longest = longest
        self._session_id = new_id("sess")
        self._view = View(config, new_id, extended, new_id("conv"))
        self._turns = Turns(self._view, control.forget)
        self._replies = Replies(self._view)
        self._received = 0
        self._uncommitted = 0
        self._unremembered: list[Item] = []
        """Messages that came while a committed turn waited for its words: they come after it."""
        self._asked: ask.ResponseParams | None = None
        """The response that was promised, and waits for what comes before it."""

    @property
    def config(self) -> SessionConfig:
        """The configuration in force."""
        return self._view.config

    @property
    def _items(self) -> Items:
        return self._view.items

    @property
    def _speaking(self) -> bool:
        """Whether the user has the floor, until the session says otherwise."""
        return self._turns.open and self.config.audio.input.turn_detection is not None

    @property
    def _answers(self) -> bool:
        """Whether the session answers each turn, and so the open one as it is asked to."""
        detection = self.config.audio.input.turn_detection
        return detection is not None and detection.create_response

    # ---- in

    def open(self) -> list[ServerEvent]:
        """The first event."""
        return self._stamped([event("session.created", session=self.config.report(self._session_id))])

    def received(self, samples: int) -> None:
        """So much more sound (16 kHz) was appended."""
        self._received += samples
        self._uncommitted += samples

    @property
    def awaited(self) -> bool:
        """Whether a response was promised that waits for the user to fall silent."""
        return self._speaking and self._replies.promised

    def muted(self) -> list[ServerEvent]:
        """No more sound comes, and so no silence that would end the open turn: it is over."""
        return self._stamped(self._end_turn()) if self._speaking else []

    def client(self, message: ask.ClientEvent, *, transcript: str | None = None) -> list[ServerEvent]:
        """Take a client's event. ``transcript`` is the text of the sound in an item that it creates."""
        try:
            return self._stamped(self._client(message, transcript))
        except ProtocolError as error:
            return self.refuse(error, message.event_id)
        except DragomanError as error:
            return self.refuse(ProtocolError(str(error)), message.event_id)

    def refuse(self, error: ProtocolError, cause: str | None = None) -> list[ServerEvent]:
        """The event that tells of ``error``."""
        return self._stamped([error_event(str(error), code=error.code, param=error.param, cause=cause)])

    def session(self, happened: on.SessionEvent) -> list[ServerEvent]:
        """Take a session's event."""
        return self._stamped(self._session(happened))

    def _stamped(self, events: list[ServerEvent]) -> list[ServerEvent]:
        return [{"event_id": self._view.new_id("event"), **each} for each in events]

    # ---- the client's events

    def _client(self, message: ask.ClientEvent, transcript: str | None) -> list[ServerEvent]:
        match message:
            case ask.SessionUpdate():
                return self._update(message)
            case ask.Append():
                return []
            case ask.Commit():
                return self._commit()
            case ask.Clear():
                return self._clear()
            case ask.ItemCreate():
                return self._create(message, transcript)
            case ask.ItemRetrieve():
                item = self._items.get(message.item_id, "retrieve")
                return [event("conversation.item.retrieved", item=item.json())]
            case ask.ItemDelete():
                return self._delete(message.item_id)
            case ask.ItemTruncate():
                return self._truncate(message)
            case ask.ResponseCreate():
                return self._respond(message.response or ask.ResponseParams())
            case ask.ResponseCancel():
                return self._cancel(message.response_id)

    def _update(self, message: ask.SessionUpdate) -> list[ServerEvent]:
        config = self.config.merged(message.session)
        if config.type != self.config.type and len(self._items):
            raise ProtocolError("the session's type can't change once it has items", param="session.type")
        if self._replies.spoke and config.audio.output.voice_name != self.config.audio.output.voice_name:
            raise ProtocolError(
                "the voice can't change once it has spoken",
                code="cannot_update_voice",
                param="session.audio.output.voice",
            )
        self._control.configure(config)
        self._view.config = config
        self._proceed()
        return [event("session.updated", session=config.report(self._session_id))]

    def _commit(self) -> list[ServerEvent]:
        milliseconds = self._uncommitted * 1000 / INPUT_RATE
        if milliseconds < ask.MIN_COMMIT_MS:
            raise ProtocolError(
                f"the buffer holds {milliseconds:.0f} ms of sound; a turn needs {ask.MIN_COMMIT_MS} ms",
                code="input_audio_buffer_commit_empty",
            )
        return self._end_turn()

    def _end_turn(self) -> list[ServerEvent]:
        self._uncommitted = 0
        self._control.commit()
        return self._turns.commit(self._received / INPUT_RATE)

    def _clear(self) -> list[ServerEvent]:
        self._control.clear()
        self._turns.clear()
        self._uncommitted = 0
        return [event("input_audio_buffer.cleared")]

    def _create(self, message: ask.ItemCreate, transcript: str | None) -> list[ServerEvent]:
        source, after = message.item, message.previous_item_id
        if after == "root":
            last = not len(self._items)
        else:
            last = after is None or self._items.get(after, "create", "previous_item_id").id == self._items.last
        if not last:
            raise ProtocolError("items can only be added at the end", param="previous_item_id")
        sound = any(part.type == "input_audio" for part in source.content)
        said = [part.text or part.transcript or "" for part in source.content] + [transcript or ""]
        text = "\n".join(filter(None, said)).strip()
        if not text and not sound:
            raise ProtocolError("the item has no text", code="missing_parameter", param="item.content")
        if (size := len(text.encode())) > self._longest:
            raise ProtocolError(
                f"the item has {size} bytes of text, more than the language model reads at once: "
                f"shorten it to {self._longest}",
                param="item.content",
            )
        kind: Kind = "input_audio" if sound else "input_text"
        item = Item(
            source.id or self._view.new_id("item"),
            source.role,
            "output_text" if source.role == "assistant" else kind,
            text,
        )
        previous = self._items.add(item)
        self._unremembered.append(item)
        self._proceed()
        return [
            event("conversation.item.added", previous_item_id=previous, item=item.json()),
            event("conversation.item.done", previous_item_id=previous, item=item.json()),
        ]

    def _delete(self, item_id: str) -> list[ServerEvent]:
        item, cut = self._items.get(item_id, "delete"), list[ServerEvent]()
        if item.entry:
            self._control.forget(item.entry)
        elif item.reply:
            alone = len(self._items.parts(item.reply)) == 1
            cut = self._cut(item, -item.offset if alone else 0.0)
        self._items.remove(item)
        return [*cut, event("conversation.item.deleted", item_id=item_id)]

    def _truncate(self, message: ask.ItemTruncate) -> list[ServerEvent]:
        item = self._items.get(message.item_id, "truncate")
        if item.role != "assistant" or item.kind != "output_audio":
            raise ProtocolError("only spoken answers can be truncated", param="item_id")
        if message.content_index:
            raise ProtocolError("the item has one content part, 0", param="content_index")
        seconds = message.audio_end_ms / 1000
        if seconds > item.seconds + 0.001:
            raise ProtocolError(
                f"audio_end_ms {message.audio_end_ms} is beyond the item's {item.seconds * 1000:.0f} ms",
                param="audio_end_ms",
            )
        cut = self._cut(item, seconds)
        item.cut(seconds)
        item.seconds = seconds
        end = message.audio_end_ms
        return [
            event("conversation.item.truncated", item_id=item.id, content_index=0, audio_end_ms=end),
            *cut,
        ]

    def _cut(self, item: Item, seconds: float) -> list[ServerEvent]:
        """So much of an answer was heard. Where its reply goes on in another item meanwhile, that is left alone: it was
        cut because of a voice that proved to be no interruption.
        """
        if self._items.parts(item.reply)[-1] is not item:
            return []
        self._control.truncate(item.reply, item.offset + seconds)
        return self._replies.cut(item.reply)

    def _respond(self, wanted: ask.ResponseParams) -> list[ServerEvent]:
        if self.config.type == "transcription":
            raise ProtocolError("a transcription session gives no responses", param="type")
        if (active := self._replies.active) is not None:
            raise ProtocolError(
                f"Conversation already has an active response in progress: {active.id}; cancel it or wait for it",
                code="conversation_already_has_active_response",
            )
        if wanted.conversation != "auto" or wanted.input is not None:
            raise ProtocolError(
                "responses out of the conversation are not supported yet", param="response.conversation"
            )
        ask.require_current(wanted.model_extra or {}, "response")
        for name, value in (("tools", wanted.tools), ("prompt", wanted.prompt)):
            if value:
                raise ProtocolError(f"{name}: not supported yet, leave it out", param=f"response.{name}")
        if wanted.output_modalities not in (None, self.config.output_modalities):
            raise ProtocolError(
                "output_modalities can only be changed by session.update", param="response.output_modalities"
            )
        if wanted.audio and wanted.audio.output.format not in (None, self.config.audio.output.format):
            raise ProtocolError(
                "the format can only be changed by session.update", param="response.audio.output.format"
            )
        if wanted.audio and wanted.audio.output.own_voice not in (None, self.config.audio.output.own_voice):
            raise ProtocolError("the voice can only be changed by session.update", param="response.audio.output.voice")
        promised = self._replies.promise(wanted.metadata, wanted.max_output_tokens)
        self._asked = wanted
        self._proceed()
        return promised

    def _proceed(self) -> None:
        """Do what waited for a committed turn to have its words; a request also waits for a reply to be played to its
        end, unless that is held, and for the user's turn to be over, if the session does not answer that.
        """
        if self._asked is not None and self._replies.let_go():
            self._control.cancel()
        if self._turns.waiting:
            return
        waited, self._unremembered = self._unremembered, []
        for item in waited:
            if item.text and self._items.find(item.id) is item:
                item.entry = self._control.remember(item.role, item.text)
        if self._asked is not None and not (self._replies.busy or (self._speaking and not self._answers)):
            wanted, self._asked = self._asked, None
            limit = wanted.max_output_tokens
            self._control.respond(
                instructions=wanted.instructions, max_tokens=limit if isinstance(limit, int) else None
            )

    def _cancel(self, response_id: str | None) -> list[ServerEvent]:
        active = self._replies.active
        if active is None and self._replies.held and response_id is None:
            # The client stops what it was told to have stopped already; it may yet be taken up again.
            return []
        if response_id is not None and response_id == self._replies.held_response:
            self._replies.let_go()  # who names it does not want the rest either
            self._control.cancel()
            return []
        if active is None or response_id not in (None, active.id):
            # Clients know the reference's words: who cancels may always be a moment too late.
            raise ProtocolError("Cancellation failed: no active response found", code="response_cancel_not_active")
        stopped = self._control.cancel() if self._asked is None else 0  # else the session had not been asked yet
        self._asked = None
        return self._replies.cancel(stopped)

    # ---- the session's events

    def _session(self, happened: on.SessionEvent) -> list[ServerEvent]:
        match happened:
            case on.UserStarted(number, at):
                return self._turns.started(number, at)
            case on.UserPartial(number, text, stable):
                return self._turns.partial(number, text, stable)
            case on.UserTurn():
                if not self._turns.waiting:  # nobody committed it: what was appended was its sound
                    self._uncommitted = 0
                events = self._turns.over(happened)
                self._proceed()
                return events
            case on.UserHeardAgain():
                return self._turns.corrected(happened)
            case on.UserBackchannel(number, text, at):
                events = self._turns.dropped(number, text, at)
                self._proceed()
                return events
            case on.UserTurnDropped(at):
                events = self._turns.none(at)
                self._proceed()
                return events
            case on.ReplyStarted(number):
                return self._replies.started(number)
            case on.ReplyOpened(number, text, trust):
                return self._replies.opened(number, text, trust)
            case on.ReplyText(number, text):
                return self._replies.text(number, text)
            case on.ReplyAudio(number, pcm, words):
                return self._replies.audio(number, pcm, words)
            case on.ReplyWritten(number, limited):
                return self._replies.written(number, limited)
            case on.ReplyHeld(number, at, position):
                events = self._turns.started(0, at) + self._replies.hold(number, position)
                self._proceed()
                return events
            case on.ReplyResumed(number, _, position):
                return self._replies.resume(number, position)
            case on.ReplyDone():
                events = self._replies.done(happened)
                self._proceed()
                return events
            case on.PhaseChanged(phase, at):
                return self._view.extra("phase", phase=phase, at_ms=round(at * 1000))
            case on.Problem(message):
                waits, self._asked = self._asked is not None, None  # what the session writes already still comes
                failed = self._replies.failed(message) if waits else []
                return [*failed, error_event(message, kind="server_error")]
            case on.UserStopped() | on.ReplyPlaying() | on.AgentAttends():
                return []
