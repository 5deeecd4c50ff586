"""The duplex model's run time: endless, the same alone or in a batch, drafts on the side; what it is built from."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from duplex_small import EAR_WIDTH, adapter, body, conversation, merges
from duplex_small import endpointer as small_endpointer

from dragoman.agent.duplex import graph
from dragoman.agent.duplex.ends import Ends, Evidence, Silence
from dragoman.agent.duplex.frames import Control
from dragoman.agent.duplex.history import make_history, said
from dragoman.agent.duplex.policy import OwnTokens, Policy
from dragoman.agent.duplex.prosody import PROSODY
from dragoman.agent.duplex.rehearsal import Rehearsal, Turn, rehearse
from dragoman.agent.duplex.runtime import ROLL, Decided, DuplexRuntime, Heard, Stream
from dragoman.agent.duplex.vocabulary import Vocabulary
from dragoman.agent.duplex.windows import SINK, WINDOW, cut_window, make_batch
from dragoman.asr.causal.features import BLOCK

RNG = np.random.default_rng(3)
HEARD = [
    Heard(
        RNG.standard_normal((BLOCK, EAR_WIDTH)).astype(np.float32),
        RNG.standard_normal((BLOCK, PROSODY)).astype(np.float32),
        bool(i % 3),
        (5, 9)[: i % 3],
    )
    for i in range(300)
]
TALK = (("user", "Hello."), ("assistant", "Yes?"))


def opened(folder: Path, *, quantized: bool, layers: int = 3) -> DuplexRuntime:
    small = body().shortened(layers)
    graph.write(small, adapter(small), folder, quantized=quantized)
    return DuplexRuntime(folder)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> DuplexRuntime:
    return opened(tmp_path_factory.mktemp("duplex"), quantized=True)


@pytest.fixture(scope="module")
def shallow(tmp_path_factory: pytest.TempPathFactory) -> DuplexRuntime:
    """One layer: what is kept of a frame depends on that frame alone."""
    return opened(tmp_path_factory.mktemp("shallow"), quantized=False, layers=1)


def heard(runtime: DuplexRuntime, stream: Stream, frames: Sequence[Heard]) -> list[Decided]:
    out = []
    for frame in frames:
        out += runtime.step([stream], [frame])
        stream.own.decided(Control.SIL)
    return out


def numbers(decided: Sequence[Decided]) -> np.ndarray:
    return np.array([[*d.probabilities, d.ends] for d in decided])


def test_alone_or_in_a_batch_it_is_the_same(runtime: DuplexRuntime) -> None:
    """Sessions of different ages step together and get the very numbers that they get alone, in 8 bits too."""
    alone = []
    for i in range(3):
        stream = runtime.open(TALK[:i])
        heard(runtime, stream, HEARD[: 5 * i])
        alone.append(numbers(heard(runtime, stream, HEARD[20 + i : 30 + i])))
    streams = [runtime.open(TALK[:i]) for i in range(3)]
    for i, stream in enumerate(streams):
        heard(runtime, stream, HEARD[: 5 * i])
    for t in range(10):
        decided = runtime.step(streams, [HEARD[20 + i + t] for i in range(3)])
        for i, one in enumerate(decided):
            streams[i].own.decided(Control.SIL)
            np.testing.assert_allclose(numbers([one])[0], alone[i][t], atol=1e-5)


def test_eight_bits_are_close(runtime: DuplexRuntime, tmp_path: Path) -> None:
    """What is decided in 8 bits is about what is decided in full precision."""
    full = opened(tmp_path, quantized=False)
    rough, exact = (numbers(heard(r, r.open(TALK), HEARD[:40])) for r in (runtime, full))
    assert np.abs(rough - exact).max() < 0.08
    assert np.abs(rough - exact).mean() < 0.01
    assert exact.std(0).min() > 0.01


def test_all_that_is_given_is_heard(runtime: DuplexRuntime) -> None:
    """The features, the sounding voice, new words, the previous token and the dialogue each make a difference."""
    plain = HEARD[0]
    variants = [
        plain,
        replace(plain, features=HEARD[1].features),
        replace(plain, sounding=not plain.sounding),
        replace(plain, words=(7,)),
    ]
    found = [numbers(runtime.step([runtime.open(TALK)], [given]))[0] for given in variants]
    found.append(numbers(runtime.step([runtime.open(TALK[:1])], [plain]))[0])
    stream = runtime.open(TALK)
    stream.own.decided(Control.BOS)
    found.append(numbers(runtime.step([stream], [plain]))[0])
    for i, one in enumerate(found):
        for other in found[:i]:
            assert np.abs(one - other).max() > 1e-4


def test_a_stream_is_endless(runtime: DuplexRuntime) -> None:
    """However long it goes on, no more is kept than a window, in the same memory."""
    stream = runtime.open(TALK)
    before, lengths = stream.past.keys.nbytes, []
    for frame in [*HEARD, *HEARD]:
        [decided] = heard(runtime, stream, [frame])
        assert np.isfinite(decided.probabilities).all()
        lengths.append(stream.frames)
    assert max(lengths) == WINDOW
    assert min(lengths[WINDOW:]) == WINDOW - ROLL + 1
    assert stream.past.keys.nbytes == before


def test_what_is_dropped_is_forgotten(shallow: DuplexRuntime) -> None:
    """After the oldest frames were dropped, the others stand where they would without them."""
    long = heard(shallow, shallow.open(TALK), HEARD[: WINDOW + 5])
    short = heard(shallow, shallow.open(TALK), HEARD[ROLL : WINDOW + 5])
    np.testing.assert_allclose(numbers(long[-5:]), numbers(short[-5:]), atol=1e-4)
    assert np.abs(numbers(long[-6:-5]) - numbers(short[-6:-5])).max() > 1e-5


def test_the_dialogue_is_replaced(shallow: DuplexRuntime) -> None:
    """A session that is told what was said meanwhile goes on as one that began with it."""
    told = [*TALK, ("user", "yes yes"), ("assistant", "good good")]
    for first, then in ((TALK, told), (told, TALK)):
        stream, fresh = shallow.open(first), shallow.open(then)
        heard(shallow, stream, HEARD[:20])
        heard(shallow, fresh, HEARD[:20])
        shallow.remember(stream, then)
        assert stream.sink == fresh.sink <= SINK
        after = [numbers(heard(shallow, one, HEARD[20:25])) for one in (stream, fresh)]
        np.testing.assert_allclose(after[0], after[1], atol=1e-4)


# --- own tokens and policy ---------------------------------------------------------------------------------------


def test_words_are_fed_back_one_a_frame() -> None:
    """A decision goes before them, and any decision but silence ends them."""
    own, seen = OwnTokens(100), []
    for decided in (0, 1, 0, 0, 0, 0, 1, 0, 3, 0):
        own.decided(Control(decided))
        if decided == Control.BOS:
            own.say([7, 8, 102])
        seen.append(own.previous)
    assert seen == [100, 101, 7, 8, 102, 100, 101, 7, 103, 100]


@pytest.mark.parametrize(
    ("probabilities", "busy", "decided"),
    [
        ((0.4, 0.6, 0.0, 0.0), False, Control.BOS),
        ((0.4, 0.6, 0.0, 0.0), True, Control.SIL),
        ((0.4, 0.0, 0.6, 0.0), True, Control.STP),
        ((0.4, 0.0, 0.6, 0.0), False, Control.SIL),
        ((0.2, 0.0, 0.0, 0.8), False, Control.BOC),
        ((0.2, 0.0, 0.0, 0.8), True, Control.SIL),
        ((0.9, 0.1, 0.0, 0.0), False, Control.SIL),
    ],
)
def test_what_can_be_decided(probabilities: tuple[float, ...], busy: bool, decided: Control) -> None:
    """Who speaks can only stop; who is silent can only begin."""
    assert Policy().decide(np.array(probabilities), busy) == decided


ENDS = Ends(over=1.0, whole=2.0, alone=0.5, breath=0.2, sure=2.0, patience=0.5, likely=1.0, haste=1.0, certain=3.0)


@pytest.mark.parametrize(
    ("known", "decided"),
    [
        (Evidence(1.1, 0.5, 0.2), Control.BOS),
        (Evidence(1.1, 0.4, 0.2), Control.SIL),
        (Evidence(9.0, 9.0, 0.19), Control.SIL),
        (Evidence(4.1, None, 0.2), Control.BOS),
        (Evidence(3.9, None, 0.2), Control.SIL),
        (Evidence(0.0, 0.6, 0.49), Control.SIL),
        (Evidence(0.0, 0.6, 0.5), Control.BOS),
        (Evidence(0.0, 0.4, 0.5), Control.SIL),
        (Evidence(0.0, 0.4, 0.7), Control.BOS),
        (Evidence(-40.0, 2.0, 9.0), Control.SIL),
        (Evidence(-40.0, 2.0, 40.0), Control.BOS),
        (Evidence(6.1), Control.BOS),
        (Evidence(5.9), Control.SIL),
    ],
)
def test_what_is_known_of_the_end_is_weighed(known: Evidence, decided: Control) -> None:
    """Who is sure begins after a breath, others wait and ask for less and less; no silence is needed where the end is
    certain.
    """
    policy, probabilities = Policy(begin=0.8, ends=ENDS), np.array([0.1, 0.9, 0.0, 0.0])
    assert policy.decide(probabilities, False, known) == decided
    assert policy.decide(probabilities, True, known) == Control.SIL
    assert policy.decide(probabilities, False) == Control.BOS


def test_words_that_are_to_come_are_waited_for() -> None:
    """As long as for anything else, unless none will come."""
    policy, probabilities = Policy(ends=ENDS), np.array([0.5, 0.5, 0.0, 0.0])
    assert policy.decide(probabilities, False, Evidence(9.0, None, 0.3)) == Control.BOS
    assert policy.decide(probabilities, False, Evidence(9.0, None, 0.3), heeded=True) == Control.SIL
    assert policy.decide(probabilities, False, Evidence(9.0, None, 0.6), heeded=True) == Control.BOS
    assert policy.decide(probabilities, False, Evidence(9.0, 2.0, 0.3), heeded=True) == Control.BOS


def test_a_silence_is_measured_from_where_it_began() -> None:
    """Though the detector tells of it later; a voice ends it."""
    silence, second = Silence(), 16_000
    assert silence.seconds(second) == 0.0
    silence.voice(False, second + 500)
    assert silence.seconds(3 * second) == pytest.approx(2 - 500 / second)
    assert silence.seconds(4 * second) == pytest.approx(3 - 500 / second)
    assert silence.seconds(second) == 0.0
    silence.voice(True, 4 * second)
    assert silence.seconds(5 * second) == 0.0
    silence.voice(False, 5 * second)
    assert silence.seconds(6 * second) == 1.0


def test_what_an_endpointer_says_late_in_a_silence_does_not_count() -> None:
    """What it said before stands until a voice has been heard again."""
    silence, frame = Silence(), 1_600
    told = [silence.evidence(float(number), 1.0, number * frame) for number in range(3)]
    silence.voice(False, 2 * frame)
    told += [silence.evidence(float(number), None, number * frame) for number in range(3, 16)]
    silence.voice(True, 15 * frame)
    told.append(silence.evidence(16.0, None, 16 * frame))
    assert [known.over for known in told] == [*range(13), 12.0, 12.0, 12.0, 16.0]
    assert [known.silence for known in told[2:5]] == pytest.approx([0.0, 0.1, 0.2])
    assert [known.whole for known in told[2:4]] == [1.0, None]


def test_a_policy_is_kept_on_a_card() -> None:
    """And one that was written by an older version is read, without what is not known any more."""
    policy = Policy(begin=0.7, release=0.9, ends=ENDS)
    assert Policy.restored(json.loads(json.dumps(asdict(policy)))) == policy
    older = {"begin": 0.7, "words": 1.25, "ends": {"least": 2.0, "breath": 0.3}}
    assert Policy.restored(older) == Policy(begin=0.7, ends=Ends(breath=0.3))


def test_begins_are_moved_together() -> None:
    """To begin from a probability on holds for the model alone and where an endpointer listens."""
    moved = Policy(ends=ENDS).beginning(0.9)
    assert moved.begin == 0.9
    assert moved.ends.sure == pytest.approx(math.log(9))
    assert moved.ends.likely == pytest.approx(math.log(9) - 1.0)
    assert moved.ends.certain == pytest.approx(math.log(9) + 1.0)
    assert moved.ends.whole == ENDS.whole


def test_an_endpointer_listens_along(tmp_path: Path) -> None:
    """Its opinion comes with each frame, of each session its own, and is what it has of the same features alone."""
    small = body().shortened(1)
    graph.write(small, adapter(small), tmp_path, quantized=False)
    endpointer = small_endpointer()
    listening = DuplexRuntime(tmp_path, endpointer=endpointer)
    streams = [listening.open(TALK), listening.open()]
    found: list[list[float | None]] = [[], []]
    for first, second in zip(HEARD[:20], HEARD[20:40], strict=True):
        for row, decided in zip(found, listening.step(streams, [first, second]), strict=True):
            row.append(decided.over)
        for stream in streams:
            stream.own.decided(Control.SIL)
    for row, frames in zip(found, (HEARD[:20], HEARD[20:40]), strict=True):
        alone = endpointer.open()
        assert row == pytest.approx(
            [alone.push(frame.features, frame.prosody, frame.sounding) for frame in frames], abs=1e-5
        )
    assert heard(DuplexRuntime(tmp_path), DuplexRuntime(tmp_path).open(), HEARD[:2])[0].over is None


# --- vocabulary --------------------------------------------------------------------------------------------------


def test_drafts_are_written_with_what_was_chosen() -> None:
    """Any text can be written and read back, and the words it was chosen for take one token each."""
    texts = merges()
    kept = texts.chosen(["yes", "yes yes"], 257 + 3)
    vocabulary = Vocabulary(texts, kept)
    assert len(kept) <= 260
    for text in ("yes good", "Ça va? 100 %", "good"):
        assert vocabulary.text(vocabulary.write(text)) == text
    assert len(vocabulary.write("yes")) == 1
    assert len(vocabulary.write("good")) > len(vocabulary.read(" good"))
    assert all(token in vocabulary.rows for token in vocabulary.write("good yes"))


def test_the_context_keeps_what_was_said_last() -> None:
    """It begins with the beginning of a text, fits, and drops the oldest first."""
    vocabulary = Vocabulary(merges(), range(257))
    tokens = vocabulary.context([("user", "a" * 50), ("assistant", "yes")], 30)
    assert len(tokens) == 30
    assert tokens[0] == vocabulary.begin
    assert vocabulary.text(tokens[1:]).endswith("assistant: yes")
    assert vocabulary.context([], 30) == [vocabulary.begin]


def test_words_are_read_as_they_sound() -> None:
    """The stops and capitals that a recognizer guesses tell nothing."""
    vocabulary = Vocabulary(merges(), range(263))
    assert vocabulary.heard("Yes.") == vocabulary.heard(" yes") == vocabulary.read(" yes")
    assert vocabulary.heard("...") == []
    made = said(conversation(), vocabulary)
    ends = [first_frame(word.end + 0.1) for event in conversation().user for word in event.words]
    assert np.flatnonzero((made >= 0).any(1)).tolist() == ends
    assert [int(token) for token in made[ends[0]] if token >= 0] == vocabulary.read(" is")


# --- what is taught ----------------------------------------------------------------------------------------------


def test_the_true_past_is_what_is_labelled() -> None:
    """Without chance nothing is late: what is due are the labels, and the model's own words follow its decision."""
    made, vocabulary = conversation(), Vocabulary(merges(), range(263))
    history = make_history(made, vocabulary)
    np.testing.assert_array_equal(history.due, made.labels())
    np.testing.assert_array_equal(history.sounding[:38], made.agent_speaking()[:38])
    begun = vocabulary.control(Control.BOS)
    assert history.previous[20] == begun
    text = vocabulary.write("yes good yes")
    assert history.previous[21 : 21 + len(text)].tolist() == text
    assert history.previous[39] == vocabulary.control(Control.STP)
    assert (history.words[first_frame(1.2 + 0.4)] >= 0).any()


