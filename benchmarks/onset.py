"""``dragoman bench onset``: how soon a reply begins, with first words of the fast path and without, on the same turns.

Held-out turns with true ends are spoken to whole sessions. Most of it runs on a virtual clock that is advanced by the
processor time of every stage, as two shared cores would have taken it (``onset_cores``), so other work on the machine
does not count; the rest in real time with everything competing for two cores. The systems are told in ``onset_modes``,
what is counted in ``onset_figures``.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from dragoman.agent.cli.output import JsonOption, console, emit, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.audio.types import DragomanError
from dragoman.benchmarks.before import MAKING, WER, after, new_sheet, pictures, require

if TYPE_CHECKING:
    from dragoman.benchmarks.onset_figures import Run
    from dragoman.benchmarks.onset_modes import Mode

BRAIN: Final = "qwen2.5-coder-1.5b"

LONGEST_DELAY_S: Final = 6.0
"""A reply that is later still would be taken for none."""

_WIDTH: Final = 170


def register(parent: typer.Typer) -> None:
    """Add the command to the group of benchmarks."""
    parent.command("onset")(measure)


def measure(
    data: Annotated[
        Path | None, typer.Option(help="Folder of `dragoman data duplex`: its test split; made unless given.")
    ] = None,
    only: Annotated[str, typer.Option(help="Modes, separated by commas: relay,cascade-vad.")] = "",
    limit: Annotated[int, typer.Option(help="So many turns without delay.", min=1)] = 300,
    delays: Annotated[str, typer.Option(help="Seconds by which the slow path is late.")] = "0,0.5,1,2,4",
    delayed: Annotated[int, typer.Option(help="So many of the turns with each delay.", min=0)] = 30,
    whole: Annotated[int, typer.Option(help="So many of the turns with whole replies: for quality.", min=0)] = 120,
    probes: Annotated[int, typer.Option(help="So many questions whose answers are checked.", min=0, max=60)] = 60,
    real: Annotated[int, typer.Option(help="So many of the turns in real time.", min=0)] = 20,
    max_s: Annotated[float, typer.Option(help="Start nothing after so many seconds.")] = 1150,
    llm: Annotated[str, typer.Option(help="Language model, as for dragoman talk.")] = BRAIN,
    asr: Annotated[str, typer.Option(help="Recognizer, as for dragoman talk.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of the order of turns, and of the language model.")] = 1,
    processes: Annotated[int, typer.Option(help="So many turns at once, each with models of its own.", min=1)] = 2,
    plot: Annotated[Path | None, typer.Option(help="Folder for plots (PNG).")] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="File of whole replies to compare blind: see `dragoman bench pairs`.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how soon replies begin: two cascades, first words without a verifier, and relay."""
    with errors():
        from dragoman.benchmarks import duplex_sets, onset_report  # here: what they need takes a second to import
        from dragoman.benchmarks.onset_bench import Plan
        from dragoman.benchmarks.onset_measuring import measured
        from dragoman.benchmarks.onset_pairs import write_pairs
        from dragoman.benchmarks.onset_taking import Models
        from dragoman.benchmarks.onset_turns import held_out

        plan = Plan(_modes(only), _delays(delays), limit, delayed, real, time.monotonic() + max_s, whole)
        require(*WER)
        pictures(plot)
        new_sheet(pairs)
        with progress_of("onset", quiet=as_json) as progress:
            # A turn in fifteen can't stand alone.
            late, wanted = after(MAKING * max_s), limit + limit // 13
            heard = duplex_sets.given(data) if data else duplex_sets.made(wanted, seed, progress, late)
            turns = held_out(heard.shards, progress, seed)
            models = Models(llm, asr, seed)
            told = _tell if as_json else lambda run: None
            made = measured(plan, turns, models, progress, told, named=bool(only), processes=processes, probes=probes)
        if pairs is not None:
            made.notes.append(write_pairs(pairs, made.groups, {"llm": llm, "asr": asr, "seed": seed}))
        if plot is not None:
            onset_report.draw(made.groups, made.rows, plot)
        if as_json:
            for row in made.rows:
                emit("result", **row)
            emit("summary", llm=llm, asr=asr, **made.summary())
            return
        out = Console(highlight=False, width=max(console.width, _WIDTH))
        out.print(onset_report.table(made.rows))
        for line in (*onset_report.lines(made.against), *onset_report.probe_lines(made.probes), *made.notes):
            out.print(line, soft_wrap=True)


def _tell(run: Run) -> None:
    take = run.take
    emit(
        "turn",
        turn=run.turn.name,
        mode=run.system.mode,
        slow_delay_s=run.system.delay_s,
        clock=run.clock,
        onset_ms=take.onset_ms,
        cut=take.cut,
        armed=take.armed,
        prefix=take.prefix,
        trust=take.trust,
        user=take.heard,
        reply=take.text,
        gap_ms=take.gap_ms,
        cpu_s=round(take.cpu_s, 3),
        problems=list(take.problems),
    )


def _modes(only: str) -> tuple[Mode, ...]:
    from dragoman.benchmarks.onset_modes import MODES

    names = [name.strip() for name in only.split(",") if name.strip()]
    if unknown := set(names) - {*MODES}:
        raise DragomanError(f"there is no {sorted(unknown)[0]!r}: choose among {', '.join(MODES)}")
    return tuple(mode for mode in MODES if not names or mode in names)


def _delays(delays: str) -> tuple[float, ...]:
    try:
        found = sorted({float(value) for value in delays.split(",") if value.strip()})
    except ValueError as error:
        raise DragomanError(f"--delays takes seconds such as 0,0.5,2, not {delays!r}") from error
    if any(not 0 <= value <= LONGEST_DELAY_S for value in found):
        raise DragomanError(f"--delays takes seconds from 0 to {LONGEST_DELAY_S:g}")
    return tuple(found)
