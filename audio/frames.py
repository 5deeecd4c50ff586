"""Sound in frames of one length, however it comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from dragoman.audio.types import Samples


class Frames:
    """Cuts sound that comes in pieces of any length; what completes no frame waits for more."""

    def __init__(self, size: int) -> None:
        """``size``: samples of a frame."""
        self._size = size
        self._rest: Samples = np.zeros(0, np.float32)

    @property
    def waiting(self) -> int:
        """Samples that have come and are in no frame yet."""
        return len(self._rest)

    def push(self, pcm: Samples) -> Samples:
        """The frames [n, size] that ``pcm`` completes; may be none. The caller may reuse its buffer."""
        sound = np.concatenate((self._rest, pcm))
        whole = len(sound) - len(sound) % self._size
        self._rest = sound[whole:].copy()
        return sound[:whole].reshape(-1, self._size)

    def flush(self) -> Samples:
        """What waits, as a frame that ends in silence [1, size]; [0, size] where nothing does."""
        return self.push(np.zeros(-len(self._rest) % self._size, np.float32))


def in_frames(blocks: Iterable[Samples], size: int) -> Iterator[Samples]:
    """Blocks of any length as frames of ``size`` samples; the last one is filled up with silence."""
    frames = Frames(size)
    for block in blocks:
        yield from frames.push(block)
    yield from frames.flush()
