"""``dragoman models``: what is there, and ``dragoman models get``: get what is missing."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from dragoman.agent.cli.output import JsonOption, console, emit, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.audio.types import DragomanError
from dragoman.models.catalog import ENTRIES, Profile, Status, find, get, needed, status


class _Profile(StrEnum):
    """What ``--for`` takes."""

    demo = "demo"
    test = "test"
    all = "all"


_PROFILES: dict[_Profile, Profile] = {_Profile.demo: "demo", _Profile.test: "test", _Profile.all: "all"}


def register(app: typer.Typer) -> None:
    """Add the command and its sub-command."""
    group = typer.Typer(invoke_without_command=True)
    group.callback()(models)
    group.command(name="get")(get_models)
    app.add_typer(group, name="models", help="List the models, or get those that are missing.")


def models(context: typer.Context, json: JsonOption = False) -> None:
    """List the models that dragoman knows: what for, how large, where they are."""
    if context.invoked_subcommand is not None:
        return
    with errors():
        found = [status(entry) for entry in ENTRIES]
        if json:
            for each in found:
                emit("model", **_fields(each))
            present = {each.entry.name: each.where is not None for each in found}
            emit("summary", models=len(found), present=sum(present.values()), here=present)
        else:
            _show(found)


def get_models(
    names: Annotated[list[str] | None, typer.Argument(help="Names from `dragoman models`.")] = None,
    profile: Annotated[
        _Profile | None, typer.Option("--for", help="All that the demo, the tests, or everything needs.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Get models into the cache, and check them."""
    with errors():
        wanted = [*(names or []), *(needed(_PROFILES[profile]) if profile else ())]
        if not wanted:
            raise DragomanError("say which models to get: names from `dragoman models`, or --for demo")
        entries = list(dict.fromkeys(find(name).name for name in wanted))
        paths: dict[str, str] = {}
        for name in entries:
            with progress_of(name, quiet=json) as progress:
                paths[name] = str(get(name, progress))
            if json:
                emit("model", **_fields(status(find(name))))
            else:
                console.print(f"[green]{name}[/] is ready: {paths[name]}", soft_wrap=True)
        if json:
            emit("summary", models=paths)


def _fields(each: Status) -> dict[str, str | int | bool | None]:
    entry = each.entry
    return {
        "name": entry.name,
        "role": entry.role,
        "languages": entry.languages,
        "licence": entry.licence,
        "bytes": entry.size,
        "present": each.where is not None,
        "source": each.source,
        "path": str(each.where) if each.where else None,
        "about": entry.summary,
    }


def _table(found: list[Status], *titles: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    # A name is for typing: in a narrow terminal it is the last to be cut.
    table.add_column("name", no_wrap=True, min_width=max(len(each.entry.name) for each in found))
    for title in titles:
        table.add_column(title, no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("where", no_wrap=True)
    for each in found:
        entry = each.entry
        where = f"[green]{each.source}[/]" if each.where else "[yellow]missing[/]"
        cells = {"role": entry.role, "languages": entry.languages, "licence": entry.licence}
        table.add_row(entry.name, *(cells[title] for title in titles), f"{entry.size / 1e6:,.0f} MB", where)
    return table


def _show(found: list[Status]) -> None:
    out = Console(highlight=False)
    table = _table(found, "role", "languages", "licence")
    if Measurement.get(out, out.options.update(max_width=1000), table).maximum > out.width:
        table = _table(found, "role", "languages")
    out.print(table)
    # Paths are for copying: whole, however narrow the terminal is.
    for each in found:
        if each.where:
            out.print(f"{each.entry.name}: [dim]{each.where}[/]", soft_wrap=True)
    if missing := [each.entry.name for each in found if each.where is None]:
        console.print(f"to get what is missing: dragoman models get {' '.join(missing)}", soft_wrap=True)
