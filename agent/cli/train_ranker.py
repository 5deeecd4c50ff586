"""``dragoman train ranker``: train the judge that labels drafts, on what people answered to each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from dragoman.agent.cli.data_duplex import default_folder
from dragoman.agent.cli.output import JsonOption, console, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.agent.cli.training import (
    FolderOption,
    ThreadsOption,
    finished,
    prepare_training,
    training_folder,
)
from dragoman.agent.duplex.chat import installed_talks, ranker_talks
from dragoman.agent.duplex.conversation import Conversation
from dragoman.agent.duplex.store import load_conversations, shards
from dragoman.verifier.ranker import save_ranker
from dragoman.verifier.sentences import open_sentences


def ranker(
    folder: FolderOption = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of `dragoman data duplex`: talks that are spoken there are left out.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Times that each reply is met.", min=1)] = 6,
    threads: ThreadsOption = 1,
    seed: Annotated[int, typer.Option(help="Of the order.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Teach a small network which reply belongs to which dialogue. Takes ten minutes on one core.

    Its talks are its own: neither the drafter nor the verifier nor any test ever hears them.
    """
    with errors():
        prepare_training(threads)
        from dragoman.verifier.ranker_training import Options, pairs_of, train

        target = training_folder(folder, "ranker")
        with progress_of("training", quiet=as_json) as progress:
            pairs = pairs_of(ranker_talks(installed_talks(), _heard(data or default_folder())))
            encoder = open_sentences(threads=threads, progress=progress)
            towers = train(pairs, encoder, target, Options(epochs=epochs, seed=seed), progress)
        save_ranker(target / "ranker.npz", towers)
        if not as_json:
            console.print(f"on talks that it never met: {towers.card['figures']}")
        finished(as_json, "ranker", target / "ranker.npz", digest=towers.digest(), **towers.card)


def _heard(folder: Path) -> Iterator[Conversation]:
    for shard in shards(folder):
        yield from load_conversations(shard, sound=False)
