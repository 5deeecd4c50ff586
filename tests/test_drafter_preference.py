"""Drafts with other beginnings, drafts that are told again, and what is learned from which of them may be spoken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drafter_small import adapter, body
from drafter_small import runtime as small_runtime

from dragoman.agent.drafter.choices import Choice, choices
from dragoman.agent.drafter.drafting import Asked, Drafted, Drafter, retold
from dragoman.agent.drafter.runtime import DrafterRuntime
from dragoman.verifier.labels import Verdict

OTHERS = ("Where do we go tomorrow", "It rains a lot in winter")


def asked(number: int) -> Asked:
    said = f"{number} good yes " * 3
    return Asked(f"t{number}/2", f"t{number}", said, (("user", "Hello."), ("assistant", "Yes?")), heard=said)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> DrafterRuntime:
    return small_runtime(tmp_path_factory.mktemp("graphs"))


def drafted(runtime: DrafterRuntime, turns: int = 1) -> list[Drafted]:
    """Those of turns as they are, without the spoilt ones."""
    drafter = Drafter(runtime, alternatives=4)
    made = [one for number in range(turns) for one in drafter.draft(asked(number), OTHERS)]
    return [one for one in made if one.kind in ("natural", "alternative")]


def test_alternatives_begin_otherwise(runtime: DrafterRuntime) -> None:
    """Each with a token of its own, less likely than that of the natural draft, which is the same without them."""
    natural, *others = drafted(runtime)
    assert natural.kind == "natural"
    assert {one.kind for one in others} == {"alternative"}
    firsts = [one.draft.tokens[0] for one in (natural, *others)]
    assert len(set(firsts)) == len(firsts) > 2
    assert all(one.draft.logp[0] < natural.draft.logp[0] for one in others)
    assert next(Drafter(runtime).draft(asked(0), OTHERS)).draft == natural.draft


def test_a_drafter_has_its_own_doubts_about_a_draft_that_is_told_again(runtime: DrafterRuntime, tmp_path: Path) -> None:
    """Its own drafts come back as they were, and those of another with other doubts but the same words."""
    made = drafted(runtime)
    for again, one in zip(retold(runtime, made), made, strict=True):
        assert again.draft == one.draft
        for name in ("hidden", "entropy", "logp", "margin"):
            np.testing.assert_allclose(getattr(again.draft, name), getattr(one.draft, name), atol=1e-3)
    other = small_runtime(tmp_path, end=-2.0)
    for again, one in zip(retold(other, made), made, strict=True):
        assert (again.said, again.draft.text, again.name) == (one.said, one.draft.text, one.name)
        assert np.abs(again.draft.logp - one.draft.logp).max() > 1e-4


def verdicts(made: list[Drafted]) -> dict[str, Verdict]:
    """What is natural is bad, what has an even number is good, and the rest is generic."""
    found: dict[str, Verdict] = {}
    for one in made:
        number = one.name.rpartition("-")[2]
        found[one.name] = "bad" if one.kind == "natural" else "good" if int(number) % 2 == 0 else "generic"
    return found


def test_drafts_of_a_turn_stand_side_by_side(runtime: DrafterRuntime) -> None:
    """Each sees the dialogue and itself; what may be spoken is better than what may not, and telling than generic."""
    made = drafted(runtime)
    [turn] = choices(made, verdicts(made), runtime.vocabulary)
    known = int(turn.at.min()) + 1
    assert turn.sees[:known, :known].sum() == known * (known + 1) / 2
    assert turn.sees[known:, :known].all()
    after = turn.sees[known:, known:]
    said = [len(runtime.vocabulary.write(one.said)) for one in made]
    assert after.sum() == sum(n * (n + 1) / 2 for n in said)
    assert turn.good.tolist() == [one.kind != "natural" for one in made]
    bad = [i for i, one in enumerate(made) if one.kind == "natural"]
    assert {int(worse) for (_, worse), weight in zip(turn.better, turn.weighs, strict=True) if weight == 1} == set(bad)
    assert all(turn.good[better] for better, _ in turn.better)
    rows = [runtime.vocabulary.rows[token] for token in made[0].draft.tokens[: said[0]]]
    assert turn.written[turn.draft == 0].tolist()[: len(rows)] == rows


def test_a_turn_without_a_choice_teaches_nothing(runtime: DrafterRuntime) -> None:
    """All good, all bad, or not judged."""
    made = drafted(runtime)
    assert choices(made, {one.name: "good" for one in made}, runtime.vocabulary) == []
    assert choices(made, {one.name: "bad" for one in made}, runtime.vocabulary) == []
    assert choices(made, {}, runtime.vocabulary) == []


@pytest.mark.train
def test_training_prefers_what_may_be_spoken(runtime: DrafterRuntime, tmp_path: Path) -> None:
    """It goes on where it was stopped, refuses other drafts, and what was the likeliest beginning is so no more."""
    pytest.importorskip("torch")
    from dragoman.agent.drafter.preference import Options, Preference, Report
    from dragoman.agent.duplex.adapter import load_adapter
    from dragoman.audio.types import DragomanError

    made = drafted(runtime, 24)
    turns: list[Choice] = choices(made, verdicts(made), runtime.vocabulary)
    options = Options(epochs=6, rate=3e-3, turns=2, check_every=5)
    first = Preference(body(), adapter(), turns, tmp_path, options)
    before = first.check()

    def stop(report: Report) -> None:
        if report.step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first.run(stop)
    steps: list[Report] = []
    second = Preference(body(), adapter(), turns, tmp_path, options)
    assert second.step == 7
    second.run(steps.append)
    assert [report.step for report in steps] == list(range(8, second.steps + 1))
    after = second.check()
    assert after["likeliest_good"] > before["likeliest_good"] + 0.3
    assert after["right"] > before["right"] + 0.3
    assert after["preference_loss"] < before["preference_loss"]
    trained = load_adapter(tmp_path / "adapter.npz")
    assert trained.digest() != adapter().digest()
    assert trained.kept == adapter().kept
    with pytest.raises(DragomanError, match="other drafts"):
        Preference(body(), adapter(), turns[3:], tmp_path, options)
    with pytest.raises(DragomanError, match="too few"):
        Preference(body(), adapter(), turns[:2], tmp_path / "few", replace(options, turns=8))
