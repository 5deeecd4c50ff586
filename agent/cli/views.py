"""Showing a conversation as it happens: JSON lines for programs, plain lines, or a live picture of the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dragoman.agent import events as ev
from dragoman.agent.cli.output import emit
from dragoman.agent.record import ConversationRecord, TurnRecord
from dragoman.audio.types import Json, Word

_NAMES = {
    ev.UserStarted: "user_started",
    ev.UserStopped: "user_stopped",
    ev.UserPartial: "user_partial",
    ev.UserTurn: "user_turn",
    ev.UserHeardAgain: "user_heard_again",
    ev.UserBackchannel: "user_backchannel",
    ev.UserTurnDropped: "user_turn_dropped",
    ev.AgentAttends: "agent_attends",
    ev.ReplyStarted: "reply_started",
    ev.ReplyOpened: "reply_opened",
    ev.ReplyText: "reply_text",
    ev.ReplyAudio: "reply_audio",
    ev.ReplyWritten: "reply_written",
    ev.ReplyPlaying: "reply_playing",
    ev.ReplyHeld: "reply_held",
    ev.ReplyResumed: "reply_resumed",
    ev.ReplyDone: "reply_done",
    ev.PhaseChanged: "phase",
    ev.Problem: "problem",
}


class View(Protocol):
    """Shows events; a context manager for what it needs of the terminal."""

    def show(self, event: ev.SessionEvent, record: ConversationRecord) -> None:
        """Show one event; ``record`` has it already."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _Plain:
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class JsonView(_Plain):
    """One JSON object per event on standard output. Sound is left out; its words and length are not."""

    def show(self, event: ev.SessionEvent, record: ConversationRecord) -> None:
        """Print the event."""
        if isinstance(event, ev.ReplyAudio):
            emit("reply_audio", reply=event.reply, samples=len(event.pcm), words=[_word(w) for w in event.words])
        else:
            values: Mapping[str, Json] = {f.name: getattr(event, f.name) for f in fields(event)}
            emit(_NAMES[type(event)], **values)


class LinesView(_Plain):
    """A line when something is said, for logs, pipes and plain terminals."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, event: ev.SessionEvent, record: ConversationRecord) -> None:
        """Print what a reader of the exchange wants to know."""
        match event:
            case ev.UserTurn(_, text, start):
                self._line(start, "you", "bold cyan", text)
            case ev.UserHeardAgain(_, text, _):
                self._line(_last_end(record), "", "dim", f"understood later: {text}")
            case ev.ReplyPlaying(_, at, _) if record.turns and record.turns[-1].onset_ms is not None:
                self._line(at, "", "dim", f"began to answer {record.turns[-1].onset_ms:.0f} ms after your last sound")
            case ev.AgentAttends(_, at):
                self._line(at, "agent", "dim green", "(mm-hm)")
            case ev.ReplyOpened(_, text, trust):
                self._line(_last_end(record), "", "dim", f"began with: {text} ({trust:.2f})")
            case ev.ReplyHeld(_, at, _):
                self._line(at, "", "yellow", "you speak: playing is held")
            case ev.ReplyResumed(_, at, _):
                self._line(at, "", "yellow", "no interruption: goes on")
            case ev.UserBackchannel(_, text, at) if text:
                self._line(at, "you", "dim cyan", f"({text})")
            case ev.ReplyDone():
                self._reply(event)
            case ev.Problem(message, at):
                self._line(at, "", "bold red", message)
            case _:
                pass

    def _reply(self, done: ev.ReplyDone) -> None:
        self._line(done.at, "agent", "bold green", done.heard or "(nothing was heard)")
        if done.status == "interrupted":
            self._line(done.at, "", "yellow", "interrupted")
        elif done.status == "failed":
            self._line(done.at, "", "bold red", done.reason)

    def _line(self, at: float, who: str, style: str, text: str) -> None:
        line = Text(f"{at:7.2f}s ", "dim").append(f"{who:>5} ", style)
        self._console.print(line.append(text, "" if who else style), soft_wrap=True)


_PHASES = {
    "idle": ("○ ready", "dim"),
    "listening": ("● listening", "bold cyan"),
    "pausing": ("◐ is that all?", "cyan"),
    "replying": ("◌ thinking", "magenta"),
    "speaking": ("▶ speaking", "bold green"),
    "overlap": ("▷ you both speak", "yellow"),
    "held": ("⏸ listens to you", "yellow"),
}


class LiveView(LinesView):
    """Finished turns scroll as lines; below them lives the state, the words being said and the reply being spoken."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._live = Live(console=console, refresh_per_second=12, transient=True)
        self._phase = "idle"
        self._partial = Text()
        self._reply_text = ""

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, event: ev.SessionEvent, record: ConversationRecord) -> None:
        """Update the picture; print finished turns above it."""
        super().show(event, record)
        match event:
            case ev.PhaseChanged(phase, _):
                self._phase = phase
            case ev.UserPartial(_, text, stable):
                words = text.split()
                self._partial = Text(" ".join(words[:stable]), "cyan").append(
                    " " + " ".join(words[stable:]), "dim cyan"
                )
            case ev.UserTurn() | ev.UserBackchannel():
                self._partial = Text()
            case ev.ReplyStarted():
                self._reply_text = ""
            case ev.ReplyText(_, text):
                self._reply_text += text
            case ev.ReplyDone():
                self._reply_text = ""
            case _:
                pass
        self._live.update(self._picture(record))

    def _picture(self, record: ConversationRecord) -> Group:
        label, style = _PHASES.get(self._phase, (self._phase, ""))
        table = Table.grid(padding=(0, 1))
        table.add_column(justify="right", width=5, style="dim")
        table.add_column(overflow="fold")
        table.add_row("", Text(label, style))
        if self._partial.plain.strip():
            table.add_row("you", self._partial)
        if self._reply_text:
            table.add_row("agent", Text(self._reply_text.strip(), "green"))
        median = record.onset_percentile(50)
        if median is not None:
            table.add_row("", Text(f"onset: median {median:.0f} ms, P90 {record.onset_percentile(90):.0f} ms", "dim"))
        return Group(table)


def summary(record: ConversationRecord) -> dict[str, Json]:
    """The conversation as the fields of a ``summary`` line."""
    return {
        "turns": [_turn(turn) for turn in record.turns],
        "onset_p50_ms": record.onset_percentile(50),
        "onset_p90_ms": record.onset_percentile(90),
        "interruptions": [
            {"at_s": round(i.at, 3), "stopped_ms": round((i.stopped - i.at) * 1000)} for i in record.interruptions
        ],
        "problems": list(record.problems),
    }


def _turn(turn: TurnRecord) -> Json:
    return {
        "user": turn.user,
        "assistant": turn.assistant,
        "heard": turn.heard,
        "status": turn.status,
        "onset_ms": turn.onset_ms,
        "speech_end_s": _seconds(turn.speech_end),
        "first_audio_s": _seconds(turn.first_audio),
    }


def _last_end(record: ConversationRecord) -> float:
    """Where the user's last turn ended."""
    return record.turns[-1].end if record.turns else 0.0


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _word(word: Word) -> Json:
    return {"word": word.text, "start": round(word.start, 3), "end": round(word.end, 3)}
