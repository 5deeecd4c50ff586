"""Streaming recognition: error rate, word delay, revisions, load and memory of the causal ear and of its rivals.

``dragoman bench asr --data DIR`` where ``DIR/index.json`` lists ``file``, ``lang``, ``transcript``. Each system runs in
a process of its own and hears each clip in chunks, on a virtual clock: a hypothesis is shown at
``max(last finish, arrival) + compute``; compute is the processor's time on one thread, which other load does not
change, and wall time on two. Word ends come from the offline model's alignment; words that it misheard lie between
their neighbours. ``wer`` is that of the final text, ``wer_1s`` that of the text which stood one second after each
word's end. Needs jiwer and whisper-normalizer.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dragoman.agent.cli.output import JsonOption, console, emit, errors
from dragoman.agent.ports import Recognizer
from dragoman.audio.files import load
from dragoman.audio.types import INPUT_RATE, DragomanError, Json, Samples, Word
from dragoman.benchmarks.before import WER, measured, require
from dragoman.benchmarks.scoring import Heard, Score, Shown, add, interval, normalizer, percentile, rate
from dragoman.models.catalog import resolve

if TYPE_CHECKING:
    from dragoman.benchmarks.wer import Clip

SYSTEMS: Final = ("causal", "causal+second-pass", "redecode", "local-agreement", "offline")
MODELS: Final = {"whisper-tiny.en": ("en",), "whisper-base": ("en", "pt")}
_now: Callable[[], float] = time.process_time


@dataclass(frozen=True, slots=True)
class Task:
    """A system to run in a process of its own."""

    system: str
    model: str
    lang: str
    chunk_ms: int
    threads: int
    files: tuple[str, ...]


def register(parent: typer.Typer) -> None:
    """Add the command to the group of benchmarks."""
    parent.command("asr")(measure)


def measure(
    data: Annotated[Path, typer.Option(help="Folder with index.json and its sound files.")],
    model: Annotated[str, typer.Option(help="whisper-tiny.en or whisper-base; both where neither is named.")] = "",
    only: Annotated[str, typer.Option(help="Systems, separated by commas.")] = ",".join(SYSTEMS),
    chunks: Annotated[
        str,
        typer.Option(help="Milliseconds of sound at a time: the first for all systems, others for causal alone."),
    ] = "320,160,640",
    limit: Annotated[int, typer.Option(min=1, help="At most so many clips of a language, drawn by seed.")] = 12,
    max_s: Annotated[float, typer.Option(help="Start nothing after so many seconds.")] = 1100,
    two_threads: Annotated[bool, typer.Option(help="Measure the load on two threads too.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Compare the causal recognizer with re-decoding, local agreement and the offline model."""
    from dragoman.benchmarks.wer import read_index  # here: what it needs takes a second to import

    with errors():
        require(*WER)
        wanted = [name for name in only.split(",") if name]
        if unknown := set(wanted) - set(SYSTEMS):
            raise DragomanError(f"no system is called {sorted(unknown)[0]!r}: there are {', '.join(SYSTEMS)}")
        if model not in ("", *MODELS):
            raise DragomanError(f"no recognizer here is called {model!r}: there are {', '.join(MODELS)}")
        steps = _steps(chunks)
        models = {name: languages for name, languages in MODELS.items() if model in ("", name)}
        known = {lang for languages in models.values() for lang in languages}
        clips = read_index(data)
        usable = [clip for clip in clips if clip.lang[:2] in known and clip.transcript]
        if not usable:
            raise DragomanError(f"{data}: no clip in {' or '.join(sorted(known))} has a transcript")
        deadline = time.monotonic() + max_s
        results: list[dict[str, Json]] = []
        for name, languages in models.items():
            if not _available(name):
                console.print(f"no adapter for {name}: its causal systems are left out")
            for lang in languages:
                mine = [clip for clip in usable if clip.lang[:2] == lang]
                chosen = sorted(Random(1).sample(mine, min(limit, len(mine))), key=lambda clip: clip.file)
                if not chosen:
                    continue
                ends = {clip.file: word_ends(data, clip, name, lang) for clip in chosen}
                for index, chunk in enumerate(steps):
                    for system in wanted:
                        if time.monotonic() > deadline or (system.startswith("causal") and not _available(name)):
                            continue
                        if index and system != "causal":
                            continue
                        result = _one(
                            data,
                            Task(system, name, lang, chunk, 1, tuple(c.file for c in chosen)),
                            chosen,
                            ends,
                            two_threads,
                        )
                        results.append(result)
                        console.print(_line(result))
                        if as_json:
                            emit("result", **result)
        measured(results, deadline)
        if as_json:
            emit("summary", results=list[Json](results), skipped=len(clips) - len(usable))
        else:
            for result in results:
                print(_line(result))


