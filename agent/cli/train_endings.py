"""``dragoman train endings``: tell from the drafter's states whether a turn is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from dragoman.agent.cli.data_duplex import default_folder
from dragoman.agent.cli.output import JsonOption, console, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.agent.cli.training import FolderOption, ThreadsOption, finished, training_folder
from dragoman.agent.drafter.catalog import open_drafter
from dragoman.agent.drafter.drafts import LastWord
from dragoman.agent.drafter.endings import fit, save_endings
from dragoman.agent.drafter.pauses import Pause, load_pauses, pauses_path
from dragoman.agent.duplex.store import shards
from dragoman.audio.types import DragomanError


def endings(
    data: Annotated[
        list[Path] | None, typer.Option(help="Folders of `dragoman data duplex` with their `data pauses`.")
    ] = None,
    adapter: Annotated[Path | None, typer.Option(help="The drafter that reads, if not the one in use.")] = None,
    folder: FolderOption = None,
    threads: ThreadsOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Learn when a turn is whole from its words, as the ear writes them and as the drafter reads them.

    No torch is needed, and it takes some minutes. It belongs to one drafter.
    """
    with errors():
        known = [pause for source in data or [default_folder()] for pause in _pauses(source)]
        target = training_folder(folder, "endings")
        with progress_of("reading", quiet=as_json) as progress:
            runtime = open_drafter(adapter=adapter, threads=threads, completing=True, progress=progress)
            words, reading = list[LastWord](), runtime.open()
            for number, pause in enumerate(known):
                if reading.dialogue != pause.before:
                    reading = runtime.open(pause.before)
                runtime.read(reading, pause.text)
                word = runtime.last_word(reading)
                assert word is not None  # a pause has a text
                words.append(word)
                progress("reading pauses", number + 1, len(known))
        over = np.array([pause.over for pause in known])
        names = [pause.conversation for pause in known]
        found = fit(words, over, names, runtime.digest, runtime.completion)
        target.mkdir(parents=True, exist_ok=True)
        save_endings(target / "endings.npz", found)
        if not as_json:
            console.print(str(found.card))
        finished(as_json, "endings", target / "endings.npz", **found.card)


def _pauses(folder: Path) -> list[Pause]:
    """All that are there, but those of tests."""
    paths = [pauses_path(shard) for split in ("drafter", "verifier") for shard in shards(folder, split)]
    found = [pause for path in paths if path.is_file() for pause in load_pauses(path)]
    if not found:
        raise DragomanError(f"{folder} has no pauses: run `dragoman data pauses` on it")
    return found
