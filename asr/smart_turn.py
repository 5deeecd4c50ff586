"""Pipecat's smart-turn v3.2 (BSD-2-Clause): it listens to the last 8 s and tells whether a pause is the end of a turn.

A baseline and a fall-back: it is asked once in a pause, and takes no notice of what was said before. Its input is
Whisper's log-mel spectrum of the sound brought to zero mean and unit variance, with zeros before a shorter one.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor

from dragoman.audio.types import INPUT_RATE, Samples
from dragoman.models.catalog import Progress, resolve
from dragoman.models.onnx_session import open_session

HEARD: Final = 8 * INPUT_RATE
"""Samples that it hears at most."""

COMPLETE: Final = 0.5
"""Probability from which on its makers take a turn for complete."""

_LEAST_VARIANCE: Final = 1e-7


class SmartTurn:
    """The network, loaded; shared by all sessions. Calls may come from several threads."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        self._session = open_session(path, threads=threads)

    def complete(self, pcm: Samples) -> float:
        """Probability that nothing more will come after ``pcm``: the turn so far at 16 kHz, up to this moment of the
        pause. Some 40 ms on one core.
        """
        # The output is called logits, and is a probability.
        [found] = self._session.run(None, {"input_features": features(pcm)[None]})
        return float(found[0, 0])


def open_smart_turn(*, threads: int = 1, progress: Progress | None = None) -> SmartTurn:
    """Load the catalog's model. Raises ``DragomanError`` when it is missing."""
    return SmartTurn(resolve("smart-turn", progress=progress), threads=threads)


def features(pcm: Samples) -> Samples:
    """What the network is given of a sound, shape [80, 800]."""
    heard = pcm[-HEARD:].astype(np.float32)
    heard = np.pad(heard, (HEARD - len(heard), 0))
    normal = (heard - heard.mean()) / np.sqrt(heard.var() + np.float32(_LEAST_VARIANCE))
    return np.asarray(_extractor()(normal, padding=0), np.float32)


@cache
def _extractor() -> FeatureExtractor:
    return FeatureExtractor()
