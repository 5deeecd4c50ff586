"""Whether a turn is whole by its words: what the ear writes in pauses, and what is learned from it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from drafter_small import adapter
from drafter_small import runtime as small_runtime
from duplex_small import conversation
from typer.testing import CliRunner

from dragoman.__main__ import app
from dragoman.agent.drafter.catalog import open_drafter, open_endings
from dragoman.agent.drafter.drafts import LastWord
from dragoman.agent.drafter.endings import Endings, fit, load_endings, save_endings
from dragoman.agent.drafter.live import LiveDrafter
from dragoman.agent.drafter.pauses import load_pauses, make_pauses, pauses_of
from dragoman.agent.drafter.runtime import DrafterRuntime
from dragoman.agent.duplex.adapter import save_adapter
from dragoman.agent.duplex.store import save_conversations
from dragoman.asr.vad import WINDOW, Ended, Started
from dragoman.audio.types import INPUT_RATE, DragomanError, Samples
from dragoman.benchmarks.duplex_words import TurnWords
from dragoman.benchmarks.world import Activity, World

WIDTH = 24


@pytest.fixture(scope="module")
def drafter(tmp_path_factory: pytest.TempPathFactory) -> DrafterRuntime:
    return small_runtime(tmp_path_factory.mktemp("drafter"))


def last_words(count: int = 600) -> tuple[list[LastWord], np.ndarray, list[str]]:
    """With states of which one direction tells the end, half hidden by noise."""
    rng = np.random.default_rng(3)
    over = rng.random(count) < 0.4
    made = rng.standard_normal((count, WIDTH)).astype(np.float32)
    made[:, 3] += 2.0 * over
    return [LastWord(5 * state) for state in made], over, [f"talk {i // 4}" for i in range(count)]


def test_what_tells_the_end_is_found(tmp_path: Path) -> None:
    """On states that were not learned from; the logits are calibrated, and come back from disk."""
    x, over, names = last_words()
    found = fit(x[:400], over[:400], names[:400], "abc")
    logits = np.array([found.whole(word) for word in x[400:]])
    assert logits[over[400:]].mean() > logits[~over[400:]].mean() + 1.5
    assert abs((1 / (1 + np.exp(-logits))).mean() - over[400:].mean()) < 0.1
    assert found.whole(x[400]) == pytest.approx(found.whole(LastWord(7 * x[400].state)), abs=1e-3)
    save_endings(tmp_path / "endings.npz", found)
    again = load_endings(tmp_path / "endings.npz")
    assert again.whole(x[400]) == pytest.approx(found.whole(x[400]))
    assert (again.drafter, again.card) == ("abc", found.card)
    again.check("abc")
    with pytest.raises(DragomanError, match=r"another drafter \(abc\)"):
        again.check("def")


def test_too_little_to_learn_from_is_told(tmp_path: Path) -> None:
    """One conversation, or pauses of one kind; a file that is none."""
    x, over, names = last_words(40)
    with pytest.raises(DragomanError, match="40 pauses are too few"):
        fit(x, over, ["one"] * 40, "abc")
    with pytest.raises(DragomanError, match="too few"):
        fit(x, np.ones(40, np.bool_), names, "abc")
    (tmp_path / "endings.npz").write_bytes(b"no")
    with pytest.raises(DragomanError, match="not what ends of turns are told by"):
        load_endings(tmp_path / "endings.npz")


# --- pauses


@dataclass
class Said:
    text: str
    words: tuple[()] = ()
    stable: int = 0
    language: str = "en"


@dataclass
class Counting:
    """Hears how many tenths of a second there were."""

    opened: int = 0
    samples: int = 0
    ends: list[str] = field(default_factory=list)

    def open(self, language: str | None = None) -> Counting:
        self.opened, self.samples = self.opened + 1, 0
        return self

    def accept(self, pcm: Samples) -> None:
        self.samples += len(pcm)

    def partial(self) -> Said:
        return Said(f"{10 * self.samples // INPUT_RATE} so far")

    def ended(self) -> Said:
        self.ends.append(f"{10 * self.samples // INPUT_RATE}")
        return Said(f"turn {self.opened}, {self.ends[-1]}")

    def refined(self) -> None:
        return None

    def final(self) -> Said:
        return self.ended()


def edges(*speech: tuple[float, float]) -> list[tuple[int, Started | Ended]]:
    """As the detector hears them, two windows late."""
    found: list[tuple[int, Started | Ended]] = []
    for start, end in speech:
        for at, kind in ((start, Started), (end, Ended)):
            sample = round(at * INPUT_RATE / WINDOW) * WINDOW
            found.append((sample + 2 * WINDOW, kind(sample)))
    return found


def test_the_words_at_each_pause_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A pause of the turn and its end, each with all that was heard until then; a breath inside a word is none."""
    talk = conversation()
    first = talk.user[0]
    [pause] = first.pauses
    breath = first.start_s + 0.3
    spoken = edges(
        (first.start_s, breath), (breath + 0.1, pause.start_s), (pause.end_s, first.end_s), (first.end_s + 3, 99)
    )
    monkeypatch.setattr("dragoman.agent.drafter.pauses._edges", lambda pcm: spoken)
    found = list(pauses_of(replace(talk, user=(first,)), Counting()))
    assert [one.over for one in found] == [False, True]
    assert [one.at_s for one in found] == [
        pytest.approx(pause.start_s, abs=0.02),
        pytest.approx(first.end_s, abs=0.02),
    ]
    heard = [int(one.text.split()[-1]) / 10 for one in found]
    assert heard == [pytest.approx(one.at_s - first.start_s + 0.3, abs=0.2) for one in found]
    assert {one.text.split(",")[0] for one in found} == {"turn 1"}
    assert found[0].before == talk.context
    shard = tmp_path / "drafter-1-00000.npz"
    save_conversations(shard, [replace(talk, user=(first,))])
    path = make_pauses(shard, Counting())
    assert load_pauses(path) == found
    path.write_text("no\n")
    with pytest.raises(DragomanError, match="not the pauses of a shard"):
        load_pauses(path)


