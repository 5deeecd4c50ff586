"""A long talk, interpreted aloud: does the whole chain keep up, and does anything grow?

The clips of one language follow each other with short pauses until the talk is as long as asked, and the interpreter
hears, translates and speaks it. On the virtual clock ear, translator and voice are threads of a reckoned machine of two
cores (``onset_cores``), each of whose calls takes the processor time that it took here; in real time all of them
compete for the cores. ``tau`` is processor time over sound: the load of one core; ``tau_2_cores`` spreads it over two.
``shares`` tells which stage takes it.
``backlog`` is how far captions are
behind the sound that they are made of, ``speech_lag`` the time from the end of a segment to the end of its speech.
Memory is what the process has of its own (files that are mapped excluded), compared with what it had once every model
had run.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import resource
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from dragoman.agent.interpreter import Event, Interpreter, Recognized, Revised, Spoken, Translated
from dragoman.agent.ports import HypothesisLike, Recognizer, RecognizerStream, Synthesizer, VoiceActivity
from dragoman.agent.workers import Worker
from dragoman.asr.vad import SileroVad
from dragoman.audio.clock import run_virtual, sleep_until
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, Json, Samples, Speech
from dragoman.benchmarks.onset_cores import Bill, Cores, CoreWorker
from dragoman.benchmarks.scoring import percentile
from dragoman.translation.steering import Steering, Translation, Translator, steered

_PAUSE: Final = np.zeros(round(0.4 * INPUT_RATE), np.float32)
_FRAME: Final = INPUT_RATE // 10
_SETTLED_S: Final = 120.0
"""Memory is compared with what it was after so much of the talk: by then all models have run."""
_EACH_S: Final = 10.0
"""Memory is looked at so often."""


class Meter:
    """Processor seconds of the thread that runs a stage's model."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._began = time.thread_time()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.thread_time() - self._began


@dataclass
class MeteredEar:
    """A recognizer whose compute is counted."""

    inner: Recognizer
    meter: Meter = field(default_factory=Meter)

    def open(self, language: str | None = None) -> RecognizerStream:
        """See ``Recognizer.open``."""
        return _MeteredStream(self.inner.open(language), self.meter)


@dataclass
class _MeteredStream:
    inner: RecognizerStream
    meter: Meter

    def accept(self, pcm: Samples) -> None:
        """Cheap: not counted."""
        self.inner.accept(pcm)

    def partial(self) -> HypothesisLike:
        with self.meter:
            return self.inner.partial()

    def ended(self) -> HypothesisLike:
        with self.meter:
            return self.inner.ended()

    def refined(self) -> HypothesisLike | None:
        with self.meter:
            return self.inner.refined()

    def final(self) -> HypothesisLike:
        with self.meter:
            return self.inner.final()


@dataclass
class MeteredTranslator:
    """A translator whose compute is counted; it steers where the other can."""

    inner: Translator
    meter: Meter = field(default_factory=Meter)

    @property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """Those of the other."""
        return self.inner.pairs

    def translate(self, text: str, source: str, target: str) -> str:
        """See ``Translator.translate``."""
        with self.meter:
            return self.inner.translate(text, source, target)

    def steered(self, text: str, source: str, target: str, steering: Steering) -> Translation:
        """See ``Steerable.steered``."""
        with self.meter:
            return steered(self.inner, text, source, target, steering)


@dataclass
class MeteredVoice:
    """A voice whose compute is counted, and what it spoke."""

    inner: Synthesizer
    meter: Meter = field(default_factory=Meter)
    spoken: float = 0.0

    @property
    def language(self) -> str:
        """The other's."""
        return self.inner.language

    def synthesize(self, text: str, *, rate: float = 1.0, final: bool = True) -> Speech:
        """See ``Synthesizer.synthesize``."""
        with self.meter:
            speech = self.inner.synthesize(text, rate=rate, final=final)
        self.spoken += speech.seconds
        return speech


