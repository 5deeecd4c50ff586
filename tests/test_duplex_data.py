"""Conversations for the duplex model: labels stand at their frames, and pauses where they are told to be."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from duplex_spoken import USER, dialogue, plain, staged
from fakes import ToneVoice

from dragoman.agent.duplex.conversation import AgentUtterance, Conversation, UserEvent
from dragoman.agent.duplex.delivery import Break, Unspeakable, broken_off, deliver, hesitations
from dragoman.agent.duplex.delivery import spoken as voiced
from dragoman.agent.duplex.frames import FRAME, FRAME_S, Control, decided_s, first_decided
from dragoman.agent.duplex.mixing import stage
from dragoman.agent.duplex.personas import Persona
from dragoman.agent.duplex.scripts import SPOT
from dragoman.audio.levels import trim_silence
from dragoman.audio.types import INPUT_RATE, Speech, Word
from dragoman.tts import Voice

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


# With a real voice


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