def _steps(chunks: str) -> list[int]:
    """Milliseconds of sound at a time. Raises ``DragomanError`` unless each is a whole number above 0."""
    steps = [int(chunk) if chunk.strip().isdecimal() else 0 for chunk in chunks.split(",")]
    if min(steps) <= 0:
        raise DragomanError(f"--chunks takes milliseconds such as 320,160, not {chunks!r}")
    return steps


def _available(model: str) -> bool:
    from dragoman.asr.causal.catalog import adapter_path

    return adapter_path(model) is not None


def _one(
    data: Path,
    task: Task,
    clips: Sequence[Clip],
    ends: dict[str, list[Word]],
    two_threads: bool,
) -> dict[str, Json]:
    heard, rss = _in_process(data, task)
    tau = sum(h.compute for h in heard) / sum(h.seconds for h in heard)
    tau2 = None
    if two_threads:
        few = tuple(task.files[:3])
        again, _ = _in_process(data, Task(task.system, task.model, task.lang, task.chunk_ms, 2, few))
        tau2 = sum(h.compute for h in again) / sum(h.seconds for h in again)
    score = Score()
    normalize = normalizer(task.lang)
    for clip, one in zip(clips, heard, strict=True):
        add(score, normalize, clip.transcript, ends[clip.file], one)
    low, high = interval(score.wrong)
    return {
        "system": task.system,
        "model": task.model,
        "lang": task.lang,
        "chunk_ms": task.chunk_ms,
        "clips": len(clips),
        "words": score.words,
        "wer": rate(score.wrong),
        "wer_ci95": [low, high],
        "wer_1s": rate(score.settled) if task.system != "offline" else None,
        "first_shown_p50_s": percentile(score.first, 50),
        "first_shown_p90_s": percentile(score.first, 90),
        "last_changed_p50_s": percentile(score.last, 50),
        "ne": score.erased / max(1, score.written),
        "tau_1t": tau,
        "tau_2t": tau2,
        "final_s": fmean(h.final_s for h in heard),
        "rss_mb": rss,
    }


def _in_process(data: Path, task: Task) -> tuple[list[Heard], float]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(run_task, data, task).result()


def run_task(data: Path, task: Task) -> tuple[list[Heard], float]:
    """Hear the clips; gives what was heard and the peak of memory in MB. In a process of its own."""
    global _now
    _now = time.process_time if task.threads == 1 else time.perf_counter
    hear = _system(task)
    heard = [hear(file, load(data / file)) for file in task.files]
    return heard, _peak_mb()


