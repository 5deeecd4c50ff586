"""The benchmark of turn-taking: its judge, the systems' world, human turns; and the command from clips to figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from drafter_small import runtime as small_drafter
from duplex_small import adapter, body, conversation, example
from duplex_spoken import AGENT, USER, dialogue, plain, staged, talks
from typer.testing import CliRunner

from dragoman.__main__ import app
from dragoman.agent.duplex import catalog, graph
from dragoman.agent.duplex.adapter import Adapter, save_adapter
from dragoman.agent.duplex.body import body_sha256, load_body
from dragoman.agent.duplex.conversation import AgentUtterance, Conversation, Pause, UserEvent
from dragoman.agent.duplex.ends import Ends
from dragoman.agent.duplex.features import Sounds, ear_digest, heard, open_ear
from dragoman.agent.duplex.frames import FRAME, FRAME_S, Control, decided_s, first_decided
from dragoman.agent.duplex.policy import FRAME_CONTROLS, Policy
from dragoman.agent.duplex.runtime import Decided, DuplexRuntime, Heard, Stream
from dragoman.agent.duplex.store import save_conversations, shard_path
from dragoman.asr.causal.features import BLOCK
from dragoman.asr.vad import WINDOW, Ended, Started
from dragoman.audio.files import save
from dragoman.audio.levels import rms
from dragoman.audio.resample import resample
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, DragomanError, Samples, Word
from dragoman.benchmarks import duplex_sets
from dragoman.benchmarks.duplex_player import Case, Foresight, perform
from dragoman.benchmarks.human_turns import LONGEST_PAUSE_S, QUIET_S, make_turn, make_turns, pieces
from dragoman.benchmarks.turn_systems import Asking, listen, silence
from dragoman.benchmarks.turn_taking import (
    ANSWERED_S,
    Played,
    Tally,
    at_rate,
    interval,
    judge,
    product_limit,
    turns_of,
)
from dragoman.benchmarks.world import Activity, Microphone, World
from dragoman.models.catalog import resolve
from dragoman.tts import Voice

# --- the judge


def one_turn(*pauses: Pause, start: float = 1.0, end: float = 3.0, seconds: float = 12.0) -> Conversation:
    """A turn, and a reply that is due to it; nothing else ever sounds."""
    due = first_decided(end + 0.2)
    event = UserEvent("turn", start, end, (Word("well", start, end),), "Well.", pauses=pauses)
    said = AgentUtterance("reply", "yes", due, decided_s(due) + 0.3, decided_s(due) + 2.3)
    pcm = np.zeros(round(seconds * INPUT_RATE / FRAME) * FRAME, np.float32)
    return Conversation("c", "test", "en", pcm, (), (event,), (said,), "u", "a")


DUE = decided_s(first_decided(3.2))


def judged(*begins: float, delay: float = 0.0) -> Tally:
    return Tally.over([judge(one_turn(), Played(begins=list(begins), delay_s=delay))])


def test_a_begin_before_the_end_is_a_cut_off_and_never_a_hit() -> None:
    """However near to the label it is; the turn is lost for the gap, what follows is still judged."""
    cut = judged(2.99)
    assert cut.cutoff_rate() == 1
    assert cut.begin_f1(3) == 0
    assert cut.gap_ms(50) is None
    assert cut.missed() == 0
    again = judged(2.0, DUE)
    assert again.cutoff_rate() == 1
    assert again.gap_ms(50) is None
    assert again.begin_f1(1) == pytest.approx(2 / 3)  # one hit of two begins, one turn


def test_a_hit_counts_by_frames_and_a_gap_by_time() -> None:
    """One frame off, three frames off, more; compute and look-ahead lengthen the gap, not the distance."""
    assert judged(DUE).begin_f1(1) == 1
    assert judged(DUE + FRAME_S).begin_f1(1) == 1
    late = judged(DUE + 3 * FRAME_S, delay=0.05)
    assert (late.begin_f1(1), late.begin_f1(3)) == (0, 1)
    assert late.gap_ms(50) == pytest.approx(1000 * (DUE + 3 * FRAME_S + 0.05 - 3.0))
    assert judged(DUE + 4 * FRAME_S).begin_f1(3) == 0
    assert judged(3.0).begin_f1(3) == 1
    assert judged(3.0).cutoff_rate() == 0


def test_begins_that_nobody_asked_for_count_against_it() -> None:
    """Before the turn, and after its answer."""
    assert judged(0.5, DUE, 9.0).begin_f1(3) == pytest.approx(2 / 4)
    assert judged(0.5, DUE, 9.0).cutoff_rate() == 0


def test_both_at_once_is_no_cut_off() -> None:
    """Nobody could have heard the user yet."""
    assert judged(1.1).cutoff_rate() == 0
    assert judged(1.3).cutoff_rate() == 1


def test_no_answer_in_five_seconds_is_a_miss() -> None:
    """It has no gap, and as many turns with one give what a quantile needs or not."""
    assert judged().missed() == 1
    assert judged().gap_ms(50) is None
    assert judged(3.0 + ANSWERED_S + 0.1).missed() == 1
    both = Tally.over([judge(one_turn(), Played(begins=list(begins))) for begins in ([3.5], [3.5], [])])
    assert both.missed() == 1
    assert both.gap_ms(50) == pytest.approx(500)
    assert both.gap_ms(90) is None


def test_a_recording_that_does_not_wait_hides_the_gap_of_slow_systems() -> None:
    """The interruption comes before they have begun: the gap is longer than that, and it is no miss."""
    talk = conversation()
    first, second = turns_of(talk)
    assert (first.event.end_s, first.until_s) == (3.0, 6.0)
    assert second.event.kind == "interruption"
    outcome = judge(talk, Played()).outcomes[0]
    assert (outcome.answered, outcome.gap_s) == (False, 3.0)
    assert Tally.over([judge(talk, Played())]).missed() == 0
    echoing = replace(talk, echo_db=-10.0)
    assert turns_of(echoing)[0].until_s == talk.agent[0].start_s


def test_stops_are_counted_over_the_agents_own_voice() -> None:
    """In time with compute, too late, never; a reply that ends by itself proves nothing; nor does silence."""
    talk = conversation()

    def stopped(*stops: float, spoken: tuple[float, float] = (3.5, 9.0), delay: float = 0.0) -> tuple[bool, ...]:
        return judge(talk, Played([3.2], list(stops), [spoken], delay)).interruptions

    assert stopped(6.4, spoken=(3.5, 6.4)) == (True,)
    assert stopped(6.4, spoken=(3.5, 6.4), delay=0.1) == (False,)
    assert stopped(6.6, spoken=(3.5, 6.6)) == (False,)
    assert stopped() == (False,)
    assert stopped(spoken=(3.5, 6.2)) == ()
    assert stopped(spoken=(3.5, 5.0)) == ()
    sign = replace(talk.user[1], kind="backchannel", end_s=6.4)
    listening = replace(talk, user=(talk.user[0], sign), agent=talk.agent[:1])
    assert judge(listening, Played([3.2], [6.7], [(3.5, 6.7)])).backchannels == (True,)
    assert judge(listening, Played([3.2], [], [(3.5, 9.0)])).backchannels == (False,)


def test_quantiles_of_what_was_not_watched_to_its_end() -> None:
    """Without such they are plain; a turn that was lost from sight early changes nothing, a late one does."""
    times = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    every = np.ones(5, np.bool_)
    assert product_limit(times, every, 0.5) == 0.3
    assert product_limit(np.append(times, 0.05), np.append(every, False), 0.5) == 0.3
    assert product_limit(np.append(times, [5.0, 5.0]), np.append(every, [False, False]), 0.5) == 0.4
    assert product_limit(np.append(times, [5.0] * 6), np.append(every, [False] * 6), 0.5) is None


def test_the_curve_is_read_at_the_same_cut_off_rate() -> None:
    """Between its points, and at its end beyond them; a point that another beats in both is none."""
    curve = [(0.5, 300.0), (0.1, 700.0), (0.02, 1500.0), (0.2, 900.0), (0.02, 1800.0)]
    assert at_rate(curve, 0.1) == (700.0, True)
    assert at_rate(curve, 0.3) == (pytest.approx(500.0), True)
    assert at_rate(curve, 0.06) == (pytest.approx(1100.0), True)
    assert at_rate(curve, 0.0) == (1500.0, False)
    assert at_rate(curve, 0.9) == (300.0, False)


def test_intervals_draw_clips_not_turns() -> None:
    """Turns of one clip stand or fall together: of two clips, one always and one never cut, all can happen."""
    one = [judge(one_turn(), Played(begins=[2.0]), "one") for _ in range(20)]
    other = [judge(one_turn(), Played(begins=[DUE]), "other") for _ in range(20)]
    tally = Tally.over([*one, *other])
    assert tally.cutoff_rate() == 0.5
    assert interval(tally.of, tally.cutoff_rate) == (0.0, 1.0)
    assert interval(tally.interruptions_of, tally.stop_rate) is None


# --- the systems


def activity(*voice: tuple[float, float], seconds: float) -> Activity:
    """What the detector says where voices sound at these times: it knows of both edges two windows later."""
    edges: dict[int, Started | Ended] = {}
    for start, end in voice:
        first, last = round(start * INPUT_RATE / WINDOW), round(end * INPUT_RATE / WINDOW)
        edges[first + 1], edges[last + 1] = Started(first * WINDOW), Ended(last * WINDOW)
    return Activity(round(seconds * INPUT_RATE) // WINDOW, edges.get)


def hesitant() -> World:
    """A turn with three pauses: 0.4, 0.9, and 1.5 s long."""
    spoken = ((1.0, 2.0), (2.4, 3.0), (3.9, 4.6), (6.1, 7.0))
    pauses = [Pause(one[1], other[0], "phrase") for one, other in pairwise(spoken)]
    talk = one_turn(*pauses, end=7.0, seconds=16)
    return World(talk, activity=activity(*spoken, seconds=16))


def test_longer_silences_cut_off_less_and_answer_later() -> None:
    """Each threshold begins in exactly the pauses that are longer, and that long after the end."""
    cut, gaps = [], []
    for number in (200, 500, 1000, 1600):
        played = listen(hesitant(), silence(number))
        cut.append(sum(at < 7.0 for at in played.begins))
        gaps.append(min(at for at in played.begins if at >= 7.0) - 7.0)
        assert gaps[-1] == pytest.approx(number / 1000, abs=0.05)
    assert cut == [3, 2, 1, 0]
    assert gaps == sorted(gaps)


def test_a_voice_stops_the_reply_and_the_turn_goes_on() -> None:
    """After 240 ms of voice, begun in the pause; then the next silence counts anew."""
    played = listen(hesitant(), silence(500))
    assert played.stops[0] == pytest.approx(3.9 + 0.24, abs=0.05)
    assert played.begins[1] == pytest.approx(4.6 + 0.5, abs=0.05)
    assert all(start < end for start, end in played.spoken if end > start)


class Undecided:
    """A detector of turns that says no, and remembers how much it was given."""

    def __init__(self) -> None:
        self.heard: list[float] = []

    def complete(self, pcm: Samples) -> float:
        self.heard.append(len(pcm) / INPUT_RATE)
        return 0.1


def test_smart_turn_is_asked_once_in_a_pause() -> None:
    """With the turn from its start; when it says no, three seconds more end the turn."""
    world, detector = hesitant(), Undecided()
    played = listen(world, Asking(detector, world.microphone.pcm))
    assert len(detector.heard) == 4
    assert detector.heard[0] == pytest.approx(2.0 + 0.2 - 0.5, abs=0.05)
    assert detector.heard[3] == pytest.approx(7.0 + 0.2 - 0.5, abs=0.05)
    assert played.begins == [pytest.approx(7.0 + 3.2, abs=0.05)]


def test_a_reply_sounds_as_long_as_the_recorded_one_would_have() -> None:
    """Two of three words were heard before it was stopped: all of it lasts half as long again. Others last 2 s."""
    voice = World(conversation()).voice
    voice.begin(decided_s(19))
    assert not voice.sounding(3.35)
    assert voice.sounding(3.45)
    assert voice.over == pytest.approx(decided_s(19) + 0.2 + 4.5)
    voice.stop(5.0)
    assert not voice.busy(5.0)
    assert voice.played.spoken == [(pytest.approx(3.4), 5.0)]
    early = World(conversation()).voice
    early.begin(1.0)
    assert early.over == pytest.approx(1.0 + 0.32 + 2.0)
    early.attend(9.0)
    assert early.sounding(9.2)
    assert not early.busy(9.2)


def echoing() -> tuple[Conversation, Samples, Samples]:
    """A conversation with an echo, what the microphone hears without it, and that echo."""
    exchanges = plain("I was in the garden all day long."), plain("And now I am quite tired.")
    for seed in range(50):
        heard = staged(dialogue(*exchanges), str(seed)).conversation
        if heard.echo is not None and rms(heard.echo) > 1e-3:
            return heard, heard.unechoed().pcm, heard.echo
    raise AssertionError("none has an echo")


def test_who_does_as_the_recorded_agent_hears_what_was_recorded() -> None:
    """The echo is put where the voice sounds, up to the hundredths of a second for which a room rings."""
    recorded, quiet, echo = echoing()
    world = World(recorded.unechoed(), echo)
    assert not np.shares_memory(world.microphone.pcm, recorded.pcm)
    np.testing.assert_array_equal(world.microphone.pcm, quiet)
    for said in recorded.agent:
        world.voice.begin(decided_s(said.frame))
    np.testing.assert_allclose(world.voice.played.spoken, [(said.start_s, said.end_s) for said in recorded.agent])
    off = world.microphone.pcm - recorded.pcm
    assert rms(off) < 0.2 * rms(echo)
    sounding = recorded.agent[0]
    inside = slice(round((sounding.start_s + 0.1) * INPUT_RATE), round(sounding.end_s * INPUT_RATE))
    np.testing.assert_allclose(off[inside], 0, atol=1e-4)


def test_an_echo_follows_the_voice() -> None:
    """Who begins later hears it later, who stops hears no more, and who says nothing hears nothing."""
    recorded, quiet, echo = echoing()
    first = recorded.agent[0]
    late = Microphone(recorded.unechoed(), echo)
    start = first.start_s + 1.5
    late.sounds("reply", start, start + 1.0)
    before, there = round(start * INPUT_RATE), slice(*(round((at + start) * INPUT_RATE) for at in (0.1, 0.9)))
    np.testing.assert_array_equal(late.pcm[:before], quiet[:before])
    moved = echo[there.start - round(1.5 * INPUT_RATE) : there.stop - round(1.5 * INPUT_RATE)]
    np.testing.assert_allclose(late.pcm[there] - quiet[there], moved, atol=1e-6)
    late.falls_silent(start + 0.5)
    faded = round((start + 0.52) * INPUT_RATE)
    np.testing.assert_array_equal(late.pcm[faded:], quiet[faded:])
    assert rms(late.pcm[faded - 400 : faded - 300] - quiet[faded - 400 : faded - 300]) > 0
    np.testing.assert_array_equal(late.pcm[:before], quiet[:before])


def test_an_echo_that_nobody_has_kept_stays_in_the_sound() -> None:
    """A recording as it is: the agent's voice changes nothing of it."""
    recorded = replace(echoing()[0], echo=None)
    world = World(recorded.unechoed())
    assert turns_of(world.conversation)[0].until_s == recorded.agent[0].start_s
    world.voice.begin(decided_s(recorded.agent[0].frame))
    world.voice.stop(decided_s(recorded.agent[0].frame) + 0.5)
    np.testing.assert_array_equal(world.microphone.pcm, recorded.pcm)


