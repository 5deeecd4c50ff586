"""A small language for traces of the conversation engine: what happened, when, and what must be commanded.

A line is ``time-in-ms  input  -> command | command``; ``...`` lines are comments when they begin with ``#``. Word
times of a reply are spread evenly over the given seconds.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from dragoman.agent.engine import Command, Engine, Input, Policy
from dragoman.agent.engine import commands as do
from dragoman.agent.engine import inputs as on
from dragoman.audio.types import INPUT_RATE, Word


def samples(ms: str) -> int:
    return round(float(ms) * INPUT_RATE / 1000)


def ms(position: int) -> str:
    return f"{position * 1000 / INPUT_RATE:g}"


@dataclass
class Script:
    """Reads inputs; remembers how long each reply is so far, to time its words, and for which words of a turn first
    words were wanted last: those are answered by an opening that doesn't say so.
    """

    spoken: dict[int, float] = field(default_factory=dict)
    wanted: dict[int, str] = field(default_factory=dict)

    def read(self, line: str) -> Input:
        name, *rest = shlex.split(line)
        return self._readers()[name](*rest)

    def _readers(self) -> dict[str, Callable[..., Input]]:
        return {
            "voice": lambda at: on.SpeechStarted(samples(at)),
            "silence": lambda at: on.SpeechStopped(samples(at)),
            "partial": lambda turn, text: on.Partial(int(turn), text),
            "text": lambda key, text, complete="1": on.Transcript(*map(int, key.split(".")), text, float(complete)),
            "hum": on.BackchannelHint,
            "over": lambda at: on.TurnOver(samples(at)),
            "soon": lambda how="sure": on.EndsSoon(how == "sure"),
            "interrupted": on.Interrupted,
            "attend": on.Attend,
            "opening": self._opening,
            "speech": self._speech,
            "written": lambda reply: on.ReplyWritten(int(reply)),
            "failed": lambda reply, why: on.ReplyFailed(int(reply), why),
            "played": lambda reply, seconds: on.Played(int(reply), float(seconds)),
            "commit": on.Commit,
            "clear": on.Clear,
            "ask": on.Ask,
            "cancel": on.Cancel,
            "remembered": on.Remembered,
            "truncate": lambda reply, seconds: on.Truncate(int(reply), float(seconds)),
            "tick": on.Tick,
        }

    def _opening(self, draft: str, turn: str, text: str, length: str, trust: str, answers: str | None = None) -> Input:
        number, seconds = int(turn), float(length)
        words = self.wanted.get(number, "") if answers is None else answers
        return on.Opening(int(draft), number, _spread(text, 0.0, seconds), seconds, float(trust), words)

    def note(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, do.Arm | do.Respond) and command.text is not None:
                self.wanted[command.turn] = command.text

    def _speech(self, reply: str, text: str, seconds: str) -> Input:
        number, length = int(reply), float(seconds)
        start = self.spoken.get(number, 0.0)
        self.spoken[number] = start + length
        return on.ReplySpeech(number, _spread(text, start, length), length)


def _spread(text: str, start: float, length: float) -> tuple[Word, ...]:
    texts = text.split()
    step = length / max(1, len(texts))
    return tuple(Word(t, start + i * step, start + (i + 1) * step) for i, t in enumerate(texts))


def shown(command: Command) -> str:
    """A command as traces write it."""
    match command:
        case do.OpenEar(turn, at):
            return f"ear {turn} @{ms(at)}"
        case do.CloseEar(turn):
            return f"close {turn}"
        case do.Transcribe(turn, revision, quick):
            return f"transcribe {turn}.{revision}" + (" quick" if quick else "")
        case do.Respond(reply, turn, text, opening, waits):
            said = "" if opening is None else f" opening {opening}"
            return f"respond {reply} to {turn} {text!r}{said}" + (" waits" if waits else "")
        case do.Arm(turn, text):
            return f"arm {turn} {text!r}"
        case do.Play(reply):
            return f"play {reply}"
        case do.GoOn(reply):
            return f"go on {reply}"
        case do.DropOpening(draft):
            return f"unopen {draft}"
        case do.DropReply(reply):
            return f"drop {reply}"
        case do.Release(reply, _):
            return f"release {reply}"
        case do.FinishTurn(turn, text, start, end):
            return f"turn {turn} {text!r} {ms(start)}..{ms(end)}"
        case do.Duck(ducked):
            return "duck" if ducked else "unduck"
        case do.Hold(reply, turn, _):
            return f"hold {reply} for {turn}"
        case do.Resume(reply, position):
            return f"resume {reply} at {position:g}"
        case do.EndReply(reply, status, heard, reason):
            return f"end {reply} {status} {heard!r}" + (f" ({reason})" if reason else "")
        case do.Rewrite(reply, heard):
            return f"rewrite {reply} {heard!r}"
        case do.NoteBackchannel(turn, text, _):
            return f"aside {turn} {text!r}"
        case do.ShowAttention(turn):
            return f"attend {turn}"
        case do.TakeFloor(turn, at):
            return f"floor {turn} @{ms(at)}"
        case do.YieldFloor(turn, at):
            return f"yield {turn} @{ms(at)}"


@dataclass(frozen=True)
class Step:
    """One line of a trace, as written and as it came out."""

    number: int
    written: str
    came: str
    before: str
    after: str


def run(trace: str, policy: Policy | None = None) -> Iterator[Step]:
    """Play a trace to a new engine. ``# policy NAME=VALUE ...`` in the trace sets the policy."""
    script, engine = Script(), Engine(policy)
    for number, line in enumerate(trace.splitlines(), 1):
        if line.startswith("# policy"):
            values = dict(pair.split("=") for pair in line.split()[2:])
            engine.policy = Policy(**{name: eval(value, {}) for name, value in values.items()})
        if not line.strip() or line.startswith("#"):
            continue
        happened, _, expected = line.partition("->")
        time, _, event = happened.strip().partition(" ")
        before = engine.phase.value
        commands = engine.handle(script.read(event), samples(time))
        script.note(commands)
        came = " | ".join(map(shown, commands))
        yield Step(number, expected.strip(), came, before, engine.phase.value)
