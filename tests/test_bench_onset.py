"""The benchmark of onset: turns that are cut out, systems that take them, the figures; scripted, in virtual time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dragoman.__main__ import app
from dragoman.agent.duplex.conversation import AgentUtterance, Conversation, UserEvent
from dragoman.agent.duplex.frames import FRAME, decided_s, first_decided
from dragoman.agent.duplex.store import save_conversations, shard_path
from dragoman.agent.parts import Parts
from dragoman.agent.ports import Message
from dragoman.audio.clock import run_virtual
from dragoman.audio.types import INPUT_RATE, DragomanError, Word
from dragoman.benchmarks import duplex_sets, onset_report
from dragoman.benchmarks.onset_bench import Bench, Plan
from dragoman.benchmarks.onset_figures import Run, against, groups, row
from dragoman.benchmarks.onset_judging import Fit, seam_ratio
from dragoman.benchmarks.onset_measuring import made_of, measurable
from dragoman.benchmarks.onset_modes import MODES, Mode, System
from dragoman.benchmarks.onset_pool import Pool
from dragoman.benchmarks.onset_ports import Meter, Spent, metered
from dragoman.benchmarks.onset_run import WAIT_S, Goal, Take, perform
from dragoman.benchmarks.onset_taking import Here, Job
from dragoman.benchmarks.onset_tuning import corrected, expected, shortest, silences
from dragoman.benchmarks.onset_turns import HeldOut, apart, cut, held_out, usable
from dragoman.benchmarks.turn_taking import turns_of
from dragoman.models.store import silent
from dragoman.verifier.features import Array

from .fakes import LoudIsSpeech, ScriptedRecognizer, ScriptedResponder, ToneVoice, scripted, speech

SAID = "Who wrote it?"


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
class Drafts:
    """Drafts the same words at each turn, in a tenth of a second."""

    text: str
    language: str = "en"

    def open(self) -> Drafts:
        return self

    def close(self) -> None: ...

    async def read(self, dialogue: Sequence[tuple[str, str]], text: str) -> None: ...

    async def draft(self, dialogue: Sequence[tuple[str, str]], text: str, words: int) -> Written:
        await asyncio.sleep(0.1)
        return Written(" ".join(self.text.split()[:words]))


@dataclass
class Believes:
    """Trusts everything or nothing."""

    trusts: float
    threshold: float = 0.5

    def trust(self, draft: object) -> float:
        return self.trusts


class Rest:
    """A language model that answers after half a second, and goes on from first words with others."""

    async def reply(self, messages: Sequence[Message], *, prefix: str = "", **options: object):  # type: ignore[no-untyped-def]
        await asyncio.sleep(0.5)
        yield " Austen, who else." if prefix else "It was Jane Austen."

    async def warm(self, messages: Sequence[Message], *, open_end: bool = False) -> None: ...

    async def aclose(self) -> None: ...


def parts(trusts: float = 0.9, draft: str = "I think that was she, dear") -> Parts:
    made = scripted([SAID], [])
    made.responder = Rest()
    made.drafter, made.judge = Drafts(draft), Believes(trusts)
    return made


def turn(*spans: tuple[float, float], name: str = "a/1", dialogue: tuple[tuple[str, str], ...] = ()) -> HeldOut:
    """A turn that ends with the last of its spans of voice."""
    end = spans[-1][1]
    pcm = speech(*spans, seconds=end + 0.4)
    return HeldOut(name, name.split("/")[0], pcm, np.zeros(1600, np.float32), end, dialogue, SAID)  # type: ignore[arg-type]


ONE = turn((0.5, 1.5))


def taken(system: System, one: HeldOut = ONE, loaded: Parts | None = None, goal: Goal | None = None) -> Take:
    """How a system takes a turn."""
    made = system.parts(loaded or parts())
    wanted = system.goal(whole=True) if goal is None else goal
    return run_virtual(perform(made, one, system.settings(), wanted), measured=False)


# --- a turn that is taken


def test_a_cascade_begins_when_silence_and_slow_path_let_it() -> None:
    """480 ms of silence after words that sound complete; half a second of writing has passed by then, nearly."""
    take = taken(System("cascade-same"))
    assert take.onset_ms == pytest.approx(580, abs=45)
    assert (take.text, take.prefix, take.kept, take.cut) == ("It was Jane Austen.", "", False, False)
    assert take.whole
    assert not take.armed
    assert take.heard == SAID


def test_the_same_cascade_knows_whole_turns_as_relay_does() -> None:
    """It is told by the same drafter, which drafts nothing."""

    class Knows(Drafts):
        tells_ends = True

        def open(self) -> Knows:
            return self

        async def whole(self, dialogue: Sequence[tuple[str, str]], text: str) -> float | None:
            return len(text) / 2

    loaded = parts()
    loaded.drafter = Knows("I think that was she, dear")
    turns = System("cascade-same").parts(loaded).drafter
    assert turns is not None
    assert turns.open().tells_ends
    assert asyncio.run(turns.open().whole((), SAID)) == len(SAID) / 2
    assert asyncio.run(turns.open().draft((), SAID, 8)).text == ""


def test_a_delay_of_the_slow_path_delays_a_cascade_and_no_first_words() -> None:
    """Two seconds more for who waits for the language model; none for who has first words, but a pause after them."""
    cascade, late = taken(System("cascade-same")), taken(System("cascade-same", 2.0))
    assert late.onset_ms == pytest.approx((cascade.onset_ms or 0) + 2000, abs=45)
    at_once, relay = taken(System("relay")), taken(System("relay", 2.0))
    assert at_once.prefix == relay.prefix == "I think that was she,"
    assert at_once.onset_ms == pytest.approx(500, abs=60)
    assert relay.onset_ms == pytest.approx(at_once.onset_ms, abs=60)
    assert at_once.armed
    assert relay.armed
    assert at_once.text == "I think that was she, Austen, who else."
    # The first words last 1.25 s; what follows them comes after 0.5 s, or 2.5 s, with the gap of a clause before it. It
    # is asked for as soon as they are there, a third of a second before they are said.
    assert at_once.gap_ms == pytest.approx(80, abs=45)
    assert relay.gap_ms == pytest.approx(1010, abs=80)


def test_what_the_verifier_does_not_trust_is_not_said() -> None:
    """The slow path answers alone."""
    take = taken(System("relay"), loaded=parts(trusts=0.2))
    assert (take.prefix, take.text) == ("", "It was Jane Austen.")
    assert take.onset_ms == pytest.approx(580, abs=45)


def test_fast_says_every_draft_and_nothing_else() -> None:
    """Without a draft it says nothing at all."""
    take = taken(System("fast"), loaded=parts(trusts=0.2))
    assert take.text == take.prefix == "I think that was she,"
    assert take.gap_ms is None
    none = taken(System("fast"), loaded=parts(draft="I"))
    assert (none.onset_ms, none.cut, none.text) == (None, False, "")


def test_a_reply_in_a_pause_is_a_cut_off() -> None:
    """A silence that is shorter than the pause; a longer one waits for the end."""
    paused = turn((0.5, 1.5), (2.6, 3.5))
    short, long = (taken(System("cascade-vad", silence_ms=ms), paused) for ms in (300, 1200))
    assert (short.cut, short.onset_ms) == (True, None)
    assert not long.cut
    assert long.onset_ms == pytest.approx(1230, abs=45)


def test_the_dialogue_before_is_remembered() -> None:
    """The language model reads it."""
    loaded = scripted([SAID], ["Jane Austen."])
    taken(System("cascade-same"), turn((0.5, 1.5), dialogue=(("user", "Hi."), ("assistant", "Hello."))), loaded)
    assert isinstance(loaded.responder, ScriptedResponder)
    assert [message.content for message in loaded.responder.prompts[0][1:]] == ["Hi.", "Hello.", SAID]


def test_what_fails_is_told() -> None:
    """A turn without an answer has a reason."""
    loaded = scripted([SAID], ["Jane."])
    assert isinstance(loaded.responder, ScriptedResponder)
    loaded.responder.failures = 1
    take = taken(System("cascade-same"), loaded=loaded)
    assert take.onset_ms is None
    assert take.problems == ("the language model is away",)


def test_a_meter_knows_what_was_wasted() -> None:
    """The slow path's own answer to a turn that first words answered, and no more; a delay is no work."""
    meter, late = Meter(), Meter()
    taken(System("relay", 2.0), loaded=metered(parts(), ToneVoice(), late))
    assert late.wasted("I think that was she, Austen, who else.") == pytest.approx(0, abs=0.05)
    take = taken(System("relay"), loaded=metered(parts(), ToneVoice(), meter))
    assert {one.stage for one in meter.spent} == {"draft", "judge", "voice", "brain"}
    assert meter.wasted(take.text) == pytest.approx(0.1, abs=0.05)
    assert meter.wasted("Something else.") > meter.wasted(take.text)
    mine = Meter([Spent("draft", "I think so too", 1), Spent("voice", "I think", 2), Spent("brain", "", 4)])
    assert mine.wasted("I think so, yes") == 4
    assert mine.wasted("No.") == 7


