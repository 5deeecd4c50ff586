"""``dragoman train drafter``: train what writes the first words of replies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from dragoman.agent.cli.data_duplex import default_folder
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
from dragoman.agent.drafter.dialogues import TextDialogue, dialogue_shards, load_dialogues
from dragoman.agent.drafter.lessons import of_conversation
from dragoman.agent.duplex.examples import BODY
from dragoman.agent.duplex.store import load_conversations, shards


def drafter(
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Folders of `dragoman data dialogues`, and of `data duplex`, whose words are read too."),
    ] = None,
    folder: FolderOption = None,
    body: BodyOption = BODY,
    steps: StepsOption = 4000,
    minutes: MinutesOption = 60.0,
    lessons: Annotated[int, typer.Option(help="Dialogues in a step.", min=1)] = 4,
    rank: RankOption = 16,
    rate: RateOption = 6e-4,
    check_every: Annotated[int, typer.Option(help="Steps between checks.", min=1)] = 50,
    threads: ThreadsOption = 1,
    device: DeviceOption = "cpu",
    seed: Annotated[int, typer.Option(help="Of the order and of what is misheard.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Teach a small language model to begin replies as the slow path does. Stop it when you like: it goes on."""
    with errors():
        prepare_training(threads, device)
        from dragoman.agent.drafter.training import Options, Trainer

        options = Options(steps, minutes, rank, rate, lessons, check_every=check_every, seed=seed)
        source = _Source(data or [default_folder()])
        with progress_of("preparing", quiet=as_json) as progress:
            found = list(source.new())
            loaded = read_body(body, progress)
        target = training_folder(folder, "drafter")
        trainer = Trainer(loaded, found, target, options, device, lambda: list(source.new()))
        with steps_shown("unseen dialogues", as_json) as shown:
            trainer.run(lambda report: shown(trainer.pace.done, report.step, {"loss": report.drafts}, report.check))
        pace = trainer.pace
        finished(as_json, "adapter", target / "adapter.npz", steps=pace.step, minutes=pace.spent)


class _Source:
    """Dialogues of the drafter's split, each once."""

    def __init__(self, folders: list[Path]) -> None:
        self._folders = folders
        self._read = set[Path]()

    def new(self) -> Iterator[TextDialogue]:
        """Those that were not given yet: what is made as text first, so that the checks are on that."""
        for folder in self._folders:
            for path in dialogue_shards(folder, "drafter"):
                if path not in self._read:
                    self._read.add(path)
                    yield from (one for one in load_dialogues(path) if one.turns)
        for folder in self._folders:
            for path in shards(folder, "drafter"):
                if path not in self._read:
                    self._read.add(path)
                    found = (of_conversation(one) for one in load_conversations(path, sound=False))
                    yield from (one for one in found if one.turns)
