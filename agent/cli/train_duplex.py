"""``dragoman train duplex``: train the fast path on conversations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dragoman.agent.cli.data_duplex import default_folder
from dragoman.agent.cli.output import JsonOption, console, emit, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.agent.cli.training import (
    DeviceOption,
    FolderOption,
    MinutesOption,
    RateOption,
    StepsOption,
    ThreadsOption,
    figures_of,
    finished,
    prepare_training,
    training_bar,
    training_folder,
)
from dragoman.agent.duplex.examples import BODY, Examples
from dragoman.agent.duplex.features import EAR, ear_digest
from dragoman.models.catalog import resolve

if TYPE_CHECKING:
    from dragoman.agent.duplex.training import Report


def duplex(
    data: Annotated[Path | None, typer.Option(help="Folder of `dragoman data duplex`.")] = None,
    folder: FolderOption = None,
    body: Annotated[str, typer.Option(help="GGUF of a Llama or Qwen2: a name, a file or org/name/file.gguf.")] = BODY,
    layers: Annotated[int | None, typer.Option(help="Use its first layers alone.")] = None,
    ear: Annotated[str, typer.Option(help="The ear: Whisper's catalog name; its causal adapter must be there.")] = EAR,
    steps: StepsOption = 4000,
    minutes: MinutesOption = 170.0,
    windows: Annotated[int, typer.Option(help="Windows of 30 seconds in a step.")] = 4,
    rank: Annotated[int, typer.Option(help="Rank of the changes to the language model.")] = 16,
    begin: Annotated[Path | None, typer.Option(help="An adapter for the same ear and body to begin with.")] = None,
    rate: RateOption = 1e-3,
    check_every: Annotated[int, typer.Option(help="Steps between rehearsals.")] = 100,
    threads: ThreadsOption = 1,
    device: DeviceOption = "cpu",
    seed: Annotated[int, typer.Option(help="Of the order and of what is changed at random.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Teach a small language model to take turns by ear. Stop it when you like: the same command goes on."""
    with errors():
        prepare_training(threads)
        from dragoman.agent.duplex.body import load_body
        from dragoman.agent.duplex.training import Options, Trainer

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
            progress(f"reading {body}", 0, 1)
            loaded = load_body(resolve(body, progress=progress))
            progress(f"reading {body}", 1, 1)
        target = training_folder(folder, "duplex")
        trainer = Trainer(loaded, digest, examples, target, options, device, source.new)

        def shown(step: int, check: Mapping[str, float | None]) -> None:
            if check and not as_json:
                console.print(f"step {step}, rehearsed: {figures_of(check)}")

        with training_bar(quiet=as_json) as bar:

            def told(report: Report) -> None:
                bar(
                    trainer.pace.done,
                    f"step {report.step}  stage {report.stage}  frames {report.frames:.3f}  ends {report.ends:.3f}  "
                    f"words {report.words:.2f}",
                )
                shown(report.step, report.check)
                if as_json:
                    emit("step", step=report.step, loss=report.loss, **report.check)

            trainer.run(told)
        with progress_of("choosing thresholds", quiet=as_json) as progress:
            progress("rehearsing", 0, 1)
            found = trainer.check()
            trainer.save()
            progress("rehearsing", 1, 1)
        shown(trainer.pace.step, found)
        pace = trainer.pace
        finished(as_json, "adapter", target / "adapter.npz", steps=pace.step, minutes=pace.spent)
