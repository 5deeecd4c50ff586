"""Entry point of ``dragoman`` and ``python -m dragoman``."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated


@contextmanager
def _left_at_once() -> Iterator[None]:
    """Ctrl-C ends the process: nothing is begun that could be lost, and what it interrupted might make another error of
    it, as libraries in C do while they are imported.
    """
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a background job would ignore it
    if heard:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    yield
    if heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)


with _left_at_once():  # all this takes a second
    import typer

    from dragoman import __version__
    from dragoman.agent.cli import data, demo, doctor, models, say, talk, train, transcribe, translate
    from dragoman.benchmarks import cli as bench
    from dragoman.web import cli as serve

app = typer.Typer(
    name="dragoman",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dragoman {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_tell_version, help="Tell the version and end.")
    ] = False,
) -> None:
    """Talk with people in real time, and interpret between them."""


for command in (talk, transcribe, say, translate, serve, demo, models, doctor, data, train, bench):
    command.register(app)


def main() -> None:
    """Run the command line. A terminal that is closed, or a service manager, ends it as Ctrl-C does: nothing that was
    heard or said until then is lost.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a background job would ignore Ctrl-C
        for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):  # Windows has but the first
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a word that the locale can't write is no reason to stop
    try:
        app()
    except KeyboardInterrupt:  # before the command began
        raise SystemExit(130) from None
    finally:
        # All is written. Whoever can't wait until the models' threads are done presses it again, and need not.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, lambda *_: os._exit(130))


if __name__ == "__main__":
    main()
