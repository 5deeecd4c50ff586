"""The drafter: reading along, writing first words, and what it is taught by."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from drafter_small import adapter, body, runtime
from duplex_small import conversation, merges
from hypothesis import given
from hypothesis import strategies as st

from dragoman.agent.drafter import graph
from dragoman.agent.drafter.catalog import open_drafter
from dragoman.agent.drafter.dialogues import Answered, Dialogues, TextDialogue, load_dialogues, save_dialogues
from dragoman.agent.drafter.drafts import load_drafts, save_drafts
from dragoman.agent.drafter.hearing import heard
from dragoman.agent.drafter.lessons import IGNORED, LONGEST, make_batch, make_lesson, of_conversation
from dragoman.agent.drafter.live import LiveDrafter
from dragoman.agent.drafter.prompt import DRAFT, TURN
from dragoman.agent.drafter.runtime import DrafterRuntime
from dragoman.agent.duplex.adapter import save_adapter
from dragoman.agent.duplex.answers import Answer, Answers
from dragoman.agent.duplex.body import load_body
from dragoman.agent.duplex.chat import Line
from dragoman.agent.duplex.vocabulary import Vocabulary
from dragoman.audio.types import DragomanError
from dragoman.models.catalog import resolve

BEFORE = (("user", "Hello."), ("assistant", "Yes?"))
SAID = "Is it good there, or is it not so good?"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> DrafterRuntime:
    return runtime(tmp_path_factory.mktemp("drafter"))


def hidden(small: DrafterRuntime, pieces: Sequence[str], before: Sequence[tuple[str, str]] = BEFORE) -> np.ndarray:
    """The states of a draft after a turn that was read in steps."""
    reading = small.open(before)
    for piece in pieces:
        small.read(reading, piece)
    return small.draft(reading, 3).hidden


@given(cuts=st.lists(st.integers(1, len(SAID)), max_size=5))
def test_however_a_turn_is_read_the_draft_is_the_same(small: DrafterRuntime, cuts: list[int]) -> None:
    """In any pieces, with words that were taken back: what was read last counts."""
    whole = hidden(small, [SAID])
    np.testing.assert_allclose(hidden(small, [*(SAID[:cut] for cut in cuts), SAID]), whole, atol=1e-4)
    np.testing.assert_allclose(hidden(small, ["Something else, quite long and wrong it was", SAID]), whole, atol=1e-4)


def test_a_draft_depends_on_the_turn_and_on_what_was_said_before(small: DrafterRuntime) -> None:
    """And not on drafts that were made of it before."""
    one = hidden(small, [SAID])
    assert np.abs(one[0] - hidden(small, ["No."])[0]).max() > 1e-3
    assert np.abs(one[0] - hidden(small, [SAID], ())[0]).max() > 1e-3
    reading = small.open(BEFORE)
    small.read(reading, "Is it")
    small.draft(reading)
    small.read(reading, SAID)
    np.testing.assert_allclose(small.draft(reading, 3).hidden, one, atol=1e-4)


def test_long_dialogues_and_turns_keep_their_end(small: DrafterRuntime) -> None:
    """There is room for any: the oldest is left out, and a draft has no more tokens than it may."""
    reading = small.open([("user", "good yes " * 300)] * 20)
    small.read(reading, "yes good " * 300)
    assert len(reading.tokens) == TURN
    draft = small.draft(reading, 1000)
    assert 0 < len(draft.tokens) <= DRAFT
    assert np.isfinite(draft.hidden).all()
    assert len(draft.hidden) == len(draft.entropy) == len(draft.tokens)


def test_a_short_reply_is_complete(tmp_path: Path) -> None:
    """A drafter that ends at once has nothing to say, and says that this was all."""
    ends = runtime(tmp_path, end=60.0)
    draft = ends.draft(ends.open(BEFORE), 5)
    assert (draft.text, draft.complete) == ("", True)


def test_eight_bits_are_close(small: DrafterRuntime, tmp_path: Path) -> None:
    """The states of the first word are about those of full precision."""
    rounded = hidden(runtime(tmp_path, quantized=True), [SAID])[0]
    exact = hidden(small, [SAID])[0]
    assert np.linalg.norm(rounded - exact) < 0.1 * np.linalg.norm(exact)


def test_a_draft_is_told_with_its_doubts(small: DrafterRuntime, tmp_path: Path) -> None:
    """Each token has a hidden state and three numbers that agree with each other, and they come back from disk."""
    drafts = []
    for said in ("Is it?", "No.", SAID, "yes yes", "good", "And so?"):
        reading = small.open(BEFORE)
        small.read(reading, said)
        drafts.append(small.draft(reading, 4))
    assert any(draft.tokens for draft in drafts)
    for draft in drafts:
        count = len(draft.tokens)
        assert draft.hidden.shape == (count, small.dims.width)
        assert len(draft.text.split()) <= 4
        assert (draft.logp <= 0).all()
        assert (draft.margin >= 0).all()
        assert (draft.entropy >= 0).all()
        # The best of K has at least the mean probability.
        assert (draft.logp >= -np.log(len(small.vocabulary.kept) + 1)).all()
    save_drafts(tmp_path / "drafts.npz", drafts, [str(i) for i in range(6)])
    loaded = load_drafts(tmp_path / "drafts.npz")
    assert [name for name, _ in loaded] == list("012345")
    for draft, (_, back) in zip(drafts, loaded, strict=True):
        assert back == draft
        np.testing.assert_array_equal(back.margin, draft.margin)
        np.testing.assert_allclose(back.hidden, draft.hidden, atol=1e-2)
    (tmp_path / "drafts.npz").write_bytes(b"no")
    with pytest.raises(DragomanError, match="not a log of drafts"):
        load_drafts(tmp_path / "drafts.npz")


@pytest.mark.slow
def test_the_real_body_knows_its_capitals(tmp_path: Path) -> None:
    """SmolLM2 as it came, in 8 bits, read by the run time: its next word is the right one."""
    try:
        real = load_body(resolve("smollm2-135m"))
    except DragomanError as error:
        pytest.skip(str(error))
    kept = tuple(real.merges.chosen(["Paris Berlin Rome Madrid"], 4000))
    own = {"end": np.zeros(real.dims.width, np.float32), "end_bias": np.full(1, -1e3, np.float32)}
    untrained = replace(adapter(), own=own, changes={}, kept=kept, body=real.sha256, layers=real.dims.layers)
    graph.write(real, untrained, tmp_path)
    plain = DrafterRuntime(tmp_path)
    reading = plain.open()
    plain.read(reading, "Repeat after me: the capital of Italy is Rome.")
    assert "Rome" in plain.draft(reading, 20).text


def test_sessions_draft_from_their_own_turns(small: DrafterRuntime) -> None:
    """Two sessions share the model and its thread; a new dialogue is read anew."""
    drafter = LiveDrafter(small)

    async def drafts() -> list[tuple[int, ...]]:
        one, other = drafter.open(), drafter.open()
        await one.read(BEFORE, "Is it")
        await other.read((), "No")
        made = await asyncio.gather(one.draft(BEFORE, SAID, 3), other.draft((), "No.", 3))
        return [draft.tokens for draft in (*made, await one.draft((), "No.", 3))]

    try:
        first, second, third = asyncio.run(drafts())
    finally:
        drafter.close()
    reading = small.open(BEFORE)
    small.read(reading, SAID)
    assert first == small.draft(reading, 3).tokens
    assert second == third


def test_an_adapter_of_another_body_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where there is none, it says how to come by one."""
    monkeypatch.setenv("DRAGOMAN_ADAPTERS", str(tmp_path))
    with pytest.raises(DragomanError, match="train one with `dragoman train drafter`"):
        open_drafter("xx")
    save_adapter(tmp_path / "drafter-xx.npz", adapter())
    other = tmp_path / "body.gguf"
    other.write_bytes(b"GGUF of something else")
    with pytest.raises(DragomanError, match="another language model"):
        open_drafter("xx", body=str(other))


