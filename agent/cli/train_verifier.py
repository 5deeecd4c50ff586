"""``dragoman train verifier``: train the judge of drafts on labelled drafts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dragoman.agent.cli.data_drafts import default_folder
from dragoman.agent.cli.output import JsonOption, console, errors
from dragoman.agent.cli.training import (
    FolderOption,
    RateOption,
    ThreadsOption,
    figures_of,
    finished,
    prepare_training,
    steps_shown,
    training_folder,
)
from dragoman.agent.drafter.labelled import load_folder, load_labels
from dragoman.audio.types import DragomanError, Json
from dragoman.verifier.features import features_of

if TYPE_CHECKING:
    from dragoman.verifier.training import Lesson


def verifier(
    drafts: Annotated[Path | None, typer.Option(help="Folder of `dragoman data drafts`.")] = None,
    folder: FolderOption = None,
    steps: Annotated[int, typer.Option(help="So many steps.", min=1)] = 1200,
    precision: Annotated[float, typer.Option(help="Share of the spoken drafts that shall be good.")] = 0.97,
    rate: RateOption = 3e-4,
    threads: ThreadsOption = 1,
    seed: Annotated[int, typer.Option(help="Of the order of drafts.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Teach a small network which drafts may be spoken, calibrate it, and choose its threshold. Takes a minute or two.

    It belongs to the drafter whose drafts it was trained on.
    """
    with errors():
        prepare_training(threads)
        from dragoman.verifier.training import Options, Trainer

        if not 0 < precision < 1:
            raise DragomanError(f"a precision lies between 0 and 1, and {precision:g} does not")
        source = drafts or default_folder()
        origin, lessons, about = _lessons(source)
        target = training_folder(folder, "verifier")
        options = Options(steps=steps, precision=precision, rate=rate, seed=seed)
        trainer = Trainer(lessons, origin, target, options, about)
        with steps_shown("drafts to learn from and to tune by", as_json) as shown:
            figures = trainer.run(
                lambda report: shown(report.step / steps, report.step, {"loss": report.loss}, report.check)
            )
        if not as_json:
            _tell(figures)
        done = trainer.pace.step
        finished(as_json, "verifier", target / "verifier.npz", drafter=origin, steps=done, figures=figures)


def _lessons(folder: Path) -> tuple[str, list[Lesson], dict[str, Json]]:
    """The digest of the drafter, its labelled drafts, and what made the labels."""
    from dragoman.verifier.training import Lesson

    origin, drafted = load_folder(folder)
    labels, about = load_labels(folder)
    if missing := [one.name for one in drafted if one.name not in labels]:
        raise DragomanError(
            f"{len(missing)} drafts in {folder} have no label yet: run `dragoman data drafts` to its end"
        )
    lessons = [Lesson(features_of(one.draft), labels[one.name].verdict, one.kind, one.conversation) for one in drafted]
    return origin.drafter, lessons, about


def _tell(figures: Mapping[str, Json]) -> None:
    for name in ("natural", "all"):
        found = figures[name]
        assert isinstance(found, Mapping)
        shown = figures_of({key: value for key, value in found.items() if isinstance(value, float)})
        console.print(f"held-out drafts, {name}: {shown}")
    if not figures["precision_reached_on_tune"]:
        console.print("[bold]no threshold reaches the wanted precision:[/] the best that there is was taken")