def test_from_conversations_to_what_tells_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, drafter: DrafterRuntime
) -> None:
    """Two commands: the second names the drafter, and says what to run where the first was forgotten."""
    talk = conversation()
    first = talk.user[0]
    [pause] = first.pauses
    spoken = edges((first.start_s, pause.start_s), (pause.end_s, first.end_s))
    monkeypatch.setattr("dragoman.agent.drafter.pauses._edges", lambda pcm: spoken)
    monkeypatch.setattr("dragoman.agent.cli.data_pauses.open_recognizer", lambda *args, **options: Counting())
    monkeypatch.setattr("dragoman.agent.cli.train_endings.open_drafter", lambda **options: drafter)
    made = adapter()
    save_adapter(tmp_path / "drafter.npz", made)
    talks = [replace(talk, id=f"talk {i}", user=(first,)) for i in range(12)]
    save_conversations(tmp_path / "verifier-1-00002.npz", talks)
    training = ["train", "endings", "--data", str(tmp_path), "--adapter", str(tmp_path / "drafter.npz"), "--json"]
    training += ["--folder", str(tmp_path / "endings")]
    forgotten = CliRunner().invoke(app, training)
    assert forgotten.exit_code == 1
    assert "dragoman data pauses" in forgotten.output
    done = CliRunner().invoke(app, ["data", "pauses", "--folder", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["pauses"], summary["over"]) == (24, 12)
    done = CliRunner().invoke(app, training)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[-1])["pauses"] == 24
    found = open_endings(drafter, path=tmp_path / "endings" / "endings.npz")
    assert found is not None
    assert found.drafter == made.digest()
    assert found.weights.shape == (drafter.dims.width,)
    none = CliRunner().invoke(app, ["data", "pauses", "--folder", str(tmp_path), "--split", "test"])
    assert none.exit_code == 1
    assert "no conversations of the split test" in none.output


# --- what a session makes of it


def knows(width: int) -> Endings:
    weights = np.random.default_rng(1).standard_normal(width).astype(np.float32)
    return Endings(weights, 0.5, "any", {})


def test_the_drafter_tells_it_of_the_last_word_alone(drafter: DrafterRuntime) -> None:
    """However the turn was read, also when words were taken back; nothing was said, nothing is known."""
    endings = knows(drafter.dims.width)
    live = LiveDrafter(drafter, endings=endings)
    before = [("user", "Hello."), ("assistant", "Yes?")]

    async def told() -> list[float | None]:
        turn, fresh = live.open(), live.open()
        await turn.read(before, "yes good yes good")
        return [await turn.whole(before, "yes good"), await fresh.whole(before, "yes good"), await fresh.whole([], "")]

    try:
        ahead, alone, nothing = asyncio.run(told())
        assert ahead == pytest.approx(alone, abs=1e-4)
        assert nothing is None
        assert live.open().tells_ends
        assert not LiveDrafter(drafter).open().tells_ends
    finally:
        live.close()


def test_a_benchmark_knows_it_in_pauses_alone(drafter: DrafterRuntime) -> None:
    """From a moment after the voice fell silent until it goes on; after a begin, another turn is heard."""
    talk = conversation()
    spoken = edges((1.0, 2.0), (2.6, 3.0), (4.0, 4.5))
    activity = Activity(200, {known // WINDOW - 1: edge for known, edge in spoken}.get)
    ear = Counting()
    words = TurnWords(World(talk, activity=activity), ear, drafter, knows(drafter.dims.width))
    assert [words.whole(at) for at in (0.9, 1.5, 2.0)] == [None] * 3
    known = words.whole(2.55)
    assert known is not None
    assert words.whole(2.58) == known
    assert words.whole(2.8) is None
    assert words.whole(3.5) is not None
    assert ear.opened == 1
    words.begun()
    assert words.whole(3.6) is None
    assert words.whole(4.9) is not None
    assert ear.opened == 2
    assert len(ear.ends) == 3


@pytest.mark.slow
def test_the_shipped_one_knows_half_a_sentence_from_a_whole_one() -> None:
    """Pairs of which the second says all that the first began to."""
    try:
        runtime = open_drafter(completing=True)
        endings = open_endings(runtime)
    except DragomanError as error:
        pytest.skip(str(error))
    assert endings is not None
    pairs = [
        ("I was on my", "I was on my way home"),
        ("Do you know what the best", "Do you know what the best one is?"),
        ("I would like to go to", "I would like to go to Lisbon"),
        ("My sister and", "My sister and I went swimming."),
        ("Because it was", "Because it was raining all day."),
    ]
    right = 0
    for half, whole in pairs:
        reading = runtime.open([("user", "Hi!"), ("assistant", "Hello, how are you?")])
        logits = []
        for text in (half, whole):
            runtime.read(reading, text)
            word = runtime.last_word(reading)
            assert word is not None
            logits.append(endings.whole(word))
        right += logits[1] > logits[0] + 1.0
    assert right >= 4
    assert endings.card["pauses"]