def test_a_voice_detector_hears_no_more_than_it_is_given() -> None:
    """What sounds later may still change."""
    pcm = np.zeros(40 * WINDOW, np.float32)
    live, asked = Activity.of(pcm), []
    live.hear(20 * WINDOW - 1)
    assert live.windows == 19
    counted = Activity(10, lambda window: asked.append(window))
    for samples in (3 * WINDOW, 2 * WINDOW, 5 * WINDOW, 99 * WINDOW):
        counted.hear(samples)
    assert asked == list(range(10))
    assert len(live.frame_ms) == 19 * WINDOW // FRAME


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> DuplexRuntime:
    """A model of random weights."""
    folder = tmp_path_factory.mktemp("small")
    made = body()
    graph.write(made, adapter(made), folder, quantized=False)
    return DuplexRuntime(folder)


def cases(count: int = 10) -> list[Case]:
    made = [example(seed, frames=60 + seed) for seed in range(count)]
    spoken = activity((0.5, 1.2), (2.2, 3.0), (6.0, 7.0), seconds=12)
    return [Case(one.conversation, Sounds(one.features, one.prosody), activity=spoken) for one in made]


def test_the_model_plays_alone_as_it_does_beside_others(small: DuplexRuntime) -> None:
    """More conversations than step together, of different lengths; every frame has its foresight."""
    every = cases()
    together = list(perform(small, every, Policy(0.4, 0.4, 0.4)))
    assert [len(one.ends) for one in together] == [case.conversation.frames for case in every]
    for case, one in zip(every[::4], together[::4], strict=True):
        [alone] = perform(small, [case], Policy(0.4, 0.4, 0.4))
        assert alone.played == one.played
        np.testing.assert_allclose(alone.ends, one.ends, atol=1e-5)
    assert any(one.played.begins for one in together)