# --- turns


def conversation(name: str = "c", echo_db: float | None = -20.0) -> Conversation:
    """Two turns with a reply to each; the second begins over the reply to the first. What sounds is 0.5 loud, the
    background 0.001.
    """
    pcm = np.full(100 * FRAME, 0.001, np.float32)
    first = UserEvent("turn", 1.0, 2.0, (Word("hi", 1.0, 2.0),), "Hi.")
    second = UserEvent("interruption", 6.0, 7.0, (Word("no", 6.0, 7.0),), "No.")
    due = [first_decided(end + 0.2) for end in (2.0, 7.0)]
    replies = tuple(
        AgentUtterance("reply", "Hello", k, decided_s(k) + 0.3, end) for k, end in zip(due, (6.2, 9.0), strict=True)
    )
    sounds = [(1.0, 2.0), (6.0, 7.0)] + [(said.start_s, said.end_s) for said in replies if echo_db is not None]
    for start, end in sounds:
        pcm[round(start * INPUT_RATE) : round(end * INPUT_RATE)] = 0.5
    return Conversation(name, "test", "en", pcm, (("user", "Before."),), (first, second), replies, "u", "a", echo_db)


def test_a_turn_is_cut_out_with_its_true_end_and_its_dialogue() -> None:
    """Nothing of the agent's sounds in it, however long it is heard."""
    made = conversation()
    first, second = turns_of(made)
    assert usable(made, first)
    assert not usable(made, second)  # the agent's echo sounds at its start
    assert usable(conversation(echo_db=None), second)
    one = cut(made, first)
    end = round(one.end_s * INPUT_RATE)
    assert one.end_s == pytest.approx(1.5)
    assert one.pcm[end - 1] == pytest.approx(0.5)
    assert np.abs(one.pcm[end:]).max() == np.abs(one.background(200_000)).max() == pytest.approx(0.001)
    assert one.context == (("user", "Before."), ("user", "Hi."))


