"""Layers that learned when a turn is complete: what they learn from, and how they read behind the drafter's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from drafter_small import adapter, body
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from dragoman.__main__ import app
from dragoman.agent.drafter import graph
from dragoman.agent.drafter.catalog import open_completion, open_drafter, open_endings
from dragoman.agent.drafter.completion_lessons import (
    LONGEST,
    WRONG,
    Lessons,
    make_batch,
    make_lesson,
    written_down,
)
from dragoman.agent.drafter.endings import Endings
from dragoman.agent.drafter.hearing import misheard
from dragoman.agent.drafter.runtime import DrafterRuntime, Reading
from dragoman.agent.duplex.adapter import Adapter, adapted, save_adapter
from dragoman.agent.duplex.chat import Chat, Line, split_of
from dragoman.agent.duplex.scripts import Exchange, Script
from dragoman.agent.duplex.vocabulary import Vocabulary
from dragoman.audio.types import DragomanError

SAID = "Yes, good. Is it? And so on"


def branch(first: int = 1, layers: int = 2) -> Adapter:
    """Changes to the layers from ``first`` on, and a head, of a branch of the small drafter."""
    made, rng = adapter(), np.random.default_rng(9)
    width = body().dims.width
    own = {"head": rng.standard_normal(width).astype(np.float32), "bias": np.full(1, 0.5, np.float32)}
    changes = {n: (2 * up, down) for n, (up, down) in made.changes.items() if first <= int(n[0]) < layers}
    card = {"drafter": made.digest(), "first": first}
    return replace(made, own=own, changes=changes, kept=(), layers=layers, card=card)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> DrafterRuntime:
    folder = tmp_path_factory.mktemp("completing")
    graph.write(body(), adapter(), folder, quantized=False, completion=branch())
    return DrafterRuntime(folder, completing=True)


def read(runtime: DrafterRuntime, *pieces: str, before: Sequence[tuple[str, str]] = ()) -> Reading:
    reading = runtime.open(before)
    for piece in pieces:
        runtime.read(reading, piece)
    return reading


def complete(runtime: DrafterRuntime, *pieces: str, before: Sequence[tuple[str, str]] = ()) -> float:
    word = runtime.last_word(read(runtime, *pieces, before=before))
    assert word is not None
    return word.complete


@given(cuts=st.lists(st.integers(1, len(SAID)), max_size=5))
def test_however_a_turn_is_read_it_is_as_complete(small: DrafterRuntime, cuts: list[int]) -> None:
    """In any pieces, with words that were taken back: what was read last counts."""
    whole = complete(small, SAID)
    assert complete(small, *(SAID[:cut] for cut in cuts), SAID) == pytest.approx(whole, abs=1e-4)
    assert complete(small, "Something else, quite long and wrong it was", SAID) == pytest.approx(whole, abs=1e-4)


def test_the_words_decide_and_what_was_said_before_but_no_marks(small: DrafterRuntime) -> None:
    """Marks at the end are a recognizer's guess; inside the turn they are read."""
    bare = complete(small, "yes good")
    assert complete(small, "yes good.") == complete(small, " yes good?!") == pytest.approx(bare, abs=1e-5)
    assert len(read(small, "yes good.").states) > len(read(small, "yes good").states)
    assert abs(complete(small, "yes. good") - bare) > 1e-3
    assert abs(complete(small, "yes good", before=[("assistant", "yes yes")]) - bare) > 1e-3
    assert small.last_word(read(small)) is None
    assert np.isfinite(complete(small, "..."))


def test_a_drafter_with_a_branch_drafts_as_without(small: DrafterRuntime, tmp_path: Path) -> None:
    """Its states are the same, and its words; without a branch, or where nobody asks for it, nothing is told of
    completion, and no layer of it read.
    """
    for name, completion in (("plain", None), ("branched", branch())):
        graph.write(body(), adapter(), tmp_path / name, quantized=False, completion=completion)
    plain, unasked = DrafterRuntime(tmp_path / "plain", completing=True), DrafterRuntime(tmp_path / "branched")
    assert {one.digest for one in (plain, unasked, small)} == {adapter().digest()}
    assert (plain.completion, unasked.completion, small.completion) == ("", "", branch().digest())
    assert complete(plain, SAID) == complete(unasked, SAID) == 0.0
    assert read(unasked, SAID).branch is None
    drafts = [runtime.draft(read(runtime, SAID), 4) for runtime in (plain, unasked, small)]
    for one in drafts[:2]:
        assert one.tokens == drafts[2].tokens
        np.testing.assert_allclose(one.hidden, drafts[2].hidden, atol=1e-4)


