"""What trainings have in common: steps of an optimizer, a log, and a state to go on from. Needs the ``train`` extra."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dragoman.audio.types import DragomanError
from dragoman.audio.writing import replacing
from dragoman.models.curves import draw_curves

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Journal:
    """What a training keeps in its folder, which is made: ``log.jsonl`` with its curves, and ``state.pt``."""

    def __init__(self, folder: Path, losses: Sequence[str], checks: Sequence[str]) -> None:
        """``losses`` and ``checks``: what is drawn of the log (``draw_curves``)."""
        folder.mkdir(parents=True, exist_ok=True)
        self._log, self._state = folder / "log.jsonl", folder / "state.pt"
        self._losses, self._checks = losses, checks

    def log(self, report: DataclassInstance) -> None:
        """Append a line."""
        with self._log.open("a") as log:
            log.write(json.dumps(asdict(report)) + "\n")

    def keep(self, state: Mapping[str, object]) -> None:
        """Save all that is needed to go on; the file appears whole or not at all. Draws the curves, too."""
        with replacing(self._state) as partial:
            torch.save(dict(state), partial)
        draw_curves(self._log, self._losses, self._checks)

    def resume(self, take_over: Callable[[Mapping[str, Any]], None], device: torch.device | None = None) -> None:
        """Give what was saved last, its tensors on a device, to who takes it over; nothing, if nothing was.

        Raises ``DragomanError`` when it is damaged, or is another training's.
        """
        if not self._state.is_file():
            return
        try:
            take_over(torch.load(self._state, map_location=device, weights_only=True))
        except (RuntimeError, ValueError, LookupError, TypeError, EOFError, UnpicklingError) as error:
            raise DragomanError(
                f"{self._state}: this training can't go on from it ({str(error).partition(chr(10))[0]}): "
                "choose another folder, or delete it"
            ) from error


def descend(
    optimizer: torch.optim.Optimizer, parameters: Iterable[Tensor], rate: float, losses: Iterable[Tensor]
) -> float:
    """One step against the gradient of the sum of ``losses``, which is given; they may be computed one by one. A group
    of the optimizer's parameters may have a ``share`` of the ``rate``; all gradients together are cut to a length of 1.
    Where they are no numbers any more, ``DragomanError`` is raised and nothing is changed.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("share", 1.0)
    optimizer.zero_grad()
    total = 0.0
    for loss in losses:
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    if not torch.nn.utils.clip_grad_norm_(parameters, 1.0).isfinite():
        raise DragomanError(
            f"the loss is {total:g}, it can't be learned from: begin in another folder at a lower --rate"
        )
    optimizer.step()
    return total
