"""The verifier's training: it learns what can be learned, tells the truth about it, and a stopped run goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drafter_small import adapter, runtime
from typer.testing import CliRunner
from verifier_small import Bags, draft

from dragoman.__main__ import app
from dragoman.agent.drafter.drafting import Drafted
from dragoman.agent.drafter.labelled import Origin, load_folder, load_labels, save_labels, save_shard
from dragoman.agent.duplex.adapter import save_adapter
from dragoman.agent.duplex.chat import Line
from dragoman.agent.verifying import open_verifier
from dragoman.audio.types import DragomanError
from dragoman.verifier.features import features_of
from dragoman.verifier.labels import Label
from dragoman.verifier.model import Verifier, load_checkpoint
from dragoman.verifier.ranker import Ranker, Towers

if TYPE_CHECKING:
    from dragoman.verifier.training import Lesson, Options

pytestmark = pytest.mark.train


@pytest.fixture(autouse=True)
def _torch() -> None:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)


def options(**changed: object) -> Options:
    from dragoman.verifier.training import Options

    wanted = {"steps": 60, "batch": 32, "rate": 5e-3, "check_every": 20, "save_every": 20}
    return Options(**{**wanted, **changed})  # type: ignore[arg-type]


def lessons(count: int = 400, seed: int = 1) -> list[Lesson]:
    """Drafts of which one direction of the states tells whether they are good: three in four are."""
    from dragoman.verifier.training import Lesson

    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        good = rng.random() < 0.75
        one = draft(1000 * seed + i, tokens=int(rng.integers(3, 9)), sure=1.0 if good else -1.0)
        verdict = "bad" if not good else "generic" if i % 10 == 0 else "good"
        made.append(Lesson(features_of(one), verdict, "natural" if i % 3 else "noise", f"c{i // 8}"))
    return made


def test_it_learns_and_its_figures_are_those_of_its_file(tmp_path: Path) -> None:
    """Held-out drafts are told apart better than by length and log-probability, and the card's figures can be had again
    from the file alone.
    """
    from dragoman.verifier.figures import auroc, spoken_at
    from dragoman.verifier.training import Trainer, part_of

    made = lessons()
    figures = Trainer(made, "d0", tmp_path, options(), {"by": "hand"}).run(lambda report: None)
    checkpoint = load_checkpoint(tmp_path / "verifier.npz")
    assert checkpoint.drafter == "d0"
    assert checkpoint.card["figures"] == json.loads(json.dumps(figures))
    assert checkpoint.card["labels"] == {"by": "hand"}
    held = [one for one in made if part_of(one.conversation) == "held" and one.kind == "natural"]
    verifier = Verifier(checkpoint)
    p = np.array(
        [1 / (1 + np.exp(-(checkpoint.scale * verifier.logit(one.features) + checkpoint.shift))) for one in held]
    )
    good = np.array([one.good for one in held])
    natural = figures["natural"]
    assert isinstance(natural, dict)
    assert natural["auroc"] == pytest.approx(auroc(p, good), abs=1e-6)
    assert natural["auroc"] > 0.9
    assert natural["auroc"] > natural["auroc_baseline"] + 0.05
    assert natural["kept"] == pytest.approx(spoken_at(p, good, checkpoint.threshold).rate)
    assert natural["ece"] < 0.2
    assert 0.5 < natural["kept"] < 0.95
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [*range(1, 61), 60]
    assert lines[-1]["check"]["natural_auroc"] == natural["auroc"]


def test_nothing_is_learned_from_noise(tmp_path: Path) -> None:
    """Labels that have nothing to do with the drafts give no AUROC on what was held out, and the card says so."""
    from dragoman.verifier.training import Trainer

    rng = np.random.default_rng(5)
    made = [replace(one, verdict="bad" if rng.random() < 0.4 else "good") for one in lessons(600)]
    figures = Trainer(made, "d0", tmp_path, options(precision=0.99)).run(lambda report: None)
    everything = figures["all"]
    assert isinstance(everything, dict)
    assert everything["auroc"] == pytest.approx(0.5, abs=0.2)
    assert figures["precision_reached_on_tune"] is False


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    """The same numbers as in one go; other drafts or labels are refused."""
    from dragoman.verifier.training import Report, Trainer

    made = lessons()
    Trainer(made, "d0", tmp_path / "one", options()).run(lambda report: None)

    def stop(report: Report) -> None:
        if report.step == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(made, "d0", tmp_path / "two", options()).run(stop)
    assert not (tmp_path / "two" / "verifier.npz").exists()
    resumed = Trainer(made, "d0", tmp_path / "two", options())
    assert resumed.pace.step == 30
    resumed.run(lambda report: None)
    one, two = (load_checkpoint(tmp_path / name / "verifier.npz") for name in ("one", "two"))
    assert one.digest() == two.digest()
    assert one.card == two.card
    relabelled = [replace(made[0], verdict="bad" if made[0].good else "good"), *made[1:]]
    with pytest.raises(DragomanError, match="other drafts or labels"):
        Trainer(relabelled, "d0", tmp_path / "two", options())
    with pytest.raises(DragomanError, match="other drafts or labels"):
        Trainer(made, "d1", tmp_path / "two", options())


def test_too_few_conversations_are_told(tmp_path: Path) -> None:
    """Each part needs good and bad drafts."""
    from dragoman.verifier.training import Trainer

    with pytest.raises(DragomanError, match="more conversations"):
        Trainer(lessons(16), "d0", tmp_path, options())


def test_focal_loss_cares_for_what_is_wrong() -> None:
    """Without focus it is the cross-entropy; with it, what is judged rightly counts less."""
    import torch

    from dragoman.verifier.training import focal

    logits, good = torch.tensor([2.0, -2.0]), torch.tensor([True, True])
    plain = torch.nn.functional.binary_cross_entropy_with_logits(logits, good.float())
    assert float(focal(logits, good, 0)) == pytest.approx(float(plain))
    right, wrong = (
        float(focal(logits[i : i + 1], good[:1], 2) / focal(logits[i : i + 1], good[:1], 0)) for i in (0, 1)
    )
    assert right < 0.05 < 0.7 < wrong


TOPICS = "bread dogs chess trains gardens violins boats wine maps stars bees ovens shoes clocks rain tea salt".split()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_from_talks_to_a_verifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small drafter drafts in talks; its drafts are labelled, a verifier is trained on them by the command, and opens
    with that drafter alone.
    """
    made = adapter()
    save_adapter(tmp_path / "drafter.npz", made)
    small = runtime(tmp_path / "graphs")
    monkeypatch.setattr("dragoman.agent.cli.data_drafts.open_drafter", lambda **options: small)
    talks = {
        f"talk {i} {j}": [Line("ab"[k % 2], f"the {topic} is fine and so we say yes to number {k}") for k in range(8)]
        for i, topic in enumerate(TOPICS)
        for j in range(8)
    }
    monkeypatch.setattr("dragoman.agent.cli.data_drafts.installed_talks", lambda: talks)
    folder = tmp_path / "drafts"

    width = Bags.width
    eye = {"dialogue": np.eye(width, 2 * width, dtype=np.float32), "reply": np.eye(width, dtype=np.float32)}
    none = {
        "in": np.zeros((1, 1), np.float32),
        "in_bias": np.zeros(1, np.float32),
        "out": np.zeros((width, 1), np.float32),
    }
    arrays = {f"{name}.direct": matrix for name, matrix in eye.items()}
    for name, matrix in eye.items():
        arrays |= {f"{name}.{key}": value for key, value in none.items()}
        arrays[f"{name}.in"] = np.zeros((1, matrix.shape[1]), np.float32)
    ranker = Ranker(Towers(arrays, 0.02, 0.0, {}), Bags())
    monkeypatch.setattr("dragoman.agent.cli.data_drafts.open_ranker", lambda path, *, threads: ranker)
    drafting = ["data", "drafts", "--folder", str(folder), "--json"]
    done = CliRunner().invoke(app, [*drafting, "--adapter", str(tmp_path / "drafter.npz")])
    assert done.exit_code == 0, done.output
    origin, found = load_folder(folder)
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["drafts"], summary["by"]["ranker"]) == (len(found), ranker.towers.digest())
    labels, _ = load_labels(folder)
    assert set(labels) == {one.name for one in found}
    assert {one.verdict for one in labels.values()} >= {"good", "bad"}

    command = ["train", "verifier", "--drafts", str(folder), "--folder", str(tmp_path / "v"), "--steps", "40", "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["drafter"] == origin.drafter == made.digest()
    assert set(summary["figures"]["natural"]) >= {"auroc", "auroc_baseline", "ece", "kept", "bad_of_kept"}
    verifier = open_verifier(path=tmp_path / "v" / "verifier.npz", drafter=tmp_path / "drafter.npz")
    assert all(0 < verifier.trust(one.draft) < 1 for one in found)
    other = replace(made, own={**made.own, "end_bias": np.full(1, -8, np.float32)})
    save_adapter(tmp_path / "other.npz", other)
    with pytest.raises(DragomanError, match="another drafter"):
        open_verifier(path=tmp_path / "v" / "verifier.npz", drafter=tmp_path / "other.npz")

    again = tmp_path / "again"
    retelling = [*drafting[:2], "--retell", str(folder), "--adapter", str(tmp_path / "other.npz"), "--json"]
    for _ in range(2):  # doing it twice changes nothing
        done = CliRunner().invoke(app, [*retelling, "--folder", str(again)])
        assert done.exit_code == 0, done.output
    origin, retold = load_folder(again)
    labels_again, about = load_labels(again)
    assert (origin.drafter, about["drafter"]) == (other.digest(), other.digest())
    assert [(one.name, one.said) for one in retold] == [(f"drafts/{one.name}", one.said) for one in found]
    assert {name: one.verdict for name, one in labels_again.items()} == {
        f"drafts/{name}": one.verdict for name, one in labels.items()
    }


def test_drafts_without_labels_are_told(tmp_path: Path) -> None:
    """One line says what to run."""
    one = Drafted("c/1/natural", "c", "natural", "chat", (("user", "Hm?"),), "Hm", "so it is", draft(1))
    save_shard(tmp_path, "verifier-1-00002", [one], Origin("d0", 1))
    command = ["train", "verifier", "--drafts", str(tmp_path), "--folder", str(tmp_path / "v")]
    assert "holds no labels" in CliRunner().invoke(app, command).stderr
    save_labels(tmp_path, {"other": Label("good", "fits", 0.1, 0.1)}, {})
    assert "1 drafts" in CliRunner().invoke(app, command).stderr


def test_what_drafting_needs_is_told_first(tmp_path: Path) -> None:
    """Before anything is drafted: a split that there is, a drafter, a ranker."""

    def told(*changed: str) -> str:
        command = ["data", "drafts", "--folder", str(tmp_path / "drafts"), *changed]
        return " ".join(CliRunner().invoke(app, command).stderr.split())

    assert "no split is called" in told("--split", "drafters")
    (tmp_path / "none.npz").write_bytes(b"nothing")
    assert "not an adapter" in told("--adapter", str(tmp_path / "none.npz"))
    save_adapter(tmp_path / "drafter.npz", adapter())
    missing = told("--adapter", str(tmp_path / "drafter.npz"), "--ranker", str(tmp_path / "ranker.npz"))
    assert "dragoman train ranker" in missing
    assert not (tmp_path / "drafts").exists()