def test_turns_of_one_conversation_are_put_apart() -> None:
    """Neighbours are of different conversations; the same seed gives the same order."""
    turns = [replace(ONE, name=f"{c}/{i}", conversation=c) for c in "abc" for i in range(3)]
    order = apart(turns, 1)
    assert sorted(one.name for one in order) == [one.name for one in turns]
    assert {one.conversation for one in order[:3]} == {*"abc"}
    assert [one.name for one in apart(turns, 1)] == [one.name for one in order]


def test_the_silence_is_as_short_as_the_cut_off_rate_allows() -> None:
    """By the pauses that the detector hears in the turns; a silence that turned out otherwise is corrected."""
    turns = [turn((0.5, 1.5), (1.5 + pause, 3.5)) for pause in (0.3, 0.6, 0.9, 1.2)]
    pauses = [silences(one, LoudIsSpeech()) for one in turns]
    assert [len(found) for found in pauses] == [1, 1, 1, 1]
    # The detector is sure of a voice two windows after it begins.
    assert [found[0] for found in pauses] == pytest.approx([0.37, 0.67, 0.97, 1.27], abs=0.05)
    assert expected(pauses, 100) == 1
    assert expected(pauses, 2000) == 0
    assert 950 <= shortest(pauses, 0.25) <= 1020
    assert 1250 <= shortest(pauses, 0.0) <= 1320
    tried = shortest(pauses, 0.25)
    assert corrected(pauses, tried, seen=0.25, rate=0.25) == tried
    assert corrected(pauses, tried, seen=0.0, rate=0.25) == shortest(pauses, 0.5)


# --- figures


