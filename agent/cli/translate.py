"""``dragoman translate``: a file or the microphone, interpreted as it is heard or sentence by sentence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from dragoman.agent.cli.captions import CaptionView, JsonCaptions, LineCaptions, LiveCaptions
from dragoman.agent.cli.output import JsonOption, console, emit, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.agent.cli.sources import frames, microphone, opened
from dragoman.agent.interpreter import Interpreter, Spoken, Translated
from dragoman.agent.interpreter_output import SpeechFile, SpeechOutput, speaker
from dragoman.agent.interpreters import LATEST_S, Interpreters
from dragoman.agent.subtitles import SUFFIXES, SubtitleFile
from dragoman.audio.clock import run_virtual
from dragoman.audio.devices import check_devices
from dragoman.audio.files import FORMATS, WavWriter
from dragoman.audio.text import language_code, language_of
from dragoman.audio.types import OUTPUT_RATE, DragomanError, Json, Samples
from dragoman.audio.writing import writable


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="translate")(translate)


def translate(
    source: Annotated[str, typer.Argument(metavar="FILE|mic", help="A sound file, or mic for the microphone.")],
    from_: Annotated[str, typer.Option("--from", help="Language that is spoken; auto detects and holds it.")] = "en",
    to: Annotated[str, typer.Option("--to", help="Language to translate into.")] = "pt",
    stream: Annotated[bool, typer.Option("--stream", help="Show the translation while someone speaks.")] = False,
    pace: Annotated[bool, typer.Option("--pace", help="Hear a file no faster than it sounds.")] = False,
    speak: Annotated[
        bool, typer.Option("--speak", help="Speak the translation: into the file of -o, else to the speaker.")
    ] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A .wav or .flac file for --speak.")] = None,
    subtitles: Annotated[Path | None, typer.Option(help="Write the translation to a .srt or .vtt file too.")] = None,
    voice: Annotated[
        str, typer.Option(help="auto, a name (dragoman say --voices), or a Piper voice's .onnx.")
    ] = "auto",
    model: Annotated[str, typer.Option(help="Recognizer: auto, causal, tiny.en, base, or a folder.")] = "auto",
    translator: Annotated[
        str,
        typer.Option(help="auto, bergamot, nar, apertium, a CTranslate2 folder, http://host:port\\[#model], llm:NAME."),
    ] = "auto",
    json: JsonOption = False,
) -> None:
    """Interpret what is said in FILE, or into the microphone: sentence by sentence, or with --stream word by word."""
    with errors():
        if output is not None and not speak:
            raise DragomanError("-o needs --speak: subtitles go to --subtitles FILE.srt")
        if voice != "auto" and not speak:
            raise DragomanError("--voice needs --speak")
        language, to = language_of(from_), language_code(to)
        if language == to:
            raise DragomanError(f"--from and --to are both {to}: there is nothing to translate")
        sound = None if source == "mic" else opened(source, 0.1)
        if output is not None:
            writable(output, FORMATS, None if sound is None else Path(source))
        if subtitles is not None:
            writable(subtitles, SUFFIXES)
        aloud = speak and output is None
        real = pace or aloud or sound is None
        models = Interpreters(model, translator, live=stream, latest=LATEST_S if aloud else None)
        models.require(language, to, voice if speak else None)
        if sound is None:
            check_devices("input")
        if aloud:
            check_devices("output")
        with progress_of("opening the models", json) as progress:
            interpreter = models.open(language, to, voice if speak else None, progress)
        if (notice := models.notice(language, to)) is not None:
            console.print(notice, style="yellow", markup=False, soft_wrap=True)
        if aloud and sound is None:
            console.print("wear headphones: all that the microphone hears is interpreted", style="yellow")
        heard = microphone(json=json) if sound is None else frames(sound, pace=True)
        with ExitStack() as stack:
            track = stack.enter_context(WavWriter(output, OUTPUT_RATE)) if output else None
            out = nullcontext(SpeechFile(track)) if track else speaker() if aloud else nullcontext()
            cues = stack.enter_context(SubtitleFile(subtitles)) if subtitles else None
            view: CaptionView = JsonCaptions(stream=stream) if json else LineCaptions(console)
            if stream and console.is_terminal and not json:
                view = LiveCaptions(console)
            segments = _run(_interpret(interpreter, heard, view, out, cues), real=real)
        if json:
            emit("summary", **_summary(segments, language, to, output))
        elif not segments:
            console.print("no speech was heard")


def _run(work: Coroutine[object, object, list[Translated]], *, real: bool) -> list[Translated]:
    """A file on the virtual clock: it advances by what the models compute, and idle time is skipped."""
    return asyncio.run(work) if real else run_virtual(work, measured=True)


async def _interpret(
    interpreter: Interpreter,
    heard: AsyncIterator[Samples],
    view: CaptionView,
    output: AbstractAsyncContextManager[SpeechOutput | None],
    subtitles: SubtitleFile | None,
) -> list[Translated]:
    segments: list[Translated] = []
    async with output as out:
        with view:
            async for event in interpreter.run(heard):
                view.show(event)
                if isinstance(event, Translated):
                    segments.append(event)
                    if subtitles is not None:
                        subtitles.add(event.start, event.end, event.translation)
                elif isinstance(event, Spoken) and out is not None:
                    out.say(event)
    return segments


def _summary(segments: list[Translated], source: str | None, target: str, output: Path | None) -> dict[str, Json]:
    return {
        "text": " ".join(s.text for s in segments),
        "translation": " ".join(s.translation for s in segments),
        "from": segments[-1].language if segments else source,
        "to": target,
        "file": str(output) if output else None,
        "segments": [
            {"start": round(s.start, 3), "end": round(s.end, 3), "text": s.text, "translation": s.translation}
            for s in segments
        ],
    }
