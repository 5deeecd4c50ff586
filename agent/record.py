"""The record of a conversation: who said what, what was heard of it, and how long each answer took.

Onset latency counts from the last sample of the user's true speech to the first audible sample of the reply as it
leaves the playout, not from the detector's decision. The true end comes from a hand-made list where there is one,
else from the energy rule (``dragoman.audio.levels``) on what the user's side sent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dragoman.agent import events as ev
from dragoman.audio.track import LevelTrack
from dragoman.audio.types import DragomanError

_BEFORE_S = 0.3
_AFTER_S = 0.3
_FRAME_S = 0.02
_NEAR_S = 1.0
"""A listed end belongs to a turn if it is at most so far from where the detector saw the end."""


@dataclass(slots=True)
class TurnRecord:
    """One exchange; times in seconds of the conversation."""

    user: str
    start: float
    end: float
    assistant: str = ""
    heard: str = ""
    status: str = ""
    playing: float | None = None
    track: float = 0.0
    done: float | None = None
    speech_end: float | None = None
    first_audio: float | None = None

    @property
    def onset_ms(self) -> float | None:
        """First audible sample of the reply minus true end of the user's speech."""
        if self.first_audio is None or self.speech_end is None:
            return None
        return round((self.first_audio - self.speech_end) * 1000, 1)


@dataclass(slots=True)
class Interruption:
    """A voice over a reply that stopped it."""

    at: float
    stopped: float


@dataclass(slots=True)
class ConversationRecord:
    """Fed with the session's events, and with both tracks' levels where they are known."""

    heard: LevelTrack | None = None
    spoken: LevelTrack | None = None
    ends: Sequence[float] = ()
    lockstep: bool = True
    """Whether both tracks began at once and keep the same pace (a recording), or each has a device's clock."""
    latency_s: float = 0.0
    """What the device adds between the playout clock and the sound."""
    turns: list[TurnRecord] = field(default_factory=list)
    interruptions: list[Interruption] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _replies: dict[int, TurnRecord] = field(default_factory=dict)
    _by_turn: dict[int, TurnRecord] = field(default_factory=dict)
    _voice_at: float = 0.0
    _held_at: float | None = None

    def add(self, event: ev.SessionEvent) -> TurnRecord | None:
        """Take the next event; gives the turn that it completes or changes, if any."""
        match event:
            case ev.UserTurn(turn, text, start, end, _):
                record = TurnRecord(text, start, end, speech_end=self._true_end(start, end))
                self.turns.append(record)
                self._by_turn = {turn: record}
                return record
            case ev.UserHeardAgain(turn, text, _) if turn in self._by_turn:
                self._by_turn[turn].user = text
                return self._by_turn[turn]
            case ev.UserStarted(_, at):
                self._voice_at = at
            case ev.ReplyStarted(reply, turn, _):
                self._replies = {reply: self._by_turn.get(turn) or self._unasked(event.at)}
            case ev.ReplyPlaying(reply, at, track) if reply in self._replies:
                record = self._replies[reply]
                record.playing, record.track = at, track
                record.first_audio = (track if self.lockstep else at) + self.latency_s
                return record
            case ev.ReplyHeld(_, at, _):
                self._held_at = at
            case ev.ReplyResumed():
                self._held_at = None
            case ev.ReplyDone() if event.reply in self._replies:
                return self._done(self._replies[event.reply], event)
            case ev.Problem(message, _):
                self.problems.append(message)
            case _:
                pass
        return None

    def _unasked(self, at: float) -> TurnRecord:
        record = TurnRecord("", at, at)
        self.turns.append(record)
        return record

    def _done(self, record: TurnRecord, event: ev.ReplyDone) -> TurnRecord:
        record.assistant, record.heard, record.status, record.done = event.text, event.heard, event.status, event.at
        if event.status == "interrupted" and record.playing is not None:
            self.interruptions.append(Interruption(self._voice_at, self._held_at or event.at))
        elif event.status == "failed":
            self.problems.append(event.reason)
        self._held_at = None
        if self.spoken is not None and record.playing is not None:
            length = event.at - record.playing
            audible = self.spoken.audible(record.track - _FRAME_S, record.track + length + _FRAME_S)
            later = audible[0] - record.track if audible else 0.0
            record.first_audio = (record.track if self.lockstep else record.playing) + later + self.latency_s
        return record

    def _true_end(self, start: float, end: float) -> float:
        near = [listed for listed in self.ends if abs(listed - end) <= _NEAR_S]
        if near:
            return min(near, key=lambda listed: abs(listed - end))
        audible = self.heard.audible(start - _BEFORE_S, end + _AFTER_S) if self.heard is not None else None
        return audible[1] if audible else end

    def onset_percentile(self, percent: float) -> float | None:
        """Percentile of the turns' onset latencies in milliseconds; None without any."""
        onsets = [turn.onset_ms for turn in self.turns if turn.onset_ms is not None]
        return round(float(np.percentile(onsets, percent)), 1) if onsets else None


def listed_ends(path: Path) -> list[float]:
    """True ends of speech from the sidecar ``FILE.json``: ``end_s`` of each turn; empty without a sidecar.

    The file is a list of objects with ``end_s``, or an object whose ``turns`` is one. Raises ``DragomanError``.
    """
    sidecar = path.with_name(path.name + ".json")
    if not sidecar.exists():
        return []
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
        turns = content["turns"] if isinstance(content, dict) else content
        return sorted(float(turn["end_s"]) for turn in turns)
    except (ValueError, KeyError, TypeError) as error:
        raise DragomanError(f"{sidecar} should be a list of turns with end_s in seconds: {error!r}") from error
