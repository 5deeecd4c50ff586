"""Sound files: anything that libsndfile or FFmpeg reads, in; 16-bit WAV and FLAC, out."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final

import av
import numpy as np
import soundfile

from dragoman.audio.resample import StreamResampler
from dragoman.audio.types import INPUT_RATE, DragomanError, Samples
from dragoman.audio.writing import replacing, writable

FORMATS: Final = {".wav": "WAV", ".flac": "FLAC"}
"""What is written, by suffix."""
_FULL: Final = 2**16
"""Bytes that a disk may have left where nothing more could be written."""
_LOUDEST: Final = 100.0
"""No float sample of a sound is so far (40 dB) beyond full scale."""
_CANCELLED: Final = 0.25
"""Channels whose sum reaches so little of the loudest one's peak cancel each other."""


def load(path: str | Path, rate: int = INPUT_RATE) -> Samples:
    """The whole file as mono sound at ``rate``: the mean of its channels, or the loudest where they cancel each other.

    Raises ``DragomanError`` when there is no such file, it is not audio, or holds no sound.
    """
    return np.concatenate(list(blocks(path, rate)))


def blocks(path: str | Path, rate: int = INPUT_RATE, *, seconds: float = 1.0) -> Iterator[Samples]:
    """The file as blocks of about ``seconds``, in constant memory. Raises like ``load``."""
    path = _existing(Path(path))
    read, first = 0, None
    try:
        source = _sndfile_blocks(path, seconds)
        with suppress(soundfile.LibsndfileError):
            first = next(source, None)
        if first is None:  # or the header of a WAV that was not closed, or streamed, says that there is nothing
            source = _ffmpeg_blocks(path, seconds)
            first = next(source, None)
        if first is not None:
            for pcm in _converted(path, first, source, StreamResampler(first[0], rate)):
                if len(pcm):
                    read += len(pcm)
                    yield pcm
    except (soundfile.LibsndfileError, av.error.FFmpegError, ValueError) as error:
        why = f"damaged, it can't be read beyond {read / rate:.1f} s" if read else "not an audio file that can be read"
        raise DragomanError(f"{path}: {why}") from error
    if not read:
        raise DragomanError(f"{path}: the file holds no sound")


def seconds_of(path: str | Path) -> float | None:
    """Length of the file in seconds, where its header says it."""
    path = _existing(Path(path))
    try:
        with _sndfile(path) as file:
            return float(file.frames / file.samplerate) or None
    except soundfile.LibsndfileError:
        try:
            with _ffmpeg(path) as container:
                return container.duration / av.time_base if container.duration else None
        except (av.error.FFmpegError, ValueError):
            return None


def save(path: str | Path, pcm: Samples, rate: int) -> None:
    """Write sound [n], or [n, channels], as 16-bit WAV or FLAC, by the suffix; the file appears whole or not at all.

    What lies beyond [-1, 1] is clipped. Raises ``DragomanError`` when the folder or the suffix is no good.
    """
    if not np.isfinite(pcm).all():
        raise DragomanError(f"{path}: not written, the sound holds values that are not numbers")
    with WavWriter(path, rate, channels=1 if pcm.ndim == 1 else pcm.shape[1]) as file:
        file.write(pcm)


class WavWriter:
    """A WAV or FLAC file that grows while a session runs; ``close`` it (or use ``with``) to complete it.

    Until then it stands beside its place: a file that is there already is lost only to one that holds something.
    """

    def __init__(self, path: str | Path, rate: int, *, channels: int = 1) -> None:
        self.path = writable(Path(path), FORMATS)
        self.rate = rate
        self.samples = 0
        place = self.path.resolve()
        # Nothing can take the place of a device, or of a file in a folder where no other one may be made.
        stays = self.path.exists() and not (self.path.is_file() and os.access(place.parent, os.W_OK))
        kind = FORMATS[self.path.suffix.lower()]
        try:
            with ExitStack() as stack:
                target = self.path if stays else stack.enter_context(replacing(place))
                self._file = soundfile.SoundFile(target, "w", rate, channels, subtype="PCM_16", format=kind)
                self._place = stack.pop_all()
        except (OSError, ValueError, soundfile.LibsndfileError) as error:  # or a name that is none in the locale
            raise _unwritten(self.path, error) from error

    def write(self, pcm: Samples) -> None:
        """Append ``pcm``. Raises ``DragomanError`` when the disk is full."""
        try:
            self._file.write(pcm)
        except (OSError, soundfile.LibsndfileError) as error:
            raise _unwritten(self.path, error) from error
        self.samples += len(pcm)

    def close(self) -> None:
        """Complete the file. May be called twice. Raises ``DragomanError`` where it can't take its place."""
        try:
            with self._place:
                self._file.close()
        except (OSError, soundfile.LibsndfileError) as error:
            raise _unwritten(self.path, error) from error

    def __enter__(self) -> WavWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not self.samples:
            self._file.close()
            self._place.__exit__(kind, error, trace)
        else:
            self.close()