def test_another_drafters_branch_is_not_used_and_what_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the line that weighs what it tells names it."""
    monkeypatch.setenv("DRAGOMAN_ADAPTERS", str(tmp_path))
    save_adapter(tmp_path / "completion-en.npz", branch())
    found = open_completion(adapter().digest())
    assert found is not None
    assert found.digest() == branch().digest()
    assert open_completion("another") is None
    save_adapter(tmp_path / "completion-en.npz", adapter())
    with pytest.raises(DragomanError, match="does not tell when a turn is complete"):
        open_completion(adapter().digest())
    (tmp_path / "completion-en.npz").write_bytes(b"no")
    with pytest.raises(DragomanError, match="not an adapter"):
        open_completion(adapter().digest())
    with pytest.raises(DragomanError, match=r"learned with other layers \(none\) than there are \(abc\)"):
        Endings(np.zeros(3, np.float32), 0.0, "d", {}).check("d", "abc")


# --- lessons


def exchange(said: str = "I would like to see the old bridge, if that is fine.", **more: object) -> Exchange:
    return replace(Exchange(said.replace("| ", ""), said, reply="Of course it is."), **more)  # type: ignore[arg-type]


def vocabulary() -> Vocabulary:
    return Vocabulary(body().merges)


def test_a_turn_is_over_with_its_last_word_alone() -> None:
    """However it was heard; a pause counts as much as the end, and any other word little."""
    paused = 0
    for seed in range(200):
        words = written_down(Random(seed), exchange(), ["no", "or", "fire", "seas"])
        assert [word.over for word in words] == [False] * (len(words) - 1) + [True]
        assert words[-1].counts == 1
        assert {word.counts for word in words} <= {1.0, 0.15, 0.1, 0.05}
        paused += sum(word.counts == 1 for word in words[:-1])
    assert 0.5 < paused / 200 < 3


def test_words_are_misheard_at_the_rate_that_is_told() -> None:
    """As words that look like them, with their marks."""
    rng, others = Random(1), ["like", "cheese", "sea", "bridge", "gold", "find"]
    assert misheard("old,", rng, ["gold"]) == "gold,"
    assert {misheard("lake", rng, others) for _ in range(20)} == {"like"}
    assert misheard("lake", rng, ["lake"]) == "lake"
    said = set(exchange().said.split())
    heard = [word.text for seed in range(400) for word in written_down(Random(seed), exchange(), others)]
    wrong = sum(word.rstrip(".,?") in others and word not in said for word in heard) / len(heard)
    assert 0.4 * WRONG < wrong < WRONG


def test_digits_without_a_pause_are_one_number_at_times() -> None:
    """ "four two" is heard as "4 2" or "42", or as words."""
    number = exchange("It is | four two | seven.", situation="number")
    texts = {
        " ".join(word.text.rstrip(".,?") for word in written_down(Random(seed), number, ["x"])) for seed in range(99)
    }
    assert any("42" in text for text in texts)
    assert any("4 2" in text for text in texts)
    assert any("four two" in text for text in texts)


def test_lessons_fit_and_mark_the_last_token_of_a_word() -> None:
    """The tokens are those that the run time reads; nothing is learned of the agent's words."""
    words = vocabulary()
    script = Script("one", (("assistant", "Yes?"),), (exchange("yes good"), exchange("good yes")))
    lesson = make_lesson(Random(4), script, words, ["or"])
    assert len(lesson.tokens) == len(lesson.over) == len(lesson.counts) <= LONGEST
    text = "".join(words._reader.decode([token]) for token in lesson.tokens)
    assert "user: " in text
    for place in np.flatnonzero(lesson.over):
        assert lesson.counts[place] == 1
        assert words._reader.decode([lesson.tokens[place + 1]]).strip(" ") in ("\n", *".,?")
    tokens, over, counts = make_batch([lesson, make_lesson(Random(5), script, words, ["or"])])
    assert tokens.shape == over.shape == counts.shape
    assert over[counts == 0].sum() == 0


def talks() -> dict[str, list[Line]]:
    """Some of each split: who is asked says "good", and whole turns end with it."""
    turns = ["I say yes yes and yes good", "you say yes yes good"] * 6
    return {f"talk {i}": [Line("ab"[k % 2], text) for k, text in enumerate(turns)] for i in range(40)}


def test_who_never_is_spoken_is_read() -> None:
    """Lessons come from the talks of the drafter's split and of the ranker's, in proportion, by seed."""
    names = {split_of(name) for name in talks()}
    assert {"drafter", "ranker", "verifier"} <= names
    chats = [Chat(talks(), "drafter"), Chat(talks(), "ranker")]
    assert sum(chat.talks for chat in chats) < len(talks())
    drawn = [Lessons(chats, vocabulary(), 3).draw() for _ in range(2)]
    assert drawn[0] == drawn[1]


