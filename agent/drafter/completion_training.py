"""Training of the layers that tell when a turn is complete. Needs the ``train`` extra.

The checks are on talks of the verifier's split, which are never trained on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dragoman.agent.drafter.completion_lessons import CompletionLesson, Lessons, make_batch
from dragoman.agent.drafter.completion_network import CompletionNetwork
from dragoman.agent.duplex.adapter import Adapter, adapted, save_adapter
from dragoman.agent.duplex.body import Body
from dragoman.agent.duplex.chat import Chat, Line
from dragoman.agent.duplex.vocabulary import Vocabulary
from dragoman.asr.causal.network import precision
from dragoman.audio.types import DragomanError
from dragoman.models.pace import Pace
from dragoman.models.training import Journal, descend
from dragoman.verifier.figures import auroc


@dataclass(frozen=True, slots=True)
class Options:
    """How to train. ``minutes`` or ``steps``, whichever comes first, ends it; the learning rate falls toward it."""

    steps: int = 4000
    minutes: float = 78.0
    rank: int = 16
    rate: float = 6e-4
    lessons: int = 4
    """Dialogues in a batch."""
    save_every: int = 50
    check_every: int = 150
    checked: int = 40
    """Dialogues of the checks."""
    seed: int = 1
    first: int = 10
    """The first layer of the branch; the default is for a body of 30 ..."""
    layers: int = 20
    """... and how many are read in all."""


@dataclass(frozen=True, slots=True)
class Report:
    """One line of the log. ``check``: by name, of dialogues that are never trained on."""

    step: int
    minutes: float
    completion: float
    rate: float
    check: Mapping[str, float] = field(default_factory=dict)


class Trainer:
    """Training of one branch in a folder: ``adapter.npz``, ``state.pt`` and ``log.jsonl`` lie in it."""

    def __init__(
        self,
        body: Body,
        drafter: Adapter,
        talks: Mapping[str, Sequence[Line]],
        folder: Path,
        options: Options,
        device: str = "cpu",
    ) -> None:
        """``drafter``: of the body. Raises ``DragomanError`` where they don't fit, or the folder holds another's."""
        if not 0 < options.first < options.layers <= body.dims.layers:
            raise DragomanError(f"a branch at layer {options.first} of {options.layers} is none of {body.dims.layers}")
        self.options, self.folder, self._drafter = options, folder, drafter
        self._device = torch.device(device)
        self._vocabulary = Vocabulary(body.merges)
        torch.manual_seed(options.seed)
        frozen = adapted(body, drafter).shortened(options.layers)
        self.network = CompletionNetwork(frozen, first=options.first, rank=options.rank).place(self._device)
        groups: list[dict[str, Any]] = [
            {"params": list(self.network.lora.parameters())},
            {"params": list(self.network.own.parameters()), "share": 5.0},
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=options.rate, betas=(0.9, 0.98), weight_decay=0.0)
        self.pace = Pace(options.steps, options.minutes, warm=50)
        self._journal = Journal(folder, ("completion",), ("completion_loss", "auroc"))
        chats = [Chat(talks, "drafter"), Chat(talks, "ranker")]
        self._journal.resume(self._resume, self._device)
        # A run that goes on draws others than those that it began with.
        self._lessons = Lessons(chats, self._vocabulary, f"{options.seed}/{self.pace.step}")
        checks = Lessons([Chat(talks, "verifier")], self._vocabulary, f"{options.seed}/checks")
        self._checked = [checks.draw() for _ in range(options.checked)]

    def run(self, told: Callable[[Report], None]) -> None:
        """Train until steps or minutes are over; ``told`` after each step. Interrupted, it saves; run it again."""
        try:
            self._run(told)
        finally:
            self._save()

    def _run(self, told: Callable[[Report], None]) -> None:
        options = self.options
        self.pace.go_on()
        check: dict[str, float] = {}
        while not self.pace.over:
            lessons = [self._lessons.draw() for _ in range(options.lessons)]
            rate = options.rate * self.pace.share()
            loss = descend(self._optimizer, self.network.parameters(), rate, [self._loss(lessons)])
            self.pace.tick()
            check = self._judged() if self.pace.step % options.check_every == 0 or self.pace.over else {}
            report = Report(self.pace.step, self.pace.spent, loss, rate, check)
            self._journal.log(report)
            told(report)
            if self.pace.step % options.save_every == 0:
                self._save()
        if not check:  # the run before was stopped in its last check
            self._judged()

    def _judged(self) -> dict[str, float]:
        """A check, with which the branch is kept."""
        check = self.check()
        save_adapter(self.folder / "adapter.npz", self.adapter(check))
        return check

    def check(self) -> dict[str, float]:
        """Of unseen dialogues, at ends of turns and in pauses: the loss, and how well the two are told apart."""
        logits, over = [], []
        with torch.no_grad():
            for first in range(0, len(self._checked), 8):
                found, truth, counts = self._told(self._checked[first : first + 8])
                logits.append(found[counts == 1])
                over.append(truth[counts == 1])
        said, truth = torch.cat(logits), torch.cat(over)
        loss = float(F.binary_cross_entropy_with_logits(said, truth))
        told = auroc(said.cpu().numpy(), truth.cpu().numpy() > 0)
        return {"completion_loss": loss, "auroc": math.nan if told is None else told}

    def adapter(self, check: Mapping[str, float]) -> Adapter:
        """What was trained so far."""
        own, changes = self.network.learned()
        return Adapter(
            own=own,
            changes=changes,
            kept=(),
            ear="",
            ear_width=0,
            body=self._drafter.body,
            layers=self.options.layers,
            card={
                "drafter": self._drafter.digest(),
                "first": self.options.first,
                "steps": self.pace.step,
                "minutes": round(self.pace.spent, 1),
                "options": asdict(self.options),
                "check": dict(check),
            },
        )

    def _told(self, lessons: Sequence[CompletionLesson]) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, the truth and what each counts, where it counts."""
        tokens, over, counts = (torch.from_numpy(array).to(self._device) for array in make_batch(lessons))
        with precision(self._device):
            logits = self.network(tokens)
        learned = counts > 0
        return logits[learned].float(), over[learned], counts[learned]

    def _loss(self, lessons: Sequence[CompletionLesson]) -> Tensor:
        logits, over, counts = self._told(lessons)
        losses = F.binary_cross_entropy_with_logits(logits, over, reduction="none")
        return (losses * counts).sum() / counts.sum()

    def _save(self) -> None:
        self._journal.keep(
            {
                "network": self.network.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "step": self.pace.step,
                "minutes": self.pace.spent,
                "drafter": self._drafter.digest(),
            }
        )

    def _resume(self, state: Mapping[str, Any]) -> None:
        if state["drafter"] != self._drafter.digest():
            raise DragomanError(f"{self.folder} holds the training behind another drafter: choose another folder")
        try:
            self.network.load_state_dict(state["network"])
        except RuntimeError as error:
            reason = f"{self.folder} was trained with other layers or another rank: give the same, or another folder"
            raise DragomanError(reason) from error
        self._optimizer.load_state_dict(state["optimizer"])
        self.pace.step, self.pace.spent = state["step"], state["minutes"]
