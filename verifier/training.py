"""Train the verifier on labelled drafts, calibrate it, and choose its threshold. Needs the ``train`` extra.

Focal loss, and bad drafts drawn more often than they are, as RelayS2S has it (arXiv 2603.23346). Conversations are
shared out three ways: to learn from; to stop in time, to calibrate and to choose the threshold; and to be judged by,
once. Calibration and threshold are made on natural drafts alone: their rate of bad ones is the one in use.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from dragoman.audio.types import DragomanError, Json
from dragoman.models.pace import Pace
from dragoman.models.shares import share_of
from dragoman.models.training import Journal, descend
from dragoman.verifier.calibration import logistic, scaling, threshold
from dragoman.verifier.features import SCALARS, Features
from dragoman.verifier.figures import Flags, Numbers, auroc, calibration_error, spoken_at
from dragoman.verifier.labels import Verdict
from dragoman.verifier.model import Checkpoint, Dims, save_checkpoint
from dragoman.verifier.network import VerifierNetwork, make_batch

Part: TypeAlias = Literal["train", "tune", "held"]

NATURAL: Final = "natural"
"""The kind of drafts that were not provoked."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A labelled draft: ``kind`` tells how it came about, ``conversation`` where."""

    features: Features
    verdict: Verdict
    kind: str
    conversation: str

    @property
    def good(self) -> bool:
        """Whether it may be spoken."""
        return self.verdict != "bad"


@dataclass(frozen=True, slots=True)
class Options:
    """How to train. ``bad``: share of bad drafts in a batch; ``focus``: exponent of the focal loss; ``precision``: the
    share of good ones that is wanted among the natural drafts that are spoken.
    """

    steps: int = 1200
    batch: int = 64
    rate: float = 3e-4
    decay: float = 0.05
    dropout: float = 0.3
    bad: float = 0.5
    focus: float = 2.0
    precision: float = 0.97
    check_every: int = 20
    save_every: int = 200
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Report:
    """One line of the log. ``check``: figures on drafts that are not learned from, by name."""

    step: int
    loss: float
    rate: float
    check: dict[str, float | None] = field(default_factory=dict)


def part_of(conversation: str) -> Part:
    """What a conversation is for, by its name: 70 % to learn from, 15 % to tune by, 15 % to judge by."""
    share = share_of(f"{conversation}/verifier")
    return "train" if share < 0.7 else "tune" if share < 0.85 else "held"