@dataclass
class _Seen:
    """What the listener gets, over the whole talk."""

    segments: int = 0
    captions: list[float] = field(default_factory=list)
    """Seconds from the end of a segment to its complete translation."""
    backlog: list[float] = field(default_factory=list)
    speech: list[float] = field(default_factory=list)
    """Seconds from the end of a segment's source to the end of its speech, for segments that were spoken."""
    end: float = 0.0
    """Where the speech ends."""
    memory_mb: list[tuple[float, float]] = field(default_factory=list)
    """Seconds of the talk, and memory then."""
    _ends: dict[int, float] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Count an event."""
        match event:
            case Recognized():
                self._ends[event.segment] = event.end
            case Revised():
                self.backlog.append(event.at - event.heard)
                if not self.memory_mb or event.at >= self.memory_mb[-1][0] + _EACH_S:
                    self.memory_mb.append((event.at, _memory_mb()))
            case Translated():
                self.segments += 1
                self.captions.append(event.at - event.end)
            case Spoken():
                self.end = event.start + len(event.pcm) / OUTPUT_RATE
                if event.segment in self._ends:
                    self.speech.append(self.end - self._ends[event.segment])
                    self._ends = {n: end for n, end in self._ends.items() if n >= event.segment}
            case _:
                pass


def talk(
    clips: Sequence[Samples],
    source: str,
    target: str,
    minutes: float,
    parts: tuple[Recognizer, Translator, Synthesizer],
    *,
    real: bool = False,
    max_s: float = math.inf,
    vad: Callable[[], VoiceActivity] = SileroVad,
) -> dict[str, Json]:
    """Interpret a talk of so many minutes aloud; gives the figures. It ends sooner where it takes more than ``max_s``
    seconds.
    """
    ear, translator, voice = MeteredEar(parts[0]), MeteredTranslator(parts[1]), MeteredVoice(parts[2])
    cores, bill = Cores(), Bill()

    def worker(name: str) -> Worker:
        return Worker(name) if real else CoreWorker(cores, bill)

    interpreter = Interpreter(ear, vad, translator, source=source, target=target, voice=voice, worker=worker)
    seen = _Seen()
    seconds = minutes * 60
    deadline = time.monotonic() + max_s
    sounded = 0.0

    async def frames() -> AsyncIterator[Samples]:
        nonlocal sounded
        begin, count = asyncio.get_running_loop().time(), 0
        for clip in itertools.cycle(clips):
            sound = np.concatenate([clip, _PAUSE])
            for start in range(0, len(sound), _FRAME):
                frame = sound[start : start + _FRAME]
                count += len(frame)
                await sleep_until(begin + count / INPUT_RATE)
                yield frame
                sounded = count / INPUT_RATE
                if sounded >= seconds or time.monotonic() > deadline:
                    return

    async def run() -> None:
        async for event in interpreter.run(frames()):
            seen.take(event)

    began = time.process_time()
    if real:
        asyncio.run(run())
    else:
        run_virtual(run(), measured=False)
    took = time.process_time() - began
    seconds = max(sounded, 1e-9)
    shares = {"ear": ear.meter.seconds, "translator": translator.meter.seconds, "voice": voice.meter.seconds}
    shares["rest"] = took - sum(shares.values())
    return {
        "pair": f"{source}-{target}",
        "minutes": sounded / 60,
        "clock": "real" if real else "virtual",
        "segments": seen.segments,
        "tau": took / seconds,
        "tau_2_cores": took / seconds / 2,
        "shares": {name: value / seconds for name, value in shares.items()},
        "spoken_share": voice.spoken / seconds,
        "voice_rtf": voice.meter.seconds / max(voice.spoken, 1e-9),
        "backlog_p50_s": percentile(seen.backlog, 50),
        "backlog_p90_s": percentile(seen.backlog, 90),
        "backlog_max_s": max(seen.backlog, default=None),
        "caption_lag_p50_s": percentile(seen.captions, 50),
        "caption_lag_max_s": max(seen.captions, default=None),
        "speech_lag_p50_s": percentile(seen.speech, 50),
        "speech_lag_max_s": max(seen.speech, default=None),
        "speech_after_end_s": max(0.0, seen.end - seconds),
        "memory_mb": [[round(at), round(mb, 1)] for at, mb in seen.memory_mb[:: 1 + len(seen.memory_mb) // 30]],
        **_memory(seen.memory_mb, min(_SETTLED_S, seconds / 2)),
    }


def _memory(samples: Sequence[tuple[float, float]], settled: float) -> dict[str, Json]:
    """First, last, and how it changed: the slope of a line through all that came after the models had run."""
    kept = [(at, mb) for at, mb in samples if at >= settled]
    if len(kept) < 2:
        return {"memory_first_mb": None, "memory_last_mb": None, "memory_mb_per_hour": None}
    slope = float(np.polyfit([at / 3600 for at, _ in kept], [mb for _, mb in kept], 1)[0])
    return {"memory_first_mb": kept[0][1], "memory_last_mb": kept[-1][1], "memory_mb_per_hour": slope}


def _memory_mb() -> float:
    """What this process has of its own, wherever the system keeps it; its peak where the system tells no more."""
    status = Path("/proc/self/status")
    if status.is_file():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        if "RssAnon" in fields:
            return sum(int(fields[name].split()[0]) for name in ("RssAnon", "VmSwap")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
