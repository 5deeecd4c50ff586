"""``dragoman train duplex``: train the fast path on conversations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dragoman.agent.cli.data_duplex import default_folder
from dragoman.agent.cli.output import JsonOption, console, errors
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
    figures_of,
    finished,
    prepare_training,
    read_body,
    steps_shown,
    training_folder,
)
from dragoman.agent.duplex.examples import BODY, Examples
from dragoman.agent.duplex.features import EAR, ear_digest


def duplex(
    data: Annotated[Path | None, typer.Option(help="Folder of `dragoman data duplex`.")] = None,
    folder: FolderOption = None,
    body: BodyOption = BODY,
    layers: Annotated[int | None, typer.Option(help="Use its first layers alone.", min=1)] = None,
    ear: Annotated[str, typer.Option(help="The ear: Whisper's catalog name; its causal adapter must be there.")] = EAR,
    steps: StepsOption = 4000,
    minutes: MinutesOption = 170.0,
    windows: Annotated[int, typer.Option(help="Windows of 30 seconds in a step.", min=1)] = 4,
    rank: RankOption = 16,
    begin: Annotated[Path | None, typer.Option(help="An adapter for the same ear and body to begin with.")] = None,
    rate: RateOption = 1e-3,
    check_every: Annotated[int, typer.Option(help="Steps between rehearsals.", min=1)] = 100,
    threads: ThreadsOption = 1,
    device: DeviceOption = "cpu",
    seed: Annotated[int, typer.Option(help="Of the order and of what is changed at random.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Teach a small language model to take turns by ear. Stop it when you like: the same command goes on."""
    with errors():
        prepare_training(threads, device)
        from dragoman.agent.duplex.training import Options, Report, Trainer

        options = Options(
            steps=steps,
            minutes=minutes,
            windows=windows,
            rank=rank,
            begin=begin,
            layers=layers,
            rate=rate,
            check_every=check_every,
            seed=seed,
        )
        digest = ear_digest(ear)
        with progress_of("preparing", quiet=as_json) as progress:
            source = Examples(data or default_folder(), digest)
            examples = source.load(progress)
            loaded = read_body(body, progress)
        target = training_folder(folder, "duplex")
        trainer = Trainer(loaded, digest, examples, target, options, device, source.new)

        with steps_shown("rehearsed", as_json) as shown:

            def told(report: Report) -> None:
                losses = {name: getattr(report, name) for name in ("stage", "loss", "frames", "ends", "words")}
                shown(trainer.pace.done, report.step, losses, report.check)

            trainer.run(told)
        with progress_of("choosing thresholds", quiet=as_json) as progress:
            progress("rehearsing", 0, 1)
            found = trainer.check()
            trainer.save()
            progress("rehearsing", 1, 1)
        pace = trainer.pace
        if not as_json:
            console.print(f"step {pace.step}, rehearsed: {figures_of(found)}")
        finished(as_json, "adapter", target / "adapter.npz", steps=pace.step, minutes=pace.spent, **found)
