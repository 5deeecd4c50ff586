"""Sound on its way to a recognizer: it is put in by the event loop, which does no work, and taken out on a worker."""

from __future__ import annotations

from collections import deque

import numpy as np

from dragoman.audio.types import INPUT_RATE, Samples


class Inbox:
    """``put`` may run beside ``take``."""

    def __init__(self) -> None:
        self._pieces: deque[Samples] = deque()  # its append is atomic

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._pieces)

    def put(self, pcm: Samples) -> None:
        """Keep ``pcm``, 16 kHz mono, any length. The caller may reuse its buffer."""
        if len(pcm):
            self._pieces.append(np.array(pcm, np.float32))

    def take(self) -> Samples:
        """The next second of what there is, or less. Who puts in an hour at once pays for its sound, not for copies."""
        taken: list[Samples] = []
        left = INPUT_RATE
        while left > 0 and self._pieces:
            piece = self._pieces.popleft()
            if len(piece) > left:
                self._pieces.appendleft(piece[left:])
            taken.append(piece[:left])
            left -= len(taken[-1])
        return np.concatenate(taken)
