"""A session whose turns are taken by a model, here a scripted one, in virtual time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from dragoman.agent import events as ev
from dragoman.agent.duplex.ends import Ends, Evidence
from dragoman.agent.duplex.frames import Control, decided_s, first_decided
from dragoman.agent.duplex.policy import FRAME_CONTROLS, Policy
from dragoman.agent.engine import inputs as on
from dragoman.agent.openings import Drafted, sayable
from dragoman.agent.parts import Parts
from dragoman.agent.record import Interruption
from dragoman.agent.turn_taking import Standing, TurnTaker
from dragoman.audio.types import INPUT_RATE, Samples, Speech
from dragoman.verifier.features import Array

from .fakes import ScriptedResponder, ToneVoice, scripted, speech
from .test_session import converse_now, only

AT_ONCE = Ends(over=1.0, whole=1.0, alone=1.0, breath=0.0, sure=2.0, patience=0.0, likely=2.0, haste=0.0, certain=2.0)
"""Adds the words' logit to that of the endpointer, and waits for nothing."""


@dataclass
class Guess:
    probabilities: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
    ends: float = 0.0
    over: float | None = None


@dataclass
class Written:
    text: str
    complete: bool = False
    tokens: Sequence[int] = ()
    hidden: Array = field(default_factory=lambda: np.zeros((0, 1), np.float32))
    entropy: Array = field(default_factory=lambda: np.zeros(0, np.float32))
    logp: Array = field(default_factory=lambda: np.zeros(0, np.float32))
    margin: Array = field(default_factory=lambda: np.zeros(0, np.float32))


@dataclass
class Trusting:
    """Trusts drafts that begin with one of some words."""

    words: Sequence[str]
    threshold: float = 0.6

    def trust(self, draft: Drafted) -> float:
        return 0.9 if draft.text.split()[0] in self.words else 0.1


@dataclass
class ScriptedDrafter:
    """Drafts texts, one after the other, the last one again and again; keeps what it is given to read."""

    drafts: list[str]
    language: str = "en"
    fails: bool = False
    ahead: list[str] = field(default_factory=list)
    asked: list[tuple[list[tuple[str, str]], str]] = field(default_factory=list)
    closed: bool = False
    wholes: dict[str, float] = field(default_factory=dict)
    """Logits that turns are whole, by their words."""
    reads_s: float = 0.02
    judged: list[tuple[list[tuple[str, str]], str]] = field(default_factory=list)

    def open(self) -> ScriptedDrafter:
        return self

    @property
    def tells_ends(self) -> bool:
        return bool(self.wholes)

    async def whole(self, dialogue: Sequence[tuple[str, str]], text: str) -> float | None:
        self.judged.append((list(dialogue), text))
        await asyncio.sleep(self.reads_s)
        return self.wholes.get(text)

    def close(self) -> None:
        self.closed = True

    async def read(self, dialogue: Sequence[tuple[str, str]], text: str) -> None:
        self.ahead.append(text)
        await asyncio.sleep(0.01)

    async def draft(self, dialogue: Sequence[tuple[str, str]], text: str, words: int) -> Written:
        self.asked.append((list(dialogue), text))
        if self.fails:
            raise RuntimeError("it broke")
        await asyncio.sleep(0.1)
        draft = self.drafts[min(len(self.asked), len(self.drafts)) - 1]
        return Written(" ".join(draft.split()[:words]))


