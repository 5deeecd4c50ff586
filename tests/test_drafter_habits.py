"""What a drafter usually says, and that reading it ahead changes nothing but the time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from drafter_small import runtime
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from dragoman.__main__ import app
from dragoman.agent.drafter.catalog import adapter_path, open_habits
from dragoman.agent.drafter.drafting import Drafted
from dragoman.agent.drafter.habits import MOST, Habits, learn, load_habits, save_habits
from dragoman.agent.drafter.labelled import Origin, save_shard
from dragoman.agent.drafter.runtime import DrafterRuntime
from dragoman.agent.duplex.adapter import load_adapter
from dragoman.agent.duplex.past import Past, Reader
from dragoman.audio.types import DragomanError

TURNS = ("Is it good there?", "No.", "And so it is not so good, is it?", "yes yes", "good", "Is it?")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drafter")


@pytest.fixture(scope="module")
def plain(folder: Path) -> DrafterRuntime:
    """It has no habits."""
    return runtime(folder)


def draft(drafter: DrafterRuntime, said: str, words: int = 8) -> object:
    reading = drafter.open()
    drafter.read(reading, said)
    return drafter.draft(reading, words)


def test_what_was_said_most_often_is_guessed() -> None:
    """By the last two tokens, else by the last one; what is rare, or unsure in the end, is not."""
    habits = learn([*[(7, 8, 9, 10)] * 6, *[(5, 8, 3)] * 5, (4, 6)], "me")
    assert habits.guess([]) == [7, 8, 9, 10]
    assert habits.guess([7]) == [8, 9, 10]
    assert habits.guess([5, 8]) == [3]
    assert habits.guess([2, 8]) == [9, 10]
    assert habits.guess([4]) == habits.guess([7, 8, 9, 10]) == []
    assert habits.guess([], most=2) == [7, 8]
    unsure = learn([(1, token) for token in range(10, 20)] * 5, "me")
    assert unsure.guess([]) == [1]
    assert unsure.guess([1]) == []


def test_the_last_draft_is_guessed_again() -> None:
    """As long as it agrees with what is said; an end of it is followed by habits."""
    habits = learn([(1, 2, 3)] * 9, "me")
    assert habits.guess([], last=(5, 6)) == [5, 6]
    assert habits.guess([5], last=(5, 6)) == [6]
    assert habits.guess([1], last=(5, 6)) == [2, 3]
    assert habits.guess([], last=(0, 1)) == [0, 1, 2, 3]
    assert len(habits.guess([], last=range(100))) <= MOST


habits_of_random_drafts = st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=30)


@given(said=st.sampled_from(TURNS), other=habits_of_random_drafts, words=st.integers(1, 8))
def test_any_habits_give_the_same_draft(
    plain: DrafterRuntime, folder: Path, said: str, other: list[list[int]], words: int
) -> None:
    """Right guesses or wrong ones, and whatever was drafted before."""
    expected = draft(plain, said, words)
    for habits in (learn([*other, *other, *other, *other], "me"), of_drafts(plain)):
        quick = DrafterRuntime(folder, habits=habits)
        found = draft(quick, said, words)
        assert found == expected
        np.testing.assert_allclose(found.hidden, expected.hidden, atol=1e-4)
        np.testing.assert_allclose(found.margin, expected.margin, atol=1e-3)
        reading = quick.open()
        quick.read(reading, TURNS[0])
        quick.draft(reading, 8)
        quick.read(reading, said)
        assert quick.draft(reading, words) == expected


def of_drafts(drafter: DrafterRuntime) -> Habits:
    return learn([draft(drafter, said).tokens for said in TURNS] * 4, "me")


def test_what_is_guessed_is_read_together(plain: DrafterRuntime, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A draft that is as ever takes a few passes; without habits it takes one for each token."""
    passes = list[int]()
    read = Reader.read

    def counted(self: Reader, pasts: Sequence[Past], x: np.ndarray) -> list[np.ndarray]:
        passes.append(x.shape[1])
        return read(self, pasts, x)

    quick = DrafterRuntime(folder, habits=of_drafts(plain))
    counts = []
    for drafter in (plain, quick):
        reading = drafter.open()
        drafter.read(reading, TURNS[2])
        monkeypatch.setattr(Reader, "read", counted)
        made = drafter.draft(reading, 8)
        monkeypatch.undo()
        counts.append(len(passes))
        passes.clear()
    assert counts[0] >= len(made.tokens)
    assert counts[1] <= counts[0] / 2


def test_habits_are_kept(tmp_path: Path, plain: DrafterRuntime) -> None:
    """They come back as they were, out of a command, and a broken file is told."""
    habits = of_drafts(plain)
    save_habits(tmp_path / "h.npz", habits)
    back = load_habits(tmp_path / "h.npz")
    assert (back.drafter, back.card) == ("me", habits.card)
    assert back.guess([]) == habits.guess([])
    (tmp_path / "broken.npz").write_bytes(b"PK")
    with pytest.raises(DragomanError, match=r"broken\.npz"):
        load_habits(tmp_path / "broken.npz")
    made = [draft(plain, said) for said in TURNS] * 4
    (tmp_path / "drafts").mkdir()
    named = [
        Drafted(f"n{i}", f"c{i}", "natural", "plain", (("user", "Is it?"),), "Is it?", one.text, one)
        for i, one in enumerate(made)
    ]
    save_shard(tmp_path / "drafts", "train-00000", named, Origin("me", 1))
    command = ["train", "habits", "--drafts", str(tmp_path / "drafts"), "--folder", str(tmp_path / "out")]
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 0, found.output
    assert load_habits(tmp_path / "out" / "habits.npz").after == back.after
    nothing = CliRunner().invoke(app, [*command[:3], str(tmp_path / "none"), *command[4:]])
    assert nothing.exit_code == 1
    assert "data drafts" in nothing.output


def test_the_shipped_habits_are_the_shipped_drafters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another drafter's are not used."""
    path = adapter_path()
    assert path is not None
    own = load_adapter(path).digest()
    habits = open_habits(own)
    assert habits is not None
    assert len(habits.guess([])) >= 1
    assert open_habits("another") is None
    monkeypatch.setenv("DRAGOMAN_ADAPTERS", str(tmp_path))
    assert open_habits(own) is not None
