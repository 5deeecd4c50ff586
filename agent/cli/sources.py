"""Where a command's sound comes from: a file, or the microphone until Ctrl-C."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np

from dragoman.agent.cli.output import console, emit
from dragoman.audio.clock import busy, sleep_until
from dragoman.audio.echo import EchoCanceller
from dragoman.audio.files import blocks
from dragoman.audio.types import INPUT_RATE, DragomanError, Samples


def opened(path: str | Path, seconds: float = 1.0) -> Iterator[Samples]:
    """The file's blocks, with the first one read: a bad file is found before models are loaded."""
    source = blocks(path, INPUT_RATE, seconds=seconds)
    return itertools.chain((next(source),), source)


async def frames(sound: Iterator[Samples], *, pace: bool = False) -> AsyncIterator[Samples]:
    """The blocks of a file, read on a thread; ``pace``: no sooner than a microphone would have given them, on the
    running loop's clock, be it real or virtual.
    """
    end: Samples = np.zeros(0, np.float32)
    begin, heard = asyncio.get_running_loop().time(), 0
    while True:
        with busy():
            block = await asyncio.to_thread(next, sound, end)
        if block is end:
            return
        heard += len(block)
        if pace:
            await sleep_until(begin + heard / INPUT_RATE)
        yield block


def echo_canceller() -> EchoCanceller | None:
    """For open speakers. Where its package is missing, None, and what that means is told. Blocking, a second."""
    try:
        return EchoCanceller()
    except DragomanError as error:
        console.print(f"The agent can't be interrupted: {error}", style="yellow", markup=False, soft_wrap=True)
        return None


async def microphone(*, json: bool) -> AsyncIterator[Samples]:
    """Frames of the microphone until Ctrl-C; what was said before it is still worked on. Tells when it listens, with
    ``json`` as an event ``ready``.
    """
    from dragoman.audio.devices import Microphone

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stopped.set)
    try:
        async with Microphone() as device:
            if json:
                emit("ready")
            else:
                console.print("listening; Ctrl-C ends", style="dim")
            async for frame in device:
                yield frame
                if stopped.is_set():
                    return
    finally:
        loop.remove_signal_handler(signal.SIGINT)