def first_frame(seconds: float) -> int:
    return int(np.ceil(seconds / 0.16 - 1e-9)) - 1


def test_late_decisions_stay_due() -> None:
    """Whatever was late, each decision is due from its label on until it was made, and then fed back."""
    made, vocabulary = conversation(), Vocabulary(merges(), range(263))
    late, false = 0, 0
    for seed in range(40):
        history = make_history(made, vocabulary, np.random.default_rng(seed))
        begun, stopped = (vocabulary.control(c) for c in (Control.BOS, Control.STP))
        due = np.flatnonzero(history.due == Control.BOS)
        assert due[0] == 19
        made_at = [int(f) - 1 for f in np.flatnonzero(history.previous == begun)]
        assert max(due[due < 40]) in made_at
        late += max(due[due < 40]) > 19
        wrong = [f for f in made_at if f not in due]
        false += bool(wrong)
        for frame in wrong:
            # A pause that was taken for the end: silence was due, and then to stop while the user goes on.
            stops = np.flatnonzero(history.previous[frame:] == stopped)
            assert history.due[frame + stops[0] - 1] == Control.STP
            assert history.sounding[frame + 1]
    assert 5 < late < 30
    assert 0 < false < 20


def test_windows_become_a_batch() -> None:
    """Frames see the past, and nobody what is padded."""
    made, vocabulary = conversation(), Vocabulary(merges(), range(263))
    features = np.zeros((made.frames, BLOCK, EAR_WIDTH), np.float16)
    history = make_history(made, vocabulary)
    windows = [cut_window(made, features, history, vocabulary, start, frames=30) for start in (0, 25)]
    batch = make_batch(windows)
    assert batch.size == sum(window.length for window in windows)
    for b, window in enumerate(windows):
        first = batch.first + 29
        assert batch.seen[b, first].sum() == len(window.context) + 30
        assert not batch.seen[b, batch.first, batch.first + 1 :].any()
        assert not batch.seen[b, first, : batch.first - len(window.context)].any()
    # The second window begins after the first turn and its answer: they are in its context.
    assert "Is it?" in vocabulary.text(list(windows[1].context))


