"""``dragoman data duplex``: conversations for the duplex model."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, closing
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Annotated, Final

import platformdirs
import typer

from dragoman.agent.cli.output import JsonOption, emit, errors
from dragoman.agent.cli.progress import counting_bar, progress_of
from dragoman.agent.duplex.answers import Answers, Dialogue, Holder, PeoplesAnswers
from dragoman.agent.duplex.chat import installed_talks
from dragoman.agent.duplex.factory import CONVERSATIONS, SHARD_S, Factory, split_of
from dragoman.agent.duplex.features import Ear, make_features, open_ear
from dragoman.agent.duplex.personas import casting
from dragoman.agent.duplex.report import Report, save_sample
from dragoman.agent.duplex.store import load_conversations, shard_path, shards
from dragoman.agent.llm.opening import open_responder
from dragoman.audio.types import DragomanError
from dragoman.models.catalog import Progress as Told
from dragoman.models.catalog import brain_for_this_machine

PEOPLE: Final = "people"
"""In the place of a language model's name: the answers are those of people."""

SAMPLED: Final = 7
"""Shards of which a conversation is kept to listen to: the first ones of a run."""


def default_folder() -> Path:
    """Where conversations lie unless a folder is given."""
    return Path(platformdirs.user_data_dir("dragoman")) / "duplex"


def duplex(
    folder: Annotated[Path | None, typer.Option(help="Where to keep the conversations.")] = None,
    hours: Annotated[float, typer.Option(help="About so many hours, of all splits together. 0: make none.")] = 2.0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same conversations.")] = 1,
    scripts: Annotated[
        int | None, typer.Option(help="Speak the dialogues of another seed anew: no new answers.")
    ] = None,
    first: Annotated[int, typer.Option(help="Number of the first shard: to share the work.")] = 0,
    packs: Annotated[Path | None, typer.Option(help="Folder of more Kokoro voices (*.bin).")] = None,
    llm: Annotated[
        str, typer.Option(help="Writes the answers: a name, a .gguf or http://...; people: what people answered.")
    ] = "auto",
    at_once: Annotated[int, typer.Option(help="Answers that are asked for at a time.", min=1)] = 4,
    threads: Annotated[int, typer.Option(help="Threads of the embedded language model.", min=1)] = 1,
    kokoro_share: Annotated[float, typer.Option(help="Share of Kokoro's voices: varied, but slow to make.")] = 0.1,
    features: Annotated[bool, typer.Option("--features", help="Keep what the causal ear hears, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let synthetic users talk with the agent, and keep the conversations with what is to be decided at each frame.

    Stop it when you like: the same command goes on. Three splits are made, with talks and voices of their own: for the
    drafter, for the verifier, for tests.
    """
    with errors():
        if not 0 <= hours < inf or first < 0:
            raise DragomanError("hours and the number of the first shard are numbers of 0 or more")
        target = folder or default_folder()
        numbers = range(first, first + (max(1, round(hours * 3600 / SHARD_S)) if hours else 0))
        missing = [number for number in numbers if not shard_path(target, split_of(number), seed, number).is_file()]
        if missing:
            making = _Making(target, missing, seed, scripts, packs, llm, at_once, threads, kokoro_share, features)
            asyncio.run(_make(making, as_json))
        if not shards(target):
            raise DragomanError(f"{target}: no conversations are there; give --hours")
        if features:
            _hear(target, as_json)
        _tell(target, as_json)


@dataclass(frozen=True, slots=True)
class _Making:
    """What is to be made, as the command's options say it."""

    folder: Path
    missing: Sequence[int]
    seed: int
    scripts: int | None
    packs: Path | None
    llm: str
    at_once: int
    threads: int
    kokoro_share: float
    features: bool


@asynccontextmanager
async def _answering(making: _Making, progress: Told) -> AsyncIterator[Holder]:
    """Who gives the agent's answers."""
    if making.llm == PEOPLE:
        yield PeoplesAnswers()
        return
    model = brain_for_this_machine() if making.llm == "auto" else making.llm
    opened = await open_responder(model, progress, threads=making.threads, slots=making.at_once, seed=1)
    async with aclosing(opened) as responder:
        with closing(Answers(making.folder / "answers.sqlite", responder, model, at_once=making.at_once)) as answers:
            yield answers


async def _make(making: _Making, as_json: bool) -> None:
    async with AsyncExitStack() as stack:
        with progress_of("loading models", quiet=as_json) as loading:
            cast = casting(making.packs, kokoro_share=making.kokoro_share)
            talks = installed_talks()
            answers = await stack.enter_async_context(_answering(making, loading))
            ear = open_ear() if making.features else None
        factory = Factory(making.folder, making.seed, talks, answers, cast, scripts=making.scripts)
        await _speak(factory, making, answers, ear, as_json)


async def _speak(factory: Factory, making: _Making, answers: Holder, ear: Ear | None, as_json: bool) -> None:
    missing = making.missing
    ahead: asyncio.Task[list[Dialogue]] | None = asyncio.create_task(factory.write(missing[0]))
    stopped = threading.Event()
    try:
        with counting_bar(quiet=as_json) as bar:
            task = bar.add_task("conversations", total=len(missing) * CONVERSATIONS)

            def told() -> None:
                if stopped.is_set():
                    raise DragomanError("stopped")
                bar.advance(task)

            for number, following in zip(missing, [*missing, None][1:], strict=True):
                assert ahead is not None
                dialogues = await ahead
                # The next shard's answers are written while this one is spoken.
                ahead = None if following is None else asyncio.create_task(factory.write(following))
                takes = await asyncio.to_thread(factory.perform, number, dialogues, told)
                if ear is not None:
                    await asyncio.to_thread(make_features, factory.path(number), ear)
                if takes and number - missing[0] < SAMPLED:
                    save_sample(making.folder / "samples", takes[0])
                if as_json:
                    seconds = sum(take.conversation.seconds for take in takes)
                    emit("shard", path=str(factory.path(number)), seconds=seconds, answers_asked=answers.asked)
    finally:
        # Whoever stops it does not wait for the shard in hand.
        stopped.set()
        if ahead is not None:
            ahead.cancel()
            await asyncio.wait([ahead])


def _hear(folder: Path, as_json: bool) -> None:
    ear = open_ear()
    with counting_bar(quiet=as_json) as bar:
        for shard in bar.track(shards(folder), description="features"):
            path = make_features(shard, ear)
            if as_json:
                emit("features", path=str(path))


def _tell(folder: Path, as_json: bool) -> None:
    report = Report()
    for shard in shards(folder):
        for conversation in load_conversations(shard, sound=False):
            report.add(conversation)
    summary = report.summary()
    (folder / "report.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    if as_json:
        emit("summary", **{"folder": str(folder), **summary})
    else:
        print(f"{folder}: {report.text()}")