_Block = tuple[int, Samples]
"""The file's own rate, and mono sound at it."""


def _converted(path: Path, first: _Block, rest: Iterator[_Block], resampler: StreamResampler) -> Iterator[Samples]:
    for rate, pcm in itertools.chain((first,), rest):
        if rate != resampler.in_rate:  # a container may change its rate half-way
            yield resampler.flush()
            resampler = StreamResampler(rate, resampler.out_rate)
        if not np.isfinite(pcm).all():
            raise DragomanError(f"{path}: damaged, it holds samples that are not numbers")
        if (peak := float(np.abs(pcm).max(initial=0.0))) > _LOUDEST:
            raise DragomanError(
                f"{path}: its samples reach {peak:.0f}, where 1 is full scale: they are integers written as floats, "
                "divide them by their scale (32768 for 16 bits) and write it again"
            )
        yield resampler.push(pcm)
    yield resampler.flush()


@contextmanager
def _sndfile(path: Path) -> Iterator[soundfile.SoundFile]:
    """Known by what is in it: told of a name in .mp3, libsndfile would search any file for frames, and print that."""
    with path.open("rb") as file, soundfile.SoundFile(file.fileno(), closefd=False) as sound:
        yield sound


def _sndfile_blocks(path: Path, seconds: float) -> Iterator[_Block]:
    with _sndfile(path) as file:
        size = max(1, round(file.samplerate * seconds))
        while len(block := file.read(size, dtype="float32", always_2d=True)):
            yield file.samplerate, _mono(block.T)


def _ffmpeg(path: Path) -> av.container.InputContainer:
    """A title in another encoding is no reason not to hear what it names."""
    return av.open(str(path), metadata_errors="replace")


def _ffmpeg_blocks(path: Path, seconds: float) -> Iterator[_Block]:
    """What libsndfile doesn't read: m4a, webm, video files."""
    with _ffmpeg(path) as container:
        if not container.streams.audio:
            raise DragomanError(f"{path}: not an audio file that can be read")
        # Planar floats at the file's own rate and layout: the mean over channels is ours, as for WAV.
        planar = av.AudioResampler(format="fltp")
        held: list[Samples] = []
        rate = 0
        for decoded in container.decode(audio=0):
            for frame in planar.resample(decoded):
                if held and frame.sample_rate != rate:
                    yield rate, np.concatenate(held)
                    held = []
                rate = frame.sample_rate
                held.append(_mono(np.asarray(frame.to_ndarray(), np.float32)))
            if sum(map(len, held)) >= rate * seconds > 0:
                yield rate, np.concatenate(held)
                held = []
        if held:
            yield rate, np.concatenate(held)


def _mono(channels: Samples) -> Samples:
    """Sound [channels, n] as one channel. Two may hold the same voice upside down, by a cable that was wired so."""
    mean: Samples = channels.mean(axis=0, dtype=np.float32)
    peaks = np.abs(channels).max(axis=1, initial=0.0)
    cancelled = np.abs(mean).max(initial=0.0) * len(channels) < _CANCELLED * peaks.max()
    return channels[peaks.argmax()] if cancelled else mean


def _existing(path: Path) -> Path:
    try:
        if path.is_dir():
            raise DragomanError(f"{path}: is a folder, give a sound file")
        if not path.exists():
            raise DragomanError(f"{path}: no such file")
        if not path.is_file():  # it is opened more than once, and a pipe would wait for good or be empty then
            raise DragomanError(f"{path}: is a pipe or a device, write its sound to a file first")
        with path.open("rb") as file:
            if not file.read(1):
                raise DragomanError(f"{path}: the file is empty")
    except OSError as error:
        raise DragomanError(f"{path}: can't be read ({_reason(error)})") from error
    return path


def _unwritten(path: Path, error: Exception) -> DragomanError:
    """libsndfile knows no more than that the system had an error."""
    full = path.parent.is_dir() and shutil.disk_usage(path.parent).free < _FULL
    return DragomanError(f"{path}: can't be written ({'the disk is full' if full else _reason(error)})")


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".")
