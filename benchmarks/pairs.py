"""``dragoman bench pairs``: readers compare replies with first words of the fast path and without, blind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from dragoman.agent.cli import asking
from dragoman.agent.cli.output import JsonOption, console, emit, errors
from dragoman.benchmarks.onset_pairs import KIND, RIVAL, Choice, Pair, PairSheet, preference

_KEYS: Final[dict[str, Choice]] = {"1": "first", "2": "second", "t": "tie"}

RUBRIC: Final = (
    "Each item shows what was really said in a conversation, and two replies to its last line. Imagine that you said "
    "that line. Which reply would you rather hear? What counts: that it answers what was said, is true to it, and "
    "takes the conversation on. Length and small faults of grammar don't count. Where you would not mind which, it is "
    "a tie."
)


def register(parent: typer.Typer) -> None:
    """Add the command to the group of benchmarks."""
    parent.command("pairs")(compare)


def compare(
    sheet: Annotated[Path, typer.Argument(help="The JSON file of `dragoman bench onset --pairs`.")],
    number: Annotated[int, typer.Option("--pass", help="Pass over the pairs: 1, then 2.", min=1)] = 1,
    reader: Annotated[str | None, typer.Option(help="Who compares; your user name unless given.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare replies without knowing which system wrote them. Stop when you like: it goes on there."""
    with errors():
        known = PairSheet(sheet, KIND)
        name = asking.reader_of(known, number, reader)
        if known.open_items(number):
            console.print(Text(RUBRIC))
            asking.ask(known, number, name, _shown, _KEYS, "\\[1], \\[2], \\[t]ie")
        left = len(known.open_items(number))
        found = preference(known)
        if as_json:
            emit("summary", sheet=str(sheet), left=left, **found)
            return
        print(f"{sheet}: pass {number}, {left} of {len(known.items)} pairs left")
        value, between = found["preference"], found["preference_ci95"]
        if not left and isinstance(value, float) and isinstance(between, list):
            told = " to ".join(f"{edge:+.2f}" for edge in between)
            print(f"relay against {RIVAL}, from -1 to 1: {value:+.2f} ({told})")


def _shown(pair: Pair) -> Text:
    text = asking.dialogue(pair.dialogue)
    for number, reply in enumerate(pair.replies, 1):
        text.append(f"\n{number}  {reply}", style="bold")
    return text