def run_of(
    mode: Mode, name: str, onset: float | None, *, kept: bool = False, delay: float = 0.0, **more: object
) -> Run:
    take = Take(
        onset, False, kept, "I see that" if kept else "", None, "I see.", SAID, True, None, 1.0, np.zeros(0, np.float32)
    )
    return Run(System(mode, delay), "virtual", replace(ONE, name=name, conversation=name), replace(take, **more), 0.25)  # type: ignore[arg-type]


def test_a_row_tells_kept_turns_from_others_on_the_same_turns() -> None:
    """What relay kept is looked at in the cascade, too; a turn that was broken into counts for nothing but that."""
    names = [str(i) for i in range(10)]
    relay = [run_of("relay", name, 100.0 if i < 6 else 900.0, kept=i < 6) for i, name in enumerate(names)]
    relay[9] = run_of("relay", "9", None, cut=True)
    cascade = [run_of("cascade-same", name, 800.0) for name in names]
    cascade[0] = run_of("cascade-same", "0", 1600.0)
    hits = {"relay": dict.fromkeys(names[:8], True), "cascade-same": {name: int(name) < 4 for name in names[:8]}}
    second, first = groups([*relay, *cascade], hits)  # type: ignore[arg-type]
    mine, theirs = row(first), row(second)
    assert (mine["onset_p50_ms"], mine["onset_kept_p90_ms"], mine["onset_discarded_p90_ms"]) == (100, 100, 900)
    assert (mine["keep_rate"], mine["cutoff_rate"], mine["armed_rate"]) == (6 / 9, 0.1, 6 / 9)
    assert mine["filler_rate"] == 1  # "I see that" may be said to anybody
    assert mine["wasted_cpu_share"] == 0.25
    assert (theirs["onset_p90_ms"], theirs["onset_kept_p90_ms"], theirs["onset_discarded_p90_ms"]) == (800, 1600, 800)
    assert theirs["keep_rate"] is None
    assert (mine["quality"], theirs["quality"]) == (1, 0.5)
    low, high = theirs["quality_ci95"]  # type: ignore[misc]
    assert low < 0.5 < high
    (compared,) = against([first, second])
    assert compared["turns"] == 9
    assert compared["kept_p90_ratio"] == 100 / 1600
    assert compared["all_p50_ratio"] == 100 / 800
    assert compared["quality_gain"] == 0.5


def test_a_reply_that_never_came_is_later_than_all_others() -> None:
    """It does not make a median sooner, and a percentile that it holds is not known."""
    runs = [run_of("cascade-same", str(i), 500.0 if i < 8 else None) for i in range(10)]
    made = row(groups(runs, {})[0])
    assert (made["onset_p50_ms"], made["onset_p90_ms"], made["unanswered"]) == (500, None, 2)


class Ranks:
    """Replies and dialogues fit that have the same first word."""

    margin = generic = 0.0

    def dialogues(self, dialogues: Sequence[Sequence[tuple[str, str]]]) -> Array:
        return self.replies([dialogue[-1][1] for dialogue in dialogues])

    def replies(self, texts: Sequence[str]) -> Array:
        return np.array([np.eye(40, dtype=np.float32)[int(text.split()[0])] for text in texts])


def test_a_reply_hits_where_it_fits_its_own_turn_best() -> None:
    """Among turns of other conversations; without enough of them nothing is told."""
    turns = [replace(ONE, name=str(i), conversation=str(i), text=f"{i} is it") for i in range(32)]
    assert Fit(turns, Ranks()).hits({"3": "3 yes", "4": "5 no"}) == {"3": 1, "4": 0}
    assert Fit(turns[:10], Ranks()).hits({"3": "3 yes"}) == {}


def test_a_hit_does_not_depend_on_which_others_are_drawn() -> None:
    """One of 31 others fits as well: 15 that are drawn have it in 15 of 31 cases, and then the reply is no hit."""
    turns = [replace(ONE, name=str(i), conversation=str(i), text=f"{max(i, 1)} is it") for i in range(32)]
    assert Fit(turns, Ranks()).hits({"1": "1 yes"})["1"] == pytest.approx(1 - 15 / 31)


def test_seams_are_judged_by_what_is_understood() -> None:
    """Twice the errors of the same text in one piece."""
    voice, pcm = ToneVoice(), np.zeros(2400, np.float32)

    def ratio(joined: str, whole: str) -> float | None:
        return seam_ratio([("my dear old friend", pcm)], voice, ScriptedRecognizer([joined, whole]), silent)

    assert ratio("my deer odd friend", "my dear odd friend") == 2
    assert ratio("my dear old friend", "my dear old friend") == 1
    assert ratio("my deer old friend", "my dear old friend") is None
    assert seam_ratio([], voice, ScriptedRecognizer([]), silent) is None


