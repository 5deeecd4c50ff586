"""Conversations for the duplex model: labels to the frame, the same from a seed, nothing shared by two splits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import pytest
from fakes import ScriptedResponder, ToneVoice
from typer.testing import CliRunner

from dragoman.__main__ import app
from dragoman.agent.cli import data_duplex
from dragoman.agent.duplex.answers import Answer, Answers, Dialogue
from dragoman.agent.duplex.chat import Chat, Line, split_of, spoken
from dragoman.agent.duplex.conversation import SPLITS, AgentUtterance, Conversation, Split, UserEvent
from dragoman.agent.duplex.delivery import Break, Unspeakable, broken_off, deliver, hesitations
from dragoman.agent.duplex.delivery import spoken as voiced
from dragoman.agent.duplex.factory import Factory
from dragoman.agent.duplex.features import Ear, check_features, load_features, make_features
from dragoman.agent.duplex.frames import FRAME, FRAME_S, Control, decided_s, first_decided
from dragoman.agent.duplex.mixing import Take, stage
from dragoman.agent.duplex.personas import Persona, shared_out, shifted
from dragoman.agent.duplex.report import Report, histogram, save_sample, timeline
from dragoman.agent.duplex.scripts import BACKCHANNELS, SPOT, Exchange, Script, draw_script
from dragoman.agent.duplex.store import load_conversations, save_conversations, shard_path, shards
from dragoman.agent.engine.backchannel import is_backchannel
from dragoman.agent.ports import Message
from dragoman.audio.levels import trim_silence
from dragoman.audio.types import INPUT_RATE, DragomanError, Speech, Word
from dragoman.tts import Voice

USER = Persona("user", ToneVoice())
AGENT = Persona("agent", ToneVoice(), pitch=1.25)
ANSWERS = ("That is a lovely idea, tell me more about the garden please.", "Why?", "I am sorry to hear that, really.")


def dialogue(*exchanges: Exchange, interrupted: Sequence[int | None] = ()) -> Dialogue:
    script = Script("drafter-1-00000/0", (("assistant", "How are you?"),), exchanges)
    answers = tuple(Answer(ANSWERS[i % 3], True) for i in range(len(exchanges)))
    return Dialogue(script, answers, (*interrupted, *[None] * (len(exchanges) - len(interrupted))))


def plain(text: str, **what: object) -> Exchange:
    return replace(Exchange(text, text), **what)  # type: ignore[arg-type]


def staged(talk: Dialogue, seed: str = "1") -> Take:
    return stage(talk, "drafter", USER, AGENT, seed)


def talks(count: int = 60) -> dict[str, list[Line]]:
    """Talks of which each line names the talk."""
    number = "one two three four five six seven eight nine ten".split()
    return {
        f"talk-{i}": [
            Line("ab"[j % 2], f"this is talk {number[i // 10]} {number[i % 10]} and line {number[j]}") for j in range(9)
        ]
        for i in range(count)
    }


# Frames and labels


def test_a_decision_falls_at_the_end_of_its_frame() -> None:
    """The first frame that is decided at a time or later; exactly at the time counts."""
    assert FRAME_S == 0.16
    assert first_decided(0.0) == first_decided(0.16) == 0
    assert first_decided(0.16 + 1 / INPUT_RATE) == 1
    for frame in range(50):
        assert first_decided(decided_s(frame)) == frame


def test_labels_stand_at_their_frames() -> None:
    """Begin, stop and a sign of attention where they are due, else silence; the end of a turn is near twice."""
    turn = UserEvent("turn", 0.5, 1.0, (Word("Hello.", 0.5, 1.0),), "Hello.")
    nod = UserEvent("backchannel", 1.7, 2.0, (Word("Yeah.", 1.7, 2.0),), "Yeah.")
    reply = AgentUtterance("reply", "Hi there.", first_decided(1.2), 1.4, 2.5, stop_frame=first_decided(2.3))
    sign = AgentUtterance("backchannel", "Mm-hm.", 4, 0.85, 0.95)
    pcm = np.zeros(20 * FRAME, np.float32)
    talk = Conversation("x", "test", "en", pcm, (), (turn, nod), (sign, reply), "a", "b")
    labels = talk.labels()
    assert talk.frames == len(labels) == 20
    assert {int(i): Control(labels[i]) for i in np.flatnonzero(labels)} == {
        4: Control.BOC,
        7: Control.BOS,
        14: Control.STP,
    }
    # Decisions fall at 0.80 and 0.96 s: 200 and 40 ms before the end. At 0.64 s it is 360 ms away.
    assert np.flatnonzero(talk.ends_soon()).tolist() == [4, 5]
    speaking = [frame for frame in range(20) if 1.4 <= decided_s(frame) < 2.5 or 0.85 <= decided_s(frame) < 0.95]
    assert np.flatnonzero(talk.agent_speaking()).tolist() == speaking
    assert np.flatnonzero(talk.user_speaking()).tolist() == [3, 4, 5, 10, 11]


@pytest.mark.parametrize("seed", range(5))
def test_a_reply_begins_200_ms_after_the_true_end(seed: int) -> None:
    """The true end is that of the clean voice, and the label is the first decision that is late enough."""
    take = staged(dialogue(plain("I went to the park with my sister yesterday."), plain("Yes.")), str(seed))
    turns = [event for event in take.conversation.user if event.answered]
    replies = [said for said in take.conversation.agent if said.kind == "reply"]
    assert len(turns) == len(replies) == 2
    for turn, reply in zip(turns, replies, strict=True):
        start, end = round(turn.start_s * INPUT_RATE), round(turn.end_s * INPUT_RATE)
        around = take.user[start - 1600 : end + 1600]
        assert trim_silence(around, INPUT_RATE) == (1600, end - start + 1600)
        assert decided_s(reply.frame) - turn.end_s >= 0.2 - 1e-9
        assert decided_s(reply.frame - 1) - turn.end_s < 0.2
        assert reply.start_s > decided_s(reply.frame)
        voice = np.flatnonzero(take.agent[: round((reply.end_s + 0.1) * INPUT_RATE)]) / INPUT_RATE
        assert abs(voice[-1] - reply.end_s) < 0.01
    assert take.conversation.labels().tolist().count(Control.BOS) == 2


def test_an_interruption_stops_the_agent() -> None:
    """The label falls 240 to 400 ms after its first sound, the agent's voice ends there, and it is answered itself."""
    talk = dialogue(plain("Tell me something."), plain("Wait, stop it now.", breaks_in=0.5), interrupted=[6])
    take = staged(talk)
    said, after = (said for said in take.conversation.agent if said.kind == "reply")
    event = take.conversation.user[-1]
    assert event.kind == "interruption"
    assert said.stop_frame == first_decided(event.start_s + 0.24)
    assert 0.24 <= decided_s(said.stop_frame) - event.start_s < 0.4
    assert said.end_s == decided_s(said.stop_frame)
    assert said.heard is not None
    assert 5 <= said.heard <= 8
    silent = take.agent[round(said.end_s * INPUT_RATE) : round(after.start_s * INPUT_RATE)]
    assert not silent.any()
    assert decided_s(after.frame) >= event.end_s + 0.2 - 1e-9
    assert take.conversation.labels()[said.stop_frame] == Control.STP


