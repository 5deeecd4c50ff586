"""``dragoman train habits``: what the drafter usually says, so that it is quicker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dragoman.agent.cli.data_drafts import default_folder
from dragoman.agent.cli.output import JsonOption, console, errors
from dragoman.agent.cli.training import FolderOption, finished, training_folder
from dragoman.agent.drafter.habits import learn, save_habits
from dragoman.agent.drafter.labelled import load_folder


def habits(
    drafts: Annotated[Path | None, typer.Option(help="Folder of `dragoman data drafts`.")] = None,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count what the drafter usually says: it reads that ahead, and its drafts are the same and sooner there.

    No torch is needed, and it takes a second. They belong to the drafter whose drafts they are.
    """
    with errors():
        origin, drafted = load_folder(drafts or default_folder())
        found = learn([one.draft.tokens for one in drafted], origin.drafter)
        target = training_folder(folder, "habits") / "habits.npz"
        target.parent.mkdir(parents=True, exist_ok=True)
        save_habits(target, found)
        if not as_json:
            console.print(str(found.card))
        finished(as_json, "habits", target, **found.card)
