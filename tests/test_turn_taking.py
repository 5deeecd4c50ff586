"""A session whose turns are taken by a model, here a scripted one, in virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from dragoman.agent import events as ev
from dragoman.agent.duplex.frames import Control, first_decided
from dragoman.agent.duplex.policy import FRAME_CONTROLS, Policy
from dragoman.audio.types import Samples

from .fakes import scripted, speech
from .test_session import converse_now, only


@dataclass
class Guess:
    probabilities: np.ndarray[tuple[int, ...], np.dtype[np.float32]]


@dataclass
class ScriptedTurns:
    """Wants a control at each of some moments (seconds), and silence at all others; keeps what it is told."""

    wanted: dict[float, Control]
    language: str = "en"
    fails_at: float = 1e6
    policy: Policy = field(default_factory=Policy)
    frames: int = 0
    told: list[tuple[int, Control]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    said: list[tuple[str, bool]] = field(default_factory=list)
    dialogues: list[list[tuple[str, str]]] = field(default_factory=list)
    sounding: list[bool] = field(default_factory=list)
    closed: bool = False
    window: int = 10_000

    async def open(self, dialogue: Sequence[tuple[str, str]] = ()) -> ScriptedTurns:
        self.dialogues.append(list(dialogue))
        self.due = {first_decided(at): control for at, control in self.wanted.items()}
        self.heard = 0
        return self

    def close(self) -> None:
        self.closed = True

    async def frame(self, pcm: Samples, *, sounding: bool) -> Guess:
        assert len(pcm) == 2560
        if self.heard >= first_decided(self.fails_at):
            raise RuntimeError("it broke")
        control = self.due.get(self.heard, Control.SIL)
        self.sounding.append(sounding)
        self.heard += 1
        self.frames = self.frames + 1 if self.frames < self.window else self.window - 5
        return Guess(np.eye(4, dtype=np.float32)[FRAME_CONTROLS.index(control)])

    def read(self, words: Sequence[str]) -> None:
        self.words += words

    def tell(self, control: Control) -> None:
        if control:
            self.told.append((self.heard - 1, control))

    def say(self, text: str, *, complete: bool) -> None:
        self.said.append((text, complete))

    async def remember(self, dialogue: Sequence[tuple[str, str]]) -> None:
        self.dialogues.append(list(dialogue))


def test_the_model_ends_the_turn() -> None:
    """The reply begins as soon as the model hears the end, long before the silence would end the turn."""
    parts = scripted(["and what time is it"], ["It is noon."])
    parts.turn_model = model = ScriptedTurns({1.7: Control.BOS})
    _, record = converse_now(parts, speech((0.5, 1.5), seconds=2))
    (turn,) = record.turns
    assert (turn.user, turn.assistant) == ("and what time is it", "It is noon.")
    assert turn.onset_ms is not None
    assert turn.onset_ms <= 300
    assert model.told == [(first_decided(1.7), Control.BOS)]
    assert model.said == [("It is noon.", True)]
    assert model.words == ["and", "what", "time", "is", "it"]
    assert True in model.sounding
    assert not any(model.sounding[: first_decided(1.7)])


def test_a_pause_is_no_end_while_the_model_is_silent() -> None:
    """Words that sound complete and a second of silence: the turn goes on, since the model says nothing."""
    parts = scripted(["I have two questions."], ["Yes."])
    parts.turn_model = ScriptedTurns({4.3: Control.BOS})
    _, record = converse_now(parts, speech((0.5, 1.5), (2.5, 4.0), seconds=5))
    assert [turn.speech_end for turn in record.turns] == [pytest.approx(4.0, abs=0.011)]
    parts = scripted(["I have two questions."], ["Yes."])
    _, record = converse_now(parts, speech((0.5, 1.5), (2.5, 4.0), seconds=5))
    assert len(record.turns) == 2


def test_silence_ends_the_turn_in_the_end() -> None:
    """A model that never says so only delays the reply, and it is told that one was begun."""
    parts = scripted(["What time is it?"], ["It is noon, I think."])
    parts.turn_model = model = ScriptedTurns({})
    _, record = converse_now(parts, speech((0.5, 1.5), seconds=2))
    (turn,) = record.turns
    assert turn.onset_ms == pytest.approx(1400, abs=60)
    assert [control for _, control in model.told] == [Control.BOS]
    assert model.said == [("It is noon, I think.", True)]


def test_the_model_tells_interruptions_from_backchannels() -> None:
    """What it says nothing to is heard out softly; what it calls an interruption stops the reply at once."""
    reply = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen."
    parts = scripted(["Tell me.", "Mm-hm.", "No, stop."], [reply, "Sure."])
    parts.turn_model = model = ScriptedTurns({1.7: Control.BOS, 4.8: Control.STP, 5.8: Control.BOS})
    sound = speech((0.5, 1.5), (3.0, 3.5), (4.5, 5.5), seconds=6)
    events, record = converse_now(parts, sound)
    assert [event.text for event in only(events, ev.UserBackchannel)] == ["Mm-hm."]
    assert only(events, ev.ReplyHeld) == []
    first, second = record.turns
    assert (first.status, second.user, second.assistant) == ("interrupted", "No, stop.", "Sure.")
    [stopped] = [event.at for event in only(events, ev.ReplyDone) if event.status == "interrupted"]
    assert stopped == pytest.approx(4.8, abs=0.17)
    assert [control for _, control in model.told] == [Control.BOS, Control.STP, Control.BOS]


def test_old_turns_are_read_as_text() -> None:
    """When the model forgets the first frames, what was said in them stands before the rest."""
    parts = scripted(["What time is it?"], ["It is noon."])
    parts.turn_model = model = ScriptedTurns({1.7: Control.BOS}, window=30)
    converse_now(parts, speech((0.5, 1.5), seconds=12))
    asked, answered = ("user", "What time is it?"), ("assistant", "It is noon.")
    assert model.dialogues == [[], [asked], [asked, answered]]


def test_a_model_that_fails_is_done_without() -> None:
    """The user is told, and silence ends this turn and the others."""
    parts = scripted(["What time is it?"], ["It is noon."])
    parts.turn_model = ScriptedTurns({}, fails_at=1.0)
    events, record = converse_now(parts, speech((0.5, 1.5), (4.5, 5.5), seconds=6))
    assert [problem.message for problem in only(events, ev.Problem)] == ["the model of turn-taking failed: it broke"]
    assert [turn.onset_ms for turn in record.turns] == [pytest.approx(500, abs=60)] * 2


@pytest.mark.parametrize("changes", [{"language": "pt"}, {"silence_ms": 480}])
def test_it_is_asked_only_where_it_understands_and_is_wanted(changes: dict[str, object]) -> None:
    """Another language, or a silence that the client fixed: the model is left out."""
    parts = scripted(["What time is it?"], ["It is noon."])
    parts.turn_model = model = ScriptedTurns({1.2: Control.BOS})
    _, record = converse_now(parts, speech((0.5, 1.5), seconds=2), **changes)
    assert [turn.onset_ms for turn in record.turns] == [pytest.approx(500, abs=60)]
    assert model.told == []


def test_a_moment_for_attention_is_told() -> None:
    """The user speaks on and on; the turn goes on too."""
    parts = scripted(["A long story."], ["I see."])
    parts.turn_model = ScriptedTurns({3.0: Control.BOC, 5.2: Control.BOS})
    events, record = converse_now(parts, speech((0.5, 5.0), seconds=6), attentive=True)
    [at] = [event.at for event in only(events, ev.AgentAttends)]
    assert at == pytest.approx(3.0, abs=0.17)
    assert record.spoken is not None
    hum = record.spoken.audible(0.0, 4.5)
    assert hum is not None
    assert hum[0] == pytest.approx(at, abs=0.05)
    assert len(record.turns) == 1
    parts = scripted(["A long story."], ["I see."])
    parts.turn_model = ScriptedTurns({3.0: Control.BOC, 5.2: Control.BOS})
    events, _ = converse_now(parts, speech((0.5, 5.0), seconds=6))
    assert only(events, ev.AgentAttends) == []
