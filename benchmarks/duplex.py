"""Turn-taking: the duplex model against silence thresholds and smart-turn, running free, on the same turns.

``dragoman bench duplex [--data DIR]``. Sets: ``heldout``, synthetic conversations, those of ``--conversations`` or made
and kept; and ``human``, clips of ``DIR/index.json`` (``file``, ``lang``, ``transcript``) with pauses put into phrases.
How it is judged is told in ``turn_taking``. Times are sound heard plus processor time, which other load changes little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from dragoman.agent.cli.output import JsonOption, console, emit, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.audio.types import DragomanError, Json
from dragoman.benchmarks.before import MAKING, after, picture
from dragoman.models.catalog import Progress

if TYPE_CHECKING:
    from dragoman.benchmarks.duplex_run import Results, Systems
    from dragoman.benchmarks.duplex_sets import Conversations

SETS: Final = ("heldout", "human")
SYSTEMS: Final = ("duplex", "smart-turn", "silence")

_WIDTH: Final = 150


def register(parent: typer.Typer) -> None:
    """Add the command to the group of benchmarks."""
    parent.command("duplex")(measure)


def measure(
    data: Annotated[Path | None, typer.Option(help="Folder of human clips with index.json: the set human.")] = None,
    conversations: Annotated[
        Path | None, typer.Option(help="Folder of `dragoman data duplex`: its test split is the set heldout.")
    ] = None,
    only: Annotated[str, typer.Option(help="Systems or sets, separated by commas: duplex,silence,human.")] = "",
    limit: Annotated[int, typer.Option(help="About so many turns of a set.", min=1)] = 300,
    max_s: Annotated[float, typer.Option(help="Start nothing after so many seconds.")] = 1100,
    words: Annotated[bool, typer.Option("--words", help="Give the model the streaming recognizer's words.")] = False,
    heed: Annotated[bool, typer.Option(help="Heed whether a turn is whole by its words.")] = True,
    adapter: Annotated[Path | None, typer.Option(help="Measure this duplex adapter.")] = None,
    begin: Annotated[str, typer.Option(help="Thresholds to begin at besides the adapter's own: 0.3,0.8.")] = "",
    seed: Annotated[int, typer.Option(help="Of the conversations that are made, and of the pauses.")] = 1,
    plot: Annotated[Path | None, typer.Option(help="Draw cut-off rate against gap (PNG).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure when the agent begins to speak and when it stops, against silence thresholds and smart-turn."""
    with errors():
        from dragoman.benchmarks import duplex_report as report  # here: what it needs takes a second to import

        sets, systems = _wanted(only)
        picture(plot)
        late = after(max_s)
        with progress_of("turn-taking", quiet=as_json) as progress:
            loaded = _load(systems, adapter, begin, words, heed, progress)
            ready = _conversations(sets, data, conversations, limit, seed, after(MAKING * max_s), progress)
            found = _run(loaded, ready, limit, late, progress)
            results, compared = list[dict[str, Json]](), list[dict[str, Json]]()
            for number, one in enumerate(found):
                progress("drawing intervals", number, len(found))
                results += report.rows(one)
                compared += report.equal_cutoff(one)
            progress("drawing intervals", 1, 1)
        if not results:
            raise DragomanError(f"nothing was measured in {max_s:g} s: give --max-s more")
        if plot is not None:
            report.draw(results, plot)
        if as_json:
            for row in results:
                emit("result", **row)
            emit(
                "summary",
                results=list[Json](results),
                equal_cutoff=list[Json](compared),
                anticipation=report.anticipation(found),
                drafts=report.drafts(found),
                words=words,
                policies={name: asdict(policy) for name, policy in loaded.policies.items()},
                skipped=sum(one.skipped for one in ready),
            )
        else:
            out = Console(highlight=False, width=max(console.width, _WIDTH))
            for one in found:
                out.print(report.table(one.name, results))
            for line in report.lines(compared, found):
                out.print(line, soft_wrap=True)
            if skipped := sum(one.skipped for one in ready):
                out.print(f"{skipped} clips are not English, or noisier than their voice: left out", soft_wrap=True)