# --- what it is taught by


DIALOGUE = TextDialogue(
    "d",
    BEFORE,
    (
        Answered("Is it good?", "yes good yes", True, "chat"),
        Answered("And now?", "good good yes yes", False, "chat", heard=2),
        Answered("No.", "yes", False, "answer"),
    ),
)


def vocabulary() -> Vocabulary:
    texts = merges()
    return Vocabulary(texts, texts.chosen(["yes good"], len(texts.tokens) - 2))


def test_a_lesson_is_the_dialogue_with_its_replies_to_write() -> None:
    """Only what was heard of a reply is written, and an end only where there was one."""
    words = vocabulary()
    lesson = make_lesson(DIALOGUE, words)
    text = words.text(lesson.tokens)
    assert "user: Is it good?\nassistant: yes good yes\nuser: And now?\nassistant: good good\nuser: No." in text
    assert text.rstrip().endswith("assistant: yes")
    written = [row for row in lesson.follow if row != IGNORED]
    end = len(words.kept)
    assert [words.token(row) for row in written if row != end] == [
        token for said in ("yes good yes", "good good", "yes") for token in words.write(said)
    ]
    assert written.count(end) == 1
    for token, row in zip(lesson.tokens[1:], lesson.follow, strict=False):
        assert row in (IGNORED, end) or words.token(row) == token