def test_signs_of_attention_and_false_starts_are_not_answered() -> None:
    """A backchannel lies over the agent's voice and stops nothing; a broken-off beginning is followed by its turn."""
    talk = dialogue(
        plain("I think that we should really go.", backchannel="Mm-hm."),
        plain("There was a dog in the garden.", false_start=True),
    )
    take = staged(talk)
    kinds = [event.kind for event in take.conversation.user]
    assert kinds == ["turn", "backchannel", "false-start", "turn"]
    nod, start, turn = take.conversation.user[1:]
    reply = take.conversation.agent[0]
    assert reply.start_s < nod.start_s < reply.end_s
    assert reply.stop_frame is None
    assert nod.end_s < start.start_s < start.end_s < turn.start_s
    labels = take.conversation.labels()
    assert labels.tolist().count(Control.BOS) == 2
    assert not labels[first_decided(start.start_s) : first_decided(turn.end_s)].any()
    soon = take.conversation.ends_soon()
    assert soon.sum() == 4
    assert not soon[first_decided(start.start_s) : first_decided(turn.start_s)].any()


def test_the_agent_listens_aloud_to_long_turns() -> None:
    """After some seconds, at the end of a clause; never where the turn is about to end."""
    clause = "we went to the lake with all of our friends from the school"
    take = staged(dialogue(plain(f"{clause}, {clause}, {clause}.")), "3")
    signs = [said for said in take.conversation.agent if said.kind == "backchannel"]
    turn = take.conversation.user[0]
    assert signs
    for sign in signs:
        assert turn.start_s + 3 < sign.start_s < sign.end_s < turn.end_s
        assert take.conversation.labels()[sign.frame] == Control.BOC