def _wanted(only: str) -> tuple[list[str], list[str]]:
    """Sets and systems; all where none is named."""
    names = [name.strip() for name in only.split(",") if name.strip()]
    if unknown := set(names) - {*SETS, *SYSTEMS}:
        raise DragomanError(f"there is no {sorted(unknown)[0]!r}: choose among {', '.join((*SYSTEMS, *SETS))}")
    return [s for s in SETS if s in names] or list(SETS), [s for s in SYSTEMS if s in names] or list(SYSTEMS)


def _load(systems: list[str], adapter: Path | None, begin: str, words: bool, heed: bool, progress: Progress) -> Systems:
    """Load what is wanted. What is not on this machine is left out where all systems were wanted."""
    from dragoman.agent.drafter.catalog import adapter_path, endings_path, open_drafter, open_endings
    from dragoman.agent.duplex.catalog import open_duplex
    from dragoman.agent.duplex.features import open_ear
    from dragoman.asr.causal.catalog import open_recognizer
    from dragoman.asr.smart_turn import open_smart_turn
    from dragoman.benchmarks.duplex_run import DUPLEX, SILENCES_MS, SMART, Systems

    loaded = Systems(silences_ms=SILENCES_MS if "silence" in systems else ())
    thresholds = _thresholds(begin)
    if DUPLEX in systems:
        with _optional(DUPLEX, len(systems) == len(SYSTEMS) and adapter is None):
            loaded.runtime, loaded.ear = open_duplex(adapter=adapter, progress=progress), open_ear()
            if adapter_path() is not None:
                heed = heed and endings_path() is not None
                loaded.drafter = open_drafter(completing=heed, progress=progress)
                loaded.endings = open_endings(loaded.drafter) if heed else None
            loaded.fed = words
            needed = words or loaded.endings is not None
            loaded.recognizer = open_recognizer(talk=True, progress=progress) if needed else None
            own = loaded.runtime.policy
            loaded.policies = {
                DUPLEX: own,
                **{f"{DUPLEX}@{t:g}": own.beginning(t) for t in thresholds},
            }
    if SMART in systems:
        with _optional(SMART, len(systems) == len(SYSTEMS)):
            loaded.smart = open_smart_turn(progress=progress)
    return loaded


@contextmanager
def _optional(name: str, optional: bool) -> Iterator[None]:
    try:
        yield
    except DragomanError as error:
        if not optional:
            raise
        console.print(f"[yellow]{name} is left out:[/]", Text(str(error)), soft_wrap=True)


def _thresholds(begin: str) -> list[float]:
    try:
        found = [float(value) for value in begin.split(",") if value]
    except ValueError as error:
        raise DragomanError(f"--begin takes numbers such as 0.3,0.8, not {begin!r}") from error
    if any(not 0 < value <= 1 for value in found):
        raise DragomanError("--begin takes probabilities: more than 0, and 1 at most")
    return found


def _conversations(
    sets: list[str],
    data: Path | None,
    folder: Path | None,
    limit: int,
    seed: int,
    late: Callable[[], bool],
    progress: Progress,
) -> list[Conversations]:
    """The sets that are wanted, made where they must be. Human turns need clips: without them they are left out where
    nobody asked for them.
    """
    from dragoman.benchmarks import duplex_sets

    ready: list[Conversations] = []
    if "heldout" in sets:
        ready.append(duplex_sets.made(limit, seed, progress, late) if folder is None else duplex_sets.given(folder))
    if "human" in sets and data is not None:
        ready.append(duplex_sets.human(data, limit, seed, progress))
    elif sets == ["human"]:
        raise DragomanError("the set human needs clips: give --data, a folder with index.json")
    elif "human" in sets:
        console.print("[yellow]human is left out:[/] give --data, a folder of clips with index.json", soft_wrap=True)
    return ready


def _run(
    systems: Systems, sets: list[Conversations], limit: int, late: Callable[[], bool], progress: Progress
) -> list[Results]:
    """The sets in turns, so that each gets its share of the time."""
    from dragoman.benchmarks.duplex_run import Results, run_shard

    found = [Results(one.name) for one in sets]
    for shards in zip_longest(*(one.shards for one in sets)):
        for one, results, shard in zip(sets, found, shards, strict=True):
            if shard is not None and results.turns < limit and not late():
                run_shard(systems, results, one, shard, limit, progress)
    return found