@dataclass
class ScriptedTurns:
    """Wants a control at each of some moments (seconds), and silence at all others; keeps what it is told."""

    wanted: dict[float, Control]
    language: str = "en"
    fails_at: float = 1e6
    policy: Policy = field(default_factory=lambda: Policy(ends=AT_ONCE))
    ahead: int = 200
    frames: int = 0
    told: list[tuple[int, Control]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    said: list[tuple[str, bool]] = field(default_factory=list)
    dialogues: list[list[tuple[str, str]]] = field(default_factory=list)
    sounding: list[bool] = field(default_factory=list)
    closed: bool = False
    window: int = 10_000
    soon: tuple[float, ...] = ()
    """Moments at which an end is foreseen."""
    opens_s: float = 0.0

    async def open(self, dialogue: Sequence[tuple[str, str]] = ()) -> ScriptedTurns:
        await asyncio.sleep(self.opens_s)
        self.dialogues.append(list(dialogue))
        self.due = {first_decided(at): control for at, control in self.wanted.items()}
        self.heard = 0
        return self

    def close(self) -> None:
        self.closed = True

    async def frame(self, pcm: Samples, *, sounding: bool) -> Guess:
        assert len(pcm) == (2560 if self.heard else 2560 + self.ahead)
        if self.heard >= first_decided(self.fails_at):
            raise RuntimeError("it broke")
        control = self.due.get(self.heard, Control.SIL)
        self.sounding.append(sounding)
        self.heard += 1
        self.frames = self.frames + 1 if self.frames < self.window else self.window - 5
        ends = float(self.heard - 1 in {first_decided(at) for at in self.soon})
        over = 12.0 if control == Control.BOS else -12.0
        return Guess(np.eye(4, dtype=np.float32)[FRAME_CONTROLS.index(control)], ends, over)

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
    assert turn.onset_ms == pytest.approx(2000, abs=60)
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
    assert record.interruptions == [Interruption(pytest.approx(4.5, abs=0.05), stopped)]
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


def test_through_open_speakers_it_gives_no_sign_of_attention() -> None:
    """It is deaf while it speaks: what the user says meanwhile would be lost."""
    parts = scripted(["A long story."], ["I see."])
    parts.turn_model = ScriptedTurns({3.0: Control.BOC, 5.2: Control.BOS})
    events, _ = converse_now(parts, speech((0.5, 5.0), seconds=6), attentive=True, half_duplex=True)
    assert [event.at for event in only(events, ev.UserStopped)] == [pytest.approx(5.0, abs=0.04)]
    assert only(events, ev.AgentAttends) == []


def opening(drafts: list[str], replies: list[str], wanted: dict[float, Control], **slow: float) -> Parts:
    """Parts with a fast path that drafts, of which words that begin with "I" are trusted."""
    parts = scripted(["Who wrote it?"], replies, **slow)
    parts.turn_model = ScriptedTurns(wanted)
    parts.drafter = ScriptedDrafter(drafts)
    parts.judge = Trusting(["I"])
    return parts


def test_the_first_words_are_said_at_once_and_continued() -> None:
    """A slow path of two seconds is not waited for; it continues what is being said, and the history has one answer."""
    drafts = ["I think that was she, dear sister of"]
    parts = opening(drafts, ["A slow answer.", "Austen, who else."], {1.7: Control.BOS}, first=2.0)
    events, record = converse_now(parts, speech((0.5, 1.5), seconds=2))
    (turn,) = record.turns
    assert isinstance(parts.drafter, ScriptedDrafter)
    assert parts.drafter.asked == [([], "Who wrote it?")]
    assert parts.drafter.ahead[-1] in ("Who", "Who wrote", "Who wrote it?")
    assert turn.onset_ms is not None
    assert turn.onset_ms <= 300
    assert turn.assistant == turn.heard == "I think that was she, Austen, who else."
    assert isinstance(parts.responder, ScriptedResponder)
    assert parts.responder.prefixes == ["", "I think that was she,"]
    [opened] = only(events, ev.ReplyOpened)
    assert (opened.text, opened.trust) == ("I think that was she,", 0.9)


def test_what_is_not_trusted_is_not_said() -> None:
    """The slow path answers alone, when it is ready."""
    parts = opening(["You wrote it yourself, I think"], ["Jane Austen."], {1.7: Control.BOS}, first=2.0)
    events, record = converse_now(parts, speech((0.5, 1.5), seconds=2))
    (turn,) = record.turns
    assert turn.assistant == "Jane Austen."
    assert turn.onset_ms is not None
    assert turn.onset_ms > 1900
    assert only(events, ev.ReplyOpened) == []


def test_a_reply_that_turns_against_its_first_words_corrects_them() -> None:
    """Aloud and in the history: the user hears no contradiction."""
    parts = opening(["Yes, it is. And I"], ["A slow answer.", "No, it isn't."], {1.7: Control.BOS}, first=2.0)
    parts.judge = Trusting(["Yes,"])
    _, record = converse_now(parts, speech((0.5, 1.5), seconds=2))
    assert [turn.heard for turn in record.turns] == ["Yes, it is. Well, actually, no, it isn't."]


def test_what_is_plainly_wrong_is_not_said_though_it_is_trusted() -> None:
    """A name that nobody said."""
    parts = opening(["I think that was Jane, dear"], ["Mary Shelley."], {1.7: Control.BOS}, first=2.0)
    events, record = converse_now(parts, speech((0.5, 1.5), seconds=2))
    assert [turn.assistant for turn in record.turns] == ["Mary Shelley."]
    assert only(events, ev.ReplyOpened) == []


@pytest.mark.parametrize(("whole", "ends_at"), [(5.0, 1.5), (-40.0, 3.5)])
def test_words_that_want_more_keep_the_turn_open(whole: float, ends_at: float) -> None:
    """In a pause whose words sound as if more has to come, the model is not believed; once a voice went on, they count
    no longer.
    """
    parts = opening(["You wrote it"], ["Jane Austen."], {1.8: Control.BOS, 3.75: Control.BOS})
    assert isinstance(parts.turn_model, ScriptedTurns)
    assert isinstance(parts.drafter, ScriptedDrafter)
    first = "Who wrote it?"
    parts.drafter.wholes = {first: whole}
    _, record = converse_now(parts, speech((0.5, 1.5), (2.5, 3.5), seconds=4))
    assert parts.drafter.judged[0] == ([], first)
    assert record.turns[0].speech_end == pytest.approx(ends_at, abs=0.011)


def test_words_that_are_read_between_two_frames_may_end_the_turn_at_once() -> None:
    """Where they tell enough, to the moment; the model is told with the next frame, once. Less waits for patience."""
    onsets = {}
    for whole in (1.5, 2.5):
        parts = opening(["I think it was"], ["Jane Austen."], {})
        assert isinstance(parts.turn_model, ScriptedTurns)
        assert isinstance(parts.drafter, ScriptedDrafter)
        parts.turn_model.policy = Policy(ends=Ends(0.0, 1.0, 0.0, sure=2.0, patience=0.34, likely=1.0))
        parts.drafter.wholes, parts.drafter.reads_s = {"Who wrote it?": whole}, 0.22
        _, record = converse_now(parts, speech((0.5, 1.5), seconds=3))
        [begun] = [decided_s(frame) for frame, control in parts.turn_model.told if control == Control.BOS]
        assert begun == pytest.approx(1.92)
        onsets[whole] = record.turns[0].onset_ms or 0.0
    assert 80 < onsets[1.5] - onsets[2.5] <= 160


def test_words_of_a_silence_that_no_frame_has_heard_wait_for_it() -> None:
    """What was known at the last frame is of a voice."""
    ends = Ends(breath=0.2)
    voice = Evidence(over=9.0, silence=0.0)
    assert ends.time_for(voice) == math.inf
    assert ends.time_for(replace(voice, silence=0.05)) == pytest.approx(0.15)
    assert ends.ended_between(replace(voice, over=0.5, silence=0.05), 0.5, 2.0)  # it has grown long by now
    assert not ends.ended_between(replace(voice, over=0.5, silence=0.05), 0.5, 0.2)
    for hundredths in range(1, 20):  # the moment itself counts, however the seconds are rounded
        heard = replace(voice, silence=hundredths / 100)
        assert ends.ended_between(heard, 9.0, ends.time_for(heard))


@pytest.mark.parametrize("breath", [0.2, 0.26, 0.4])
def test_a_turn_that_is_plainly_over_is_so_after_a_breath(breath: float) -> None:
    """To the moment: no frame is waited for, and words that were read before need no further ones."""
    parts = opening(["I think it was"], ["Jane Austen."], {})
    assert isinstance(parts.turn_model, ScriptedTurns)
    assert isinstance(parts.drafter, ScriptedDrafter)
    parts.drafter.wholes = {"Who wrote it?": 9.0}
    parts.turn_model.policy = Policy(ends=Ends(0.0, 1.0, 0.0, breath=breath, patience=0.5))
    _, record = converse_now(parts, speech((0.5, 1.5), seconds=3))
    onset = record.turns[0].onset_ms
    assert onset is not None
    assert breath * 1000 <= onset <= breath * 1000 + 60


@pytest.mark.parametrize("opens_s", [0.0, 0.3, 1.2])
def test_a_model_that_joins_late_knows_how_long_the_silence_has_lasted(opens_s: float) -> None:
    """It takes a while to open, and sound comes before; or it was not wanted for a while."""
    parts = opening(["I think it was"], ["Jane Austen."], {})
    assert isinstance(parts.turn_model, ScriptedTurns)
    assert isinstance(parts.drafter, ScriptedDrafter)
    parts.drafter.wholes = {"Who wrote it?": 9.0}
    parts.turn_model.opens_s = opens_s
    parts.turn_model.policy = Policy(ends=Ends(0.0, 1.0, 0.0, breath=0.26, patience=0.5))
    _, record = converse_now(parts, speech((0.5, 1.5), seconds=4))
    assert record.turns[0].onset_ms == pytest.approx(290, abs=31)


def test_the_longer_a_silence_the_less_it_takes() -> None:
    """It counts from the voice's last sound, and sooner than where nobody listens for ends."""
    begins = []
    for haste in (0.0, 2.0):
        parts = scripted(["what time is it"], ["It is noon."])
        model = ScriptedTurns({})
        model.policy = Policy(ends=Ends(alone=0.0, patience=0.4, likely=0.5, haste=haste))
        parts.turn_model = model
        converse_now(parts, speech((0.5, 1.5), seconds=4))
        begins.append([decided_s(frame) for frame, control in model.told if control == Control.BOS])
    (by_silence,), (by_haste,) = begins
    assert 1.5 + 0.65 <= by_haste < 1.5 + 0.65 + 0.17
    assert by_silence > by_haste + 0.3


def test_what_words_tell_is_not_heeded_while_a_voice_speaks() -> None:
    """A begin over the user's own voice is the model's alone to decide."""
    ends = []
    for wholes in ({}, {"Who wrote it?": -40.0}):
        parts = opening(["You wrote it"], ["Jane Austen."], {2.8: Control.BOS})
        assert isinstance(parts.turn_model, ScriptedTurns)
        assert isinstance(parts.drafter, ScriptedDrafter)
        parts.drafter.wholes = wholes
        _, record = converse_now(parts, speech((0.5, 1.5), (2.5, 3.5), seconds=4))
        ends.append(record.turns[0].speech_end)
    assert ends[0] == ends[1] < 3.0


def test_what_was_read_of_the_pause_before_is_not_heeded() -> None:
    """Reading takes long: what it tells comes when the user has gone on, and paused again."""
    onsets = []
    for wholes in ({}, {"Who wrote it?": -40.0}):
        parts = opening(["You wrote it"], ["Jane Austen."], {2.65: Control.BOS})
        assert isinstance(parts.turn_model, ScriptedTurns)
        assert isinstance(parts.drafter, ScriptedDrafter)
        parts.drafter.wholes, parts.drafter.reads_s = wholes, 0.9
        _, record = converse_now(parts, speech((0.5, 1.5), (1.75, 2.2), seconds=3))
        onsets.append(record.turns[0].onset_ms)
    assert onsets[0] == onsets[1] is not None


def test_who_goes_on_speaking_hears_nothing_of_it() -> None:
    """A draft that was made in a pause is dropped without a sound, and another is made at the end."""
    drafts = ["I know that very well indeed", "I think that was she, dear"]
    parts = opening(drafts, ["One.", "Two.", "Austen."], {3.2: Control.BOS}, first=2.0)
    events, record = converse_now(parts, speech((0.5, 1.5), (2.0, 3.0), seconds=4))
    assert [turn.assistant for turn in record.turns] == ["I think that was she, Austen."]
    assert [event.text for event in only(events, ev.ReplyOpened)] == ["I think that was she,"]


def test_a_fast_slow_path_answers_alone() -> None:
    """Its words were there before the turn was over: no draft is needed."""
    parts = opening(["I think that was she, dear"], ["Jane Austen."], {1.9: Control.BOS}, first=0.0)
    events, record = converse_now(parts, speech((0.5, 1.5), seconds=2))
    assert [turn.assistant for turn in record.turns] == ["Jane Austen."]
    assert only(events, ev.ReplyOpened) == []


@pytest.mark.parametrize(
    ("draft", "said"), [("I like it very much", True), ("I know! How can I help you today?", False)]
)
def test_the_voice_falls_only_where_the_drafter_would_say_no_more(draft: str, said: bool) -> None:
    """A whole reply that is cut goes on: the language model says the rest."""
    fell: dict[str, bool] = {}

    class Listened(ToneVoice):
        def synthesize(self, text: str, *, rate: float = 1.0, final: bool = True) -> Speech:
            fell[text] = final
            return super().synthesize(text)

    class Whole(ScriptedDrafter):
        async def draft(self, dialogue: Sequence[tuple[str, str]], text: str, words: int) -> Written:
            return replace(await super().draft(dialogue, text, words), complete=True)

    parts = opening([], ["Anything."], {1.7: Control.BOS}, first=1.0)
    parts.drafter = Whole([draft])
    parts.keep({("en", None): Listened()})
    events, _ = converse_now(parts, speech((0.5, 1.5), seconds=2))
    (begun,) = only(events, ev.ReplyOpened)
    assert draft.startswith(begun.text)
    assert fell[begun.text] is said is (begun.text == draft)


def test_a_drafter_that_fails_is_done_without() -> None:
    """The user is told, and the slow path answers."""
    parts = opening([], ["Jane Austen."], {1.7: Control.BOS})
    assert isinstance(parts.drafter, ScriptedDrafter)
    parts.drafter.fails = True
    events, record = converse_now(parts, speech((0.5, 1.5), seconds=2))
    assert [turn.assistant for turn in record.turns] == ["Jane Austen."]
    assert [one.message for one in only(events, ev.Problem)] == ["the first words could not be drafted: it broke"]


def test_an_end_that_was_foreseen_is_answered_at_the_first_silence() -> None:
    """First words are drafted while the user still speaks, once; the history has one answer to all of the turn."""
    parts = opening(["I think that was she, dear sister"], ["Austen, who else."], {1.9: Control.BOS}, first=2.0)
    assert isinstance(parts.turn_model, ScriptedTurns)
    assert isinstance(parts.drafter, ScriptedDrafter)
    parts.turn_model.soon = (1.25,)
    parts.turn_model.policy = Policy(release=0.8, ends=AT_ONCE)
    events, record = converse_now(parts, speech((0.5, 1.5), seconds=2))
    (turn,) = record.turns
    assert turn.onset_ms is not None
    assert turn.onset_ms <= 130
    assert (turn.user, turn.status) == ("Who wrote it?", "completed")
    assert turn.assistant == turn.heard == "I think that was she, Austen, who else."
    [(_, drafted)] = parts.drafter.asked
    assert "Who wrote it?".startswith(drafted)
    assert isinstance(parts.responder, ScriptedResponder)
    assert parts.responder.prefixes == ["I think that was she,"]
    assert [message.content for message in parts.responder.prompts[0][1:]] == ["Who wrote it?"]
    order = [type(event) for event in events]
    assert order.index(ev.UserTurn) < order.index(ev.ReplyStarted) < order.index(ev.ReplyPlaying)


def test_an_end_that_was_foreseen_and_did_not_come_is_not_heard_of() -> None:
    """The user goes on: no sound, no event; the turn's end is answered as usual."""
    parts = opening(["I think that was she, dear sister"], ["A slow answer.", "Austen."], {3.9: Control.BOS}, first=2.0)
    assert isinstance(parts.turn_model, ScriptedTurns)
    parts.turn_model.soon = (1.25,)
    events, record = converse_now(parts, speech((0.5, 3.5), seconds=4))
    (turn,) = record.turns
    assert turn.onset_ms is not None
    assert 250 <= turn.onset_ms <= 550
    assert record.spoken is not None
    assert record.spoken.audible(0.0, 3.6) is None
    assert len(only(events, ev.ReplyOpened)) == 1


def test_a_model_that_is_not_sure_waits_for_its_own_begin() -> None:
    """No silence releases what was armed; the words are ready when the model hears the end, and drafted once."""
    parts = opening(["I think that was she, dear sister"], ["Austen, who else."], {1.9: Control.BOS}, first=2.0)
    assert isinstance(parts.turn_model, ScriptedTurns)
    assert isinstance(parts.drafter, ScriptedDrafter)
    parts.turn_model.soon = (1.25,)
    _, record = converse_now(parts, speech((0.5, 1.5), seconds=2))
    (turn,) = record.turns
    assert turn.onset_ms == pytest.approx(440, abs=60)
    assert turn.assistant == "I think that was she, Austen, who else."


def test_a_foreseen_end_that_is_not_trusted_is_not_answered() -> None:
    """The slow path answers alone."""
    parts = opening(["You wrote it yourself, I think"], ["Jane Austen."], {1.9: Control.BOS}, first=1.0)
    assert isinstance(parts.turn_model, ScriptedTurns)
    parts.turn_model.soon = (1.25,)
    events, record = converse_now(parts, speech((0.5, 1.5), seconds=2))
    assert only(events, ev.ReplyOpened) == []
    assert [turn.assistant for turn in record.turns] == ["Jane Austen."]


def test_without_a_model_of_turns_words_are_said_when_silence_ends_the_turn() -> None:
    """The drafter does not depend on who takes turns."""
    parts = opening(["I think that was she, dear"], ["One.", "Austen."], {}, first=2.0)
    parts.turn_model = None
    _, record = converse_now(parts, speech((0.5, 1.5), seconds=2))
    (turn,) = record.turns
    assert turn.assistant == "I think that was she, Austen."
    assert turn.onset_ms == pytest.approx(500, abs=60)


@pytest.mark.parametrize(
    ("draft", "complete", "said"),
    [
        ("Well, I think that was she Austen, of", False, "Well, I think that was she Austen,"),
        ("That is a great idea, and I", False, "That is a great idea,"),
        ("I was in New York last year with", False, "I was in New York"),
        ("Yes, we lived in New York City then", False, "Yes, we lived"),
        ("We have been in New York City today", False, "We have been in New York City"),
        ("He is the one that I would have", False, "He is the one"),
        ("I would have been to the", False, "I would have been to"),
        ("Yeah, I like it! It's always good to", False, "Yeah, I like it!"),
        ("It's okay, it's normal for us to have", False, "It's okay, it's normal"),
        ("I would love to see Dr. Smith there", False, "I would love to see"),
        ("The plot of the book is about a", False, "The plot of the book"),
        ("Yes.", True, "Yes."),
        ("Oh no", False, ""),
        ("", True, ""),
    ],
)
def test_a_prefix_is_cut_where_one_breathes(draft: str, complete: bool, said: str) -> None:
    """At a mark if there is one, never inside a name; a whole short reply is said whole."""
    assert sayable(draft, complete=complete) == said


@dataclass
class Sure:
    """Hears that a pause is an end, or that it is none."""

    certainty: float
    heard: list[float] = field(default_factory=list)

    def complete(self, pcm: Samples) -> float:
        self.heard.append(len(pcm) / 16_000)
        return self.certainty


@pytest.mark.parametrize(("certainty", "onset"), [(1.0, 500), (0.0, 1520)])
def test_a_detector_that_listens_sets_the_patience(certainty: float, onset: float) -> None:
    """In place of the words; it is given the turn's own sound."""
    parts = scripted(["What time is it?"], ["It is noon."])
    parts.sound_detector = sure = Sure(certainty)
    _, record = converse_now(parts, speech((0.5, 1.5), seconds=2))
    assert [turn.onset_ms for turn in record.turns] == [pytest.approx(onset, abs=60)]
    assert sure.heard == [pytest.approx(1.35, abs=0.1)]


def open_turn() -> Standing:
    """A turn of the user's is open."""
    return Standing(True, False, False, "", False)


@asynccontextmanager
async def taking(taker: TurnTaker) -> AsyncGenerator[TurnTaker, None]:
    """It runs meanwhile."""
    running = asyncio.ensure_future(taker.run())
    yield taker
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize("packet", [320, 999, 2560, 20_000])
def test_a_frame_is_decided_as_soon_as_the_ear_is_done_with_it(packet: int) -> None:
    """With what it hears after its end and no more, whatever the packets; the turn's end is told by the frame's own."""
    stream, told = ScriptedTurns({0.5: Control.BOS}), list[on.Input]()
    frame, heard = first_decided(0.5), 0
    needed = round(decided_s(frame) * INPUT_RATE) + stream.ahead

    async def run() -> None:
        nonlocal heard
        async with taking(TurnTaker(await stream.open(), open_turn, told.append)) as taker:
            while not told:
                taker.hear(np.zeros(packet, np.float32), heard)
                heard += packet
                for _ in range(20):
                    await asyncio.sleep(0)

    asyncio.run(run())
    assert needed <= heard < needed + packet
    assert told[0] == on.TurnOver(round((decided_s(frame) - 0.2) * INPUT_RATE))


def test_the_words_of_a_pause_are_read_once() -> None:
    """A second pass tells less of its end than the first one; the next pause is another, and so is a turn's noise."""
    asked = list[str]()

    async def whole(text: str) -> float | None:
        asked.append(text)
        return 1.0

    async def run() -> None:
        async with taking(TurnTaker(await ScriptedTurns({}).open(), open_turn, lambda told: None, whole)) as taker:
            for pause, texts in enumerate((["we went", "we went home"], ["", "we went home again", "we went"])):
                taker.voice(True, pause * INPUT_RATE)
                taker.pause("we")
                taker.voice(False, pause * INPUT_RATE + 8000)
                for text in texts:
                    taker.pause(text)
                    for _ in range(5):
                        await asyncio.sleep(0)

    asyncio.run(run())
    assert asked == ["we went", "we went home again"]
