"""``dragoman data gold``: people judge drafts, twice and blind."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.panel import Panel
from rich.text import Text

from dragoman.agent.cli.output import console, emit, errors
from dragoman.agent.drafter.labelled import load_folder
from dragoman.audio.types import DragomanError
from dragoman.verifier.gold import RUBRIC, Item, Sheet
from dragoman.verifier.labels import Verdict

_KEYS: Final[dict[str, Verdict]] = {"g": "good", "n": "generic", "b": "bad"}
_SHOWN: Final = 4
"""Turns of the dialogue that are shown."""


def gold(
    sheet: Annotated[Path, typer.Argument(help="The JSON file of items and answers; drawn when it is not there.")],
    drafts: Annotated[Path | None, typer.Option(help="Folder of `dragoman data drafts` to draw from.")] = None,
    count: Annotated[int, typer.Option(help="Items of a new sheet.", min=1)] = 300,
    number: Annotated[int, typer.Option("--pass", help="Pass over the sheet: 1, then 2.", min=1)] = 1,
    reader: Annotated[str | None, typer.Option(help="Who judges; your user name unless given.")] = None,
    rubric: Annotated[bool, typer.Option("--rubric", help="Print the rubric, and nothing else.")] = False,
    seed: Annotated[int, typer.Option(help="Of the items of a new sheet.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines.")] = False,
) -> None:
    """Judge drafts by a rubric, without knowing what any model thinks of them. Stop when you like: it goes on there.

    Make two passes, best on two days or by two people; then Cohen's kappa tells how well they agree.
    """
    if rubric:
        print(RUBRIC, end="")
        return
    with errors():
        known = _sheet(sheet, drafts, count, seed)
        name = reader or (known.passes[number].reader if number in known.passes else getpass.getuser())
        if known.open_items(number):
            console.print(Text(RUBRIC), soft_wrap=True)
            _ask(known, number, name)
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


def _ask(sheet: Sheet, number: int, reader: str) -> None:
    """Ask about what is open, until it is done or the reader has enough."""
    waiting = sheet.open_items(number)
    total, at = len(sheet.items), 0
    while at < len(waiting):
        item = waiting[at]
        console.print(Panel(_shown(item), title=f"{total - len(waiting) + at + 1} of {total}", title_align="left"))
        key = _answer()
        if key == "q":
            return
        if key == "u":
            back = sheet.take_back(number)
            if back is not None and (at == 0 or back is not waiting[at - 1]):
                waiting.insert(at, back)
            elif back is not None:
                at -= 1
            continue
        sheet.answer(number, reader, item, _KEYS[key])
        at += 1


def _shown(item: Item) -> Text:
    text = Text()
    for role, said in item.dialogue[-_SHOWN:]:
        text.append(f"{'agent' if role == 'assistant' else 'user'}: {said}\n", style="dim" if role != "user" else "")
    text.append(f"\nagent: {item.text}{'' if item.complete else ' ...'}", style="bold")
    return text


def _answer() -> str:
    """One of the keys. The end of the input is an end, too."""
    while True:
        try:
            key = console.input("\\[g]ood, ge\\[n]eric, \\[b]ad, \\[u]ndo, \\[q]uit: ").strip().lower()[:1]
        except EOFError:
            return "q"
        if key in (*_KEYS, "u", "q"):
            return key
