"""A questionnaire in the terminal: a reader judges the items of a sheet, one key each, and stops when they like."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping
from typing import Final

from rich.panel import Panel
from rich.text import Text

from dragoman.agent.cli.output import console
from dragoman.audio.types import DragomanError
from dragoman.verifier.sheets import ItemT, Sheet, VerdictT

_SHOWN: Final = 4
"""Turns of a dialogue that are shown."""


def ask(
    sheet: Sheet[ItemT, VerdictT],
    number: int,
    reader: str,
    shown: Callable[[ItemT], Text],
    keys: Mapping[str, VerdictT],
    question: str,
) -> None:
    """Ask about what is open in a pass, until it is done or the reader has enough."""
    waiting = sheet.open_items(number)
    total, at = len(sheet.items), 0
    while at < len(waiting):
        item = waiting[at]
        console.print(Panel(shown(item), title=f"{total - len(waiting) + at + 1} of {total}", title_align="left"))
        key = _answer(question, (*keys, "u", "q"))
        if key == "q":
            return
        if key == "u":
            back = sheet.take_back(number)
            if back is not None and (at == 0 or back is not waiting[at - 1]):
                waiting.insert(at, back)
            elif back is not None:
                at -= 1
            continue
        sheet.answer(number, reader, item, keys[key])
        at += 1


def reader_of(sheet: Sheet[ItemT, VerdictT], number: int, named: str | None) -> str:
    """Who judges in a pass: who is named, or else who began it, or else the user of this machine. Raises
    ``DragomanError`` where that one has no name, as in a container.
    """
    try:
        return named or (sheet.passes[number].reader if number in sheet.passes else getpass.getuser())
    except (KeyError, OSError) as error:
        raise DragomanError("nobody knows who you are here: give --reader NAME") from error


def dialogue(turns: tuple[tuple[str, str], ...]) -> Text:
    """The last turns (role, text) of a dialogue, a line each."""
    text = Text()
    for role, said in turns[-_SHOWN:]:
        text.append(f"{'agent' if role == 'assistant' else 'user'}: {said}\n", style="dim" if role != "user" else "")
    return text


def _answer(question: str, keys: tuple[str, ...]) -> str:
    """One of the keys. The end of the input is an end, too."""
    while True:
        try:
            key = console.input(f"{question}, \\[u]ndo, \\[q]uit: ").strip().lower()[:1]
        except EOFError:
            return "q"
        if key in keys:
            return key
