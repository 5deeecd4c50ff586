"""Word error rate of the final pass against plain faster-whisper: the same weights, files and machine.

``python -m dragoman.benchmarks.wer --data DIR`` where ``DIR/index.json`` lists ``file``, ``lang``, ``transcript``.
Plain is faster-whisper with beam 1 and its other defaults; times are of one thread, on a machine whose load is
not controlled. Needs the packages jiwer and whisper-normalizer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Final, ParamSpec

import typer
from faster_whisper import WhisperModel

from dragoman.agent.cli.output import JsonOption, console, emit, errors
from dragoman.asr.whisper import Hypothesis, WhisperRecognizer
from dragoman.audio.files import load
from dragoman.audio.types import INPUT_RATE, DragomanError, Samples
from dragoman.benchmarks.before import WER, require
from dragoman.models.catalog import resolve

P = ParamSpec("P")
_HOP: Final = INPUT_RATE // 2  # partials are asked for at each half second


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording and what is said in it."""

    file: str
    lang: str
    transcript: str


@dataclass(frozen=True, slots=True)
class Run:
    """What one recognizer made of all clips; seconds are medians per call."""

    name: str
    wer: float
    words: int
    seconds: float


def measure(
    data: Annotated[Path, typer.Option(help="Folder with index.json and its sound files.")],
    model: Annotated[str, typer.Option(help="A catalog name, or a folder of a CTranslate2 Whisper.")] = "whisper-base",
    lang: Annotated[str, typer.Option(help="Clips of this language.")] = "en",
    compute_type: Annotated[str, typer.Option(help="CTranslate2's: int8, float32.")] = "int8",
    only: Annotated[str, typer.Option(help="Clips whose name contains this.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many clips.", min=1)] = 1_000,
    max_s: Annotated[float, typer.Option(help="Start no clip after so many seconds.")] = 1_000,
    as_json: JsonOption = False,
) -> None:
    """Print the word error rate of plain faster-whisper and of dragoman's partials and finals."""
    with errors():
        require(*WER)
        clips = [clip for clip in read_index(data) if clip.lang[:2] == lang and only in clip.file][:limit]
        if not clips:
            raise DragomanError(f"{data}: no clips of language {lang!r}")
        folder = resolve(model)
        plain = WhisperModel(str(folder), device="cpu", cpu_threads=1, num_workers=1, compute_type=compute_type)
        ours = WhisperRecognizer(folder, compute_type=compute_type)
        ours.warm()
        count = _counter(lang)
        errors_of: dict[str, int] = {"plain": 0, "final": 0, "last partial": 0}
        seconds_of: dict[str, list[float]] = {name: [] for name in errors_of}
        seconds_of["partial"] = []
        words = 0
        deadline = time.monotonic() + max_s
        for clip in clips:
            if time.monotonic() > deadline:
                console.print(f"stopped at {max_s:.0f} s, before {clip.file}")
                break
            pcm = load(data / clip.file)
            texts = {"plain": _timed(seconds_of["plain"], _plain, plain, pcm, lang)}
            stream = ours.open(lang)
            for start in range(0, len(pcm), _HOP):
                stream.accept(pcm[start : start + _HOP])
                texts["last partial"] = _timed(seconds_of["partial"], _text, stream.partial)
            texts["final"] = _timed(seconds_of["final"], _text, stream.final)
            words += count(clip.transcript, "")
            wrong = {name: count(clip.transcript, text) for name, text in texts.items()}
            for name, number in wrong.items():
                errors_of[name] += number
            if as_json:
                emit("clip", file=clip.file, seconds=len(pcm) / INPUT_RATE, errors=wrong, texts=texts)
            else:
                console.print(f"{clip.file:48} {len(pcm) / INPUT_RATE:5.1f} s  errors {wrong}")
        if not words:
            raise DragomanError(f"nothing was measured in {max_s:g} s: give --max-s more")
        seconds_of["last partial"] = seconds_of["partial"]
        runs = [Run(name, n / words, words, median(seconds_of[name])) for name, n in errors_of.items()]
        if as_json:
            emit(
                "summary",
                model=model,
                lang=lang,
                compute_type=compute_type,
                runs=[asdict(run) for run in runs],
            )
            return
        for run in runs:
            print(
                f"{model} {lang} {compute_type}: {run.name:12} {run.wer:6.1%} of {run.words} words, {run.seconds:.3f} s"
            )


def read_index(data: Path) -> list[Clip]:
    """The clips that ``index.json`` lists. Raises ``DragomanError``."""
    try:
        entries: list[Mapping[str, str]] = json.loads((data / "index.json").read_text(encoding="utf-8"))
        return [Clip(entry["file"], entry["lang"], entry["transcript"]) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DragomanError(f"{data}/index.json: no usable list of clips ({error})") from error


def _counter(lang: str) -> Callable[[str, str], int]:
    """A function that counts the wrong words of a text, both normalized as Whisper's makers do."""
    import jiwer
    from whisper_normalizer.basic import BasicTextNormalizer
    from whisper_normalizer.english import EnglishTextNormalizer

    normalize: Callable[[str], str] = EnglishTextNormalizer() if lang == "en" else BasicTextNormalizer()

    def count(reference: str, hypothesis: str) -> int:
        found = jiwer.process_words(normalize(reference), normalize(hypothesis))
        return found.substitutions + found.deletions + found.insertions

    return count


def _plain(model: WhisperModel, pcm: Samples, lang: str) -> str:
    segments, _ = model.transcribe(pcm, beam_size=1, language=lang)
    return " ".join(segment.text.strip() for segment in segments)


def _text(decode: Callable[[], Hypothesis]) -> str:
    return decode().text


def _timed(seconds: list[float], call: Callable[P, str], *args: P.args, **kwargs: P.kwargs) -> str:
    start = time.perf_counter()
    text = call(*args, **kwargs)
    seconds.append(time.perf_counter() - start)
    return text


if __name__ == "__main__":
    typer.run(measure)