# Hesitations


def test_most_pauses_lie_inside_phrases_or_after_fillers() -> None:
    """And all of them are silent, 0.3 s at least, within the turn."""
    places: dict[str, int] = {}
    text = "Well, I was in the city with my brother. We bought a big house, and then it rained for the whole week."
    for seed in range(40):
        delivery = deliver(Random(seed), USER, text)
        for pause in delivery.pauses:
            assert 0.3 <= pause.seconds < 2.6
            assert 0 < pause.start_s < pause.end_s < delivery.seconds
            silence = delivery.pcm[round(pause.start_s * INPUT_RATE) : round(pause.end_s * INPUT_RATE)]
            assert np.abs(silence).max() < 0.3 * 10 ** (-38 / 20)
            places[pause.place] = places.get(pause.place, 0) + 1
    assert (places["phrase"] + places["filler"]) / sum(places.values()) >= 0.8
    assert sum(places.values()) > 40


def test_a_break_goes_where_it_is_wanted() -> None:
    """The words keep their order, those after the break come later by its length, the filler stands in it."""
    words = "I would like a cup of tea".split()
    straight = voiced(Random(1), USER, words, {})
    cut = voiced(Random(1), USER, words, {3: Break(0.8)})
    filled = voiced(Random(1), USER, words, {3: Break(0.8, "um", 0.1, apart=True)})
    assert [word.text for word in cut.words] == words
    assert [word.text for word in filled.words] == [*words[:4], "um,", *words[4:]]
    assert cut.words[3].end == pytest.approx(straight.words[3].end, abs=0.06)
    assert cut.words[4].start - straight.words[4].start == pytest.approx(0.8, abs=0.06)
    [pause] = cut.pauses
    assert (pause.place, pause.seconds) == ("phrase", pytest.approx(0.8, abs=0.04))
    assert [pause.place for pause in filled.pauses] == ["filler"]


def test_numbers_are_read_in_groups() -> None:
    """Pauses are drawn at the spots, and the spots are not said."""
    said = f"It is {SPOT} four one five {SPOT} nine two"
    plans = [hesitations(Random(seed), [w for w in said.split() if w != SPOT], [1, 4], "number") for seed in range(20)]
    assert {i for plan in plans for i in plan} <= {-1, 1, 4}
    assert all(any(i in plan for plan in plans) for i in (1, 4))
    assert [
        w.text for w in deliver(Random(1), USER, said, "number").words if w.text[:2] not in ("um", "uh", "er")
    ] == said.replace(f"{SPOT} ", "").split()


def test_a_false_start_breaks_off() -> None:
    """A few words, and not the turn."""
    for seed in range(10):
        broken = broken_off(Random(seed), USER, "There was a dog in the garden.")
        assert 1 <= len(broken.words) <= 3
        assert 0 < broken.seconds < 1.1