@pytest.mark.train
def test_training_learns_goes_on_and_reads_as_the_run_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On talks that were never trained on; what is kept is read by the run time as by the module."""
    torch = pytest.importorskip("torch")
    from dragoman.agent.drafter.completion_training import Options, Trainer
    from dragoman.agent.duplex.adapter import load_adapter

    options = Options(steps=40, rank=4, rate=1e-2, check_every=20, checked=6, first=1, layers=3)
    trainer = Trainer(body(), adapter(), talks(), tmp_path / "training", options)
    before = trainer.check()
    reports = []
    trainer.run(reports.append)
    after = trainer.check()
    assert after["completion_loss"] < 0.7 * before["completion_loss"]
    assert after["auroc"] > 0.8
    assert [bool(report.check) for report in reports].count(True) == 2

    again = Trainer(body(), adapter(), talks(), tmp_path / "training", replace(options, steps=41))
    assert again.pace.step == 40
    assert again.check() == pytest.approx(after, abs=1e-4)
    with pytest.raises(DragomanError, match="behind another drafter"):
        Trainer(body(), adapter(-3.0), talks(), tmp_path / "training", options)
    with pytest.raises(DragomanError, match="other layers or another rank"):
        Trainer(body(), adapter(), talks(), tmp_path / "training", replace(options, rank=2))
    with pytest.raises(DragomanError, match="branch at layer 3 of 3"):
        Trainer(body(), adapter(), talks(), tmp_path / "other", replace(options, first=3))

    kept = load_adapter(tmp_path / "training" / "adapter.npz")
    graph.write(body(), adapter(), tmp_path / "graphs", quantized=False, completion=kept)
    made = DrafterRuntime(tmp_path / "graphs", completing=True)
    words = made.vocabulary
    tokens = torch.tensor([[words.begin, *words.read("user:"), *words.read(" I say yes")]])
    with torch.no_grad():
        expected = float(trainer.network(tokens)[0, -1])
    assert complete(made, "I say yes.") == pytest.approx(expected, abs=2e-2)
    assert adapted(adapted(body(), adapter()), kept).dims.layers == 3


@pytest.mark.train
def test_a_run_that_was_stopped_in_its_last_check_is_finished(tmp_path: Path) -> None:
    """All steps were made then: going on makes that check, and the file."""
    pytest.importorskip("torch")
    from dragoman.agent.drafter.completion_training import Options, Trainer

    options = Options(steps=2, rank=2, lessons=1, checked=2, first=1, layers=2)

    class Stopped(Trainer):
        def check(self) -> dict[str, float]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Stopped(body(), adapter(), talks(), tmp_path, options).run(lambda report: None)
    assert not (tmp_path / "adapter.npz").exists()
    again = Trainer(body(), adapter(), talks(), tmp_path, options)
    assert again.pace.over
    again.run(lambda report: None)
    assert (tmp_path / "adapter.npz").is_file()


@pytest.mark.train
def test_the_command_trains_a_branch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the installed talks and a drafter; the summary names the file."""
    pytest.importorskip("torch")
    small_body = replace(body(), sha256=adapter().body)
    monkeypatch.setattr("dragoman.agent.cli.training.resolve", lambda *args, **options: tmp_path)
    monkeypatch.setattr("dragoman.agent.cli.training.load_body", lambda path: small_body)
    monkeypatch.setattr("dragoman.agent.cli.train_completion.installed_talks", talks)
    save_adapter(tmp_path / "drafter.npz", adapter())
    command = ["train", "completion", "--adapter", str(tmp_path / "drafter.npz"), "--folder", str(tmp_path / "made")]
    command += ["--steps", "2", "--lessons", "1", "--rank", "2", "--first", "1", "--layers", "2", "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["steps"] == 2
    assert Path(summary["adapter"]).is_file()


@pytest.mark.slow
def test_the_shipped_branch_knows_half_a_sentence_from_a_whole_one() -> None:
    """By the words alone: no mark tells it."""
    try:
        runtime = open_drafter(completing=True)
        endings = open_endings(runtime)
    except DragomanError as error:
        pytest.skip(str(error))
    assert endings is not None
    assert runtime.completion == endings.completion != ""
    before = [("user", "Hi!"), ("assistant", "Hello, how are you?")]
    halves = [
        "I was on my",
        "Do you know what the best",
        "My sister and",
        "How are",
        "I need eggs and um,",
        "It is four",
    ]
    wholes = ["How are you", "I was on my way home", "Do you like music", "That is really cool", "No way", "What is it"]
    said = {text: complete(runtime, text, before=before) for text in (*halves, *wholes)}
    assert max(said[text] for text in halves) < min(said[text] for text in wholes), said