def _peak_mb() -> float:
    """Peak of this process's memory. On Linux ``ru_maxrss`` would begin with the parent's."""
    status = Path("/proc/self/status")
    if status.is_file():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _system(task: Task) -> Callable[[str, Samples], Heard]:
    folder = resolve(task.model)
    if task.system == "offline":
        from faster_whisper import WhisperModel

        model = WhisperModel(str(folder), device="cpu", cpu_threads=task.threads, num_workers=1, compute_type="float32")

        def offline(file: str, pcm: Samples) -> Heard:
            began = _now()
            segments, _ = model.transcribe(pcm, beam_size=1, language=task.lang)
            text = " ".join(segment.text.strip() for segment in segments)
            took = _now() - began
            seconds = len(pcm) / INPUT_RATE
            return Heard(file, seconds, took, (Shown(seconds + took, seconds, text),), text, took)

        return offline
    from dragoman.asr.whisper import WhisperRecognizer

    recognizer: Recognizer
    if task.system.startswith("causal"):
        from dragoman.asr.causal.catalog import open_recognizer

        recognizer = open_recognizer(task.model, threads=task.threads, second_pass="second" in task.system)
    else:
        whisper = WhisperRecognizer(folder, (task.lang,), threads=task.threads)
        whisper.warm()
        recognizer = whisper
    return lambda file, pcm: _stream(file, pcm, recognizer, task)


def _stream(file: str, pcm: Samples, recognizer: Recognizer, task: Task) -> Heard:
    """Chunks in, texts out, on the virtual clock."""
    stream = recognizer.open(task.lang)
    hop = task.chunk_ms * INPUT_RATE // 1000
    shown: list[Shown] = []
    before: list[str] = []
    committed: list[str] = []
    now = compute = 0.0
    for start in range(0, len(pcm), hop):
        heard = min(len(pcm), start + hop) / INPUT_RATE
        began = _now()
        stream.accept(pcm[start : start + hop])
        text = stream.partial().text
        took = _now() - began
        if task.system == "local-agreement":
            words = text.split()
            agreed = [a for a, b in zip(words, before, strict=False) if a == b]
            prefix = next((i for i, (a, b) in enumerate(zip(words, before, strict=False)) if a != b), len(agreed))
            before = words
            committed += words[len(committed) : prefix]
            text = " ".join(committed)
        now = max(now, heard) + took
        compute += took
        shown.append(Shown(now, heard, text))
    began = _now()
    final = stream.final().text
    took = _now() - began
    if task.system == "local-agreement":
        final = " ".join([*committed, *before[len(committed) :]])
    seconds = len(pcm) / INPUT_RATE
    shown.append(Shown(max(now, seconds) + took, seconds, final))
    return Heard(file, seconds, compute, tuple(shown), final, took)


def word_ends(data: Path, clip: Clip, model: str, lang: str) -> list[Word]:
    """When the reference's words are over, as the offline model aligns what it heard; its other words are left out."""
    from faster_whisper import WhisperModel

    whisper = _ALIGNERS.setdefault(
        model, WhisperModel(str(resolve(model)), device="cpu", cpu_threads=1, compute_type="int8")
    )
    segments, _ = whisper.transcribe(load(data / clip.file), beam_size=1, language=lang, word_timestamps=True)
    return [Word(w.word.strip(), w.start, w.end) for segment in segments for w in segment.words or ()]


_ALIGNERS: Final[dict[str, Any]] = {}  # the library has no types


def _line(result: dict[str, Json]) -> str:
    def number(name: str, form: str) -> str:
        value = result[name]
        return format(value, form) if isinstance(value, (int, float)) else "-"

    parts = (
        f"{result['model']} {result['lang']} {result['chunk_ms']} ms {result['system']!s:18}",
        f"WER {number('wer', '.1%')}, after 1 s {number('wer_1s', '.1%')}",
        f"first {number('first_shown_p50_s', '.2f')} to {number('first_shown_p90_s', '.2f')} s",
        f"last {number('last_changed_p50_s', '.2f')} s",
        f"NE {number('ne', '.2f')}",
        f"tau {number('tau_1t', '.3f')} (2 threads {number('tau_2t', '.3f')})",
        f"final {number('final_s', '.2f')} s",
        f"{number('rss_mb', '.0f')} MB",
    )
    return "  ".join(parts)
