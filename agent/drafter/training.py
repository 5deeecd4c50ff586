"""Training of the drafter: to begin a reply as the slow path would. Needs the ``train`` extra.

The checks are on dialogues that are never trained on; what did best there is kept.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from dragoman.agent.drafter.dialogues import TextDialogue
from dragoman.agent.drafter.lessons import IGNORED, Lesson, make_batch, make_lesson
from dragoman.agent.drafter.network import DrafterNetwork
from dragoman.agent.duplex.adapter import Adapter, save_adapter
from dragoman.agent.duplex.body import Body
from dragoman.agent.duplex.vocabulary import Vocabulary
from dragoman.asr.causal.network import precision
from dragoman.audio.types import DragomanError
from dragoman.models.pace import Pace
from dragoman.models.training import Journal, descend

KEPT: Final = 16_384
"""Tokens that drafts are written with."""

LOOK_EVERY: Final = 20
"""Steps after which it is looked whether there is more to train on."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to train. ``minutes`` or ``steps``, whichever comes first, ends it; the learning rate falls toward it."""

    steps: int = 4000
    minutes: float = 60.0
    rank: int = 16
    rate: float = 6e-4
    lessons: int = 4
    """Dialogues in a batch."""
    save_every: int = 25
    check_every: int = 50
    checked: int = 40
    """Dialogues that are never trained on."""
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Report:
    """One line of the log. ``check``: by name, of dialogues that are never trained on."""

    step: int
    minutes: float
    drafts: float
    tokens: int
    rate: float
    check: Mapping[str, float] = field(default_factory=dict)


