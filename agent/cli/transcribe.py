"""``dragoman transcribe``: a sound file of any length, or the microphone, to text with words in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live
from rich.status import Status
from rich.text import Text

from dragoman.agent.cli.output import JsonOption, console, emit, errors, tell
from dragoman.agent.cli.progress import progress_of
from dragoman.agent.cli.sources import frames, microphone, opened
from dragoman.agent.listening import Caption, Segment, captions, main_language, transcribed
from dragoman.asr import open_recognizer
from dragoman.audio.devices import check_devices
from dragoman.audio.files import seconds_of
from dragoman.audio.text import language_of
from dragoman.audio.types import DragomanError, Json, Word


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="transcribe")(transcribe)


def transcribe(
    source: Annotated[str, typer.Argument(metavar="FILE|mic", help="A sound file of any length, rate and format.")],
    lang: Annotated[str, typer.Option(help="Language of the speech (en, pt, ...); auto detects it.")] = "auto",
    model: Annotated[str, typer.Option(help="causal, tiny.en, base, a folder or a hub id.")] = "auto",
    stream: Annotated[bool, typer.Option("--stream", help="Show words while they are heard.")] = False,
    pace: Annotated[bool, typer.Option("--pace", help="With --stream: hear a file no faster than it sounds.")] = False,
    json: JsonOption = False,
) -> None:
    """Write down the speech in FILE, or of the microphone, segment by segment; with --stream word by word."""
    with errors():
        if source == "mic" and not stream:
            raise DragomanError("the microphone has no end: say --stream")
        if pace and not stream:
            raise DragomanError("--pace needs --stream: without it a file is written down as fast as it can be")
        language = language_of(lang)
        if source == "mic":
            check_devices("input")
        length = None if source == "mic" else seconds_of(Path(source))  # complains of a bad file before models load
        sound = None if source == "mic" else opened(source, 0.1 if stream else 1.0)
        with progress_of("loading the recognizer", json) as progress:
            recognizer = open_recognizer(model, language, live=stream, progress=progress)
        if stream:
            heard = microphone(json=json) if sound is None else frames(sound, pace=pace)
            segments = asyncio.run(_streamed(captions(recognizer, heard, language), json))
        else:
            assert sound is not None
            segments = _whole(transcribed(recognizer, sound, language), length, json)
        if json:
            emit(
                "summary",
                text=" ".join(segment.text for segment in segments),
                lang=main_language(segments) or language,
                words=[_json(word) for segment in segments for word in segment.words],
            )
        elif not segments:
            console.print("no speech was heard")


def _whole(found: Iterable[Segment], length: float | None, json: bool) -> list[Segment]:
    segments: list[Segment] = []
    share = f" of {length:.0f}" if length else ""
    # None with JSON: it would take what goes to standard output for its own.
    status = console.status("listening ...") if console.is_terminal and not json else None
    with status or nullcontext():
        for segment in found:
            segments.append(segment)
            _show(segment, json, status)
            if status:
                status.update(f"{segment.end:.0f}{share} s")
    return segments


async def _streamed(found: AsyncIterator[Caption | Segment], json: bool) -> list[Segment]:
    """In a terminal the words of the open segment stand on a live line: those that may still change are dim."""
    segments: list[Segment] = []
    live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal and not json else None
    if live:
        live.start()
    try:
        async for event in found:
            if isinstance(event, Segment):
                segments.append(event)
                if live:
                    live.update(Text(""), refresh=True)
                _show(event, json)
            elif json:
                emit("partial", at=round(event.at, 3), text=event.text, stable=event.stable, lang=event.lang)
            elif live:
                live.update(_line(event), refresh=True)
    finally:
        if live:
            live.stop()
    return segments


def _line(caption: Caption) -> Text:
    words = caption.text.split(" ")
    sure, open_ = " ".join(words[: caption.stable]), " ".join(words[caption.stable :])
    return Text.assemble((f"[{caption.at:6.1f} s] ", "dim"), sure, " " if sure else "", (open_, "dim"))


def _show(segment: Segment, json: bool, status: Status | None = None) -> None:
    if not json:
        tell(segment.text, status)
        return
    emit(
        "segment",
        start=round(segment.start, 3),
        end=round(segment.end, 3),
        text=segment.text,
        lang=segment.lang,
        words=[_json(word) for word in segment.words],
    )


def _json(word: Word) -> dict[str, Json]:
    p = None if word.p is None else round(word.p, 3)
    return {"word": word.text, "start": round(word.start, 3), "end": round(word.end, 3), "p": p}
