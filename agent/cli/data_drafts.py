"""``dragoman data drafts``: what a trained drafter drafts, labelled for the verifier."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Annotated, Final

import platformdirs
import typer

from dragoman.agent.cli.output import JsonOption, console, emit, errors
from dragoman.agent.cli.progress import counting_bar, progress_of
from dragoman.agent.cli.training import ThreadsOption
from dragoman.agent.drafter.catalog import open_drafter, require_adapter
from dragoman.agent.drafter.drafting import Asked, Drafted, Drafter, recorded, retold, turns_of
from dragoman.agent.drafter.judging import Judge
from dragoman.agent.drafter.labelled import LABELS, Origin, is_done, load_folder, load_labels, save_labels, save_shard
from dragoman.agent.duplex.adapter import load_adapter
from dragoman.agent.duplex.chat import Chat, installed_talks
from dragoman.agent.duplex.conversation import SPLITS, Split
from dragoman.agent.duplex.features import EAR
from dragoman.agent.duplex.store import load_conversations, shards
from dragoman.agent.llm.opening import open_responder
from dragoman.agent.verifying import open_ranker
from dragoman.asr.causal.catalog import open_recognizer
from dragoman.asr.causal.stream import CausalRecognizer
from dragoman.audio.types import DragomanError, Json
from dragoman.models.catalog import Progress as Told
from dragoman.verifier.labels import Candidate, Label, counts, label
from dragoman.verifier.ranker import Ranker

TALKS: Final = 50
"""Talks of a shard."""


def default_folder() -> Path:
    """Where drafts lie unless a folder is given."""
    return Path(platformdirs.user_data_dir("dragoman")) / "drafts"


def drafts(
    data: Annotated[
        Path | None, typer.Option(help="Folder of `dragoman data duplex`: its turns are drafted to as they are heard.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Where to keep the drafts; a stopped run goes on.")] = None,
    split: Annotated[str, typer.Option(help="Whose talks: verifier, or test to be judged by people.")] = "verifier",
    turns: Annotated[int, typer.Option(help="Turns of each talk that are drafted to.", min=1)] = 3,
    alternatives: Annotated[
        int,
        typer.Option(help="Drafts with other beginnings, for each turn: for `train preference`.", min=0),
    ] = 0,
    talks: Annotated[int | None, typer.Option(help="At most so many talks.", min=0)] = None,
    adapter: Annotated[Path | None, typer.Option(help="The drafter; the one that is used unless given.")] = None,
    ranker: Annotated[Path | None, typer.Option(help="File of `dragoman train ranker`.")] = None,
    retell: Annotated[
        Path | None, typer.Option(help="Take the drafts of this folder, and their labels: nothing is drafted.")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="Let a language model label in the ranker's place: http://...")
    ] = None,
    threads: ThreadsOption = 1,
    seed: Annotated[int, typer.Option(help="Of how turns are heard and spoilt.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Let the drafter draft in talks that it never met, natural and spoilt, and label what it drafts.

    Stop it when you like: the same command goes on. Labels are made anew each time, from all drafts in the folder.
    """
    with errors():
        chosen, target = split_of_name(split), folder or default_folder()
        path = adapter or require_adapter()
        origin = Origin(load_adapter(path).digest(), seed)
        if retell is not None:
            found = _retell(retell, target, path, origin, threads, as_json)
            if as_json:
                emit("summary", folder=str(target), drafts=found)
            else:
                print(target)
            return
        # Before anything is drafted, for hours maybe: that it is missing.
        if data is not None and not shards(data, chosen):
            raise DragomanError(f"{data} has no conversations of the split {chosen}: run `dragoman data duplex`")
        by = judge if judge is not None else open_ranker(ranker, threads=threads)
        target.mkdir(parents=True, exist_ok=True)
        _draft(
            _Sources(chosen, data, turns, talks, seed, threads), target, path, origin, alternatives, threads, as_json
        )
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


