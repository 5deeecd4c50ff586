"""Layers that learned when a turn is complete: a branch of the drafter, which shares its lower layers.

The drafter reads every turn while it is heard. Some layers of their own behind its lower ones, trained on where turns
end and where people pause in them, tell at each word whether the speaker is done: a third of the drafter's work again.
(That a language model can predict turns so is due to TurnGPT, Ekstedt and Skantze 2020, arXiv 2010.10874.) It is kept
as an ``Adapter`` whose card names the drafter and the first layer of the branch.
"""

from __future__ import annotations

from pathlib import Path

from dragoman.agent.duplex.adapter import Adapter, load_adapter
from dragoman.audio.types import DragomanError


def first_layer(completion: Adapter) -> int:
    """The first layer that is not the drafter's. Raises ``DragomanError`` for an adapter of something else."""
    first = completion.card.get("first")
    if not isinstance(first, int) or not {"head", "bias"} <= completion.own.keys():
        raise DragomanError("this adapter does not tell when a turn is complete: train one with `train completion`")
    return first


def load_completion(path: Path, drafter: str) -> Adapter | None:
    """Read it; None where it branches from another drafter than the one with this digest. Raises ``DragomanError``."""
    completion = load_adapter(path)
    first_layer(completion)
    return completion if completion.card.get("drafter") == drafter else None
