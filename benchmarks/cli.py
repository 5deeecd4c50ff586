"""``dragoman bench``: every figure that the README quotes, as a command."""

from __future__ import annotations

import typer

from dragoman.benchmarks import asr, duplex, onset, pairs, talk, translate, translators

app = typer.Typer(help="Measure.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="bench")


@app.callback()
def _group() -> None:
    """Measure what the README quotes."""


asr.register(app)
duplex.register(app)
onset.register(app)
pairs.register(app)
talk.register(app)
translate.register(app)
translators.register(app)