# --- rehearsals --------------------------------------------------------------------------------------------------


def rehearsed(**crossed: float) -> Rehearsal:
    """A model that is sure of one thing at one frame: ``begin_19=0.9`` is a begin at frame 19 of the conversation."""
    probabilities = np.zeros((60, 4))
    for name, p in crossed.items():
        kind, _, frame = name.partition("_")
        probabilities[int(frame), ("silence", "begin", "stop").index(kind)] = p
    return rehearse(conversation(), 0, probabilities)


@pytest.mark.parametrize(
    ("crossed", "f1", "cutoffs", "gap_ms"),
    [
        ({"begin_19": 0.9, "begin_44": 0.9}, 1.0, 0.0, 120),
        ({"begin_22": 0.9, "begin_46": 0.9}, 1.0, 0.0, 600),
        ({"begin_10": 0.9, "begin_19": 0.9, "begin_44": 0.9}, 0.5, 0.5, 200),
        ({"begin_23": 0.9}, 0.0, 0.0, None),
        ({}, 0.0, 0.0, None),
    ],
)
def test_a_rehearsal_tells_what_thresholds_do(
    crossed: dict[str, float], f1: float, cutoffs: float, gap_ms: float | None
) -> None:
    """A begin near its label counts, one before the true end never does."""
    figures = rehearsed(**crossed).figures(Policy(begin=0.8))
    assert figures.begin_f1 == pytest.approx(f1)
    assert figures.cutoff_rate == cutoffs
    assert figures.gap_p50_ms is None if gap_ms is None else figures.gap_p50_ms == pytest.approx(gap_ms, abs=90)
    unmoved = rehearsed(**crossed).figures(Policy(begin=0.95))
    assert (unmoved.begin_f1, unmoved.cutoff_rate) == (0.0, 0.0)