def _retell(source: Path, target: Path, adapter: Path, origin: Origin, threads: int, as_json: bool) -> int:
    """Read labelled drafts anew by another drafter."""
    _, drafted = load_folder(source)
    labels, about = load_labels(source)
    target.mkdir(parents=True, exist_ok=True)
    with progress_of("reading drafts", quiet=as_json) as progress:
        runtime = open_drafter(adapter=adapter, threads=threads, progress=progress)
        # The same turn may have drafts in several folders.
        named = {name: f"{source.name}/{name}" for name in labels}
        labelled = [replace(one, name=named[one.name]) for one in drafted if one.name in named]
        made = list[Drafted]()
        for one in retold(runtime, labelled):
            made.append(one)
            progress("reading drafts", len(made), len(labelled))
    save_shard(target, f"{source.name}-00000", made, origin)
    known = load_labels(target)[0] if (target / LABELS).is_file() else {}  # of a folder that was retold before
    save_labels(
        target,
        {**known, **{named[name]: label for name, label in labels.items()}},
        {**about, "drafter": origin.drafter, "drafts_of": about.get("drafter")},
    )
    return len(made)


def split_of_name(name: str) -> Split:
    """The split that is called so. Raises ``DragomanError``."""
    for split in SPLITS:
        if name == split:
            return split
    raise DragomanError(f"no split is called {name!r}: there are {', '.join(SPLITS)}")


class _Sources:
    """What is drafted to, in shards by name: turns of talks as text, and turns that are heard."""

    def __init__(self, split: Split, data: Path | None, turns: int, talks: int | None, seed: int, threads: int) -> None:
        self._turns, self._seed, self._threads = turns, seed, threads
        found = list(Chat(installed_talks(), split).stretches())[:talks]
        self._talks = {f"{split}-talks-{i // TALKS:05}": found[i : i + TALKS] for i in range(0, len(found), TALKS)}
        self._heard = {} if data is None else {shard.stem: shard for shard in shards(data, split)}
        self._recognizer: CausalRecognizer | None = None
        self.others = [turn for _, talk in found for turn in talk]
        """Turns that lend their words."""
        if not found and not self._heard:
            raise DragomanError(f"nothing is there to draft to in the split {split}")

    @property
    def names(self) -> list[str]:
        """All shards."""
        return [*self._talks, *self._heard]

    def shard(self, name: str, progress: Told) -> list[Asked]:
        """What a shard asks."""
        if name in self._talks:
            rng = Random(f"{self._seed}/{name}")
            return [one for talk, turns in self._talks[name] for one in turns_of(talk, turns, rng, self._turns)]
        if self._recognizer is None:
            self._recognizer = open_recognizer(EAR, threads=self._threads, talk=True, progress=progress)
        heard = load_conversations(self._heard[name])
        return [one for conversation in heard for one in recorded(conversation, self._recognizer)]


def _draft(
    sources: _Sources, target: Path, adapter: Path, origin: Origin, alternatives: int, threads: int, as_json: bool
) -> None:
    missing = [name for name in sources.names if not is_done(target, name, origin)]
    if not missing:
        return
    with progress_of("loading models", quiet=as_json) as loading:
        drafter = Drafter(open_drafter(adapter=adapter, threads=threads, progress=loading), origin.seed, alternatives)
    with counting_bar(quiet=as_json) as bar:
        task = bar.add_task("turns", total=None)
        for number, name in enumerate(missing):
            asked = sources.shard(name, lambda what, done, total: None)
            bar.update(task, description=name, total=len(asked) * (len(missing) - number), completed=0)
            drafted: list[Drafted] = []
            for one in asked:
                drafted += drafter.draft(one, sources.others)
                bar.advance(task)
            save_shard(target, name, drafted, origin)
            if as_json:
                emit("shard", name=name, drafts=dict(Counter(one.kind for one in drafted)))


def _label(
    drafted: Sequence[Drafted], folder: Path, by: Ranker | str, as_json: bool
) -> tuple[dict[str, Label], dict[str, Json]]:
    """Labels by name, by a ranker or by the language model of this address; and who made them."""
    candidates = [Candidate(one.name, one.said, one.dialogue, one.conversation, one.situation) for one in drafted]
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
