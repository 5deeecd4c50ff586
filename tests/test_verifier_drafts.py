"""Drafts for the verifier: turns spoilt at their words, a drafter run over them, their folder, the judge."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from drafter_small import runtime as small_runtime
from typer.testing import CliRunner
from verifier_small import conversation

from dragoman.__main__ import app
from dragoman.agent.drafter.corruption import CORRUPTIONS, Corruption, spoil
from dragoman.agent.drafter.drafting import Asked, Drafted, Drafter, recorded, turns_of
from dragoman.agent.drafter.judging import Judge
from dragoman.agent.drafter.labelled import Origin, is_done, load_folder, load_labels, save_labels, save_shard
from dragoman.agent.drafter.runtime import DrafterRuntime
from dragoman.agent.openings import sayable
from dragoman.agent.ports import Message
from dragoman.audio.types import INPUT_RATE, DragomanError, Samples
from dragoman.verifier.labels import Candidate, Label

SAID = "My sister Maria does not like the 3 dogs"
OTHERS = ("Where do we go tomorrow", "It rains a lot in winter")
ASKED = Asked("t/2", "t", SAID, (("user", "Hello."), ("assistant", "Yes?")))


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> DrafterRuntime:
    return small_runtime(tmp_path_factory.mktemp("graphs"))


def spoilt(how: Corruption) -> str:
    """The turn, spoilt in one way."""
    for seed in range(60):
        text, kind = spoil(SAID, OTHERS, Random(seed))
        if kind == how:
            return text
    raise AssertionError(f"{how} was never drawn")


def test_a_turn_is_cut_or_its_phrases_are_gone() -> None:
    """What is left are words of the turn, in their order."""
    cut, masked = spoilt("cut").split(), spoilt("masked").split()
    said = SAID.split()
    assert cut == said[: len(cut)]
    assert 0.3 * len(said) - 1 <= len(cut) <= 0.75 * len(said) + 1
    assert 1 <= len(masked) <= 0.5 * len(said)
    rest = iter(said)
    assert all(word in rest for word in masked)


def test_words_that_matter_are_misheard() -> None:
    """Denials, names and numbers are taken for others; other words stay. Where none matters, long ones go."""
    heard = spoilt("misheard").split()
    assert not {"Maria", "3", "not"} & set(heard)
    assert {"My", "sister", "dogs"} <= set(heard)
    found = {
        text
        for seed in range(60)
        for text, how in [spoil("we walked there", OTHERS, Random(seed))]
        if how == "misheard"
    }
    assert found
    assert all("walked" not in text for text in found)


def test_another_turn_comes_in_its_place() -> None:
    """One of those that are lent; short turns are never cut."""
    assert spoilt("other") in OTHERS
    ways = {spoil("Oh no", OTHERS, Random(seed))[1] for seed in range(60)}
    assert ways == set(CORRUPTIONS) - {"cut"}


def drafted(runtime: DrafterRuntime, asked: Asked = ASKED, seed: int = 1) -> list[Drafted]:
    return list(Drafter(runtime, seed).draft(asked, OTHERS))


def test_a_turn_gives_a_natural_draft_and_a_spoilt_one(runtime: DrafterRuntime) -> None:
    """Both with the dialogue that was true, and with what the drafter read; deterministic by seed."""
    made = [one for seed in range(8) for one in drafted(runtime, seed=seed)]
    assert {one.kind for one in made} > {"natural"}
    assert {one.kind for one in made} <= {"natural", *CORRUPTIONS}
    assert {one.dialogue for one in made} == {(*ASKED.before, ("user", SAID))}
    assert all(one.said == sayable(one.draft.text, complete=one.draft.complete) != "" for one in made)
    assert all(len(one.draft.hidden) == len(one.draft.tokens) > 0 for one in made)
    assert [(one.name, one.heard, one.said) for one in drafted(runtime)] == [
        (one.name, one.heard, one.said) for one in drafted(runtime)
    ]
    assert len({one.heard for one in made}) > 4


def test_a_draft_is_of_what_was_heard(runtime: DrafterRuntime) -> None:
    """Where a recognizer heard the turn, its words are read and no mistakes are made up."""
    heard = replace(ASKED, heard="My sister Maria does not like the dogs.")
    natural = drafted(runtime, heard)[0]
    assert natural.heard == heard.heard
    reading = runtime.open(ASKED.before)
    runtime.read(reading, natural.heard)
    np.testing.assert_array_equal(natural.draft.hidden, runtime.draft(reading, 8).hidden)


def test_turns_of_a_talk_are_asked_after_those_before_them() -> None:
    """The agent and the user in turn, the user last."""
    talk = tuple(f"turn {i}" for i in range(9))
    asked = turns_of("talk", talk, Random(1), 4)
    assert len(asked) == 4
    for one in asked:
        at = int(one.text.split()[1])
        assert [text for _, text in one.before] == [f"turn {i}" for i in range(max(0, at - 6), at)]
        assert [role for role, _ in one.before[::-1]] == [("assistant", "user")[i % 2] for i in range(len(one.before))]
    assert len(turns_of("talk", talk[:2], Random(1), 4)) == 2


class _Text:
    def __init__(self, seconds: float) -> None:
        self.text = f"{seconds:.1f} seconds"
        self.words = ()
        self.stable = 2
        self.language = "en"


class _Ear:
    """A recognizer that tells how long the sound was."""

    def __init__(self) -> None:
        self._samples = 0

    def open(self, language: str | None = None) -> _Ear:
        return _Ear()

    def accept(self, pcm: Samples) -> None:
        self._samples += len(pcm)

    def partial(self) -> _Text:
        return _Text(self._samples / INPUT_RATE)

    ended = final = refined = partial


def test_recorded_turns_are_heard_one_by_one() -> None:
    """Each with a little around it, and with what had been heard of the replies before."""
    first, second = recorded(conversation("c0", SAID, "yes good yes"), _Ear())
    assert (first.text, first.heard) == (SAID, "3.1 seconds")
    assert (second.text, second.heard) == ("No.", "1.6 seconds")
    assert first.before == (("user", "Hello."), ("assistant", "Yes?"))
    assert second.before == (*first.before, ("user", SAID), ("assistant", "yes good"))


def test_a_folder_of_drafts_comes_back(runtime: DrafterRuntime, tmp_path: Path) -> None:
    """Drafts with all that is known of them, and their labels; a shard of another drafter is refused."""
    made, origin = drafted(runtime), Origin("d0", 1)
    assert not is_done(tmp_path, "verifier-1-00002", origin)
    save_shard(tmp_path, "verifier-1-00002", made, origin)
    assert is_done(tmp_path, "verifier-1-00002", origin)
    found, back = load_folder(tmp_path)
    assert (found, back) == (origin, made)
    np.testing.assert_allclose(back[0].draft.hidden, made[0].draft.hidden, atol=0.02)
    with pytest.raises(DragomanError, match="another drafter"):
        is_done(tmp_path, "verifier-1-00002", Origin("d1", 1))
    with pytest.raises(DragomanError, match="no labels"):
        load_labels(tmp_path)
    labels = {one.name: Label("good", "fits", 0.2, 0.1) for one in made}
    save_labels(tmp_path, labels, {"by": "hand"})
    assert load_labels(tmp_path) == (labels, {"by": "hand"})
    save_shard(tmp_path, "verifier-1-00009", made, Origin("d1", 1))
    with pytest.raises(DragomanError, match="several drafters"):
        load_folder(tmp_path)
    (tmp_path / "verifier-1-00009.json").write_text("{}")
    with pytest.raises(DragomanError, match="not an index"):
        load_folder(tmp_path)
    with pytest.raises(DragomanError, match="holds no drafts"):
        load_folder(tmp_path / "nothing")


class _Model:
    """A language model that says what it is told to, word by word."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.read: list[str] = []

    async def reply(
        self, messages: Sequence[Message], *, prefix: str = "", max_tokens: int = 160
    ) -> AsyncGenerator[str, None]:
        self.read.append(messages[-1].content)
        for piece in self.answers.pop(0):
            yield piece

    async def warm(self, messages: Sequence[Message], *, open_end: bool = False) -> None: ...

    async def aclose(self) -> None: ...


