"""``dragoman data gold``: people judge drafts, twice and blind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from dragoman.agent.cli import asking
from dragoman.agent.cli.output import JsonOption, console, emit, errors
from dragoman.agent.drafter.labelled import load_folder
from dragoman.audio.types import DragomanError
from dragoman.verifier.gold import RUBRIC, Item, Sheet
from dragoman.verifier.labels import Verdict

_KEYS: Final[dict[str, Verdict]] = {"g": "good", "n": "generic", "b": "bad"}


def _tell_rubric(wanted: bool) -> None:
    if wanted:
        typer.echo(RUBRIC, nl=False)
        raise typer.Exit


def gold(
    sheet: Annotated[Path, typer.Argument(help="The JSON file of items and answers; drawn when it is not there.")],
    drafts: Annotated[Path | None, typer.Option(help="Folder of `dragoman data drafts` to draw from.")] = None,
    count: Annotated[int, typer.Option(help="Items of a new sheet.", min=1)] = 300,
    number: Annotated[int, typer.Option("--pass", help="Pass over the sheet: 1, then 2.", min=1)] = 1,
    reader: Annotated[str | None, typer.Option(help="Who judges; your user name unless given.")] = None,
    rubric: Annotated[
        bool, typer.Option("--rubric", is_eager=True, callback=_tell_rubric, help="Print the rubric and end.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the items of a new sheet.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Judge drafts by a rubric, without knowing what any model thinks of them. Stop when you like: it goes on there.

    Make two passes, best on two days or by two people; then Cohen's kappa tells how well they agree.
    """
    with errors():
        known = _sheet(sheet, drafts, count, seed)
        name = asking.reader_of(known, number, reader)
        if known.open_items(number):
            console.print(Text(RUBRIC), soft_wrap=True)
            asking.ask(known, number, name, _shown, _KEYS, "\\[g]ood, ge\\[n]eric, \\[b]ad")
        left = len(known.open_items(number))
        shared, agreement = known.agreement()
        if as_json:
            emit(
                "summary",
                sheet=str(sheet),
                items=len(known.items),
                left=left,
                readers={str(n): one.reader for n, one in known.passes.items()},
                judged_twice=shared,
                kappa=agreement,
                agreed=len(known.agreed()),
            )
        else:
            told = "" if agreement is None else f"; {shared} items judged twice, kappa {agreement:.2f}"
            print(f"{sheet}: pass {number}, {left} of {len(known.items)} items left{told}")


def _sheet(path: Path, drafts: Path | None, count: int, seed: int) -> Sheet:
    if path.exists():
        return Sheet(path)
    if drafts is None:
        raise DragomanError(f"{path} is not there: give --drafts FOLDER to draw a new sheet")
    origin, drafted = load_folder(drafts)
    # One of each turn: the drafts of neighbouring frames are much alike.
    natural = {one.dialogue: one for one in drafted if one.kind == "natural"}
    items = [
        Item(one.name, one.dialogue, one.said, one.draft.complete and one.said == one.draft.text)
        for one in natural.values()
    ]
    if not items:
        raise DragomanError(f"{drafts} holds no natural drafts: run `dragoman data drafts`")
    return Sheet.draw(path, items, origin.drafter, count, seed)


def _shown(item: Item) -> Text:
    text = asking.dialogue(item.dialogue)
    text.append(f"\nagent: {item.text}{'' if item.complete else ' ...'}", style="bold")
    return text