def test_who_breaks_in_does_not_hesitate_first() -> None:
    """An interruption is told from a sign of attention by its first words: they come in one go."""
    for seed in range(30):
        said = deliver(Random(seed), USER, "No but I was in the city with my brother today.", at_once=True)
        assert [word.text for word in said.words[:4]] == "No but I was".split()
        assert said.words[3].start < 4 * 0.25


def test_a_text_without_a_sound_is_told() -> None:
    """No label can stand after nothing."""

    class Mute(ToneVoice):
        def synthesize(self, text: str, *, rate: float = 1.0, final: bool = True) -> Speech:
            return Speech(np.zeros(0, np.float32), (Word(text, 0.0, 0.0),))

    with pytest.raises(Unspeakable, match="xyz"):
        deliver(Random(1), Persona("mute", Mute()), "xyz")


# Texts


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("hahaha yeah i dont know", "Yeah I don't know."),
        ("how are you doing", "How are you doing?"),
        ("idk... u tell me :)", "I don't know, you tell me."),
        ("thats cool!! i like it", "That's cool! I like it."),
        ("where ? the chat ?", "Where? The chat?"),
        ("well,what now", "Well, what now."),
        ("see familysearch.org", None),
        ("lol", None),
        ("t6he", None),
        ("http://x.y/z", None),
        ("sooooo good", None),
    ],
)
def test_typed_lines_become_speech(typed: str, said: str | None) -> None:
    """Laughter, faces and abbreviations are not spoken; a question gets its mark."""
    assert spoken(typed) == said


def test_nobody_sees_the_talks_of_another_split() -> None:
    """Every talk is seen by one split; the shares are about 70, 15 and 15 %."""
    names = [f"talk-{i}" for i in range(2000)]
    shares = {split: sum(split_of(name) == split for name in names) / len(names) for split in SPLITS}
    assert shares["drafter"] == pytest.approx(0.7, abs=0.04)
    assert shares["test"] == pytest.approx(0.15, abs=0.03)
    said: dict[Split, set[str]] = {}
    for split in SPLITS:
        chat, rng = Chat(talks(), split), Random(1)
        said[split] = {" ".join(turn.split()[:5]) for _ in range(60) for turn in chat.draw(rng, 6)}
    assert len(said["test"]) > 2
    assert not said["test"] & said["verifier"]
    assert not (said["test"] | said["verifier"]) & said["drafter"]


def test_voices_belong_to_one_split() -> None:
    """Shifts of the fast voices, and packs: each split has some, and none is in two."""
    names = {split: {shifted(Random(i), split, {"a": USER.speaker}, 1).name for i in range(50)} for split in SPLITS}
    packs = [f"{language}{gender}_{name}" for language in "abj" for gender in "fm" for name in ("x", "y", "z")]
    given = shared_out(packs)
    assert sorted(pack for own in given.values() for pack in own) == sorted(packs)
    for one, other in (("drafter", "verifier"), ("drafter", "test"), ("verifier", "test")):
        assert names[one]  # type: ignore[index]
        assert not names[one] & names[other]  # type: ignore[index]
        assert given[one]  # type: ignore[index]
        assert not set(given[one]) & set(given[other])  # type: ignore[index]
    assert all({pack[1] for pack in own} == {"f", "m"} for own in given.values())


def test_scripts_are_varied_and_drawn_by_seed() -> None:
    """Lists, numbers, interruptions and signs of attention occur; who breaks in does not begin like a listener."""
    chat = Chat(talks(), "drafter")
    assert draw_script(Random(5), chat, "a") == draw_script(Random(5), chat, "a")
    scripts = [draw_script(Random(seed), chat, "a") for seed in range(60)]
    exchanges = [exchange for script in scripts for exchange in script.exchanges]
    assert {exchange.situation for exchange in exchanges} == {"chat", "list", "number"}
    assert any(exchange.backchannel for exchange in exchanges)
    assert any(exchange.false_start for exchange in exchanges)
    breaking = [exchange for exchange in exchanges if exchange.breaks_in is not None]
    assert len(breaking) > 10
    assert not any(is_backchannel(exchange.said.split()[0]) for exchange in breaking)
    assert all(script.exchanges[0].breaks_in is None for script in scripts)
    assert all(is_backchannel(text) for text in BACKCHANNELS)
    for script in scripts:
        roles = [role for role, _ in script.context]
        assert roles == (["user", "assistant"] * 3)[6 - len(roles) :]


