"""The agent's voice in time: the playout's frames go to the sink as the clock wants them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from dragoman.agent.ports import Sink
from dragoman.audio.clock import sleep_until
from dragoman.audio.playout import Playout
from dragoman.audio.types import OUTPUT_RATE, Samples

FRAME_S: Final = 0.02
"""Length of a playout frame."""

_ECHO_TAIL_S: Final = 0.25
"""The room still rings so long after the agent's last sound."""


class NoSink:
    """For clients that play by themselves: the session's playout is then just its clock."""

    @property
    def latency_s(self) -> float:
        """Unknown, so none; the client says better (``truncate``)."""
        return 0.0

    def write(self, frame: Samples) -> None:
        """Ignore the frame."""


class Player:
    """Plays until cancelled. ``started`` is told of each reply's first sound (its number, seconds of playing before
    it), and ``played`` how many seconds of it have been heard.
    """

    def __init__(self, sink: Sink, started: Callable[[int, float], None], played: Callable[[int, float], None]) -> None:
        self.playout = Playout(OUTPUT_RATE)
        self._sink, self._tell_started, self._tell_played = sink, started, played
        self._started = 0
        self._quiet_since = -1.0
        self._lag = 0.0

    @property
    def audible(self) -> bool:
        """Whether a microphone in the same room would hear the agent."""
        return self.playout.sounding or asyncio.get_running_loop().time() < self._quiet_since + _ECHO_TAIL_S

    async def run(self) -> None:
        """Give the sink a frame each 20 ms of the loop's time."""
        clock = asyncio.get_running_loop()
        frame = round(FRAME_S * OUTPUT_RATE)
        begin, count = clock.time(), 0
        while True:
            reply, playing = self.playout.reply, self.playout.playing
            self._sink.write(self.playout.read(frame))
            if playing and self._started != reply:
                self._started = reply
                self._tell_started(reply, count * FRAME_S)
            if self.playout.sounding:
                self._quiet_since = clock.time()
                self._lag = self._sink.latency_s
            elif self._lag:
                self._lag = max(0.0, self._lag - FRAME_S)  # what the device still holds sounds now
            if reply and self._started == reply:
                self._tell_played(reply, max(0.0, self.playout.position - self._lag))
            count += 1
            await sleep_until(begin + count * FRAME_S)
