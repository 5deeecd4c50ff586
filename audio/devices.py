"""This machine's microphone and speaker, through PortAudio.

The package ``sounddevice`` (extra ``mic``) is imported when a device is opened. PortAudio calls back on a thread of
its own; what crosses to the event loop is bounded on both sides, and whatever had to be dropped is counted.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType, TracebackType
from typing import Final, Literal, ParamSpec, Protocol

import numpy as np
import numpy.typing as npt

from dragoman.audio.frames import Frames
from dragoman.audio.resample import StreamResampler
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, DragomanError, Samples

FRAME: Final = INPUT_RATE // 50
"""Samples of a microphone frame: 20 ms."""

P = ParamSpec("P")
_QUEUED_FRAMES: Final = 250  # 5 s: a loop that is later than that has lost the conversation anyway
_RING_S: Final = 0.2
_PRIME_S: Final = 0.06  # waits in front of the device, so that a writer who is a little late leaves no gap
_ENOUGH_S: Final = 0.1  # more than this need not wait, once there is silence that can be left out
_SILENT: Final = 1e-4
_AHEAD_S: Final = 0.05
"""What the device itself holds of the sound to be played. With the least that it offers it runs dry as soon as the
processor has other things to do, and then falls silent for seconds where a sound server stands before it."""
_STOPPED: Final = "the {} stopped: was it unplugged? `dragoman doctor` lists the devices"


@dataclass(frozen=True, slots=True)
class Device:
    """A sound device as PortAudio lists it; ``index`` and ``name`` both open it."""

    index: int
    name: str
    inputs: int
    outputs: int
    rate: int
    default: bool


def devices() -> list[Device]:
    """All sound devices. Raises ``DragomanError`` when PortAudio is not there."""
    library = _portaudio()
    defaults = set(library.default.device)
    return [
        Device(
            index=index,
            name=str(entry["name"]),
            inputs=int(entry["max_input_channels"]),
            outputs=int(entry["max_output_channels"]),
            rate=round(entry["default_samplerate"]),
            default=index in defaults,
        )
        for index, entry in enumerate(library.query_devices())
    ]


def check_devices(*kinds: Literal["input", "output"], device: int | str | None = None) -> None:
    """Raises ``DragomanError`` where a microphone or a speaker can't be had: to be told before models are loaded."""
    library = _portaudio()
    for kind in kinds:
        _own_rate(library, kind, device)