@given(seed=st.integers(0, 10_000), turns=st.integers(1, 40))
def test_lessons_fit_and_have_something_to_write(seed: int, turns: int) -> None:
    """Whatever is drawn and misheard."""
    words = vocabulary()
    long = TextDialogue("d", BEFORE * 20, DIALOGUE.turns[:1] * turns)
    lesson = make_lesson(long, words, Random(seed), ["word", "other"])
    assert len(lesson.tokens) == len(lesson.follow) <= LONGEST
    assert any(row != IGNORED for row in lesson.follow)
    tokens, follow = make_batch([lesson, make_lesson(DIALOGUE, words)])
    assert tokens.shape == follow.shape
    assert (follow[:, -1] == IGNORED).any()


def test_turns_are_misheard_at_about_the_rates_that_are_told() -> None:
    """Most words stay; a mark, a last word or capital letters go now and then."""
    said = "Well, I think that Peter has the 3 tickets for us."
    found = [heard(said, Random(seed), ["strange"]) for seed in range(600)]
    assert 0.2 < sum(one == said for one in found) / 600 < 0.6
    assert 0.05 < sum(one == one.lower() for one in found) / 600 < 0.16
    assert 0.06 < sum("us" not in one.split()[-1] for one in found) / 600 < 0.25
    assert any("strange" in one for one in found)
    assert heard("Yes.", Random(1), ["strange"]).lower().startswith("yes")


def test_spoken_conversations_are_dialogues_too() -> None:
    """Their replies, as far as they were heard."""
    made = of_conversation(conversation())
    assert made.context == BEFORE
    assert [(one.text, one.answer, one.heard) for one in made.turns] == [
        ("Is it?", "yes good yes", 2),
        ("No.", "good", None),
    ]


class _Fixed(Answers):
    """Answers without a model."""

    def __init__(self) -> None:
        self.asked, self._turn = 0, asyncio.Semaphore(4)

    async def answer(self, messages: object) -> Answer:
        return Answer("I see, well then.", True)


def test_dialogues_are_made_by_number_and_come_back(tmp_path: Path) -> None:
    """The same number and seed give the same; a damaged shard is told."""
    talks = {f"talk {i}": [Line("ab"[j % 2], f"what about number {i} and {j}") for j in range(9)] for i in range(60)}
    made = Dialogues(tmp_path, 3, talks, _Fixed())
    found = asyncio.run(made.write("drafter", 2))
    assert load_dialogues(made.path("drafter", 2)) == found
    assert asyncio.run(made.write("drafter", 2)) == found
    assert asyncio.run(made.write("drafter", 4)) != found
    assert all(turn.answer == "I see, well then." for one in found for turn in one.turns)
    save_dialogues(tmp_path / "one.jsonl", [DIALOGUE])
    assert load_dialogues(tmp_path / "one.jsonl") == [DIALOGUE]
    (tmp_path / "one.jsonl").write_text(json.dumps({"id": "d"}))
    with pytest.raises(DragomanError, match="not a shard of dialogues"):
        load_dialogues(tmp_path / "one.jsonl")


