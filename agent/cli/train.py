"""``dragoman train``: train the project's own models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dragoman.agent.cli.data import default_folder
from dragoman.agent.cli.output import JsonOption, errors
from dragoman.agent.cli.train_all import everything
from dragoman.agent.cli.train_completion import completion
from dragoman.agent.cli.train_drafter import drafter
from dragoman.agent.cli.train_duplex import duplex
from dragoman.agent.cli.train_endings import endings
from dragoman.agent.cli.train_endpointer import endpointer
from dragoman.agent.cli.train_habits import habits
from dragoman.agent.cli.train_preference import preference
from dragoman.agent.cli.train_ranker import ranker
from dragoman.agent.cli.train_translation import translation
from dragoman.agent.cli.train_verifier import verifier
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
from dragoman.models.catalog import resolve

app = typer.Typer(help="Train the models that are dragoman's own.", no_args_is_help=True)
app.command()(completion)
app.command()(drafter)
app.command()(duplex)
app.command()(endings)
app.command()(endpointer)
app.command()(habits)
app.command()(preference)
app.command()(ranker)
app.command()(translation)
app.command()(verifier)
app.command("all")(everything)


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="train")


@app.callback()
def _group() -> None:
    """Train the models that are dragoman's own."""


@app.command()
def asr(
    model: Annotated[str, typer.Option(help="Whisper weights: a catalog name or a folder.")] = "whisper-tiny.en",
    data: Annotated[Path | None, typer.Option(help="Folder of `dragoman data speech`, or `data turns`.")] = None,
    folder: FolderOption = None,
    lang: Annotated[str, typer.Option(help="Languages to train on, separated by commas.")] = "en",
    steps: StepsOption = 4000,
    minutes: MinutesOption = 170.0,
    rank: Annotated[int, typer.Option(help="Rank of the encoder's changes.", min=1)] = 64,
    decoder_rank: Annotated[int, typer.Option(help="Rank of the decoder's changes.", min=1)] = 32,
    rate: RateOption = 8e-4,
    strength: Annotated[float, typer.Option(help="Share of the learned changes that is kept in the adapter.")] = 0.7,
    begin: Annotated[Path | None, typer.Option(help="An adapter for the same weights to begin with.")] = None,
    decoder_only: Annotated[
        bool, typer.Option("--decoder-only", help="Leave the encoder as it begins: what was trained on it stays true.")
    ] = False,
    threads: ThreadsOption = 1,
    device: DeviceOption = "cpu",
    seed: Annotated[int, typer.Option(help="Of the order and of the noise.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Teach Whisper to hear while the speaker speaks. Stop it when you like: the same command goes on."""
    with errors():
        prepare_training(threads, device)
        from dragoman.asr.causal.training import Options, Report, Trainer

        options = Options(
            steps=steps,
            minutes=minutes,
            rank=rank,
            decoder_rank=decoder_rank,
            rate=rate,
            seed=seed,
            strength=strength,
            begin=begin,
            encoder=not decoder_only,
        )
        target = training_folder(folder, f"causal-{Path(model).name}")
        trainer = Trainer(resolve(model), data or default_folder(), target, lang.split(","), options, device)
        with steps_shown("words of clips never trained on", as_json) as shown:

            def told(report: Report) -> None:
                losses = {name: getattr(report, name) for name in ("loss", "words", "opinion", "features")}
                shown(trainer.pace.done, report.step, losses, checked(report.check))

            trainer.run(told)
        pace = trainer.pace
        finished(as_json, "adapter", target / "adapter.npz", steps=pace.step, minutes=pace.spent)