# Answers


@dataclass
class Echoing(ScriptedResponder):
    """Answers at once with twenty words that name the last message."""

    replies: list[str] = field(default_factory=list)

    async def reply(
        self, messages: Sequence[Message], *, prefix: str = "", max_tokens: int = 160
    ) -> AsyncGenerator[str, None]:
        self.prompts.append(list(messages))
        for _ in range(20):
            yield f"{messages[-1].content.split()[-1].strip('.,?!')} "


def held(path: Path, responder: Echoing, script: Script, model: str = "m") -> tuple[Dialogue, int]:
    async def run() -> tuple[Dialogue, int]:
        answers = Answers(path, responder, model)
        try:
            return await answers.hold(script), answers.asked
        finally:
            answers.close()

    return asyncio.run(run())


def test_a_kept_answer_is_not_asked_for_again(tmp_path: Path) -> None:
    """The same history and model: the file answers. Another model is asked."""
    script = Script("a", (("user", "One"), ("assistant", "Two")), (plain("Three."), plain("Four.", breaks_in=0.5)))
    path, responder = tmp_path / "answers.sqlite", Echoing()
    first, asked = held(path, responder, script)
    again, asked_again = held(path, responder, script)
    assert (first, asked, asked_again) == (again, 2, 0)
    assert held(path, responder, script, "other")[1] == 2
    assert len(responder.prompts) == 4


def test_answers_have_twelve_words_and_history_what_was_heard(tmp_path: Path) -> None:
    """Only the beginning of an answer is kept; of an interrupted one, the model reads what the user let it say."""
    script = Script("a", (), (plain("Three."), plain("Four.", breaks_in=0.5)))
    responder = Echoing()
    held_, _ = held(tmp_path / "answers.sqlite", responder, script)
    assert held_.answers[0] == Answer(" ".join(["Three"] * 12), False)
    assert held_.interrupted == (6, None)
    assert [message.role for message in responder.prompts[1]] == ["system", "user", "assistant", "user"]
    assert responder.prompts[1][2].content == " ".join(["Three"] * 6)


