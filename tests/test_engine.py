"""The conversation engine: golden traces, coverage of its states, and what holds whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.agent.engine import Engine, Phase, Policy
from dragoman.agent.engine import commands as do
from dragoman.agent.engine import inputs as on
from dragoman.agent.engine.backchannel import is_backchannel
from dragoman.agent.engine.state import Reply
from dragoman.agent.engine.wording import same_meaning
from dragoman.audio.types import Word

from . import engine_trace

TRACES = sorted((Path(__file__).parent / "traces").glob("*.trace"))

POLICIES = [
    Policy(),
    Policy(respond=False),
    Policy(interruptible=False),
    Policy(respond=False, interruptible=False),
    Policy(silence_ms=300),
    Policy(modelled=True),
    Policy(modelled=True, interruptible=False),
    Policy(modelled=True, leisure=2.0),
]

TRANSITIONS = {
    ("idle", "listening"),
    ("idle", "replying"),
    ("listening", "pausing"),
    ("listening", "idle"),
    ("listening", "overlap"),
    ("listening", "replying"),
    ("listening", "speaking"),
    ("pausing", "listening"),
    ("pausing", "replying"),
    ("pausing", "speaking"),
    ("pausing", "idle"),
    ("replying", "listening"),
    ("replying", "speaking"),
    ("replying", "idle"),
    ("speaking", "idle"),
    ("speaking", "listening"),
    ("speaking", "overlap"),
    ("overlap", "speaking"),
    ("overlap", "held"),
    ("overlap", "listening"),
    ("overlap", "replying"),
    ("overlap", "pausing"),
    ("held", "speaking"),
    ("held", "listening"),
    ("held", "pausing"),
    ("held", "overlap"),
}
"""Every change of state that there is; the picture in the engine's module."""


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_trace(path: Path) -> None:
    """The engine commands what the trace says, line by line."""
    for step in engine_trace.run(path.read_text()):
        assert step.came == step.written, f"{path.name}:{step.number}"


def test_traces_cover_every_transition() -> None:
    """No change of state is untested, and none happens that the picture does not show."""
    seen = {
        (step.before, step.after)
        for path in TRACES
        for step in engine_trace.run(path.read_text())
        if step.before != step.after
    }
    assert seen == TRANSITIONS


def _events() -> st.SearchStrategy[on.Input]:
    """The turn or the reply 0 is the one of which something is wanted (``_Listener.meant``)."""
    turns, replies = st.just(0) | st.integers(1, 6), st.just(0) | st.integers(1, 6)
    seconds = st.sampled_from([0.0, 0.2, 0.5, 1.0, 3.0])
    texts = st.sampled_from(["", "yeah", "mm-hm", "Tell me more.", "and then", "Why?"])
    return st.one_of(
        st.builds(on.SpeechStarted, st.just(-1)),
        st.builds(on.SpeechStopped, st.just(-1)),
        st.builds(on.Partial, turns, texts.filter(bool)),
        st.builds(on.Transcript, turns, st.integers(1, 4), texts, st.sampled_from([0.0, 0.5, 1.0])),
        st.just(on.BackchannelHint()),
        st.builds(on.EndsSoon, st.booleans()),
        st.builds(
            lambda turn, trust, answers: on.Opening(0, turn, (Word("well", 0.0, 0.5),), 0.5, trust, answers),
            turns,
            st.sampled_from([0.2, 0.9]),
            texts,
        ),
        st.builds(on.TurnOver, st.just(0)),
        st.just(on.Interrupted()),
        st.builds(lambda r, s: on.ReplySpeech(r, (Word("word", 0.0, s),), s), replies, seconds),
        st.builds(on.ReplyWritten, replies),
        st.builds(on.ReplyFailed, replies, st.just("broken")),
        st.builds(on.Played, replies, seconds),
        st.just(on.Commit()),
        st.just(on.Clear()),
        st.just(on.Ask()),
        st.just(on.Cancel()),
        st.just(on.Remembered()),
        st.builds(on.Truncate, replies, seconds),
        st.just(on.Tick()),
    )


def _ordinary() -> st.SearchStrategy[on.Input]:
    """What happens most."""
    return st.sampled_from(
        [
            on.SpeechStarted(-1),
            on.SpeechStopped(-1),
            on.Transcript(0, 0, "Tell me more.", 1.0),
            on.ReplySpeech(0, (Word("word", 0.0, 0.5),), 0.5),
            on.ReplyWritten(0),
            on.Played(0, 0.5),
            on.Ask(),
            on.Tick(),
        ]
    )