class Microphone:
    """Sound from a microphone: ``async with`` it, then ``async for`` its 20 ms frames (16 kHz, mono, float32).

    A device that has no such rate is opened at its own and converted. When the loop falls 5 s behind, the oldest
    frames are dropped and counted in ``dropped``; ``overflows`` counts what PortAudio itself lost.
    """

    def __init__(self, device: int | str | None = None) -> None:
        self._device = device
        self._frames: asyncio.Queue[Samples | None] = asyncio.Queue(_QUEUED_FRAMES + 1)
        self._cut = Frames(FRAME)
        self.dropped = 0
        self.overflows = 0

    async def __aenter__(self) -> Microphone:
        self._loop = asyncio.get_running_loop()
        library = _portaudio()
        rate = await asyncio.to_thread(_rate, library, "input", self._device, INPUT_RATE)
        self._resampler = StreamResampler(rate, INPUT_RATE)
        self._stream = await asyncio.to_thread(
            _opened,
            library.InputStream,
            "microphone",
            device=self._device,
            samplerate=rate,
            latency="low",
            blocksize=rate // 50,
            callback=self._captured,
            finished_callback=self._finished,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._stream.close)

    async def __aiter__(self) -> AsyncIterator[Samples]:
        """Frames until the ``async with`` ends. Raises ``DragomanError`` when the device goes away."""
        while (frame := await self._frames.get()) is not None:
            yield frame
        raise DragomanError(_STOPPED.format("microphone"))

    def _captured(self, data: npt.NDArray[np.float32], frames: int, when: object, status: object) -> None:
        """Called by PortAudio on its thread; its buffer is only lent."""
        self._post(self._arrived, data[:, 0].copy(), bool(getattr(status, "input_overflow", False)))

    def _finished(self) -> None:
        self._post(self._put, None)

    def _post(self, call: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            self._loop.call_soon_threadsafe(partial(call, *args, **kwargs))
        except RuntimeError:
            return  # the loop ended first: there is no one left to tell

    def _arrived(self, pcm: Samples, overflow: bool) -> None:
        self.overflows += overflow
        for frame in self._cut.push(self._resampler.push(pcm)):
            self._put(frame)

    def _put(self, frame: Samples | None) -> None:
        while self._frames.qsize() >= _QUEUED_FRAMES:
            self._frames.get_nowait()
            self.dropped += 1
        self._frames.put_nowait(frame)


class Ring:
    """A bounded buffer between the one who writes sound and the device that pulls it. Never blocks.

    An empty ring gives silence (counted in ``underruns`` once sound has begun); a full one drops its oldest
    samples (counted in ``dropped``), so that the latency never grows. Silence is left out while ``enough`` samples
    wait: a device that stalled, as one does that wakes up, would be heard late for ever after. After the ring ran
    empty, sound starts again when ``prime`` samples wait, or when they have had the time to come.
    """

    def __init__(self, capacity: int, prime: int = 0, enough: int | None = None) -> None:
        self._prime = prime
        self._enough = capacity if enough is None else enough
        self._waited = 0
        self._sound = np.zeros(capacity, np.float32)
        self._read = 0
        self._size = 0
        self._lock = threading.Lock()
        self.dropped = 0
        self.underruns = 0

    def __len__(self) -> int:
        """Samples that wait."""
        return self._size

    def write(self, pcm: Samples) -> None:
        """Append ``pcm``."""
        if self._size >= self._enough and float(np.abs(pcm).max(initial=0.0)) < _SILENT:
            return
        capacity = len(self._sound)
        surplus = max(0, len(pcm) - capacity)
        pcm = pcm[surplus:]
        with self._lock:
            over = max(0, self._size + len(pcm) - capacity)
            self._read = (self._read + over) % capacity
            self._size -= over
            self.dropped += over + surplus
            at = (self._read + self._size + np.arange(len(pcm))) % capacity
            self._sound[at] = pcm
            self._size += len(pcm)

    def read(self, count: int) -> Samples:
        """The next ``count`` samples, filled up with silence."""
        out = np.zeros(count, np.float32)
        with self._lock:
            have = min(count, self._size) if self._primed(count) else 0
            at = (self._read + np.arange(have)) % len(self._sound)
            out[:have] = self._sound[at]
            self._read = (self._read + have) % len(self._sound)
            self._size -= have
            self.underruns += 0 < have < count
            if not self._size:
                self._waited = 0
        return out

    def _primed(self, count: int) -> bool:
        if self._waited < self._prime and self._size:
            self._waited = self._prime if self._size >= self._prime else self._waited + count
        return self._waited >= self._prime

    def clear(self) -> None:
        """Drop what waits."""
        with self._lock:
            self._size = self._waited = 0


class Speaker:
    """Sound to a speaker: ``async with`` it, then ``write`` frames at 24 kHz as they are due.

    At most 0.2 s wait in its buffer, half of it once there was silence, so what is written is heard ``latency_s``
    later, always; when nothing was written in time it plays silence. A device that has no such rate is opened at its
    own. ``played`` is told all that the device is given, silence too, with its rate, on PortAudio's thread.
    """

    def __init__(self, device: int | str | None = None, played: Callable[[Samples, int], None] | None = None) -> None:
        self._device, self._played = device, played
        self._ring = Ring(round(_RING_S * OUTPUT_RATE))
        self._rate = OUTPUT_RATE
        self._stopped = False

    async def __aenter__(self) -> Speaker:
        library = _portaudio()
        self._rate = await asyncio.to_thread(_rate, library, "output", self._device, OUTPUT_RATE)
        self._resampler = StreamResampler(OUTPUT_RATE, self._rate)
        self._ring = Ring(*(round(seconds * self._rate) for seconds in (_RING_S, _PRIME_S, _ENOUGH_S)))
        self._stream = await asyncio.to_thread(
            _opened,
            library.OutputStream,
            "speaker",
            device=self._device,
            samplerate=self._rate,
            latency=_AHEAD_S,
            blocksize=self._rate // 100,
            callback=self._wanted,
            finished_callback=self._finished,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._stream.close)

    @property
    def latency_s(self) -> float:
        """Seconds from ``write`` to the ear: what waits here, and what PortAudio says of the device."""
        return len(self._ring) / self._rate + float(self._stream.latency)

    @property
    def dropped(self) -> int:
        """Samples that were written faster than they could be played."""
        return self._ring.dropped

    @property
    def underruns(self) -> int:
        """How often the sound stopped short in the middle of a block."""
        return self._ring.underruns

    def write(self, frame: Samples) -> None:
        """Play ``frame`` (24 kHz mono) after what waits already. Never blocks. Raises ``DragomanError`` when the device
        went away.
        """
        if self._stopped:
            raise DragomanError(_STOPPED.format("speaker"))
        self._ring.write(self._resampler.push(frame))

    def clear(self) -> None:
        """Be silent at once: drop what waits."""
        self._ring.clear()

    def _wanted(self, data: npt.NDArray[np.float32], frames: int, when: object, status: object) -> None:
        pcm = self._ring.read(frames)
        data[:, 0] = pcm
        if self._played is not None:
            self._played(pcm, self._rate)

    def _finished(self) -> None:
        """Called by PortAudio on its thread when it asks for no more sound."""
        self._stopped = True


class _PortAudioStream(Protocol):
    """What is used of ``sounddevice``'s streams."""

    latency: float

    def start(self) -> None: ...
    def close(self) -> None: ...


def _portaudio() -> ModuleType:
    try:
        import sounddevice
    except ImportError as error:
        raise DragomanError("sound devices need the package sounddevice: pip install 'dragoman[mic]'") from error
    except OSError as error:
        raise DragomanError(
            "PortAudio is missing: apt install libportaudio2, and libasound2-plugins with PulseAudio "
            "(macOS: brew install portaudio)"
        ) from error
    except Exception as error:  # its own kind, which could not be imported
        raise DragomanError(f"PortAudio can't begin ({error}): start the sound server, or restart it") from error
    library: ModuleType = sounddevice
    return library


def _rate(library: ModuleType, kind: str, device: int | str | None, wanted: int) -> int:
    """``wanted`` if the device has it, else the device's own. Raises ``DragomanError`` when there is none."""
    own = _own_rate(library, kind, device)
    check = library.check_input_settings if kind == "input" else library.check_output_settings
    try:
        check(device=device, channels=1, samplerate=wanted, dtype="float32")
    except (library.PortAudioError, ValueError):
        return own
    return wanted


def _own_rate(library: ModuleType, kind: str, device: int | str | None) -> int:
    try:
        rate: int = round(library.query_devices(device, kind)["default_samplerate"])
    except (library.PortAudioError, ValueError) as error:
        several = str(error).startswith("Multiple ")
        which = f"{'more than one' if several else 'no'} sound {kind} device"
        which += "" if device is None else f" called {device!r}"
        raise DragomanError(f"{which}: `dragoman doctor` lists what there is") from error
    return rate


def _opened(make: type, what: str, **settings: object) -> _PortAudioStream:
    library = _portaudio()
    try:
        stream: _PortAudioStream = make(channels=1, dtype="float32", **settings)
        stream.start()
    except (library.PortAudioError, ValueError) as error:
        raise DragomanError(f"the {what} can't be opened ({error}): is another program using it?") from error
    return stream
