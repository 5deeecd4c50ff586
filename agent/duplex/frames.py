"""The beat of the duplex model: one decision for each 160 ms that were heard.

Frame ``k`` is the sound ``[k * FRAME, (k + 1) * FRAME)``, and its decision falls when it has been heard to the end.
A label is the first frame whose decision falls at least so long after what it reacts to.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from dragoman.audio.types import INPUT_RATE

FRAME: Final = 2560
"""Samples of a frame at ``INPUT_RATE``."""

FRAME_S: Final = FRAME / INPUT_RATE
"""Seconds of a frame."""

BEGIN_AFTER_S: Final = 0.2
"""A reply is begun this long after the true end of the turn, or up to a frame later."""

STOP_AFTER_S: Final = 0.24
"""A reply is stopped this long after the first sound of an interruption, or up to a frame later."""

SOON_S: Final = 0.32
"""A turn ends soon when less than this is left of it."""


class Control(IntEnum):
    """What is decided at a frame. ``EOS`` ends a drafted text: it is never the label of a frame."""

    SIL = 0
    """Keep silent, or go on speaking."""
    BOS = 1
    """Begin a reply: its words follow."""
    EOS = 2
    """The reply has no more words."""
    STP = 3
    """Stop speaking: the user interrupts."""
    BOC = 4
    """Give a sign of attention while the user keeps the floor."""


def decided_s(frame: int) -> float:
    """Seconds from the start of the sound to the decision of ``frame``."""
    return (frame + 1) * FRAME / INPUT_RATE


def first_decided(seconds: float) -> int:
    """The first frame whose decision does not fall before ``seconds``."""
    return max(0, -(-round(seconds * INPUT_RATE) // FRAME) - 1)
