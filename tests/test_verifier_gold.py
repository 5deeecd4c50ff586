"""Gold labels: a sheet that is judged twice and blind, in a terminal, and goes on where it was left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner
from verifier_small import draft

from dragoman.__main__ import app
from dragoman.agent.drafter.drafting import Drafted, Kind
from dragoman.agent.drafter.labelled import Origin, save_shard
from dragoman.audio.types import DragomanError
from dragoman.verifier.gold import RUBRIC, Item, Sheet
from dragoman.verifier.labels import VERDICTS


def items(count: int) -> list[Item]:
    return [Item(f"c/{i}", (("user", f"Question {i}?"),), f"answer {i}", False) for i in range(count)]


def test_a_sheet_is_drawn_once_and_each_pass_has_its_order(tmp_path: Path) -> None:
    """By its seed; nothing that tells where an item comes from decides the order."""
    sheet = Sheet.draw(tmp_path / "gold.json", items(40), "drafter", 20, seed=1)
    again = Sheet.draw(tmp_path / "again.json", items(40)[::-1], "drafter", 20, seed=1)
    assert [item.name for item in sheet.items] == [item.name for item in again.items]
    first, second = ([item.name for item in sheet.open_items(number)] for number in (1, 2))
    assert sorted(first) == sorted(second)
    assert first != second
    assert len(Sheet.draw(tmp_path / "few.json", items(3), "drafter", 20, seed=1).items) == 3


def test_answers_are_kept_and_can_be_taken_back(tmp_path: Path) -> None:
    """After every answer the file is whole; a pass belongs to its reader."""
    path = tmp_path / "gold.json"
    sheet = Sheet.draw(path, items(4), "drafter", 4, seed=1)
    one, two, *_ = sheet.open_items(1)
    sheet.answer(1, "ann", one, "good")
    sheet.answer(1, "ann", two, "bad")
    assert len(Sheet(path).open_items(1)) == 2
    assert Sheet(path).take_back(1) == two
    assert Sheet(path).passes[1].verdicts == {one.name: "good"}
    with pytest.raises(DragomanError, match="begun by ann"):
        Sheet(path).answer(1, "bob", two, "good")
    assert Sheet(path).take_back(2) is None


def test_two_passes_give_kappa_and_the_gold_labels(tmp_path: Path) -> None:
    """Gold is what both say."""
    sheet = Sheet.draw(tmp_path / "gold.json", items(10), "drafter", 10, seed=1)
    for i, item in enumerate(sheet.items):
        sheet.answer(1, "ann", item, "good" if i < 5 else "bad")
        sheet.answer(2, "bob", item, "good" if i < 4 else "bad")
    shared, kappa = sheet.agreement()
    assert (shared, kappa) == (10, pytest.approx(0.8))
    agreed = sheet.agreed()
    assert sorted(agreed.values()) == ["bad"] * 5 + ["good"] * 4
    assert sheet.items[4].name not in agreed


def test_two_readers_at_once_keep_the_answers_of_both(tmp_path: Path) -> None:
    """Each in a pass of their own; a pass that another began meanwhile is theirs."""
    path = tmp_path / "gold.json"
    ann = Sheet.draw(path, items(3), "drafter", 3, seed=1)
    bob = Sheet(path)
    for item in ann.items:
        ann.answer(1, "ann", item, "good")
        bob.answer(2, "bob", item, "bad")
    assert ann.take_back(1) == ann.items[-1]
    assert {number: len(one.verdicts) for number, one in Sheet(path).passes.items()} == {1: 2, 2: 3}
    ann.answer(3, "ann", ann.items[0], "good")
    with pytest.raises(DragomanError, match="begun by ann"):
        bob.answer(3, "bob", ann.items[1], "good")


def test_what_is_no_sheet_is_told(tmp_path: Path) -> None:
    """Another file, or verdicts that the rubric doesn't have."""
    path = tmp_path / "gold.json"
    with pytest.raises(DragomanError, match="not a sheet"):
        Sheet(path)
    Sheet.draw(path, items(2), "drafter", 2, seed=1)
    data = json.loads(path.read_text())
    data["passes"] = {"1": {"reader": "ann", "verdicts": {"c/0": "maybe"}}}
    path.write_text(json.dumps(data))
    with pytest.raises(DragomanError, match="verdicts are good, generic, bad"):
        Sheet(path)


