"""``dragoman train endpointer``: tell by ear whether a turn is over."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dragoman.agent.cli.data_duplex import default_folder
from dragoman.agent.cli.output import JsonOption, console, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.agent.cli.training import (
    DeviceOption,
    FolderOption,
    MinutesOption,
    RateOption,
    StepsOption,
    ThreadsOption,
    finished,
    prepare_training,
    steps_shown,
    training_folder,
)
from dragoman.agent.duplex.endpointer import load_endpointer, save_endpointer
from dragoman.agent.duplex.examples import Examples
from dragoman.agent.duplex.features import EAR, ear_digest


def endpointer(
    data: Annotated[Path | None, typer.Option(help="Folder of `dragoman data duplex`.")] = None,
    folder: FolderOption = None,
    ear: Annotated[str, typer.Option(help="The ear: Whisper's catalog name; its causal adapter must be there.")] = EAR,
    steps: StepsOption = 20_000,
    minutes: MinutesOption = 15.0,
    width: Annotated[int, typer.Option(help="Of a state.", min=1)] = 128,
    rate: RateOption = 2.5e-3,
    threads: ThreadsOption = 1,
    device: DeviceOption = "cpu",
    join: Annotated[Path | None, typer.Option(help="An endpointer that is to listen together with this one.")] = None,
    seed: Annotated[int, typer.Option(help="Of the order and of what is changed at random.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Teach a small recurrent network to tell the end of a turn from a pause. Stop it when you like: it goes on."""
    with errors():
        prepare_training(threads, device)
        from dragoman.agent.duplex.endpointer_training import Options, Trainer

        options = Options(steps=steps, minutes=minutes, width=width, rate=rate, seed=seed)
        digest = ear_digest(ear)
        with progress_of("preparing", quiet=as_json) as progress:
            examples = Examples(data or default_folder(), digest).load(progress)
        target = training_folder(folder, "endpointer")
        trainer = Trainer(digest, examples, target, options, device)
        with steps_shown("unseen conversations", as_json) as shown:
            trainer.run(
                lambda report: shown(
                    trainer.pace.done, report.step, {"loss": report.loss, "words": report.words}, report.check
                )
            )
        made, name = trainer.endpointer(), "endpointer.npz"
        if join is not None:
            made, name = load_endpointer(join).joined(made), "joined.npz"
            save_endpointer(target / name, made)
        if not as_json:
            console.print(f"{made.members} together; of this one: {trainer.endpointer().card['held']}")
        finished(as_json, "endpointer", target / name, **made.card)
