"""Showing an interpretation as it happens: JSON lines, plain lines, or two live lines at the foot of the terminal."""

from __future__ import annotations

import sys
from dataclasses import asdict
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.status import Status
from rich.text import Text

from dragoman.agent.cli.output import emit, tell
from dragoman.agent.interpreter import Event, Hearing, Recognized, Revised, Spoken, Translated, Unspoken
from dragoman.audio.types import OUTPUT_RATE
from dragoman.translation.retranslation import Update


class CaptionView(Protocol):
    """Shows events; a context manager for what it needs of the terminal."""

    def show(self, event: Event) -> None:
        """Show one event."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class JsonCaptions:
    """One JSON object per event on standard output; sound is left out, its place and length are not."""

    def __init__(self, *, stream: bool) -> None:
        """``stream`` False: no revisions."""
        self._stream = stream

    def show(self, event: Event) -> None:
        """Print the event."""
        match event:
            case Hearing(text, certain, at) if self._stream:
                emit("hearing", text=text, certain=certain, at=round(at, 3))
            case Recognized():
                times = {"start": round(event.start, 3), "end": round(event.end, 3), "at": round(event.at, 3)}
                emit("recognized", segment=event.segment, text=event.text, **times)
            case Revised(update, at, heard) if self._stream:
                emit("update", **asdict(update), at=round(at, 3), heard=round(heard, 3))
            case Translated():
                emit("translated", segment=event.segment, translation=event.translation, at=round(event.at, 3))
            case Spoken():
                times = {"start": round(event.start, 3), "seconds": round(len(event.pcm) / OUTPUT_RATE, 3)}
                emit("spoken", segment=event.segment, text=event.text, **times, rate=round(event.rate, 3))
            case Unspoken(segment, text, late):
                emit("unspoken", segment=segment, text=text, late=round(late, 3))
            case _:
                pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class LineCaptions:
    """A line for what was said, and one for its translation, when a segment is complete; the translations alone on
    standard output. In a terminal the last line tells how far it is.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = console.status("listening ...") if console.is_terminal else None

    def show(self, event: Event) -> None:
        """Print what is complete."""
        match event:
            case Recognized(text=text, start=start):
                self._said(text, start)
            case Translated(translation=translation, end=end):
                tell(translation, self._status)
                if self._status:
                    self._status.update(f"{end:.0f} s")
            case _:
                pass

    def _said(self, text: str, start: float) -> None:
        self._console.print(f"[{start:6.1f} s] {text}", style="dim", markup=False, soft_wrap=True)

    def __enter__(self) -> Self:
        if self._status:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status:
            self._status.stop()


class LiveCaptions(LineCaptions):
    """Complete segments scroll as lines; below them live what is being said and its translation so far. What may still
    change is dim.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._status = None
        # What goes to a file is left alone; what goes to this terminal is put above the live lines.
        self._live = Live(console=console, transient=True, auto_refresh=False, redirect_stdout=sys.stdout.isatty())
        self._heard = Text()
        self._closed = False
        """What is heard last is complete, and its translation is on its way."""
        self._updates: dict[int, Update] = {}

    def show(self, event: Event) -> None:
        """Update the two lines; print complete segments above them."""
        match event:
            case Hearing(text, certain, _):
                self._closed = False
                words = text.split(" ")
                self._heard = Text(" ".join(words[:certain]), "cyan")
                self._heard.append(" " * bool(certain) + " ".join(words[certain:]), "dim cyan")
            case Revised(update) if update.final:
                self._updates.pop(update.segment, None)
            case Revised(update):
                self._updates[update.segment] = update
            case Recognized(text=text):
                self._heard = Text(text, "cyan")
                self._closed = True
            case Translated(text=text, start=start):
                # Both lines at once: what was said stands above its own translation.
                if self._closed:
                    self._heard = Text()
                self._live.update(Text(""), refresh=True)
                self._said(text, start)
                super().show(event)
            case _:
                return
        self._live.update(self._picture(), refresh=True)

    def _picture(self) -> Group:
        said = Text()
        for _, update in sorted(self._updates.items()):
            said.append(f"{update.stable_text} " if update.stable_text else "", "bold green")
            said.append(f"{update.unstable_text} " if update.unstable_text else "", "dim green")
        return Group(self._fitted(self._heard), self._fitted(said))

    def _fitted(self, text: Text) -> Text:
        """The end of the line where it is too long: that is what is new."""
        over = text.cell_len - self._console.width + 3
        start = max(over, text.plain.find(" ", over) + 1)
        fitted = Text.assemble(("… ", "dim"), text[start:]) if over > 1 else text
        fitted.no_wrap = True
        return fitted

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
