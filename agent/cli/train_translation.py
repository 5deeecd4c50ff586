"""``dragoman train translation``: train a small translator to say at once what the embedded one says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dragoman.agent.cli.data_translation import default_folder, pair_of
from dragoman.agent.cli.output import JsonOption, errors
from dragoman.agent.cli.training import (
    DeviceOption,
    FolderOption,
    MinutesOption,
    RateOption,
    StepsOption,
    ThreadsOption,
    checked,
    finished,
    prepare_training,
    steps_shown,
    training_folder,
)


def translation(
    pair: Annotated[str, typer.Option(help="en-pt or pt-en.")] = "en-pt",
    kind: Annotated[str, typer.Option(help="nar (all words at once), ar-6-6 or ar-12-1 (word by word).")] = "nar",
    data: Annotated[Path | None, typer.Option(help="Folder of `dragoman data translation`.")] = None,
    folder: FolderOption = None,
    steps: StepsOption = 100_000,
    minutes: MinutesOption = 170.0,
    rate: RateOption = 1e-3,
    encoder_rate: Annotated[float, typer.Option(help="That of the encoder, as a share of it.")] = 0.3,
    tokens: Annotated[int, typer.Option(help="Source tokens of a batch, about.", min=1)] = 600,
    guided: Annotated[float, typer.Option(help="Weight of what the embedded translator held likely besides.")] = 1.0,
    begin: Annotated[Path | None, typer.Option(help="A translator of this kind and pair to begin with.")] = None,
    check_every: Annotated[int, typer.Option(help="Steps between checks.", min=1)] = 100,
    threads: ThreadsOption = 1,
    device: DeviceOption = "cpu",
    seed: Annotated[int, typer.Option(help="Of the order.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Teach a small network to translate what is not over yet. Stop it when you like: the same command goes on."""
    with errors():
        languages = pair_of(pair)
        prepare_training(threads, device)
        from dragoman.translation.training.trainer import Options, Trainer

        options = Options(steps, minutes, rate, encoder_rate, tokens, guided, begin, check_every=check_every, seed=seed)
        target = training_folder(folder, f"{kind}-{pair}")
        trainer = Trainer(kind, languages, data or default_folder(), target, options, device)
        with steps_shown("loss of texts never trained on", as_json) as shown:
            trainer.run(
                lambda report: shown(trainer.pace.done, report.step, {"loss": report.loss}, checked(report.check))
            )
        finished(as_json, "translator", target / "translator.npz", steps=trainer.pace.step)
