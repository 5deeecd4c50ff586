"""The duplex model's training: it learns, it streams what it was trained as, and a stopped run goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from duplex_small import EAR_WIDTH, adapter, body, example
from typer.testing import CliRunner

from dragoman.__main__ import app
from dragoman.agent.duplex import graph
from dragoman.agent.duplex.adapter import load_adapter
from dragoman.agent.duplex.history import make_history
from dragoman.agent.duplex.runtime import DuplexRuntime, Heard
from dragoman.agent.duplex.windows import cut_window, make_batch
from dragoman.audio.types import DragomanError

if TYPE_CHECKING:
    from dragoman.agent.duplex.training import Options

pytestmark = pytest.mark.train


@pytest.fixture(autouse=True)
def _torch() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)


def options(**changed: object) -> Options:
    from dragoman.agent.duplex.training import Options

    wanted = {"rank": 2, "windows": 2, "checked": 2, "check_every": 1000, "save_every": 1000, "rate": 5e-3}
    return Options(**{**wanted, **changed})  # type: ignore[arg-type]


def test_training_learns_to_take_turns(tmp_path: Path) -> None:
    """Some steps on the same conversations: every loss falls, and in rehearsal the model begins where it should."""
    from dragoman.agent.duplex.training import Report, Trainer

    examples = [example(seed) for seed in range(40)]
    reports: list[Report] = []
    trainer = Trainer(body(), "ear", examples, tmp_path, options(steps=130, adapter_share=0.3, windows=4))
    before = trainer.check()
    trainer.run(reports.append)
    after = trainer.check()
    for name, share in (("frames_loss", 0.65), ("ends_loss", 0.75), ("words_loss", 0.8)):
        assert float(after[name] or 0) < share * float(before[name] or 0)
    assert float(after["begin_f1"] or 0) > max(0.5, float(before["begin_f1"] or 0))
    assert {report.stage for report in reports} == {1, 2}
    trainer.save()
    assert Trainer(body(), "ear", examples, tmp_path, options(steps=130, windows=4)).policy == trainer.policy
    assert load_adapter(tmp_path / "adapter.npz").policy == trainer.policy
    assert reports[-1].tokens > 4 * 60


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    """Two steps in one run or in two give the same adapter; another body or ear is refused."""
    from dragoman.agent.duplex.training import Trainer

    examples = [example(seed) for seed in range(4)]
    for folder, runs in (("once", (2,)), ("twice", (1, 2))):
        for steps in runs:
            # The rate falls toward the last step: with the minutes far away it is the same for both.
            trainer = Trainer(body(), "ear", examples, tmp_path / folder, options(steps=1000))
            trainer.options = options(adapter_share=-1.0)
            trainer.pace.steps = steps
            trainer._rate = lambda: 1e-3  # type: ignore[method-assign]
            trainer.run(lambda report: None)
    once, twice = (load_adapter(tmp_path / folder / "adapter.npz") for folder in ("once", "twice"))
    assert once.digest() == twice.digest()
    assert once.card["steps"] == twice.card["steps"] == 2
    assert any(np.abs(up).max() > 0 for up, _ in once.changes.values())
    lines = (tmp_path / "twice" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]
    with pytest.raises(DragomanError, match="another ear or body"):
        Trainer(body(), "another", examples, tmp_path / "once", options())
    with pytest.raises(DragomanError, match="too few"):
        Trainer(body(), "ear", examples[:1], tmp_path / "few", options())


def test_a_run_goes_on_with_other_conversations(tmp_path: Path) -> None:
    """Of which none is among those that it was checked on: it is checked on the first of these."""
    from dragoman.agent.duplex.training import Trainer

    for seeds in (range(4), range(4, 8)):
        trainer = Trainer(body(), "ear", [example(seed) for seed in seeds], tmp_path, options(steps=1))
        trainer.run(lambda report: None)
        assert trainer.check()["frames_loss"]
        assert trainer.adapter().card["conversations"] == 2


def test_a_training_begins_with_an_adapter(tmp_path: Path) -> None:
    """What was learned elsewhere is taken over; an adapter of another ear or rank is refused."""
    from dragoman.agent.duplex.training import Trainer

    examples = [example(seed) for seed in range(4)]
    first = Trainer(body(), "ear", examples, tmp_path / "first", options(steps=2, adapter_share=-1.0))
    first.run(lambda report: None)
    path = tmp_path / "first" / "adapter.npz"
    second = Trainer(body(), "ear", examples, tmp_path / "second", options(begin=path))
    for name, array in load_adapter(path).own.items():
        np.testing.assert_allclose(second.adapter().own[name], array, atol=2e-3)
    assert second.adapter().card["began_with"] == "adapter.npz"
    with pytest.raises(DragomanError, match="another ear"):
        Trainer(body(), "another", examples, tmp_path / "other", options(begin=path))
    with pytest.raises(DragomanError, match="another rank"):
        Trainer(body(), "ear", examples, tmp_path / "wider", options(begin=path, rank=3))


def test_what_is_checked_is_not_trained_on_in_another_voice(tmp_path: Path) -> None:
    """A dialogue of the checks that was spoken anew is left out, whenever it comes."""
    from dragoman.agent.duplex.training import Trainer

    examples = [example(seed) for seed in range(5)]
    anew = [replace(one, conversation=replace(one.conversation, id=f"{one.conversation.id}-anew")) for one in examples]
    coming = iter([anew])
    given = [*examples[:2], anew[0], examples[2]]
    trainer = Trainer(body(), "ear", given, tmp_path, options(steps=1), more=lambda: next(coming, ()))
    assert trainer.adapter().card["conversations"] == 1
    trainer.run(lambda report: None)
    assert trainer.adapter().card["conversations"] == 1 + 3
    again = Trainer(body(), "ear", [*examples, *anew], tmp_path, options(steps=1))
    assert again.adapter().card["conversations"] == 3 + 3


def test_the_export_gives_the_numbers_of_the_module(tmp_path: Path) -> None:
    """A session of the run time, through its roll: the module's numbers in one pass."""
    import torch

    from dragoman.agent.duplex.network import DuplexNetwork

    small = body()
    made = adapter(small)
    graph.write(small, made, tmp_path, quantized=False)
    runtime = DuplexRuntime(tmp_path)
    network = DuplexNetwork(small, EAR_WIDTH, rank=2)
    with torch.no_grad():
        for name in list(network.own.keys()):
            network.own[name] = torch.nn.Parameter(torch.from_numpy(made.own[name]))
        for name, (up, down) in made.changes.items():
            key = name.replace(".", "/")
            network.lora[f"{key}/up"].copy_(torch.from_numpy(up))
            network.lora[f"{key}/down"].copy_(torch.from_numpy(down))
    one = example(5)
    history = make_history(one.conversation, runtime.vocabulary, np.random.default_rng(2))
    window = cut_window(one.conversation, one.features, history, runtime.vocabulary, 0)
    stream = runtime.open(one.conversation.context)
    found = []
    for i in range(window.frames):
        words = [int(token) for token in history.words[i] if token >= 0]
        stream.own.previous = int(history.previous[i])
        [decided] = runtime.step([stream], [Heard(one.features[i], one.prosody[i], bool(history.sounding[i]), words)])
        found.append([*decided.probabilities, decided.ends])
    batch = make_batch([window])
    with torch.no_grad():
        hidden = network(batch)
        logits, ends = network.frames(hidden[0, batch.first : batch.first + window.frames])
        expected = torch.cat([logits.softmax(-1), ends.sigmoid()[:, None]], 1)
    np.testing.assert_allclose(np.array(found), expected, atol=1e-4)


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    """Without conversations it names the command that makes them."""
    result = CliRunner().invoke(app, ["train", "duplex", "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "dragoman data duplex" in result.stderr
