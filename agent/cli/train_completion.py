"""``dragoman train completion``: train the layers that tell when a turn is complete by its words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dragoman.agent.cli.output import JsonOption, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.agent.cli.training import (
    BodyOption,
    DeviceOption,
    FolderOption,
    MinutesOption,
    RankOption,
    RateOption,
    StepsOption,
    ThreadsOption,
    finished,
    prepare_training,
    read_body,
    steps_shown,
    training_folder,
)
from dragoman.agent.drafter.catalog import require_adapter
from dragoman.agent.duplex.adapter import load_adapter
from dragoman.agent.duplex.chat import installed_talks
from dragoman.agent.duplex.examples import BODY


def completion(
    adapter: Annotated[Path | None, typer.Option(help="The drafter it branches from, if not the one in use.")] = None,
    folder: FolderOption = None,
    body: BodyOption = BODY,
    steps: StepsOption = 4000,
    minutes: MinutesOption = 78.0,
    lessons: Annotated[int, typer.Option(help="Dialogues in a step.", min=1)] = 4,
    rank: RankOption = 16,
    first: Annotated[int, typer.Option(help="The first layer that is not the drafter's.")] = 10,
    layers: Annotated[int, typer.Option(help="How many layers are read in all.")] = 20,
    rate: RateOption = 6e-4,
    check_every: Annotated[int, typer.Option(help="Steps between checks.", min=1)] = 150,
    threads: ThreadsOption = 1,
    device: DeviceOption = "cpu",
    seed: Annotated[int, typer.Option(help="Of the dialogues and of how they are spoken.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Teach upper layers behind the drafter's lower ones when a turn is complete. Stop it when you like: it goes on.

    Needs no data but the talks that are installed. `dragoman train endings` then weighs what they tell.
    """
    with errors():
        prepare_training(threads, device)
        from dragoman.agent.drafter.completion_training import Options, Trainer

        options = Options(
            steps, minutes, rank, rate, lessons, check_every=check_every, seed=seed, first=first, layers=layers
        )
        drafter = load_adapter(adapter or require_adapter())
        with progress_of("preparing", quiet=as_json) as progress:
            loaded = read_body(body, progress)
        target = training_folder(folder, "completion")
        trainer = Trainer(loaded, drafter, installed_talks(), target, options, device)
        with steps_shown("unseen dialogues", as_json) as shown:
            trainer.run(lambda report: shown(trainer.pace.done, report.step, {"loss": report.completion}, report.check))
        finished(as_json, "adapter", target / "adapter.npz", steps=trainer.pace.step, minutes=trainer.pace.spent)
