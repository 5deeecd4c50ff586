"""What replies say, with first words and without: probes whose answers are checked, and blind pairs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dragoman.__main__ import app
from dragoman.audio.types import INPUT_RATE, DragomanError
from dragoman.benchmarks.onset_figures import Run, groups
from dragoman.benchmarks.onset_modes import Mode, System
from dragoman.benchmarks.onset_pairs import KIND, PairSheet, pairs_of, preference, write_pairs
from dragoman.benchmarks.onset_probes import PROBES, Probe, answers, spoken
from dragoman.benchmarks.onset_report import probe_lines
from dragoman.benchmarks.onset_run import Take
from dragoman.benchmarks.onset_turns import HeldOut

from .fakes import ToneVoice


def turn_of(name: str) -> HeldOut:
    quiet = np.zeros(160, np.float32)
    return HeldOut(name, name.split("/")[0], quiet, quiet, 0.01, (("assistant", "Hello."),), "Who wrote it?")


def run_of(
    mode: Mode,
    turn: HeldOut,
    text: str,
    *,
    prefix: str = "",
    cut: bool = False,
    whole: bool = True,
    delay_s: float = 0.0,
) -> Run:
    take = Take(500.0, cut, False, prefix, None, text, turn.text, whole, None, 1.0, np.zeros(0, np.float32))
    return Run(System(mode, delay_s), "virtual", turn, take)


# --- probes


def test_there_are_twenty_probes_of_each_kind() -> None:
    """No question twice; half of each kind asks for what was said before."""
    assert Counter(probe.about for probe in PROBES) == {"name": 20, "number": 20, "yes-no": 20}
    assert Counter(probe.about for probe in PROBES if probe.dialogue) == {"name": 10, "number": 10, "yes-no": 10}
    assert len({probe.question for probe in PROBES}) == 60


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        ("How many cats do I have?", "You have three cats.", "You have thirteen cats."),
        ("What is the capital of France?", "That would be Paris, of course.", "I can't say."),
        ("Can birds fly?", "Yes, most of them can.", "No, they can't."),
        ("Can birds fly?", "Of course they do!", "That's a good question!"),
        ("Is an elephant bigger than a mouse?", "An elephant is much larger.", "No, it is larger."),
        ("Is a week longer than a month?", "A week is shorter.", "Yes, a month is shorter."),
        ("Do cars have wings?", "No, they don't.", "Yes! Absolutely."),
        ("Do cars have wings?", "Cars do not have any.", "Yes, although most don't."),
        ("Which floor do I live on?", "You live on the 5th floor.", "On the fifteenth."),
    ],
)
def test_an_answer_is_right_or_wrong(question: str, right: str, wrong: str) -> None:
    """By whole words; whoever says yes and no has not answered."""
    probe = next(probe for probe in PROBES if probe.question == question)
    assert probe.answered(right)
    assert not probe.answered(wrong)


def test_no_probe_takes_the_answer_to_another_question() -> None:
    """What says nothing is no answer to anything."""
    assert not any(probe.answered("That's great! Tell me more about it.") for probe in PROBES)


def test_a_probe_is_spoken_in_a_quiet_room_after_its_dialogue() -> None:
    """Kinds take turns; the voice ends where the turn's end is said to be; the user speaks first, the agent after."""
    made = spoken(ToneVoice(), 7)
    assert [probe.about for probe, _ in made] == ["name", "number", "yes-no", "name", "number", "yes-no", "name"]
    probe, turn = made[0]
    assert turn.dialogue == (("user", probe.dialogue[0]), ("assistant", probe.dialogue[1]))
    end = round(turn.end_s * INPUT_RATE)
    assert np.abs(turn.pcm[end:]).max() < 0.01 < np.abs(turn.pcm[end - 800 : end]).max()
    assert len(turn.pcm) > end


def asked() -> list[tuple[Probe, HeldOut]]:
    return [(PROBES[i], turn_of(f"probe-{i}")) for i in (10, 30, 50, 55)]