def test_a_broken_file_of_answers_is_an_error(tmp_path: Path) -> None:
    """It names the file and says what to do."""
    (tmp_path / "answers.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(DragomanError, match="delete the file"):
        held(tmp_path / "answers.sqlite", Echoing(), Script("a", (), (plain("One."),)))


# Shards


def made(folder: Path, seed: int = 1, numbers: Sequence[int] = (1,)) -> list[Take]:
    async def run() -> list[Take]:
        answers = Answers(folder / "answers.sqlite", Echoing(), "m")
        try:
            factory = Factory(folder, seed, talks(), answers, lambda rng, split: (USER, AGENT), size=2)
            return [take for number in numbers for take in factory.perform(number, await factory.write(number))]
        finally:
            answers.close()

    return asyncio.run(run())


def test_the_same_seed_makes_the_same_conversations(tmp_path: Path) -> None:
    """To the sample, and another seed makes others; they come back from their shard as they were."""
    first, again, other = made(tmp_path / "a"), made(tmp_path / "b"), made(tmp_path / "c", seed=2)
    [path] = shards(tmp_path / "a", "test")
    assert path == shard_path(tmp_path / "a", "test", 1, 1)
    loaded = list(load_conversations(path))
    for one, two, three in zip(first, again, loaded, strict=True):
        assert one.conversation == two.conversation == three
        np.testing.assert_array_equal(one.conversation.pcm, two.conversation.pcm)
        np.testing.assert_allclose(one.conversation.pcm, three.pcm, atol=1e-4)
        assert len(three.pcm) == three.frames * FRAME
        assert np.abs(three.pcm).max() > 0
    assert [take.conversation for take in first] != [take.conversation for take in other]
    silent = list(load_conversations(path, sound=False))
    assert silent == loaded
    assert [talk.frames for talk in silent] == [talk.frames for talk in loaded]


@pytest.mark.parametrize("damage", ["cut", "nothing", "foreign"])
def test_a_broken_shard_is_an_error(tmp_path: Path, damage: str) -> None:
    """It says which file and what to do, whatever is wrong with it."""
    path = tmp_path / "test-1-00000.npz"
    save_conversations(path, [staged(dialogue(plain("Hello."))).conversation])
    match damage:
        case "cut":
            path.write_bytes(path.read_bytes()[:-5000])
        case "nothing":
            path.write_bytes(b"")
        case _:
            index = np.frombuffer(json.dumps([{"samples": 0}]).encode(), np.uint8)
            np.savez(path, pcm=np.zeros(0, np.int16), index=index)
    with pytest.raises(DragomanError, match=r"test-1-00000\.npz.*delete it"):
        list(load_conversations(path))


def test_a_sound_of_broken_frames_is_not_saved(tmp_path: Path) -> None:
    """Labels and sound could not fit."""
    talk = staged(dialogue(plain("Hello."))).conversation
    with pytest.raises(ValueError, match="not whole frames"):
        save_conversations(tmp_path / "test-1-00000.npz", [replace(talk, pcm=talk.pcm[:-1])])
    assert not list(tmp_path.iterdir())


def test_the_report_counts_what_is_there(tmp_path: Path) -> None:
    """Kinds, labels, hours; the text has the same figures, and a sample is there to listen to."""
    take = staged(dialogue(plain("Tell me."), plain("Wait, stop it now.", breaks_in=0.5), interrupted=[6]))
    report = Report()
    report.add(take.conversation)
    summary = report.summary()
    assert summary["user"] == {"turn": 1, "interruption": 1}
    assert summary["labels"] == {
        "SIL": take.conversation.frames - 3,
        "BOS": 2,
        "STP": 1,
    }
    assert summary["hours"] == pytest.approx(take.conversation.seconds / 3600)
    assert "turn 1, interruption 1" in report.text()
    assert json.loads(json.dumps(summary)) == summary
    path = save_sample(tmp_path / "samples", take)
    assert path.is_file()
    lines = path.with_suffix(".txt").read_text()
    assert lines == timeline(take.conversation)
    assert lines.index("BOS") < lines.index("agent reply") < lines.index("STP")
    assert "user interruption: Wait, stop it now." in lines


def test_a_histogram_counts_between_its_edges() -> None:
    """The last edge belongs to the last bin."""
    lines = histogram("t", [0.1, 0.2, 0.5, 1.0], (0.0, 0.2, 1.0))
    assert [int(line.split()[3]) for line in lines[1:]] == [1, 3]


# The command


def test_the_command_makes_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three shards, one for each split; asked again, it makes none, and reports the same."""
    responder = Echoing()

    async def opened(*_: object, **__: object) -> Echoing:
        return responder

    monkeypatch.setattr(data_duplex, "open_responder", opened)
    monkeypatch.setattr(data_duplex, "casting", lambda *_, **__: lambda rng, split: (USER, AGENT))
    monkeypatch.setattr(data_duplex, "installed_talks", talks)
    monkeypatch.setattr(data_duplex, "Factory", partial(Factory, size=1))
    options = ["data", "duplex", "--folder", str(tmp_path), "--hours", "0.38", "--llm", "scripted", "--json"]
    runs = [CliRunner().invoke(app, options) for _ in range(2)]
    assert [run.exit_code for run in runs] == [0, 0]
    first, second = ([json.loads(line) for line in run.stdout.splitlines()] for run in runs)
    assert [line["type"] for line in first] == ["shard", "shard", "shard", "summary"]
    assert second == first[-1:]
    assert first[-1]["conversations"] == {"drafter": 1, "verifier": 1, "test": 1}
    assert len(responder.prompts) == first[-2]["answers_asked"]
    assert [path.name for path in shards(tmp_path)] == [
        "drafter-1-00000.npz",
        "verifier-1-00002.npz",
        "test-1-00001.npz",
    ]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["hours"] == first[-1]["hours"]
    assert len(list((tmp_path / "samples").glob("*.wav"))) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--hours", "-1"], "can't be less than 0"),
        (["--hours", "0"], "no conversations are there"),
        (["--kokoro-share", "2"], "from 0 to 1"),
    ],
)
def test_what_makes_no_sense_is_an_error(tmp_path: Path, options: list[str], message: str) -> None:
    """One line, before any model is loaded."""
    done = CliRunner().invoke(app, ["data", "duplex", "--folder", str(tmp_path), *options])
    assert done.exit_code == 1
    assert message in done.stderr


# With real models


def test_the_real_voice_is_cut_where_it_is_silent(english_voice: Voice) -> None:
    """The embedded voice hesitates: the pause is silent, the turn ends with its last word, labels follow."""
    user, agent = Persona("heart", english_voice), Persona("heart~1.12", english_voice, pitch=1.12)
    words = "I would like to go to the market with you".split()
    cut = voiced(Random(1), user, words, {5: Break(0.7, "um", 0.1)})
    assert [pause.place for pause in cut.pauses] == ["filler"]
    assert cut.words[-1].end == pytest.approx(cut.seconds, abs=0.15)
    take = stage(dialogue(plain("I would like to go to the market with you.")), "drafter", user, agent, "1")
    [turn], [reply] = take.conversation.user, take.conversation.agent
    assert trim_silence(take.user, INPUT_RATE)[1] / INPUT_RATE == pytest.approx(turn.end_s, abs=0.011)
    assert reply.frame == first_decided(turn.end_s + 0.2)
    assert turn.words[-1].end <= turn.end_s + 1e-6
    # Pitched up, but not hurried: the same words take about as long.
    assert agent.say("Good morning, my friend.")[1][-1].end == pytest.approx(
        user.say("Good morning, my friend.")[1][-1].end, rel=0.1
    )


@pytest.fixture(scope="module")
def ear() -> Ear:
    from dragoman.agent.duplex.features import open_ear

    return open_ear()


def test_features_are_kept_for_one_ear(ear: Ear, tmp_path: Path) -> None:
    """One block for each frame, kept beside the shard; those of another ear are refused, and made anew."""
    talk = staged(dialogue(plain("Hello."))).conversation
    shard = tmp_path / "test-1-00000.npz"
    save_conversations(shard, [talk, talk])
    with pytest.raises(DragomanError, match="no features yet"):
        load_features(shard, ear.digest)
    path = make_features(shard, ear)
    one, two = load_features(shard, ear.digest)
    assert one.shape == (talk.frames, 8, 384)
    assert one.dtype == np.float16
    np.testing.assert_array_equal(one, two)
    check_features(shard, [talk.frames, talk.frames], [one, two])
    with pytest.raises(DragomanError, match="other conversations"):
        check_features(shard, [talk.frames], [one, two])
    with pytest.raises(DragomanError, match="another ear"):
        load_features(shard, "0" * 16)
    before = path.stat().st_mtime_ns
    assert make_features(shard, ear).stat().st_mtime_ns == before
    assert shards(tmp_path) == [shard]
    save_conversations(shard, [talk])
    make_features(shard, ear)
    assert len(load_features(shard, ear.digest)) == 1
    save_conversations(shard, [talk, talk])
    make_features(shard, Ear(ear.model, "0" * 16))
    assert len(load_features(shard, "0" * 16)) == 2
    path.write_bytes(b"nothing")
    with pytest.raises(DragomanError, match="delete it"):
        load_features(shard, ear.digest)
