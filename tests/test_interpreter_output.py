"""The speech of an interpretation, piece by piece at its place."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from dragoman.agent.interpreter import Spoken
from dragoman.agent.interpreter_output import SpeechFile, SpeechOutput, SpeechPlayer
from dragoman.audio.clock import run_virtual, sleep_until
from dragoman.audio.files import WavWriter, load
from dragoman.audio.types import OUTPUT_RATE, DragomanError, Samples


def piece(start: float, seconds: float, level: float) -> Spoken:
    return Spoken(0, "", start, np.full(round(seconds * OUTPUT_RATE), level, np.float32))


@dataclass
class Tape:
    """A sink that keeps what it gets, and when."""

    latency_s: float = 0.1
    frames: list[tuple[float, Samples]] = field(default_factory=list)

    def write(self, frame: Samples) -> None:
        self.frames.append((asyncio.get_running_loop().time(), frame))

    @property
    def sound(self) -> Samples:
        return np.concatenate([frame for _, frame in self.frames])


def level(pcm: Samples, start: float, end: float) -> list[float]:
    """The values that occur between two times."""
    return sorted({round(float(x), 3) for x in pcm[round(start * OUTPUT_RATE) : round(end * OUTPUT_RATE)]})


PIECES = (piece(0.503, 0.4, 0.1), piece(0.903, 0.25, 0.2), piece(1.5, 0.3, 0.3))


def expect(pcm: Samples) -> None:
    assert level(pcm, 0.0, 0.503) == [0.0]
    assert level(pcm, 0.503, 0.903) == [0.1]
    assert level(pcm, 0.903, 1.153) == [0.2]
    assert level(pcm, 1.153, 1.5) == [0.0]
    assert level(pcm, 1.5, 1.8) == [0.3]


def test_a_file_has_each_piece_at_its_place(tmp_path: Path) -> None:
    """And nothing after the last."""
    path = tmp_path / "out.wav"

    with WavWriter(path, OUTPUT_RATE) as writer:
        output: SpeechOutput = SpeechFile(writer)
        for one in PIECES:
            output.say(one)
    pcm = load(path, OUTPUT_RATE)
    expect(pcm)
    assert len(pcm) == round(1.8 * OUTPUT_RATE)


def test_a_speaker_gets_each_piece_when_it_is_due() -> None:
    """In frames of 20 ms, silence where nothing is said, and the run ends when all has been heard."""
    tape = Tape()

    async def play() -> float:
        async with SpeechPlayer(tape) as output:
            for one in PIECES:
                await sleep_until(max(0.0, one.start - 0.2))
                output.say(one)
        return asyncio.get_running_loop().time()

    end = run_virtual(play(), measured=False)
    assert {len(frame) for _, frame in tape.frames} == {OUTPUT_RATE // 50}
    assert [at for at, _ in tape.frames] == [pytest.approx(0.02 * i) for i in range(len(tape.frames))]
    expect(tape.sound)
    assert end == pytest.approx(1.8 + tape.latency_s, abs=0.03)


def test_what_comes_late_is_played_at_once_and_whole() -> None:
    """Its place is past: nothing of it is cut, and what follows is moved back."""
    tape = Tape()

    async def play() -> None:
        async with SpeechPlayer(tape) as output:
            await sleep_until(1.0)
            output.say(piece(0.2, 0.3, 0.1))
            output.say(piece(0.5, 0.3, 0.2))

    run_virtual(play(), measured=False)
    pcm = tape.sound
    assert [int(np.count_nonzero(np.isclose(pcm, value))) for value in (0.1, 0.2)] == [round(0.3 * OUTPUT_RATE)] * 2
    first = int(np.flatnonzero(pcm)[0]) / OUTPUT_RATE
    assert first == pytest.approx(1.0, abs=0.03)


def test_a_speaker_that_goes_away_is_told_by_the_next_piece() -> None:
    """Not at the end of the talk."""

    class Unplugged(Tape):
        def write(self, frame: Samples) -> None:
            raise DragomanError("the speaker stopped")

    async def play() -> None:
        async with SpeechPlayer(Unplugged()) as output:
            await sleep_until(0.5)
            output.say(piece(0.0, 1.0, 0.1))
            await asyncio.Event().wait()

    with pytest.raises(DragomanError, match="speaker"):
        run_virtual(play(), measured=False)


def test_after_an_error_nothing_more_is_played() -> None:
    """The error comes through at once."""
    tape = Tape()

    async def play() -> None:
        async with SpeechPlayer(tape) as output:
            output.say(piece(0.0, 60.0, 0.1))
            await sleep_until(0.5)
            raise DragomanError("the microphone stopped")

    with pytest.raises(DragomanError, match="microphone"):
        run_virtual(play(), measured=False)
    assert tape.frames[-1][0] <= 0.52
