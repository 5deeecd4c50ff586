"""Sound on the wire: base64 of PCM16 or G.711, turned into the rates that the conversation counts in."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt

from dragoman.audio.resample import StreamResampler
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, Samples
from dragoman.web.events import ProtocolError
from dragoman.web.protocol import Pcm, Pcma, Pcmu

Format = Pcm | Pcmu | Pcma

_PHONE_RATE = 8000


def rate_of(form: Format) -> int:
    """Samples per second of a format."""
    return form.rate if isinstance(form, Pcm) else _PHONE_RATE


@cache
def levels(form: str) -> npt.NDArray[np.int16]:
    """What each of the 256 codes of a G.711 law (``audio/pcmu``, ``audio/pcma``) stands for."""
    code = np.arange(256, dtype=np.int32)
    if form == "audio/pcmu":
        code = ~code & 0xFF
        size = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
        return np.where(code & 0x80, -size, size).astype(np.int16)
    code ^= 0x55
    segment = (code & 0x70) >> 4
    size = ((code & 0x0F) << 4) + np.where(segment, 0x108, 8)
    size <<= np.maximum(segment - 1, 0)
    return np.where(code & 0x80, size, -size).astype(np.int16)


@cache
def _nearest(form: str) -> npt.NDArray[np.uint8]:
    """The code whose level is nearest, for each of the 65,536 values of a 16-bit sample."""
    order = np.argsort(levels(form), kind="stable")
    known = levels(form)[order].astype(np.int32)
    between = (known[1:] + known[:-1]) / 2
    return order[np.searchsorted(between, np.arange(-32768, 32768))].astype(np.uint8)


class Decoder:
    """Takes a stream's base64 chunks, gives 16 kHz samples. A chunk may end in the middle of a sample."""

    def __init__(self, form: Format) -> None:
        self._form = form
        self._odd = b""
        self._resampler = StreamResampler(rate_of(form), INPUT_RATE)

    def decode(self, text: str) -> Iterator[Samples]:
        """The samples that are complete so far, a fifth of a second at a time: a chunk may hold minutes. Raises
        ``ProtocolError`` on what is not base64.
        """
        try:
            data = base64.b64decode(text, validate=True)
        except ValueError as error:  # not binascii.Error alone: letters beyond ASCII raise another
            raise ProtocolError(f"audio is not base64: {error}", code="invalid_audio", param="audio") from error
        if isinstance(self._form, Pcm):
            data = self._odd + data
            whole = len(data) & ~1
            self._odd = data[whole:]
            pcm = np.frombuffer(data[:whole], "<i2")
        else:
            pcm = levels(self._form.type)[np.frombuffer(data, np.uint8)]
        step = rate_of(self._form) // 5
        for start in range(0, len(pcm), step):
            yield self._resampler.push(pcm[start : start + step].astype(np.float32) / np.float32(32768))

    def flush(self) -> Samples:
        """What the resampler still holds: call it where the stream ends. Half a sample is none."""
        self._odd = b""
        return self._resampler.flush()


class Encoder:
    """Takes 24 kHz samples, gives the wire's bytes as base64 text, in pieces of a fifth of a second."""

    def __init__(self, form: Format) -> None:
        self._form = form
        self._resampler = StreamResampler(OUTPUT_RATE, rate_of(form))

    def encode(self, pcm: Samples) -> list[str]:
        """More of the sound."""
        return self._pieces(self._resampler.push(pcm))

    def flush(self) -> list[str]:
        """The rest of the sound."""
        return self._pieces(self._resampler.flush())

    def _pieces(self, pcm: Samples) -> list[str]:
        step = rate_of(self._form) // 5
        whole = np.clip(np.rint(pcm * 32767), -32768, 32767).astype("<i2")
        wire = whole if isinstance(self._form, Pcm) else _nearest(self._form.type)[whole.astype(np.int32) + 32768]
        return [base64.b64encode(wire[i : i + step].tobytes()).decode() for i in range(0, len(wire), step)]