def test_answers_are_counted_on_probes_that_nobody_broke_into() -> None:
    """By kind, and relay's gain over the cascade."""
    (_, one), (_, two), (_, three), (_, four) = asked()
    runs = [
        *(run_of(mode, one, "It's Paris.") for mode in ("relay", "cascade-same")),
        run_of("relay", two, "That's a good one!", prefix="That's a good one!"),
        run_of("cascade-same", two, "There are seven."),
        *(run_of(mode, three, "Yes, it is.") for mode in ("relay", "cascade-same")),
        run_of("relay", four, "No.", cut=True),
        run_of("cascade-same", four, "No."),
    ]  # fmt: skip
    found = answers(asked(), runs)
    assert (found["asked"], found["left_out"]) == (3, 1)
    relay, same = found["relay"], found["cascade-same"]
    assert isinstance(relay, dict)
    assert isinstance(same, dict)
    assert relay["right"] == pytest.approx(2 / 3)
    assert (relay["number"], same["number"], same["right"]) == (0, 1, 1)
    assert found["gain"] == pytest.approx(-1 / 3)
    first, _, last = probe_lines(found)
    assert first == "3 probes, cascade-same: right 100%, name 100%, number 100%, yes-no 100%"
    assert "-0.333" in last
    assert answers(asked(), []) == {}
    assert probe_lines({}) == []


# --- pairs


def runs_of(count: int) -> list[Run]:
    made = []
    for i in range(count):
        turn = turn_of(f"{i}/1")
        made.append(run_of("relay", turn, f"Oh, relay {i}.", prefix="Oh,"))
        made.append(run_of("cascade-same", turn, f"Cascade {i}."))
    return made


def test_pairs_are_of_turns_that_began_with_first_words() -> None:
    """Both replies whole, nobody broken into, at once; which stands first is drawn, the same way each time."""
    runs = runs_of(40)
    pairs = pairs_of(groups(runs, {}))
    assert len(pairs) == 40
    assert all(pair.replies[pair.relay].startswith("Oh, relay") for pair in pairs)
    assert 10 < sum(pair.relay for pair in pairs) < 30
    assert pairs == pairs_of(groups(runs, {}))
    for spoilt in (
        replace(runs[0], take=replace(runs[0].take, prefix="")),
        replace(runs[0], take=replace(runs[0].take, whole=False)),
        replace(runs[0], take=replace(runs[0].take, cut=True)),
        replace(runs[0], clock="real"),
        replace(runs[0], system=System("relay", 2.0)),
    ):
        assert len(pairs_of(groups([spoilt, *runs[1:]], {}))) == 39


def test_readers_compare_blind_and_relay_is_found_again(tmp_path: Path) -> None:
    """Two passes; nothing on the screen says whose reply it is; the summary counts by system."""
    path = tmp_path / "pairs.json"
    assert "4 pairs" in write_pairs(path, groups(runs_of(4), {}), {"llm": "small"})
    sheet = PairSheet(path, KIND)
    order = sheet.open_items(1)
    keys = [str(pair.relay + 1) for pair in order[:2]] + [str(2 - order[2].relay), "t"]
    command = ["bench", "pairs", str(path), "--reader", "ann", "--json"]
    first = CliRunner().invoke(app, command, input="\n".join(keys) + "\n")
    assert first.exit_code == 0, first.output
    assert "cascade-same" not in first.stderr
    summary = json.loads(first.stdout.splitlines()[-1])
    assert summary["passes"] == {"1": {"reader": "ann", "relay": 2, "cascade-same": 1, "tie": 1}}
    assert (summary["left"], summary["preference"]) == (0, 0.25)
    low, high = summary["preference_ci95"]
    assert -1 <= low < 0.25 < high <= 1
    second = CliRunner().invoke(app, ["bench", "pairs", str(path), "--pass", "2"], input="1\nq\n")
    assert "pass 2, 3 of 4 pairs left" in second.stdout
    assert preference(PairSheet(path, KIND))["judged_twice"] == 1


def test_a_file_without_pairs_is_told(tmp_path: Path) -> None:
    """A sheet of something else is none; a benchmark without pairs says so and writes nothing."""
    path = tmp_path / "pairs.json"
    assert "no turn has two whole replies" in write_pairs(path, groups(runs_of(3)[::2], {}), {})
    assert not path.exists()
    path.write_text('{"items": [{"name": "a", "dialogue": [], "replies": ["x"], "relay": 0}], "passes": {}}')
    with pytest.raises(DragomanError, match="not a sheet of pairs of replies"):
        PairSheet(path, KIND)
    shown = CliRunner().invoke(app, ["bench", "pairs", str(path)])
    assert shown.exit_code == 1
    assert "a pair has two replies" in shown.stderr