class Trainer:
    """Training of one verifier in a folder: ``verifier.npz``, ``state.pt`` and ``log.jsonl`` lie in it."""

    def __init__(
        self,
        lessons: Sequence[Lesson],
        drafter: str,
        folder: Path,
        options: Options,
        about: Mapping[str, Json] | None = None,
    ) -> None:
        """``drafter``: digest of the adapter that drafted; ``about``: what made the labels, for the card. Raises
        ``DragomanError`` when a part has no good or no bad drafts, or the folder holds another training.
        """
        self.options, self.folder, self._drafter, self._about = options, folder, drafter, dict(about or {})
        self._parts: dict[Part, list[Lesson]] = {"train": [], "tune": [], "held": []}
        for lesson in lessons:
            self._parts[part_of(lesson.conversation)].append(lesson)
        for part, found in self._parts.items():
            if len({lesson.good for lesson in found}) < 2:
                raise DragomanError(
                    f"of {len(lessons)} drafts, the {len(found)} of the part {part!r} are not both good and bad: "
                    "draft over more conversations with `dragoman data drafts`"
                )
        rows = np.concatenate([lesson.features.scalars for lesson in self._parts["train"]])
        spread = np.maximum(rows.std(0), 1e-3)
        torch.manual_seed(options.seed)
        dims = Dims.of(lessons[0].features.hidden.shape[1])
        self.network = VerifierNetwork(dims, rows.mean(0), spread, options.dropout)
        self._optimizer = torch.optim.AdamW(self.network.own.parameters(), lr=options.rate, weight_decay=options.decay)
        self._rng = np.random.default_rng(options.seed)
        self.pace = Pace(options.steps, math.inf, warm=40)
        self._best: dict[str, Tensor] | None = None
        self._best_auroc = -1.0
        self._last: Report | None = None
        self._journal = Journal(folder, ("loss",), ("train_auroc", "tune_auroc"))
        self._journal.resume(self._resume)

    def run(self, told: Callable[[Report], None]) -> dict[str, Json]:
        """Train, calibrate, judge, save: the figures of the card. ``told`` after each step. Interrupted, it keeps its
        state; run it again.
        """
        try:
            while not self.pace.over:
                told(self._step())
                if self.pace.step % self.options.save_every == 0:
                    self._keep()
        finally:
            self._keep()
        return self._finish()

    def _step(self) -> Report:
        options = self.options
        lessons = self._draw()
        self.network.train()
        logits = self.network(make_batch([lesson.features for lesson in lessons]))
        good = torch.tensor([lesson.good for lesson in lessons])
        losses = [focal(logits, good, options.focus)]
        loss = descend(self._optimizer, self.network.own.parameters(), self._rate(), losses)
        self.pace.tick()
        check: dict[str, float | None] = {}
        if self.pace.step % options.check_every == 0 or self.pace.over:
            check = {"train_auroc": self._auroc("train"), "tune_auroc": self._auroc("tune")}
            if (check["tune_auroc"] or 0.0) > self._best_auroc:
                self._best_auroc = check["tune_auroc"] or 0.0
                self._best = {name: value.clone() for name, value in self.network.state_dict().items()}
        self._last = Report(self.pace.step, loss, self._rate(), check)
        self._journal.log(self._last)
        return self._last

    def _draw(self) -> list[Lesson]:
        """A batch with the wanted share of bad drafts."""
        drawn = []
        for good, share in ((False, self.options.bad), (True, 1 - self.options.bad)):
            pool = [lesson for lesson in self._parts["train"] if lesson.good == good]
            count = round(share * self.options.batch)
            drawn += [pool[int(i)] for i in self._rng.integers(len(pool), size=count)]
        return drawn

    def _finish(self) -> dict[str, Json]:
        assert self._best is not None  # there was a check at the last step
        self.network.load_state_dict(self._best)
        logits, good = self._judged(self._natural("tune"))
        scale, shift = scaling(logits, good)
        least, reached = threshold(_sigmoid(scale * logits + shift), good, self.options.precision)
        figures: dict[str, Json] = {"threshold": least, "precision_wanted": self.options.precision}
        figures["precision_reached_on_tune"] = reached
        for name, lessons in (("natural", self._natural("held")), ("all", self._parts["held"])):
            logits, good = self._judged(lessons)
            figures[name] = self._figures(lessons, _sigmoid(scale * logits + shift), good, least)
        kinds = sorted({lesson.kind for lesson in self._parts["held"]})
        figures["bad_by_kind"] = {
            kind: _share([lesson for lesson in self._parts["held"] if lesson.kind == kind]) for kind in kinds
        }
        checkpoint = Checkpoint(
            arrays=self.network.arrays(),
            dims=self.network.dims,
            drafter=self._drafter,
            scale=scale,
            shift=shift,
            threshold=least,
            card={
                "steps": self.pace.step,
                "parameters": self.network.dims.parameters,
                "drafts": {part: len(lessons) for part, lessons in self._parts.items()},
                "conversations": {
                    part: len({lesson.conversation for lesson in lessons}) for part, lessons in self._parts.items()
                },
                "figures": figures,
                "options": asdict(self.options),
                "labels": self._about,
            },
        )
        save_checkpoint(self.folder / "verifier.npz", checkpoint)
        if self._last is not None:
            flat = {f"{name}_{key}": value for name in ("natural", "all") for key, value in _numbers(figures[name])}
            self._journal.log(replace(self._last, check={**self._last.check, **flat}))
        return figures

    def _figures(self, lessons: Sequence[Lesson], p: Numbers, good: Flags, least: float) -> dict[str, Json]:
        through = spoken_at(p, good, least)
        plain = self._baseline(lessons)
        return {
            "drafts": len(lessons),
            "bad": float((~good).mean()),
            "generic": float(np.mean([lesson.verdict == "generic" for lesson in lessons])),
            "auroc": auroc(p, good),
            "auroc_baseline": auroc(plain, good),
            "ece": calibration_error(p, good),
            "kept": through.rate,
            "bad_of_kept": through.bad,
            "bad_of_kept_95": None if through.interval is None else list(through.interval),
        }

    def _baseline(self, lessons: Sequence[Lesson]) -> Numbers:
        """What length and mean log-probability alone say, by logistic regression on the same drafts."""
        known = _plain(self._parts["train"])
        middle, spread = known.mean(0), np.maximum(known.std(0), 1e-6)
        good = np.array([lesson.good for lesson in self._parts["train"]])
        weights = logistic((known - middle) / spread, good)
        return np.asarray((_plain(lessons) - middle) / spread @ weights[:-1] + weights[-1])

    def _natural(self, part: Part) -> list[Lesson]:
        """The natural drafts of a part; all of them where the natural ones are all good or all bad."""
        natural = [lesson for lesson in self._parts[part] if lesson.kind == NATURAL]
        return natural if len({lesson.good for lesson in natural}) == 2 else self._parts[part]

    def _auroc(self, part: Part) -> float | None:
        logits, good = self._judged(self._parts[part])
        return auroc(logits, good)

    def _judged(self, lessons: Sequence[Lesson]) -> tuple[Numbers, Flags]:
        self.network.eval()
        found = []
        with torch.no_grad():
            for first in range(0, len(lessons), _AT_ONCE):
                batch = make_batch([lesson.features for lesson in lessons[first : first + _AT_ONCE]])
                found.append(self.network(batch).double().numpy())
        return np.concatenate(found), np.array([lesson.good for lesson in lessons])

    def _keep(self) -> None:
        self._journal.keep(
            {
                "network": self.network.state_dict(),
                "best": self._best,
                "best_auroc": self._best_auroc,
                "optimizer": self._optimizer.state_dict(),
                "step": self.pace.step,
                "rng": json.dumps(self._rng.bit_generator.state),
                "dropout": torch.get_rng_state(),
                "drafter": self._drafter,
                "lessons": self._name(),
            }
        )

    def _resume(self, state: Mapping[str, Any]) -> None:
        if (state["drafter"], state["lessons"]) != (self._drafter, self._name()):
            raise DragomanError(
                f"{self.folder} holds the training on other drafts or labels: choose another folder, or delete it"
            )
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.pace.step, self._best, self._best_auroc = int(state["step"]), state["best"], float(state["best_auroc"])
        self._rng.bit_generator.state = json.loads(state["rng"])
        torch.set_rng_state(state["dropout"])

    def _name(self) -> str:
        """Of all that is learned from: a training goes on with the same alone."""
        found = hashlib.sha256()
        for lessons in self._parts.values():
            for lesson in lessons:
                found.update(f"{lesson.conversation} {lesson.kind} {lesson.verdict}".encode())
                found.update(lesson.features.scalars.tobytes())
        return found.hexdigest()[:16]

    def _rate(self) -> float:
        return self.options.rate * self.pace.share()


def focal(logits: Tensor, good: Tensor, focus: float) -> Tensor:
    """Focal loss (arXiv 1708.02002): drafts that are judged rightly already count less."""
    right = torch.where(good, logits, -logits)
    return -((torch.sigmoid(-right) ** focus) * torch.nn.functional.logsigmoid(right)).mean()


def _plain(lessons: Sequence[Lesson]) -> Numbers:
    logp = SCALARS.index("logp")
    return np.array([[len(one.features.scalars), one.features.scalars[:, logp].mean()] for one in lessons], np.float64)


def _share(lessons: Sequence[Lesson]) -> float:
    return float(np.mean([not lesson.good for lesson in lessons]))


def _numbers(figures: Json) -> list[tuple[str, float]]:
    """The figures that are numbers."""
    assert isinstance(figures, Mapping)
    return [(name, float(value)) for name, value in figures.items() if isinstance(value, int | float)]


def _sigmoid(x: Numbers) -> Numbers:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))))


_AT_ONCE: Final = 256