def test_the_rubric_says_what_each_verdict_means() -> None:
    """It is printed, and covers what may be answered."""
    shown = CliRunner().invoke(app, ["data", "gold", "--rubric"])
    assert shown.output == RUBRIC
    assert all(f"  {verdict} " in RUBRIC for verdict in VERDICTS)


def drafts(folder: Path) -> None:
    """Natural drafts at the begin and before it, and one of a spoilt turn."""
    kinds: list[Kind] = ["natural", "masked"]
    made = [
        Drafted(f"c{i}/{kind}", f"c{i}", kind, "chat", (("user", f"Is it {i}?"),), "Is it", "so it is", draft(i))
        for i in range(5)
        for kind in kinds
    ]
    folder.mkdir()
    save_shard(folder, "test-1-00001", made, Origin("d0", 1))


def test_the_questionnaire_goes_on_where_it_was_left(tmp_path: Path) -> None:
    """Keys that mean nothing are asked again, undo takes back, the end of the input ends it; nothing tells the kind."""
    drafts(tmp_path / "drafts")
    sheet = str(tmp_path / "gold.json")
    command = ["data", "gold", sheet, "--reader", "ann"]
    first = CliRunner().invoke(
        app, [*command, "--drafts", str(tmp_path / "drafts"), "--json"], input="g\nx\nn\nu\nb\nq\n"
    )
    assert first.exit_code == 0, first.output
    summary = json.loads(first.stdout.splitlines()[-1])
    assert (summary["items"], summary["left"]) == (5, 3)
    assert list(Sheet(Path(sheet)).passes[1].verdicts.values()) == ["good", "bad"]
    assert "natural" not in first.output
    assert "user: Is it" in first.stderr
    rest = CliRunner().invoke(app, command, input="g\ng\ng\n")
    assert "pass 1, 0 of 5 items left" in rest.stdout
    twice = CliRunner().invoke(app, [*command, "--pass", "2", "--json"], input="g\ng\ng\ng\ng\n")
    summary = json.loads(twice.stdout.splitlines()[-1])
    assert (summary["judged_twice"], summary["left"]) == (5, 0)
    assert summary["agreed"] == 4


def test_undo_after_a_break_shows_the_item_again(tmp_path: Path) -> None:
    """The last answer of yesterday can still be taken back."""
    drafts(tmp_path / "drafts")
    sheet = str(tmp_path / "gold.json")
    CliRunner().invoke(app, ["data", "gold", sheet, "--drafts", str(tmp_path / "drafts")], input="g\nq\n")
    CliRunner().invoke(app, ["data", "gold", sheet], input="u\nb\nq\n")
    assert list(Sheet(Path(sheet)).passes[1].verdicts.values()) == ["bad"]


def test_who_has_no_name_is_asked_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user need not be listed anywhere."""

    def unlisted() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", unlisted)
    drafts(tmp_path / "drafts")
    command = ["data", "gold", str(tmp_path / "gold.json"), "--drafts", str(tmp_path / "drafts")]
    asked = CliRunner().invoke(app, command)
    assert asked.exit_code == 1
    assert "give --reader NAME" in asked.stderr
    assert CliRunner().invoke(app, [*command, "--reader", "ann"], input="q\n").exit_code == 0


def test_a_new_sheet_needs_drafts(tmp_path: Path) -> None:
    """One line says so."""
    asked = CliRunner().invoke(app, ["data", "gold", str(tmp_path / "gold.json")])
    assert asked.exit_code == 1
    assert "--drafts FOLDER" in asked.stderr
