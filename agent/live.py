"""A conversation aloud: this machine's microphone and speaker around a session."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import replace

from dragoman.agent import events as ev
from dragoman.agent.parts import Parts
from dragoman.agent.record import ConversationRecord
from dragoman.agent.recorded import TrackSink
from dragoman.agent.session import Session
from dragoman.agent.settings import SessionSettings
from dragoman.audio.devices import Microphone, Speaker
from dragoman.audio.echo import EchoCanceller
from dragoman.audio.files import WavWriter
from dragoman.audio.track import LevelTrack
from dragoman.audio.types import INPUT_RATE, Samples


class _SpeakerSink(TrackSink):
    """The speaker, with the track's record beside it."""

    def __init__(self, speaker: Speaker, writer: WavWriter | None) -> None:
        super().__init__(writer)
        self._speaker = speaker

    @property
    def latency_s(self) -> float:
        """What the device holds back."""
        return self._speaker.latency_s

    def write(self, frame: Samples) -> None:
        """Play the next 20 ms."""
        super().write(frame)
        self._speaker.write(frame)


async def converse_aloud(
    parts: Parts,
    settings: SessionSettings,
    *,
    device: int | str | None = None,
    writer: WavWriter | None = None,
    echo: EchoCanceller | None = None,
    told: Callable[[ev.SessionEvent, ConversationRecord], None] = lambda event, record: None,
    ready: Callable[[], None] = lambda: None,
) -> ConversationRecord:
    """Talk until Ctrl-C, and record what happens; ``ready`` is called when the devices are open.

    ``device`` is a PortAudio index or a part of a name, for both. Where an ``echo`` is taken out, an agent that is to
    be deaf while it speaks (``half_duplex``) is so only while the room is not known. Raises ``DragomanError``
    when a device is missing or goes away.
    """
    async with Microphone(device) as microphone, Speaker(device, None if echo is None else echo.played) as speaker:
        sink = _SpeakerSink(speaker, writer)
        heard = LevelTrack(INPUT_RATE)
        record = ConversationRecord(heard, sink.levels, lockstep=False, latency_s=speaker.latency_s)
        session = Session(parts, settings, sink=sink)
        loop = asyncio.get_running_loop()

        def leave() -> None:
            session.cancel()  # what was heard of the reply is told
            session.close()

        loop.add_signal_handler(signal.SIGINT, leave)

        async def capture() -> None:
            async for frame in microphone:
                if echo is not None:
                    frame = echo.cleaned(frame)
                    if settings.half_duplex and session.settings.half_duplex == echo.learned:
                        session.configure(replace(session.settings, half_duplex=not echo.learned))
                heard.add(frame)
                await session.hear(frame)

        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(session.run())
                capturing = tasks.create_task(capture())
                ready()
                async for event in session.events():
                    record.add(event)
                    told(event, record)
                capturing.cancel()
        finally:
            loop.remove_signal_handler(signal.SIGINT)
    return record
