"""``dragoman data pauses``: what the ear writes in the pauses of conversations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dragoman.agent.cli.data_drafts import split_of_name
from dragoman.agent.cli.data_duplex import default_folder
from dragoman.agent.cli.output import JsonOption, emit, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.agent.cli.training import ThreadsOption
from dragoman.agent.drafter.pauses import load_pauses, make_pauses
from dragoman.agent.duplex.features import EAR
from dragoman.agent.duplex.store import load_conversations, shards
from dragoman.asr.causal.catalog import open_recognizer
from dragoman.audio.types import DragomanError


def pauses(
    folder: Annotated[Path | None, typer.Option(help="Folder of `dragoman data duplex`.")] = None,
    split: Annotated[str, typer.Option(help="Which conversations: drafter, verifier or test.")] = "verifier",
    most: Annotated[int | None, typer.Option(help="At most so many shards.", min=1)] = None,
    threads: ThreadsOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Listen to made conversations as a session would, and keep the words of each turn at each of its pauses.

    Takes a fifteenth of their length. Stop it when you like: the same command goes on.
    """
    with errors():
        target = folder or default_folder()
        found = shards(target, split_of_name(split))[:most]
        if not found:
            raise DragomanError(f"{target} has no conversations of the split {split}: run `dragoman data duplex`")
        count = over = 0
        with progress_of("listening", quiet=as_json) as progress:
            recognizer = open_recognizer(EAR, threads=threads, talk=True, progress=progress)
            for number, shard in enumerate(found, 1):
                total = sum(one.seconds for one in load_conversations(shard, sound=False))
                done = 0.0

                what = f"{shard.stem} ({number} of {len(found)})"

                def told(seconds: float, what: str = what, total: float = total) -> None:
                    nonlocal done
                    done += seconds
                    progress(what, round(done), round(total))

                known = load_pauses(make_pauses(shard, recognizer, told))
                count, over = count + len(known), over + sum(pause.over for pause in known)
                if as_json:
                    emit("shard", path=str(shard), pauses=len(known))
        if as_json:
            emit("summary", folder=str(target), split=split, pauses=count, over=over)
        else:
            print(f"{target}: {count} pauses of {len(found)} shards, {over} of them at the end of a turn")