def test_nothing_is_answered_before_a_voice_was_heard(small: DuplexRuntime, tmp_path: Path) -> None:
    """A model that would always begin does so when it hears someone, and again when its reply is over and someone has
    spoken since; it drafts each time.
    """
    [case] = cases(1)
    [found] = perform(small, [case], Policy(begin=0.0, stop=1.1), small_drafter(tmp_path))
    assert found.played.begins[0] == decided_s(first_decided(0.5 + 2 * WINDOW / INPUT_RATE))
    assert list(found.drafts) == found.played.begins
    assert all(one.first_ms > 0 and one.five_ms > 0 for one in found.drafts.values())
    assert not found.played.stops
    [silent] = perform(small, [replace(case, activity=activity(seconds=12))], Policy(begin=0.0))
    assert silent.played.begins == []
    [stopping] = perform(small, [case], Policy(begin=0.0, stop=0.0))
    assert stopping.played.stops[0] == pytest.approx(found.played.begins[0] + FRAME_S)


class Spying(DuplexRuntime):
    """Remembers what it is given."""

    def step(self, streams: Sequence[Stream], heard: Sequence[Heard]) -> list[Decided]:
        self.given = [*getattr(self, "given", []), heard[0].features]
        return super().step(streams, heard)


def test_an_ear_hears_the_echo_of_what_is_said(tmp_path: Path) -> None:
    """Who says nothing hears what stands in the features, frame by frame; who begins hears something else from then."""
    recorded, quiet, echo = echoing()
    ear, made = open_ear(), body().shortened(1)
    graph.write(made, adapter(made, ear_width=ear.model.dims.width), tmp_path, quantized=False)
    expected = heard(ear, quiet).features
    spoken = activity((recorded.user[0].start_s, recorded.user[0].end_s), seconds=recorded.seconds)
    case = Case(recorded.unechoed(), ear, echo, spoken)
    given: list[Sequence[np.ndarray[tuple[int, ...], np.dtype[np.floating]]]] = []
    for policy in (Policy(1.1, 1.1, 1.1), Policy(begin=0.0, stop=1.1)):
        spy = Spying(tmp_path)
        [found] = perform(spy, [case], policy)
        given.append(spy.given)
    silent, speaking = given
    assert np.abs(np.array(silent) - expected).mean() < 0.02  # eight bits make much of the last one of a float
    begun = first_decided(found.played.begins[0])
    np.testing.assert_array_equal(speaking[: begun + 1], silent[: begun + 1])
    sounding = first_decided(found.played.spoken[0][0]) + 3
    assert np.abs(speaking[sounding] - silent[sounding]).max() > 0.1