# --- the whole


def bench(
    turns: Sequence[HeldOut],
    loaded: Parts,
    seconds: float = 600.0,
    probes: Sequence[HeldOut] = (),
    **wanted: int,
) -> Bench:
    plan = Plan(
        MODES,
        (0.0, 1.0),
        wanted.get("most", len(turns)),
        wanted.get("delayed", 1),
        wanted.get("real", 1),
        time.monotonic() + seconds,
    )
    taker = Here(loaded)

    def real(jobs: Iterator[Job]) -> Iterator[Sequence[Run]]:
        return (run_virtual(taker.real(job), measured=False) for job in jobs)

    return Bench(taker, turns, plan, LoudIsSpeech, silent, real, probes=probes)


def test_probes_are_answered_apart_from_all_other_turns() -> None:
    """By whom the hand-off and its rival are; whole; and they count for no figure of onset."""
    probes = [turn((0.5, 1.5), name=f"probe-{i}") for i in range(2)]
    made = bench([turn((0.5, 1.5), name="0/1")], parts(), probes=probes)
    made.run()
    assert {run.turn.name for run in made.runs} == {"0/1"}
    assert {(run.turn.name, run.system.mode): run.take.text for run in made.probed} == {
        (f"probe-{i}", mode): text
        for i in range(2)
        for mode, text in (
            ("relay", "I think that was she, Austen, who else."),
            ("cascade-same", "It was Jane Austen."),
        )
    }


def test_every_system_takes_the_same_turns() -> None:
    """Without delay, late, and in real time; the silence is tuned to relay; the summary has every figure."""
    turns = [turn((0.5, 1.5), (1.5 + pause, 3.0), name=f"{i}/1") for i, pause in enumerate((0.2, 0.25, 0.3))]
    made = bench(turns, parts())
    made.run()
    counts = {
        (system.mode, system.delay_s, clock): 0 for system, clock in ((run.system, run.clock) for run in made.runs)
    }
    for run in made.runs:
        counts[run.system.mode, run.system.delay_s, run.clock] += 1
    assert counts == {
        **{(mode, 0.0, "virtual"): 3 for mode in MODES},
        **{(mode, 1.0, "virtual"): 1 for mode in ("cascade-vad", "cascade-same", "relay")},
        **{(mode, 0.0, "real"): 1 for mode in MODES if mode != "fast"},
    }
    found = made_of(made, None, None, ToneVoice(), None, silent)
    summary = json.loads(json.dumps(found.summary()))
    rows = {(one["mode"], one["slow_delay_s"], one["clock"]): one for one in summary["results"]}
    vad, relay, late = (
        rows[key] for key in (("cascade-vad", 0.0, "virtual"), ("relay", 0.0, "virtual"), ("relay", 1.0, "virtual"))
    )
    assert vad["cutoff_rate"] == relay["cutoff_rate"] == 0
    assert 300 <= vad["silence_ms"] <= 420
    assert relay["keep_rate"] == relay["armed_rate"] == 1
    assert late["onset_kept_p90_ms"] == pytest.approx(relay["onset_kept_p90_ms"], abs=60)
    assert rows["cascade-same", 1.0, "virtual"]["onset_p90_ms"] > 1400
    assert relay["quality"] is None
    assert [one["cascade"] for one in summary["against"]] == ["cascade-vad", "cascade-same"] * 3
    assert {*summary["verifier"]} == {
        "auroc_gold", "auroc_auto", "auroc_baseline", "ece", "bad_prefix_rate_gold", "ms_p90",
    }  # fmt: skip
    assert summary["verifier"]["auroc_gold"] is None
    assert summary["verifier"]["ms_p90"] >= 0
    assert summary["notes"] == []


def scripted_here() -> Here:
    """For another process."""
    return Here(parts())


def fails() -> Here:
    raise DragomanError("no model is here")


