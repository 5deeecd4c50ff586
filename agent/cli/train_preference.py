"""``dragoman train preference``: let the drafter prefer words that may be spoken."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dragoman.agent.cli.data_drafts import default_folder
from dragoman.agent.cli.output import JsonOption, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.agent.cli.training import (
    BodyOption,
    DeviceOption,
    FolderOption,
    RateOption,
    ThreadsOption,
    finished,
    prepare_training,
    read_body,
    steps_shown,
    training_folder,
)
from dragoman.agent.drafter.catalog import require_adapter
from dragoman.agent.drafter.labelled import load_folder, load_labels
from dragoman.agent.duplex.adapter import load_adapter
from dragoman.agent.duplex.examples import BODY
from dragoman.agent.duplex.vocabulary import Vocabulary
from dragoman.audio.types import DragomanError


def preference(
    drafts: Annotated[
        Path | None, typer.Option(help="Folder of `dragoman data drafts --alternatives 5`, with its labels.")
    ] = None,
    adapter: Annotated[Path | None, typer.Option(help="The drafter that wrote them, if not the one in use.")] = None,
    folder: FolderOption = None,
    body: BodyOption = BODY,
    epochs: Annotated[float, typer.Option(help="Times that each turn is seen.")] = 2.0,
    rate: RateOption = 1e-4,
    hold: Annotated[float, typer.Option(help="How strongly it is held to what it wrote before (beta of DPO).")] = 0.2,
    threads: ThreadsOption = 1,
    device: DeviceOption = "cpu",
    seed: Annotated[int, typer.Option(help="Of the order.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Teach the drafter which of its drafts may be spoken. Stop it when you like: it goes on."""
    with errors():
        prepare_training(threads, device)
        from dragoman.agent.drafter.choices import choices
        from dragoman.agent.drafter.preference import Options, Preference

        source, path = drafts or default_folder(), adapter or require_adapter()
        begun = load_adapter(path)
        origin, drafted = load_folder(source)
        if origin.drafter != begun.digest():
            raise DragomanError(f"{source} holds drafts of another drafter ({origin.drafter}) than {path}")
        labels, _ = load_labels(source)
        with progress_of("preparing", quiet=as_json) as progress:
            loaded = read_body(body, progress)
            verdicts = {name: label.verdict for name, label in labels.items()}
            turns = choices(drafted, verdicts, Vocabulary(loaded.merges, begun.kept))
            target = training_folder(folder, "preference")
            options = Options(epochs, rate, hold, seed=seed)
            progress("reading the drafts", 0, 1)
            trainer = Preference(loaded, begun, turns, target, options, device)
            progress("reading the drafts", 1, 1)
        with steps_shown("unseen turns", as_json) as shown:
            trainer.run(
                lambda report: shown(report.step / trainer.steps, report.step, {"loss": report.loss}, report.check)
            )
        finished(as_json, "adapter", target / "adapter.npz", steps=trainer.step)
