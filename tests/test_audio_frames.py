"""Sound in frames of one length: however it is cut before."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.agent.ear import Ear
from dragoman.agent.endpointing import TextTurnDetector
from dragoman.agent.engine import inputs as on
from dragoman.agent.workers import Worker
from dragoman.audio.frames import Frames, in_frames

from .fakes import LoudIsSpeech, ScriptedRecognizer, speech


@given(st.lists(st.integers(0, 40)), st.integers(1, 17))
def test_the_frames_do_not_depend_on_the_pieces(lengths: list[int], size: int) -> None:
    """All that came is in them in order, and silence behind the end alone."""
    sound = np.arange(1, sum(lengths) + 1, dtype=np.float32)
    pieces = np.split(sound, np.cumsum(lengths)[:-1]) if lengths else []
    found = list(in_frames(pieces, size))
    assert all(len(frame) == size for frame in found)
    assert len(found) == -(-len(sound) // size)
    joined = np.concatenate([np.zeros(0, np.float32), *found])
    assert joined.tolist() == [*sound.tolist(), *[0.0] * (-len(sound) % size)]


def test_a_buffer_may_be_used_again() -> None:
    """What waits and what was given are copies."""
    frames, buffer = Frames(4), np.ones(6, np.float32)
    [first] = frames.push(buffer)
    buffer[:] = 7
    assert frames.waiting == 2
    assert [first.tolist(), *frames.flush().tolist()] == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert frames.flush().shape == (0, 4)


@pytest.mark.parametrize("size", [160, 320, 700, 4000])
def test_the_clock_of_a_session_tells_what_was_received(size: int) -> None:
    """While a piece is heard window by window, too: the clock is never ahead of the sound, and never goes back."""
    clock: list[tuple[int, int]] = []
    sent = 0

    async def hear() -> None:
        nonlocal sent
        worker = Worker("test")

        def told(event: on.Input) -> None:
            clock.append((ear.received, sent))

        ear = Ear(ScriptedRecognizer(["One."]), LoudIsSpeech(), TextTurnDetector(), worker, worker, told, pytest.fail)
        for piece in np.split(speech((0.5, 1.0), seconds=1.5), range(size, 24_000, size)):
            sent += len(piece)
            ear.hear(piece, detect=True)
        worker.close()

    asyncio.run(hear())
    assert len(clock) == 24_000 // LoudIsSpeech.hop
    assert all(received <= come for received, come in clock)
    assert sorted(clock) == clock