def test_recognized_words_reach_the_model(small: DuplexRuntime) -> None:
    """With words the model's foresight is another from their frame on, and the same before."""
    [case] = cases(1)
    words: list[Sequence[str]] = [[]] * case.conversation.frames
    words[20] = ["good"]
    [without], [given] = (list(perform(small, [c], Policy(1.1, 1.1, 1.1))) for c in (case, replace(case, words=words)))
    assert without.ends[:20] == given.ends[:20]
    assert without.ends[20] != given.ends[20]


def test_foresight_counts_the_last_third_of_a_second() -> None:
    """Two frames lie in it; one that says so in the pause is wrong; what is said in silence counts nothing."""
    talk = conversation()
    ends = np.zeros(talk.frames)
    ends[first_decided(1.5)] = ends[first_decided(2.7)] = ends[first_decided(4.0)] = 1.0
    found = Foresight()
    found.add(talk, list(ends), 0.5)
    assert (found.turns, found.said, found.right) == (2, 2, 1)
    assert found.leads_s == [pytest.approx(3.0 - decided_s(first_decided(2.7)))]


# --- human turns


@pytest.fixture(scope="module")
def clip(english_voice: Voice) -> tuple[Samples, list[Word], float, float]:
    """A spoken sentence in noise: sound, words, and where the voice truly begins and ends."""
    speech = english_voice.synthesize("The old man walked down to the harbor to look at the boats and the birds.")
    voice = resample(speech.pcm, OUTPUT_RATE, INPUT_RATE)
    rng = np.random.default_rng(1)
    before, after = INPUT_RATE, INPUT_RATE // 2
    pcm = np.concatenate([np.zeros(before, np.float32), voice, np.zeros(after, np.float32)])
    # Louder than -40 dB of the voice.
    pcm += rng.normal(0, 0.02 * np.abs(voice).max(), len(pcm)).astype(np.float32)
    words = [word.shifted(1.0) for word in speech.words]
    return pcm, words, 1.0, 1.0 + len(voice) / INPUT_RATE