def test_a_stop_has_its_time() -> None:
    """An interruption at 6 s must stop the reply by 6.48 s; what lies outside of a piece is not judged."""
    for frame, stopped in ((37, 1.0), (38, 1.0), (39, 1.0), (40, 0.0)):
        assert rehearsed(**{f"stop_{frame}": 0.9}).figures(Policy(stop=0.8)).stop_rate == stopped
    part = rehearse(conversation(), 30, np.zeros((30, 4)))
    assert (len(part.turns), len(part.interruptions)) == (1, 1)
    assert rehearse(conversation(), 50, np.zeros((10, 4))).figures(Policy()).begin_f1 is None


def test_thresholds_are_chosen_by_rehearsal() -> None:
    """Hits against cut-offs, which cost more; then stops that are meant, and no others."""
    sure, unsure = np.array([0.95]), np.array([0.65])
    nothing, after = np.zeros(3), np.array([300.0])
    turns = [Turn(nothing, sure, after)] * 36 + [Turn(nothing, unsure, after)] * 6 + [Turn(unsure, sure, after)] * 1
    found = Rehearsal(tuple(turns), (sure, np.array([0.55])), (np.array([0.45]),))
    best = found.policy(Policy())
    assert best.begin <= 0.65
    assert found.figures(best).cutoff_rate == pytest.approx(1 / 43)
    assert 0.45 < best.stop <= 0.55
    more = Rehearsal((*turns, *[Turn(unsure, sure, after)] * 2))
    assert more.policy(Policy()).begin > 0.65  # three are too many
    assert more.policy(Policy(stop=0.4)).stop == 0.4