def test_a_judge_labels_by_the_rubric_and_is_asked_once(tmp_path: Path) -> None:
    """Its first word counts; an answer is kept; who answers otherwise is asked again, and then is no judge."""
    one = Candidate("a", "I see that", (("user", "It rains."),), "c")
    two = replace(one, name="b", text="Well, I think")

    def judged(model: _Model, *candidates: Candidate) -> dict[str, Label]:
        judge = Judge(tmp_path / "judge.sqlite", model, "m", at_once=1)
        return asyncio.run(judge.label(candidates, lambda done, total: None))

    model = _Model("Good.", "well", "generic, I think")
    found = judged(model, one, two)
    assert [(found[name].verdict, found[name].reason) for name in "ab"] == [("good", "judge"), ("generic", "judge")]
    assert "user: It rains." in model.read[0]
    assert "I see that" in model.read[0]
    assert judged(_Model(), one, two) == found
    with pytest.raises(ExceptionGroup) as caught:
        judged(_Model("a", "b", "c"), replace(one, text="Other"))
    assert "take a larger model" in str(caught.value.exceptions[0])


def test_the_index_is_plain_json(runtime: DrafterRuntime, tmp_path: Path) -> None:
    """Others may read it."""
    save_shard(tmp_path, "verifier-1-00002", drafted(runtime), Origin("d0", 1))
    data = json.loads((tmp_path / "verifier-1-00002.json").read_text())
    assert data["origin"]["drafter"] == "d0"
    assert data["drafts"][0]["dialogue"][-1] == ["user", SAID]


def test_a_folder_without_conversations_is_told_before_anything_is_drafted(tmp_path):
    """Rather than to draft for half an hour to something else."""
    result = CliRunner().invoke(app, ["data", "drafts", "--data", str(tmp_path), "--folder", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "has no conversations of the split verifier: run `dragoman data duplex`" in result.stderr.replace("\n", " ")