class Trainer:
    """Training of one drafter in a folder: ``adapter.npz`` (the best), ``state.pt`` and ``log.jsonl`` lie in it."""

    def __init__(
        self,
        body: Body,
        dialogues: Sequence[TextDialogue],
        folder: Path,
        options: Options,
        device: str = "cpu",
        more: Callable[[], Sequence[TextDialogue]] = tuple,
    ) -> None:
        """``more`` gives the dialogues that were made since it was asked last. Raises ``DragomanError``."""
        if len(dialogues) <= options.checked:
            raise DragomanError(
                f"{len(dialogues)} dialogues are too few to train on: make more with `dragoman data dialogues`"
            )
        self.options, self.folder, self._body, self._more = options, folder, body, more
        self._device = torch.device(device)
        self._checked, self._dialogues = list(dialogues[: options.checked]), list(dialogues[options.checked :])
        said = (turn.answer for one in self._dialogues for turn in one.turns)
        self.vocabulary = Vocabulary(body.merges, body.merges.chosen(said, min(KEPT, len(body.merges.tokens))))
        torch.manual_seed(options.seed)
        self.network = DrafterNetwork(body, self.vocabulary.kept, rank=options.rank).place(self._device)
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=options.rate, betas=(0.9, 0.98), weight_decay=0.0
        )
        self._rng = Random(options.seed)
        self.pace, self.best = Pace(options.steps, options.minutes), math.inf
        self._journal = Journal(folder, ("drafts",), ("drafts_loss", "first_right"))
        self._journal.resume(self._resume, self._device)
        self._others = [word for one in self._dialogues for turn in one.turns for word in turn.text.split()]

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
            if self.pace.step % LOOK_EVERY == 0:
                self._dialogues += self._more()
            lessons = [self._draw() for _ in range(options.lessons)]
            losses = [self._losses(lessons).mean()]
            loss = descend(self._optimizer, self.network.parameters(), self._rate(), losses)
            self.pace.tick()
            check = self._judged() if self.pace.step % options.check_every == 0 or self.pace.over else {}
            tokens = sum(len(lesson.tokens) for lesson in lessons)
            report = Report(self.pace.step, self.pace.spent, loss, tokens, self._rate(), check)
            self._journal.log(report)
            told(report)
            if self.pace.step % options.save_every == 0:
                self._save()
        if not check:  # the run before was stopped in its last check
            self._judged()

    def _judged(self) -> dict[str, float]:
        """A check; what is better than all before is kept."""
        check = self.check()
        if check["drafts_loss"] < self.best:
            self.best = check["drafts_loss"]
            save_adapter(self.folder / "adapter.npz", self.adapter(check))
        return check

    def check(self) -> dict[str, float]:
        """Of unseen dialogues: the mean loss of a token, and how often the first one of a reply is the likeliest."""
        losses, hits = [], []
        with torch.no_grad():
            for first in range(0, len(self._checked), 8):
                lessons = [make_lesson(one, self.vocabulary) for one in self._checked[first : first + 8]]
                tokens, follow = (torch.from_numpy(array).to(self._device) for array in make_batch(lessons))
                with precision(self._device):
                    hidden = self.network(tokens)
                    guessed = self.network.drafts(hidden[follow != IGNORED])
                losses.append(F.cross_entropy(guessed.float(), follow[follow != IGNORED], reduction="none"))
                # The first token of a reply follows one that is given.
                given = torch.cat([torch.full_like(follow[:, :1], IGNORED), follow[:, :-1]], 1) == IGNORED
                begins = (follow != IGNORED) & given
                hits.append((self.network.drafts(hidden[begins]).argmax(-1) == follow[begins]).float())
        return {"drafts_loss": float(torch.cat(losses).mean()), "first_right": float(torch.cat(hits).mean())}

    def adapter(self, check: Mapping[str, float]) -> Adapter:
        """What was trained so far."""
        own, changes = self.network.learned()
        return Adapter(
            own=own,
            changes=changes,
            kept=self.vocabulary.kept,
            ear="",
            ear_width=0,
            body=self._body.sha256,
            layers=self._body.dims.layers,
            card={
                "steps": self.pace.step,
                "minutes": round(self.pace.spent, 1),
                "dialogues": len(self._dialogues),
                "turns": sum(len(one.turns) for one in self._dialogues),
                "options": asdict(self.options),
                "check": dict(check),
            },
        )

    def _losses(self, lessons: Sequence[Lesson]) -> Tensor:
        """Of each token that is written."""
        tokens, follow = (torch.from_numpy(array).to(self._device) for array in make_batch(lessons))
        with precision(self._device):
            guessed = self.network.drafts(self.network(tokens)[follow != IGNORED])
        return F.cross_entropy(guessed.float(), follow[follow != IGNORED], reduction="none")

    def _draw(self) -> Lesson:
        return make_lesson(self._rng.choice(self._dialogues), self.vocabulary, self._rng, self._others)

    def _save(self) -> None:
        self._journal.keep(
            {
                "network": self.network.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "step": self.pace.step,
                "minutes": self.pace.spent,
                "best": self.best,
                "rng": json.dumps(self._rng.getstate()),
                "body": self._body.sha256,
                "kept": list(self.vocabulary.kept),
                "checked": [one.id for one in self._checked],
            }
        )

    def _resume(self, state: Mapping[str, Any]) -> None:
        if state["body"] != self._body.sha256:
            raise DragomanError(f"{self.folder} holds the training of another body: choose another folder")
        try:
            self.vocabulary = Vocabulary(self._body.merges, state["kept"])
            self.network.keep(state["kept"])
            self.network.load_state_dict(state["network"])
        except RuntimeError as error:
            reason = f"{self.folder} was trained with another rank: give the same, or another folder"
            raise DragomanError(reason) from error
        # What it was checked on before must not be trained on now.
        known = {one.id: one for one in (*self._checked, *self._dialogues)}
        if again := [known.pop(name) for name in state["checked"] if name in known]:  # or it is all made anew
            self._checked, self._dialogues, self.best = again, list(known.values()), float(state["best"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.pace.step, self.pace.spent = int(state["step"]), float(state["minutes"])
        version, internal, gauss = json.loads(state["rng"])
        self._rng.setstate((version, tuple(internal), gauss))

    def _rate(self) -> float:
        return self.options.rate * self.pace.share()
