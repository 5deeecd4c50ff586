"""Where the speech of an interpretation goes, each piece at its place in time: into a file, or to a speaker."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Protocol, Self

import numpy as np

from dragoman.agent.interpreter import Spoken
from dragoman.agent.ports import Sink
from dragoman.audio.clock import sleep_until
from dragoman.audio.devices import Speaker
from dragoman.audio.files import WavWriter
from dragoman.audio.types import OUTPUT_RATE, Samples

_FRAME: Final = OUTPUT_RATE // 50


class SpeechOutput(Protocol):
    """Takes what is spoken."""

    def say(self, spoken: Spoken) -> None:
        """Take the next piece; pieces come in order and don't overlap."""


class SpeechFile:
    """Into a file, with silence between the pieces."""

    def __init__(self, writer: WavWriter) -> None:
        self._writer = writer

    def say(self, spoken: Spoken) -> None:
        """Write the piece at its place."""
        gap = round(spoken.start * OUTPUT_RATE) - self._writer.samples
        if gap > 0:
            self._writer.write(np.zeros(gap, np.float32))
        self._writer.write(spoken.pcm)


@asynccontextmanager
async def speaker() -> AsyncIterator[SpeechOutput]:
    """To this machine's speaker, see ``SpeechPlayer``. Raises ``DragomanError`` where there is none."""
    async with Speaker() as device, SpeechPlayer(device) as player:
        yield player


class SpeechPlayer:
    """To a sink, a frame each 20 ms of the loop's time: ``async with`` it around the interpreter's run, for its time
    begins with it. It ends when all has been played, or at once after an error.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._pieces: deque[tuple[int, Samples]] = deque()
        self._position = 0
        self._last = asyncio.Event()

    def say(self, spoken: Spoken) -> None:
        """Play the piece at its place; at once where that is past. Raises what the sink did: ``DragomanError`` when the
        device went away.
        """
        if self._playing.done():
            self._playing.result()
        self._pieces.append((round(spoken.start * OUTPUT_RATE), spoken.pcm))

    async def __aenter__(self) -> Self:
        self._playing = asyncio.create_task(self._play())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._last.set()
        else:
            self._playing.cancel()
        await asyncio.gather(self._playing, return_exceptions=error is not None)

    async def _play(self) -> None:
        begin = asyncio.get_running_loop().time()
        while self._pieces or not self._last.is_set():
            self._sink.write(self._frame())
            self._position += _FRAME
            await sleep_until(begin + self._position / OUTPUT_RATE)
        await asyncio.sleep(self._sink.latency_s)

    def _frame(self) -> Samples:
        """The next 20 ms."""
        frame = np.zeros(_FRAME, np.float32)
        filled = 0
        while self._pieces and filled < _FRAME:
            start, pcm = self._pieces[0]
            filled = max(filled, start - self._position)
            count = min(max(0, _FRAME - filled), len(pcm))
            frame[filled : filled + count] = pcm[:count]
            filled += count
            if count < len(pcm):
                self._pieces[0] = start, pcm[count:]
            else:
                self._pieces.popleft()
        return frame
