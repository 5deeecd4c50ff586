"""``dragoman data drafts``: what a trained drafter drafts, labelled for the verifier."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import platformdirs
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dragoman.agent.cli.data_duplex import default_folder as default_data
from dragoman.agent.cli.output import Json, console, emit, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.agent.duplex.adapter import load_adapter
from dragoman.agent.duplex.catalog import adapter_path, open_duplex
from dragoman.agent.duplex.conversation import SPLITS, Split
from dragoman.agent.duplex.drafting import Drafted, Drafter
from dragoman.agent.duplex.features import EAR, Ear, features_path, heard, load_features, open_ear
from dragoman.agent.duplex.judging import Judge
from dragoman.agent.duplex.labelled import Origin, is_done, load_folder, save_labels, save_shard
from dragoman.agent.duplex.store import load_conversations, shards
from dragoman.agent.llm.opening import open_responder
from dragoman.agent.verifying import open_ranker
from dragoman.asr.causal.catalog import open_recognizer
from dragoman.audio.types import DragomanError
from dragoman.models.catalog import Progress as Told
from dragoman.verifier.labels import Candidate, Label, counts, label
from dragoman.verifier.ranker import Ranker


def default_folder() -> Path:
    """Where drafts lie unless a folder is given."""
    return Path(platformdirs.user_data_dir("dragoman")) / "drafts"


def drafts(
    data: Annotated[Path | None, typer.Option(help="Folder of `dragoman data duplex`.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Where to keep the drafts; a stopped run goes on.")] = None,
    split: Annotated[
        str, typer.Option(help="Which conversations: verifier, or test to be judged by people.")
    ] = "verifier",
    adapter: Annotated[Path | None, typer.Option(help="The drafter; the one that is used unless given.")] = None,
    ear: Annotated[str, typer.Option(help="The ear: Whisper's catalog name.")] = EAR,
    limit: Annotated[int | None, typer.Option(help="At most so many shards.", min=1)] = None,
    true_words: Annotated[
        bool,
        typer.Option("--true-words", help="Natural drafts read what was said, not what was recognized: half the time."),
    ] = False,
    ranker: Annotated[Path | None, typer.Option(help="File of `dragoman train ranker`.")] = None,
    judge: Annotated[
        str | None, typer.Option(help="Let a language model label in the ranker's place: http://...")
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads on the CPU.")] = 1,
    seed: Annotated[int, typer.Option(help="Of how turns are spoilt, and of lengths.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines.")] = False,
) -> None:
    """Let the drafter draft over conversations that it never met, natural and spoilt, and label what it drafts.

    Stop it when you like: the same command goes on. Labels are made anew each time, from all drafts in the folder.
    """
    with errors():
        chosen = _split(split)
        source, target = data or default_data(), folder or default_folder()
        found = shards(source, chosen)[:limit]
        if not found:
            raise DragomanError(f"{source} holds no conversations of the split {split}: run `dragoman data duplex`")
        path = adapter or adapter_path(ear)
        if path is None:
            raise DragomanError(f"no duplex adapter for the ear of {ear}: train one with `dragoman train duplex`")
        origin = Origin(load_adapter(path).digest(), seed, not true_words)
        # Before anything is drafted, for hours maybe: that it is missing.
        by = judge if judge is not None else open_ranker(ranker, threads=threads)
        target.mkdir(parents=True, exist_ok=True)
        if missing := [shard for shard in found if not is_done(target, shard.stem, origin)]:
            _draft(missing, target, path, ear, origin, threads, as_json)
        _, drafted = load_folder(target)
        labels, judged = _label(drafted, target, by, as_json)
        kinds: dict[str, Json] = {
            kind: counts({one.name: labels[one.name] for one in drafted if one.kind == kind})
            for kind in sorted({one.kind for one in drafted})
        }
        about: dict[str, Json] = {"by": judged, "drafter": origin.drafter, "drafts": len(drafted), "kinds": kinds}
        save_labels(target, labels, about)
        if as_json:
            emit("summary", folder=str(target), **about)
        else:
            for kind, each in kinds.items():
                assert isinstance(each, Mapping)
                console.print(f"{kind}: " + ", ".join(f"{count} {verdict}" for verdict, count in each.items()))
            print(target)


def _split(name: str) -> Split:
    for split in SPLITS:
        if name == split:
            return split
    raise DragomanError(f"no split is called {name!r}: there are {', '.join(SPLITS)}")


def _draft(
    missing: Sequence[Path], target: Path, adapter: Path, ear: str, origin: Origin, threads: int, as_json: bool
) -> None:
    with progress_of("loading models", quiet=as_json) as loading:
        runtime = open_duplex(ear, adapter=adapter, threads=threads, progress=loading)
        listening = open_ear(ear, threads=threads)
        recognizer = open_recognizer(ear, threads=threads, progress=loading) if origin.recognized else None
    drafter = Drafter(runtime, lambda pcm: heard(listening, pcm), origin.seed, recognizer)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=as_json) as bars:
        task = bars.add_task("conversations", total=None)
        for number, shard in enumerate(missing):
            conversations = list(load_conversations(shard))
            bars.update(task, description=shard.stem, total=len(conversations) * (len(missing) - number), completed=0)
            features = load_features(shard, listening.digest) if _is_of(shard, listening) else None
            drafted: list[Drafted] = []
            for i, conversation in enumerate(conversations):
                own = heard(listening, conversation.pcm) if features is None else features[i]
                others = conversations[:i] + conversations[i + 1 :]
                drafted += drafter.draft(conversation, own, others)
                bars.advance(task)
            save_shard(target, shard.stem, drafted, origin)
            if as_json:
                emit("shard", path=str(shard), drafts=dict(Counter(one.kind for one in drafted)))


def _is_of(shard: Path, ear: Ear) -> bool:
    """Whether features of this ear are kept beside a shard."""
    if not features_path(shard).is_file():
        return False
    try:
        load_features(shard, ear.digest)
    except DragomanError:
        return False
    return True


def _label(
    drafted: Sequence[Drafted], folder: Path, by: Ranker | str, as_json: bool
) -> tuple[dict[str, Label], dict[str, Json]]:
    """Labels by name, by a ranker or by the language model of this address; and who made them."""
    candidates = [Candidate(one.name, one.draft.text, one.dialogue, one.conversation, one.situation) for one in drafted]
    with progress_of("labelling", quiet=as_json) as progress:
        if isinstance(by, str):
            return asyncio.run(_judged(candidates, folder, by, progress)), {"judge": by}
        labels = label(candidates, by, lambda done, total: progress("labelling", done, total))
        return labels, {"ranker": by.towers.digest(), "margin": by.margin, "generic": by.generic}


async def _judged(candidates: Sequence[Candidate], folder: Path, spec: str, progress: Told) -> dict[str, Label]:
    responder = await open_responder(spec, progress, seed=1)
    try:
        judging = Judge(folder / "judge.sqlite", responder, spec)
        return await judging.label(candidates, lambda done, total: progress("labelling", done, total))
    finally:
        await responder.aclose()
