"""``dragoman translate``: a file or the microphone, interpreted sentence by sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from dragoman.agent.cli.output import Json, console, emit, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.agent.cli.sources import frames, microphone, opened
from dragoman.agent.interpreter import Interpreter, Recognized, Spoken, Translated
from dragoman.audio.files import WavWriter
from dragoman.audio.types import OUTPUT_RATE, DragomanError, Samples
from dragoman.models.catalog import Progress


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="translate")(translate)


def translate(
    source: Annotated[str, typer.Argument(metavar="FILE|mic", help="A sound file, or mic for the microphone.")],
    from_: Annotated[str, typer.Option("--from", help="Language that is spoken.")] = "en",
    to: Annotated[str, typer.Option("--to", help="Language to translate into.")] = "pt",
    speak: Annotated[bool, typer.Option("--speak", help="Speak the translation into the file of -o.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A .wav or .flac file for --speak.")] = None,
    voice: Annotated[str, typer.Option(help="Name of a voice (see dragoman say --voices).")] = "auto",
    model: Annotated[str, typer.Option(help="Recognizer: auto, tiny.en, base, or a folder.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """Interpret what is said in FILE, or into the microphone, sentence by sentence."""
    with errors():
        if speak and output is None:
            raise DragomanError("say where to write the speech: --speak -o FILE.wav")
        if output is not None and not speak:
            raise DragomanError("-o needs --speak: nothing else is written to a file")
        if from_ == "auto":
            raise DragomanError("the spoken language can't be detected here yet: name it, such as --from en")
        sound = None if source == "mic" else opened(source)
        with progress_of("opening the models", json) as progress:
            interpreter = _interpreter(from_, to, model, voice if speak else None, progress)
        asyncio.run(_run(interpreter, sound, from_, to, output, json))


def _interpreter(source: str, target: str, model: str, voice: str | None, progress: Progress) -> Interpreter:
    from dragoman.asr import open_recognizer
    from dragoman.asr.vad import SileroVad
    from dragoman.translation import open_translator
    from dragoman.tts import open_voice

    translator = open_translator(source, target)
    speaker = open_voice(target, voice, progress=progress) if voice else None
    return Interpreter(
        open_recognizer(model, source, progress=progress),
        SileroVad,
        translator,
        source=source,
        target=target,
        voice=speaker,
    )


async def _run(
    interpreter: Interpreter, sound: Iterator[Samples] | None, source: str, target: str, output: Path | None, json: bool
) -> None:
    segments: list[Translated] = []
    with ExitStack() as stack:
        track = stack.enter_context(WavWriter(output, OUTPUT_RATE)) if output else None
        heard = microphone(quiet=json) if sound is None else frames(sound)
        async for event in interpreter.run(heard):
            match event:
                case Recognized():
                    _show_recognized(event, json)
                case Translated():
                    segments.append(event)
                    _show_translated(event, json)
                case Spoken():
                    if track is not None:
                        _write(track, event)
                    if json:
                        emit(
                            "spoken",
                            segment=event.segment,
                            text=event.text,
                            start=round(event.start, 3),
                            seconds=round(len(event.pcm) / OUTPUT_RATE, 3),
                        )
    if json:
        emit("summary", **_summary(segments, source, target, output))
    elif not segments:
        console.print("no speech was heard")


def _summary(segments: list[Translated], source: str, target: str, output: Path | None) -> dict[str, Json]:
    return {
        "text": " ".join(s.text for s in segments),
        "translation": " ".join(s.translation for s in segments),
        "from": source,
        "to": target,
        "file": str(output) if output else None,
        "segments": [
            {"start": round(s.start, 3), "end": round(s.end, 3), "text": s.text, "translation": s.translation}
            for s in segments
        ],
    }


def _show_recognized(event: Recognized, json: bool) -> None:
    if json:
        emit(
            "recognized",
            segment=event.segment,
            text=event.text,
            start=round(event.start, 3),
            end=round(event.end, 3),
            at=round(event.at, 3),
        )
    else:
        console.print(f"[{event.start:6.1f} s] {event.text}", style="dim", markup=False)


def _show_translated(event: Translated, json: bool) -> None:
    if json:
        emit("translated", segment=event.segment, translation=event.translation, at=round(event.at, 3))
    else:
        typer.echo(event.translation)


def _write(track: WavWriter, event: Spoken) -> None:
    """Put a piece of speech at its place, with silence before it."""
    gap = round(event.start * OUTPUT_RATE) - track.samples
    if gap > 0:
        track.write(np.zeros(gap, np.float32))
    track.write(event.pcm)
