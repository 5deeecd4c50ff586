"""A conversation with a recording: the same session as with a microphone, fed from a file's blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import numpy as np

from dragoman.agent import events as ev
from dragoman.agent.parts import Parts
from dragoman.agent.record import ConversationRecord
from dragoman.agent.session import Session
from dragoman.agent.settings import SessionSettings
from dragoman.audio.clock import sleep_until
from dragoman.audio.files import WavWriter
from dragoman.audio.frames import in_frames
from dragoman.audio.track import LevelTrack
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, DragomanError, Samples

FRAME = INPUT_RATE // 50
_QUIET_S = 2.5
"""Silence after the recording's end with nothing going on: the conversation is over."""
_LONGEST_TAIL_S = 120.0


class TrackSink:
    """Writes the agent's track, silence included, and keeps its loudness."""

    def __init__(self, writer: WavWriter | None) -> None:
        self._writer = writer
        self.levels = LevelTrack(OUTPUT_RATE)

    @property
    def latency_s(self) -> float:
        """None: the track's time is the playout's."""
        return 0.0

    def write(self, frame: Samples) -> None:
        """Take the next 20 ms."""
        self.levels.add(frame)
        if self._writer is not None:
            self._writer.write(frame)


async def converse(
    parts: Parts,
    settings: SessionSettings,
    blocks: Iterable[Samples],
    *,
    writer: WavWriter | None = None,
    ends: Iterable[float] = (),
    told: Callable[[ev.SessionEvent, ConversationRecord], None] = lambda event, record: None,
) -> ConversationRecord:
    """Play a recording (16 kHz blocks) to a session at the running loop's pace, and record what happens.

    The loop decides how fast that is: a real one paces it, a ``SkippingLoop`` runs it on the virtual clock. Raises
    ``DragomanError`` if the recognition failed at every turn.
    """
    sink = TrackSink(writer)
    heard = LevelTrack(INPUT_RATE)
    record = ConversationRecord(heard, sink.levels, tuple(ends))
    session = Session(parts, settings, sink=sink)

    async def play() -> None:
        clock = asyncio.get_running_loop()
        begin, count = clock.time(), 0

        async def send(frame: Samples) -> None:
            nonlocal count
            count += 1
            await sleep_until(begin + count * FRAME / INPUT_RATE)
            heard.add(frame)
            await session.hear(frame)

        for frame in in_frames(blocks, FRAME):
            await send(frame)
        silence = np.zeros(FRAME, np.float32)
        quiet, tail = 0.0, 0.0
        while quiet < _QUIET_S and tail < _LONGEST_TAIL_S:
            await send(silence)
            tail += FRAME / INPUT_RATE
            quiet = quiet + FRAME / INPUT_RATE if session.phase == "idle" else 0.0
        session.close()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(session.run())
        tasks.create_task(play())
        async for event in session.events():
            record.add(event)
            told(event, record)
    if record.problems and not record.turns:
        raise DragomanError(record.problems[0])
    return record
