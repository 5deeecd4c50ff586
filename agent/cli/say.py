"""``dragoman say``: text to a sound file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dragoman.agent.cli.output import JsonOption, console, emit, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.audio.files import FORMATS, save
from dragoman.audio.types import OUTPUT_RATE, DragomanError, Json, Speech
from dragoman.audio.writing import writable
from dragoman.tts import open_voice, voices
from dragoman.tts.speakable import speakable
from dragoman.tts.voice import check_rate, joined


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="say")(say)


def say(
    text: Annotated[str, typer.Argument(help="What to say; - reads it from standard input.")] = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A .wav or .flac file.")] = None,
    lang: Annotated[str, typer.Option(help="Language of the text: en, pt, es, fr, it.")] = "en",
    voice: Annotated[str, typer.Option(help="auto, a name (--voices), or a Piper voice's .onnx.")] = "auto",
    rate: Annotated[float, typer.Option(help="Pace, 0.5 to 2.")] = 1.0,
    list_voices: Annotated[bool, typer.Option("--voices", help="List the voices and end.")] = False,
    json: JsonOption = False,
) -> None:
    """Say TEXT into a sound file."""
    with errors():
        if list_voices:
            _list(json)
            return
        if output is None:
            raise DragomanError("say where to write the speech: -o FILE.wav")
        writable(output, FORMATS)
        check_rate(rate)
        written = _read() if text == "-" else text
        speech, name = _speak(written, lang, voice, rate, json)
        save(output, speech.pcm, OUTPUT_RATE)
        if json:
            words: list[Json] = [
                {"word": w.text, "start": round(w.start, 3), "end": round(w.end, 3)} for w in speech.words
            ]
            emit("summary", file=str(output), seconds=round(speech.seconds, 3), lang=lang, voice=name, words=words)
        else:
            console.print(f"{output}: {speech.seconds:.1f} s, voice {name}", markup=False, soft_wrap=True)


def _read() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise DragomanError(f"standard input is no text in {error.encoding}: convert it first ({error})") from error


def _speak(text: str, lang: str, voice: str, rate: float, quiet: bool) -> tuple[Speech, str]:
    total = len(speakable(text).split())
    if not total:
        raise DragomanError("there is nothing to say: the text is empty")
    with progress_of("opening the voice", quiet) as progress:
        speaker = open_voice(lang, voice, progress=progress)
    parts: list[Speech] = []
    with progress_of("speaking", quiet) as progress:
        for part in speaker.stream(text, rate=rate):
            parts.append(part)
            progress("speaking", sum(len(p.words) for p in parts), total)
    speech = joined(parts, rate=rate)
    if not len(speech.pcm):
        raise DragomanError("there is nothing to say: the text has no letter or digit that this voice can read")
    return speech, speaker.name


def _list(json: bool) -> None:
    known = voices()
    if json:
        emit(
            "summary",
            voices=[
                {"name": v.name, "languages": list(v.languages), "engine": v.engine, "description": v.description}
                for v in known
            ],
        )
        return
    for v in known:
        typer.echo(f"{v.name:<12} {' '.join(v.languages):<15} {v.description}")
