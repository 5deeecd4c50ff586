"""A long talk, interpreted aloud: does the whole chain keep up, and does anything grow?

The clips of one language follow each other with short pauses until the talk is as long as asked, and the interpreter
hears, translates and speaks it on a virtual clock that advances by processor time, as if ear, translator and voice
shared one core; or in real time, with all of them competing for the cores. ``tau`` is processor time over sound.
"""

from __future__ import annotations

import asyncio
import itertools
import resource
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from dragoman.agent.cli.output import Json
from dragoman.agent.interpreter import Event, Hearing, Recognized, Spoken, Translated
from dragoman.agent.interpreters import Interpreters
from dragoman.audio.clock import run_virtual, sleep_until
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, Samples
from dragoman.benchmarks.scoring import percentile

_PAUSE: Final = np.zeros(round(0.4 * INPUT_RATE), np.float32)
_FRAME: Final = INPUT_RATE // 10
_SETTLED_S: Final = 120.0
"""Memory is compared with what it was after so much of the talk: by then all models have run."""


@dataclass
class _Seen:
    """What the listener gets, over the whole talk."""

    segments: int = 0
    captions: list[float] = field(default_factory=list)
    """Seconds from the end of a segment to its complete translation."""
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
            case Translated():
                self.segments += 1
                self.captions.append(event.at - event.end)
                self.memory_mb.append((event.at, _memory_mb()))
            case Spoken():
                self.end = event.start + len(event.pcm) / OUTPUT_RATE
                if event.segment in self._ends:
                    self.speech.append(self.end - self._ends[event.segment])
                    self._ends = {n: end for n, end in self._ends.items() if n >= event.segment}
            case Hearing():
                pass


def talk(clips: Sequence[Samples], source: str, target: str, minutes: float, *, real: bool = False) -> dict[str, Json]:
    """Interpret a talk of so many minutes aloud; gives the figures."""
    interpreter = Interpreters().open(source, target, "auto")
    seen = _Seen()
    seconds = minutes * 60

    async def frames() -> AsyncIterator[Samples]:
        begin, count = asyncio.get_running_loop().time(), 0
        for clip in itertools.cycle(clips):
            sound = np.concatenate([clip, _PAUSE])
            for start in range(0, len(sound), _FRAME):
                frame = sound[start : start + _FRAME]
                count += len(frame)
                await sleep_until(begin + count / INPUT_RATE)
                yield frame
                if count >= seconds * INPUT_RATE:
                    return

    async def run() -> None:
        async for event in interpreter.run(frames()):
            seen.take(event)

    began = time.process_time()
    if real:
        asyncio.run(run())
    else:
        run_virtual(run(), measured=True, clock=time.process_time)
    took = time.process_time() - began
    warm = next((mb for at, mb in seen.memory_mb if at >= min(_SETTLED_S, seconds / 2)), 0.0)
    return {
        "pair": f"{source}-{target}",
        "minutes": minutes,
        "clock": "real" if real else "virtual",
        "segments": seen.segments,
        "tau": took / seconds,
        "caption_lag_p50_s": percentile(seen.captions, 50),
        "caption_lag_max_s": max(seen.captions, default=None),
        "speech_lag_p50_s": percentile(seen.speech, 50),
        "speech_lag_max_s": max(seen.speech, default=None),
        "speech_after_end_s": max(0.0, seen.end - seconds),
        "memory_first_mb": warm,
        "memory_last_mb": seen.memory_mb[-1][1] if seen.memory_mb else None,
    }


def _memory_mb() -> float:
    """What this process holds now; its peak where the system tells no more."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