class _Listener:
    """Checks the commands as a shell would suffer from them."""

    def __init__(self) -> None:
        self.wanted: do.Transcribe | None = None
        self.prepared: int | None = None
        self.playing: int | None = None
        self.ear: int | None = None
        self.ended: set[int] = set()
        self.waiting: int | None = None
        self.held: dict[int, on.Opening] = {}
        """Drafts that are neither said nor dropped."""
        self.untold: int | None = None
        """The turn that was opened and is not over."""
        self.words: list[Word] = []
        self.seconds = self.position = 0.0

    def meant(self, event: on.Input) -> on.Input:
        """The event with the numbers of what is wanted."""
        match event:
            case on.Transcript(0) if self.wanted is not None:
                return replace(event, turn=self.wanted.turn, revision=self.wanted.revision)
            case on.Partial(0):
                return replace(event, turn=self.ear or 0)
            case on.Opening(turn=0):
                return replace(event, turn=self.ear or 0)
            case on.ReplySpeech(0) | on.ReplyWritten(0) | on.ReplyFailed(0) | on.Played(0) | on.Truncate(0):
                return replace(event, reply=self.prepared or 0)
            case _:
                return event

    def answers_now(self, now: int, *, by_hand: bool) -> Iterator[on.Input]:
        """All that it still owes, from a user who says no more."""
        yield on.SpeechStopped(now)
        if by_hand:
            yield on.Commit()
        if self.wanted is not None:
            yield on.Transcript(self.wanted.turn, self.wanted.revision, "Tell me more.", 1.0)
        if self.prepared is not None:
            yield on.ReplyWritten(self.prepared)
            yield on.Played(self.prepared, 1e9)
        yield on.Tick()

    def hear(self, event: on.Input, engine: Engine, now: int) -> None:
        """Tell the engine, and check what it says."""
        match event:
            case on.Opening(draft):
                self.held[draft] = event
            case on.ReplySpeech(reply, words, seconds) if reply == self.prepared:
                self.words += words
                self.seconds += seconds
            case on.Played(reply, seconds) if reply == self.prepared and engine.phase is not Phase.HELD:
                self.position = max(self.position, seconds if self.playing is not None else 0.0)
            case on.Truncate(reply, seconds) if reply == self.prepared:
                self.position = min(seconds, self.seconds)
                self.words = self.words if seconds or engine.phase is Phase.HELD else []
            case _:
                pass
        for command in engine.handle(event, now):
            self.take(command, event)

    def take(self, command: do.Command, event: on.Input) -> None:
        match command:
            case do.OpenEar(turn):
                assert self.ear is None
                self.ear = self.untold = turn
            case do.CloseEar(turn):
                assert self.ear == turn
                assert self.untold is None or isinstance(event, on.Clear)
                self.ear = self.wanted = self.untold = None
            case do.FinishTurn(turn) | do.NoteBackchannel(turn):
                assert self.untold == turn
                self.untold = None
            case do.Transcribe(turn):
                assert self.ear == turn
                self.wanted = command
            case do.Respond(reply, _, text, opening, waits):
                assert self.prepared is None
                assert reply not in self.ended
                self.prepared, self.words, self.seconds, self.position = reply, [], 0.0, 0.0
                if opening is not None:
                    said = self.held.pop(opening)
                    assert same_meaning(said.answers, text or "")
                    self.words += said.words
                    self.seconds += said.seconds
                self.waiting = reply if waits else None
            case do.Play(reply):
                assert self.prepared == self.waiting == reply
                assert self.playing is None
                self.playing = reply
            case do.GoOn(reply):
                assert self.prepared == self.playing == self.waiting == reply
                self.waiting = None
            case do.DropReply(reply):
                assert self.prepared == reply
                assert self.playing is None
                self.prepared = None
                self.ended.add(reply)
            case do.DropOpening(draft):
                del self.held[draft]
            case do.Release(reply, turn):
                assert self.prepared == reply
                assert self.untold is None or self.untold != turn
                assert self.playing is None or self.waiting == reply
                self.playing = reply
            case do.Hold(reply):
                assert self.playing == reply
            case do.Resume(reply, position):
                assert self.playing == reply
                assert position <= self.position
                self.position = position
            case do.EndReply(reply, _, heard):
                assert self.prepared == reply
                assert heard == Reply(reply, 0, words=self.words).heard(self.position)
                self.prepared = self.playing = None
                self.ended.add(reply)
            case do.Rewrite(reply):
                assert reply in self.ended
            case _:
                pass