def test_the_end_of_a_voice_in_noise_is_found(clip: tuple[Samples, list[Word], float, float]) -> None:
    """Not at the end of the file, where noise still sounds: within some hundredths of a second of the truth."""
    pcm, words, start, end = clip
    [piece] = pieces("clip.wav", pcm, words)
    at = next(i for i in range(len(pcm)) if np.array_equal(pcm[i : i + 50], piece.pcm[:50]))
    assert at / INPUT_RATE == pytest.approx(start, abs=0.12)
    assert (at + len(piece.pcm)) / INPUT_RATE == pytest.approx(end, abs=0.12)
    assert piece.clip == "clip.wav"
    level = rms(pcm[: INPUT_RATE // 2])
    assert np.sqrt((piece.background**2).mean()) == pytest.approx(level, rel=0.25)


def test_nothing_is_made_of_noise(clip: tuple[Samples, list[Word], float, float]) -> None:
    """No voice, or one that is lost in it: no turn, and no words, no turn."""
    pcm, words, _, _ = clip
    rng = np.random.default_rng(2)
    assert pieces("noise", rng.normal(0, 0.1, INPUT_RATE * 3).astype(np.float32), words) == []
    assert pieces("silence", np.zeros(INPUT_RATE * 3, np.float32), words) == []
    assert pieces("unheard", pcm, []) == []


def test_long_clips_become_sentences(clip: tuple[Samples, list[Word], float, float]) -> None:
    """Three of them in a row, cut where the noise is all that sounds."""
    pcm, words, start, end = clip
    length = len(pcm) / INPUT_RATE
    long = np.concatenate([pcm] * 4)
    said = [word.shifted(i * length) for i in range(4) for word in words]
    found = pieces("long", long, said)
    assert [len(piece.words) for piece in found] == [len(words)] * 4
    assert all(len(piece.pcm) / INPUT_RATE == pytest.approx(end - start, abs=0.2) for piece in found)


def test_pauses_stand_inside_phrases_and_the_end_is_true(clip: tuple[Samples, list[Word], float, float]) -> None:
    """Between words, of 0.3 to 2 s, filled with background that is no digital silence; after the end nothing else."""
    pcm, words, _, _ = clip
    [piece] = pieces("clip.wav", pcm, words)
    turns = list(make_turns([piece], 30))
    assert len({turn.id for turn in turns}) == 30
    floor = rms(pcm[: INPUT_RATE // 2])
    pauses = [(turn, pause) for turn in turns for pause in turn.user[0].pauses]
    assert len(pauses) >= 30
    assert sum(pause.place == "phrase" for _, pause in pauses) >= 0.8 * len(pauses)
    for turn, pause in pauses:
        assert 0.3 <= pause.seconds <= LONGEST_PAUSE_S + 1e-3
        inside = turn.pcm[round(pause.start_s * INPUT_RATE) : round(pause.end_s * INPUT_RATE)]
        assert rms(inside) == pytest.approx(floor, rel=0.4)
        assert np.abs(inside).min() < np.abs(inside).max()
        before = [word for word in turn.user[0].words if word.end <= pause.start_s + 1e-6]
        after = [word for word in turn.user[0].words if word.start >= pause.end_s - 1e-6]
        assert before
        assert after
        assert len(before) + len(after) == len(words)
    for turn in turns:
        event = turn.user[0]
        assert [word.text for word in event.words] == [word.text for word in piece.words]
        added = sum(pause.seconds for pause in event.pauses)
        assert event.end_s - event.start_s <= len(piece.pcm) / INPUT_RATE + added + 1e-6
        after = turn.pcm[round(event.end_s * INPUT_RATE) :]
        assert len(after) / INPUT_RATE >= QUIET_S - 1e-3
        assert rms(after) == pytest.approx(floor, rel=0.4)
        assert rms(turn.pcm[round((event.end_s - 0.3) * INPUT_RATE) : round(event.end_s * INPUT_RATE)]) > 1.5 * floor
        [said] = turns_of(turn)
        assert said.until_s == event.end_s + ANSWERED_S
        assert len(turn.pcm) == turn.frames * FRAME
        assert turn.labels().sum() == Control.BOS
    again = make_turn(piece, 3, 1)
    np.testing.assert_array_equal(again.pcm, turns[3].pcm)
    assert again == turns[3]
    assert make_turn(piece, 3, 2) != again


def test_a_word_alone_is_one_turn(clip: tuple[Samples, list[Word], float, float]) -> None:
    """It has no place for a pause, and variants of it would be the same."""
    pcm, words, _, _ = clip
    [piece] = pieces("clip.wav", pcm, words)
    single = replace(piece, name="no#0", words=(Word("no", 0.0, 0.5),))
    assert [turn.user_voice for turn in make_turns([single, piece], 5)] == ["no", *["clip.wav"] * 4]
    assert len(list(make_turns([single], 5))) == 1
    assert list(make_turns([], 5)) == []


# --- sets and the command


def test_conversations_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of the test split until there are turns enough; asked again, none is made."""
    monkeypatch.setattr(duplex_sets, "_folder", lambda: tmp_path)
    monkeypatch.setattr(duplex_sets, "_cast", lambda: lambda rng, split: (USER, AGENT))
    monkeypatch.setattr(duplex_sets, "installed_talks", lambda: talks(100))
    told: list[str] = []
    made = duplex_sets.made(20, 1, lambda what, done, total: told.append(what))
    assert made.own
    assert [path.name for path in made.shards] == ["test-1-00001.npz"]
    assert told
    assert duplex_sets.made(20, 1, lambda what, done, total: pytest.fail("made again")) == made
    assert len(duplex_sets.made(10**6, 1, lambda what, done, total: None, lambda: True).shards) == 1
    with pytest.raises(DragomanError, match="split test"):
        duplex_sets.given(tmp_path)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--only", "duplexx"], "no 'duplexx'"),
        (["--only", "human"], "--data"),
        (["--begin", "often"], "--begin takes numbers"),
        (["--begin", "1.5"], "probabilities"),
        (["--only", "silence", "--conversations", "/nowhere"], "no conversations of the split test"),
    ],
)
def test_bad_wishes_are_one_clear_line(words: list[str], says: str) -> None:
    """Before anything is made or loaded for long."""
    result = CliRunner().invoke(app, ["bench", "duplex", *words])
    assert result.exit_code == 1
    assert says in " ".join(result.stderr.split())


def eager(path: Path) -> Path:
    """An adapter that fits the real ear and two layers of the real body, knows nothing, and begins whenever it may."""
    made = load_body(resolve("smollm2-135m"))
    d, inside, width = made.dims.width, 16, 384
    rng = np.random.default_rng(1)

    def matrix(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return (0.1 * rng.standard_normal(shape)).astype(np.float32)

    own = {
        "in": matrix(inside, BLOCK * width),
        "in_bias": matrix(inside),
        "out": matrix(d, inside),
        "out_bias": matrix(d),
        "controls": matrix(len(Control), d),
        "sounding": matrix(d),
        "words": matrix(d),
        "frames": matrix(len(FRAME_CONTROLS) + 1, d),
        "frames_bias": matrix(len(FRAME_CONTROLS) + 1),
        "end": matrix(d),
        "end_bias": matrix(1),
    }
    kept = tuple(made.merges.chosen(["yes good yes"], 600))
    at_once = Ends(breath=0.0, sure=-100.0, patience=0.0, likely=-100.0, certain=-100.0)
    eagerly = Policy(begin=0.0, stop=1.1, attend=1.1, ends=at_once)
    card = {"policy": asdict(eagerly)}
    sha = body_sha256(resolve("smollm2-135m"))
    save_adapter(path, Adapter(own, {}, kept, ear_digest("whisper-tiny.en"), width, sha, 2, card))
    return path


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_from_clips_to_figures(
    tmp_path: Path, clip: tuple[Samples, list[Word], float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two clips and a foreign one, synthetic conversations, every system: each has its row, on the same turns; the
    eager model cuts off everybody and is first, and silence is judged as its thresholds say.
    """
    data, folder = tmp_path / "data", tmp_path / "talks"
    data.mkdir()
    for name in ("one", "two"):
        save(data / f"{name}.wav", clip[0], INPUT_RATE)
    entries = [{"file": f"{name}.wav", "lang": "en", "transcript": "The old man."} for name in ("one", "two")]
    (data / "index.json").write_text(json.dumps([*entries, {"file": "tres.wav", "lang": "es", "transcript": "Hola."}]))
    talk = staged(dialogue(plain("Tell me about it."), plain("No, wait a moment.", breaks_in=0.5), interrupted=[6]))
    save_conversations(shard_path(folder, "test", 1, 1), [replace(talk.conversation, split="test")])
    monkeypatch.setattr(duplex_sets, "_folder", lambda: tmp_path / "made")
    monkeypatch.setattr(catalog, "cache_dir", lambda: tmp_path / "cache" / "models")
    words = ["bench", "duplex", "--data", str(data), "--conversations", str(folder), "--limit", "6", "--json"]
    words += ["--adapter", str(eager(tmp_path / "a.npz")), "--begin", "0.9999", "--words", "--seed", "3"]
    if drawn := _can_draw():
        words += ["--plot", str(tmp_path / "p.png")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    *_, summary = [json.loads(line) for line in result.stdout.splitlines()]
    rows = {(row["set"], row["system"]): row for row in summary["results"]}
    assert {name for name, _ in rows} == {"heldout", "human"}
    assert {system for _, system in rows} >= {"duplex", "duplex@0.9999", "smart-turn", "silence-200", "silence-2000"}
    assert {row["turns"] for (name, _), row in rows.items() if name == "human"} == {6}
    assert {row["turns"] for (name, _), row in rows.items() if name == "heldout"} == {2}
    assert rows["human", "duplex"]["cutoff_rate"] == 1
    assert rows["human", "duplex"]["stop_within_480ms"] is None
    assert rows["human", "duplex"]["frame_ms_p50"] > 0
    patient = rows["human", "silence-2000"]
    assert patient["cutoff_rate"] == 0
    assert patient["gap_p50_ms"] == pytest.approx(2050, abs=150)
    assert rows["human", "silence-200"]["gap_p50_ms"] is None or patient["gap_p50_ms"] > 1000
    [heldout, human] = summary["equal_cutoff"]
    assert human["set"] == "human"
    assert human["duplex_cutoff_rate"] == 1
    assert human["silence_gap_p50_ms"] is not None
    assert heldout["set"] == "heldout"
    assert summary["skipped"] == 1
    assert summary["drafts"]["begins"] >= 6
    assert summary["drafts"]["first_word_p90_ms"] <= summary["drafts"]["five_words_p90_ms"]
    assert 0 <= (summary["anticipation"]["recall"] or 0) <= 1
    assert summary["policies"]["duplex"]["begin"] == 0
    assert not drawn or (tmp_path / "p.png").stat().st_size > 1000


def _can_draw() -> bool:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True
