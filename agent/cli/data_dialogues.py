"""``dragoman data dialogues``: what the drafter is trained on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from dragoman.agent.cli.data_duplex import default_folder
from dragoman.agent.cli.output import JsonOption, emit, errors
from dragoman.agent.cli.progress import counting_bar, progress_of
from dragoman.agent.drafter.dialogues import DIALOGUES, Dialogues, dialogue_shards, load_dialogues
from dragoman.agent.duplex.answers import Answers
from dragoman.agent.duplex.chat import installed_talks
from dragoman.agent.duplex.conversation import SPLITS, Split
from dragoman.agent.llm.opening import open_responder
from dragoman.audio.types import DragomanError
from dragoman.models.catalog import brain_for_this_machine


def dialogues(
    folder: Annotated[Path | None, typer.Option(help="Where to keep the dialogues.")] = None,
    split: Annotated[str, typer.Option(help="Whose talks they are made of: drafter, verifier or test.")] = "drafter",
    shards: Annotated[int, typer.Option(help=f"Shards of {DIALOGUES} dialogues.", min=1)] = 25,
    seed: Annotated[int, typer.Option(help="The same seed makes the same dialogues.")] = 1,
    first: Annotated[int, typer.Option(help="Number of the first shard: to share the work.", min=0)] = 0,
    llm: Annotated[str, typer.Option(help="Writes the answers: a name, a .gguf or http://...")] = "auto",
    at_once: Annotated[int, typer.Option(help="Answers that are asked for at a time.", min=1)] = 4,
    threads: Annotated[int, typer.Option(help="Threads of the embedded language model.", min=1)] = 1,
    as_json: JsonOption = False,
) -> None:
    """Let the slow path answer what people wrote to each other: the drafter learns to begin as it does.

    Stop it when you like: the same command goes on, and what was answered is not asked again.
    """
    with errors():
        if split not in SPLITS:
            raise DragomanError(f"there is no split {split!r}: choose one of {', '.join(SPLITS)}")
        target = folder or default_folder()
        asyncio.run(_make(target, split, range(first, first + shards), seed, llm, at_once, threads, as_json))
        found = [one for path in dialogue_shards(target, split) for one in load_dialogues(path)]
        turns = sum(len(one.turns) for one in found)
        if as_json:
            emit("summary", folder=str(target), split=split, dialogues=len(found), turns=turns)
        else:
            print(f"{target}: {len(found)} dialogues of the split {split}, {turns} turns that are answered")


async def _make(
    folder: Path, split: Split, numbers: range, seed: int, llm: str, at_once: int, threads: int, as_json: bool
) -> None:
    model = brain_for_this_machine() if llm == "auto" else llm
    with progress_of("loading models", quiet=as_json) as loading:
        talks = installed_talks()
        responder = await open_responder(model, loading, threads=threads, slots=at_once, seed=1)
    answers = Answers(folder / "answers.sqlite", responder, model, at_once=at_once)
    try:
        made = Dialogues(folder, seed, talks, answers)
        missing = [number for number in numbers if not made.path(split, number).is_file()]
        with counting_bar(quiet=as_json) as bar:
            for number in bar.track(missing, description="shards of dialogues"):
                found = await made.write(split, number)
                if as_json:
                    emit("shard", path=str(made.path(split, number)), dialogues=len(found), asked=answers.asked)
    finally:
        answers.close()
        await responder.aclose()
