"""``dragoman transcribe``: a sound file of any length to text, with words in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer

from dragoman.agent.cli.output import Json, console, emit, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.agent.ports import Recognizer, RecognizerStream
from dragoman.asr import open_recognizer
from dragoman.asr.vad import WINDOW, Ended, SileroVad, SpeechEdges, Started
from dragoman.audio.files import blocks, seconds_of
from dragoman.audio.types import INPUT_RATE, Samples, Word

_MARGIN: Final = INPUT_RATE // 2
"""Sound before the detected start that belongs to a segment."""

_PAUSE: Final = INPUT_RATE
"""Silence that ends a segment."""

_LONG: Final = 20 * INPUT_RATE
"""A segment of this length ends at any shorter pause, so that its text is shown."""

_SHORT_PAUSE: Final = INPUT_RATE // 4
_TELLING_S: Final = 2.0
"""Seconds of speech from which its language can be told."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech; times are seconds in the file."""

    start: float
    end: float
    text: str
    lang: str
    words: tuple[Word, ...]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="transcribe")(transcribe)


def transcribe(
    file: Annotated[Path, typer.Argument(help="A sound file of any length, rate and format.")],
    lang: Annotated[str, typer.Option(help="Language of the speech (en, pt, ...); auto detects it.")] = "auto",
    model: Annotated[str, typer.Option(help="tiny.en, base, a folder or a hub id.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """Write down the speech in FILE, segment by segment as it is recognized."""
    with errors():
        length = seconds_of(file)  # complains of a bad file before a model is loaded
        sound = blocks(file)
        first = next(sound)
        language = None if lang == "auto" else lang
        with progress_of("loading the recognizer", json) as progress:
            recognizer = open_recognizer(model, language, progress=progress)
        segments: list[Segment] = []
        with console.status("listening ...") as status:
            for segment in transcribed(recognizer, _chain(first, sound), language):
                segments.append(segment)
                if json:
                    _emit(segment)
                else:
                    typer.echo(segment.text)
                share = f" of {length:.0f}" if length else ""
                status.update(f"{segment.end:.0f}{share} s")
        if json:
            emit(
                "summary",
                text=" ".join(segment.text for segment in segments),
                lang=main_language(segments) or language,
                words=[_json(word) for segment in segments for word in segment.words],
            )
        elif not segments:
            console.print("no speech was heard")


def transcribed(recognizer: Recognizer, sound: Iterator[Samples], language: str | None = None) -> Iterator[Segment]:
    """Recognize 16 kHz sound of any length in constant memory; a second's pause ends a segment.

    Without ``language`` it is detected in the first segment of two seconds or more, and held from there on.
    """

    def opened() -> RecognizerStream:
        return recognizer.open(language)

    for start, stream in _turns(opened, sound):
        heard = stream.final()
        if not heard.text:
            continue
        words = tuple(word.shifted(start / INPUT_RATE) for word in heard.words)
        segment = Segment(words[0].start, words[-1].end, heard.text, heard.language, words)
        if segment.end - segment.start >= _TELLING_S:
            language = segment.lang
        yield segment


def main_language(segments: list[Segment]) -> str | None:
    """The language that most of the speech is in, if there is any."""
    spoken: dict[str, float] = {}
    for segment in segments:
        spoken[segment.lang] = spoken.get(segment.lang, 0.0) + segment.end - segment.start
    return max(spoken, key=spoken.__getitem__, default=None)


def _turns(opened: Callable[[], RecognizerStream], sound: Iterator[Samples]) -> Iterator[tuple[int, RecognizerStream]]:
    """Streams that have heard one stretch of speech each, with the position at which each began."""
    vad, edges = SileroVad(), SpeechEdges()
    stream: RecognizerStream | None = None
    start = ended = 0
    past = np.zeros(0, np.float32)
    for window in _windows(sound):
        match edges.push(vad.probability(window)):
            case Started() if stream is None:
                start = edges.position - WINDOW - len(past)
                stream = opened()
                stream.accept(past)
            case Ended(at):
                ended = at
        if stream is None:
            past = np.concatenate([past, window])[-_MARGIN:]
            continue
        stream.accept(window)
        if edges.position - start >= _LONG and edges.position % (10 * INPUT_RATE) < WINDOW:
            stream.partial()  # closes full windows: their sound is not kept
        enough = _PAUSE if edges.position - start < _LONG else _SHORT_PAUSE
        if not edges.speaking and edges.position - ended >= enough:
            yield start, stream
            stream, past = None, np.zeros(0, np.float32)
    if stream is not None:
        yield start, stream


def _windows(sound: Iterator[Samples]) -> Iterator[Samples]:
    rest = np.zeros(0, np.float32)
    for block in sound:
        rest = np.concatenate([rest, block])
        whole = len(rest) - len(rest) % WINDOW
        for start in range(0, whole, WINDOW):
            yield rest[start : start + WINDOW]
        rest = rest[whole:]
    if len(rest):
        yield np.pad(rest, (0, WINDOW - len(rest)))


def _chain(first: Samples, rest: Iterator[Samples]) -> Iterator[Samples]:
    yield first
    yield from rest


def _json(word: Word) -> dict[str, Json]:
    p = None if word.p is None else round(word.p, 3)
    return {"word": word.text, "start": round(word.start, 3), "end": round(word.end, 3), "p": p}


def _emit(segment: Segment) -> None:
    emit(
        "segment",
        start=round(segment.start, 3),
        end=round(segment.end, 3),
        text=segment.text,
        lang=segment.lang,
        words=[_json(word) for word in segment.words],
    )