def test_processes_take_all_turns_and_a_turn_always_comes_to_the_same() -> None:
    """In whatever order they come back."""
    turns = [turn((0.5, 1.5), name=f"{i}/1") for i in range(4)]
    pool = Pool(scripted_here, 2)
    try:
        for systems in ((System("relay"), System("cascade-same")), (System("cascade-vad", silence_ms=400),)):
            found = [*pool.take([Job(one, systems) for one in turns])]
            assert sorted(runs[0].turn.name for runs in found) == ["0/1", "1/1", "2/1", "3/1"]
            assert all([run.system for run in runs] == [*systems] for runs in found)
            assert all(run.take.onset_ms is not None for runs in found for run in runs)
    finally:
        pool.close()


def test_what_fails_in_a_process_is_told_here() -> None:
    """In a line."""
    broken = Pool(fails, 1)
    try:
        with pytest.raises(DragomanError, match="no model is here"):
            list(broken.take([Job(ONE, (System("relay"),))]))
    finally:
        broken.close()


def test_what_there_was_no_time_for_is_told() -> None:
    """Nothing at all is an error; fewer turns than were wanted are a note."""
    with pytest.raises(DragomanError, match="--max-s"):
        bench([ONE], parts(), seconds=-1).run()
    made = bench([ONE], parts(), most=5, real=3)
    made.run()
    assert made.notes[0].startswith("1 turns instead of 5: there are no more")
    assert made.notes[1].startswith("1 turns in real time instead of 3")


def test_without_a_verifier_two_cascades_are_left() -> None:
    """It is told, and an error for who asked for relay."""
    plan = Plan(MODES, (0.0,), 1, 0, 0, 0.0)
    left, notes = measurable(plan, first_words=False, named=False)
    assert left.modes == ("cascade-vad", "cascade-same")
    assert [note.split()[0] for note in notes] == ["fast", "relay"]
    assert "dragoman train verifier" in notes[1]
    with pytest.raises(DragomanError, match="fast can't be measured"):
        measurable(plan, first_words=False, named=True)
    with pytest.raises(DragomanError, match="cascade-vad is tuned"):
        measurable(replace(plan, modes=("cascade-vad",)), first_words=True, named=True)


def test_pictures_are_drawn(tmp_path: Path) -> None:
    """One of the onsets, one of the delays."""
    runs = [run_of(mode, str(i), 100.0 * i, delay=delay) for mode in MODES for i in range(4) for delay in (0.0, 2.0)]
    found = groups(runs, {})
    for path in onset_report.draw(found, [row(one) for one in found], tmp_path):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_turns_come_from_shards_of_the_test_split(tmp_path: Path) -> None:
    """All that can be cut out of a folder."""
    path = shard_path(tmp_path, "test", 1, 1)
    save_conversations(path, [conversation("a"), conversation("b", echo_db=None)])
    assert sorted(one.conversation for one in held_out([path], silent)) == ["a", "b", "b"]
    empty = shard_path(tmp_path, "test", 1, 2)
    save_conversations(empty, [])
    with pytest.raises(DragomanError, match="no turn"):
        held_out([empty], silent)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--only", "relai"], "there is no 'relai'"),
        (["--delays", "soon"], "not 'soon'"),
        (["--delays", "60"], "from 0 to"),
        (["--data", "nowhere"], "holds no conversations of the split test"),
    ],
)
def test_what_cannot_be_measured_is_one_clear_line(arguments: list[str], reason: str) -> None:
    """Before anything is loaded."""
    result = CliRunner().invoke(app, ["bench", "onset", *arguments])
    assert result.exit_code == 1
    assert reason in " ".join(result.stderr.split())


def test_conversations_are_made_in_a_part_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is for measuring."""

    def made(turns: int, seed: int, progress: object, late: Callable[[], bool]) -> None:
        raise DragomanError(f"{turns} turns, late {late()}")

    monkeypatch.setattr(duplex_sets, "made", made)
    for seconds, late in (("1000", False), ("-1", True)):
        result = CliRunner().invoke(app, ["bench", "onset", "--limit", "26", "--max-s", seconds])
        assert f"28 turns, late {late}" in result.stderr


def test_who_waits_too_long_has_not_been_answered() -> None:
    """The benchmark goes on."""
    loaded = parts()
    loaded.responder = ScriptedResponder(["It was Jane."], first=2 * WAIT_S)
    take = taken(System("cascade-same"), loaded=loaded)
    assert (take.onset_ms, take.cut, take.text) == (None, False, "")
