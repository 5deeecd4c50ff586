"""``dragoman data turns``: the users' turns of conversations, for the ear."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import platformdirs
import typer

from dragoman.agent.cli.data_duplex import default_folder
from dragoman.agent.cli.output import JsonOption, emit, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.agent.duplex.store import shards
from dragoman.agent.duplex.turn_clips import make_turns
from dragoman.audio.types import DragomanError


def turns(
    conversations: Annotated[Path | None, typer.Option(help="Folder of `dragoman data duplex`.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Where to keep the clips.")] = None,
    most: Annotated[int | None, typer.Option(help="Of so many shards at most.", min=1)] = None,
    as_json: JsonOption = False,
) -> None:
    """Cut what users say out of made conversations, of the drafter's split: `dragoman train asr --decoder-only` learns
    from it to write fillers and half sentences. Takes seconds; a stopped run goes on.
    """
    with errors():
        source = conversations or default_folder()
        found = shards(source, "drafter")[:most]
        if not found:
            raise DragomanError(f"{source} has no conversations of the split drafter: run `dragoman data duplex`")
        target = folder or Path(platformdirs.user_data_dir("dragoman")) / "turns"
        with progress_of("cutting", quiet=as_json) as progress:
            for number, shard in enumerate(found, 1):
                make_turns(shard, target)
                progress("cutting turns out of conversations", number, len(found))
        if as_json:
            emit("summary", folder=str(target), shards=len(found))
        else:
            print(target)