@settings(max_examples=600)
@given(
    st.lists(
        st.tuples(st.integers(0, 20_000), st.one_of(_ordinary(), _events(), st.sampled_from(POLICIES))), max_size=60
    ),
    st.sampled_from(POLICIES),
)
def test_any_order_of_events(steps: list[tuple[int, on.Input | Policy]], policy: Policy) -> None:
    """Whatever comes in whatever order, also while the policy changes: one ear, one reply, nothing after its end, no
    state without its reason, no turn that is lost or told twice or answered before it is told, no word in the history
    that was not played, no draft that is kept or said twice, and no first words to other words than those that they
    answer. Where nothing more is said, and everything that was asked for comes, all comes to an end.
    """
    engine, listener, now = Engine(policy), _Listener(), 0
    for number, (wait, event) in enumerate(steps):
        now += wait
        if isinstance(event, Policy):
            engine.policy = event
            continue
        event = listener.meant(event)
        if isinstance(event, on.Opening):
            event = replace(event, draft=number)
        if isinstance(event, on.SpeechStarted | on.SpeechStopped):
            event = type(event)(now)
        listener.hear(event, engine, now)
        assert (engine.phase in (Phase.OVERLAP, Phase.HELD)) <= (listener.playing is not None)
        assert (engine.phase is Phase.SPEAKING) <= (listener.playing is not None)
        assert (engine.phase is Phase.IDLE) <= (listener.prepared is None and listener.ear is None)
        assert engine.reply == (listener.prepared or 0)
    for _ in range(12):
        for event in listener.answers_now(now, by_hand=engine.policy.by_hand):
            listener.hear(event, engine, now)
        now += 4 * 16_000
    assert (engine.phase, engine.open_turn, engine.reply) == (Phase.IDLE, 0, 0)
    assert not listener.held


@given(st.integers(0, 16_000))
def test_heard_is_a_prefix(position: int) -> None:
    """On an interruption the history gets the words whose end was played, and no other."""
    words = tuple(Word(f"w{i}", i * 0.25, (i + 1) * 0.25) for i in range(4))
    engine = Engine()
    engine.handle(on.Ask(), 0)
    engine.handle(on.ReplySpeech(1, words, 1.0), 0)
    engine.handle(on.Played(1, position / 16_000), 0)
    (end,) = engine.handle(on.Cancel(), 0)
    assert isinstance(end, do.EndReply)
    count = int((position / 16_000 + 0.03) / 0.25)
    assert end.heard.split() == [f"w{i}" for i in range(count)]


def test_patience_depends_on_the_words() -> None:
    """Complete words end a turn sooner than a trailing "and"; a fixed silence is always the same."""
    policy = Policy()
    assert policy.patience(1.0) < policy.patience(0.4) < policy.patience(0.0)
    assert Policy(leisure=2).patience(0.4) == 2 * policy.patience(0.4)
    assert Policy(silence_ms=500).patience(0.0) == Policy(silence_ms=500).patience(1.0) == 8000


@pytest.mark.parametrize(
    "text", ["Mm-hmm.", "mhm", "Uh-huh.", "Yeah.", "Yeah, okay.", "I see.", "Okay, okay.", "Aham.", "Sim.", "Hmm."]
)
def test_backchannels(text: str) -> None:
    """Signs of attention ask for nothing."""
    assert is_backchannel(text)


@pytest.mark.parametrize(
    "text",
    ["", "No.", "Stop.", "Really?", "Yeah but wait", "It", "Okay so tell me about dogs", "Right now", "7", "Um no"],
)
def test_not_backchannels(text: str) -> None:
    """Whatever objects, asks or says something wants the floor."""
    assert not is_backchannel(text)


def test_a_mark_that_stands_alone_is_heard_next_to_its_word() -> None:
    """First words end, and what goes on from them begins with a mark: it is a word of its own to the voice."""
    texts = ["It's", "good", "to", "know", "!", "If", "you", "(well", ")", "...", "$5", "."]
    reply = Reply(1, 1, words=[Word(text, i * 1.0, i + 0.5) for i, text in enumerate(texts)])
    assert reply.heard(99.0) == "It's good to know! If you (well )... $5."
    assert reply.heard(3.6) == "It's good to know"
    assert reply.heard(4.6) == "It's good to know!"