@pytest.mark.train
def test_training_learns_and_goes_on(tmp_path: Path) -> None:
    """The loss falls on dialogues that were never trained on; a second run goes on where the first one stopped; what
    was trained writes in the run time what the module writes.
    """
    torch = pytest.importorskip("torch")
    from dragoman.agent.drafter.training import Options, Trainer
    from dragoman.agent.duplex.adapter import load_adapter

    def dialogue(i: int) -> TextDialogue:
        asks = ["yes" if (i >> bit) % 2 else "no" for bit in range(3)]
        turns = tuple(Answered(f"{ask} {ask}", "good" if ask == "yes" else "yes", True, "chat") for ask in asks)
        return TextDialogue(str(i), (), turns)

    options = Options(steps=60, rank=4, rate=1e-2, lessons=4, check_every=30, checked=4)
    dialogues = [dialogue(i) for i in range(24)]
    trainer = Trainer(body(), dialogues, tmp_path, options)
    before = trainer.check()
    reports = []
    trainer.run(reports.append)
    after = trainer.check()
    assert after["drafts_loss"] < 0.6 * before["drafts_loss"]
    assert reports[-1].check["first_right"] > 0.9

    # Stopped in its last check, all of its steps were made: the check is made when it goes on.
    (tmp_path / "adapter.npz").unlink()
    stopped = Trainer(body(), dialogues, tmp_path, options)
    stopped.best = math.inf
    stopped.run(reports.append)
    assert (tmp_path / "adapter.npz").is_file()
    assert stopped.best == pytest.approx(after["drafts_loss"], abs=1e-4)

    others = [replace(one, id=f"anew-{one.id}") for one in dialogues]
    assert Trainer(body(), others, tmp_path, options).check()["drafts_loss"] > 0  # on the first of these

    again = Trainer(body(), dialogues[::-1], tmp_path, Options(steps=62, rank=4, lessons=4, checked=4))
    assert again.pace.step == 60
    assert again.check() == pytest.approx(after, abs=1e-4)

    graph.write(body(), load_adapter(tmp_path / "adapter.npz"), tmp_path / "graphs", quantized=False)
    made = DrafterRuntime(tmp_path / "graphs")
    reading = made.open()
    made.read(reading, "yes yes")
    draft = made.draft(reading, 3)
    assert (draft.text, draft.complete) == ("good", True)
    words = made.vocabulary
    tokens = [words.begin, *words.read("user: yes yes\n"), *words.read("assistant:"), *words.write("good")]
    with torch.no_grad():
        logits = trainer.network.drafts(trainer.network(torch.tensor([tokens]))[0])
    count = len(words.write("good"))
    rows = torch.tensor([words.rows[token] for token in words.write("good")])
    logp = logits.log_softmax(-1)[-count - 1 : -1].gather(1, rows[:, None])[:, 0].numpy()
    np.testing.assert_allclose(draft.logp, logp, atol=2e-2)


def test_states_are_those_of_a_layer_in_the_middle(tmp_path: Path) -> None:
    """What the body's first layers alone make of the same text, before the norm at their end."""
    whole = runtime(tmp_path / "whole")
    small, changes = body(), adapter()
    layers = small.dims.layers * 3 // 5
    assert 0 < layers < small.dims.layers
    short = replace(changes, layers=layers, changes={n: c for n, c in changes.changes.items() if int(n[0]) < layers})
    graph.write(small, short, tmp_path / "short", quantized=False)
    pasts = [made._reader.past() for made in (whole, DrafterRuntime(tmp_path / "short"))]
    x = np.random.default_rng(1).standard_normal((1, 5, small.dims.width)).astype(np.float32)
    _, middle = whole._reader.read(pasts[:1], x)
    hidden, _ = DrafterRuntime(tmp_path / "short")._reader.read(pasts[1:], x)
    normed = middle / np.sqrt((middle**2).mean(-1, keepdims=True) + small.dims.epsilon) * small.arrays["norm"]
    np.testing.assert_allclose(normed, hidden, atol=1e-3)
