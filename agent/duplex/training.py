"""Train the duplex model. Needs the ``train`` extra.

Two stages, as RelayS2S has them (arXiv 2603.23346, section 3): first the ear's adapter, the tables and the heads, with
the body as it came; then low-rank changes to the body too. Two losses: what each frame is decided as (silence counts
a fifth), and whether a turn ends soon. The checks run free.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dragoman.agent.duplex.adapter import Adapter, save_adapter
from dragoman.agent.duplex.body import Body
from dragoman.agent.duplex.examples import Example
from dragoman.agent.duplex.frames import Control
from dragoman.agent.duplex.history import make_history
from dragoman.agent.duplex.network import DuplexNetwork
from dragoman.agent.duplex.policy import FRAME_CONTROLS, Policy
from dragoman.agent.duplex.rehearsal import Figures, Part, judge, rehearse
from dragoman.agent.duplex.streams import NetworkStreams
from dragoman.agent.duplex.tuning import tuned
from dragoman.agent.duplex.vocabulary import Vocabulary
from dragoman.agent.duplex.windows import (
    WINDOW,
    Batch,
    Window,
    cut_window,
    make_batch,
)
from dragoman.asr.causal.network import precision
from dragoman.audio.types import DragomanError
from dragoman.models.curves import draw_curves
from dragoman.models.pace import Pace

LOOK_EVERY: Final = 20
"""Steps after which it is looked whether there is more to train on."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to train. ``minutes`` or ``steps``, whichever comes first, ends it; the learning rate falls toward it."""

    steps: int = 4000
    minutes: float = 170.0
    rank: int = 16
    layers: int | None = None
    """The body's first layers that are used; None: all."""
    rate: float = 1e-3
    adapter_share: float = 0.2
    """Of the training: the first stage."""
    windows: int = 4
    """Windows in a batch."""
    frames: int = WINDOW
    silence: float = 0.2
    ends: float = 0.5
    save_every: int = 25
    check_every: int = 100
    checked: int = 16
    """Conversations that are never trained on: the checks run on them."""
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Report:
    """One line of the log. ``check``: figures of a rehearsal, by name."""

    step: int
    minutes: float
    stage: int
    loss: float
    frames: float
    ends: float
    tokens: int
    rate: float
    check: dict[str, float | None] = field(default_factory=dict)


class Trainer:
    """Training of one model in a folder: ``adapter.npz``, ``state.pt`` and ``log.jsonl`` lie in it."""

    def __init__(
        self,
        body: Body,
        ear: str,
        examples: Sequence[Example],
        folder: Path,
        options: Options,
        device: str = "cpu",
        more: Callable[[], Sequence[Example]] = tuple,
    ) -> None:
        """``ear``: digest of the recognizer that the features come from. ``more`` gives the examples that were made
        since it was asked last. Raises ``DragomanError``.
        """
        if len(examples) <= options.checked:
            raise DragomanError(
                f"{len(examples)} conversations are too few to train on: make more with `dragoman data duplex`"
            )
        self.options, self.folder, self._ear = options, folder, ear
        self._device = torch.device(device)
        self._checked, self._examples = list(examples[: options.checked]), list(examples[options.checked :])
        self._more = more
        self._body = body.shortened(options.layers or body.dims.layers)
        self.vocabulary = Vocabulary(body.merges)
        torch.manual_seed(options.seed)
        self._width = int(examples[0].features.shape[2])
        self.network = DuplexNetwork(self._body, self._width, rank=options.rank)
        self.network.place(self._device)
        self._optimizer = torch.optim.AdamW(
            [
                {"params": list(self.network.own.parameters()), "weight_decay": 0.01},
                {"params": list(self.network.lora.parameters()), "weight_decay": 0.0},
            ],
            lr=options.rate,
            betas=(0.9, 0.98),
        )
        self.pace = Pace(options.steps, options.minutes, warm=40)
        self.policy = Policy()
        self._rng = np.random.default_rng(options.seed)
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "state.pt").is_file():
            self._resume()
        self._take(self._examples)

    def run(self, told: Callable[[Report], None]) -> None:
        """Train until steps or minutes are over; ``told`` after each step. Interrupted, it saves; run it again."""
        try:
            self._run(told)
        finally:
            self.save()

    def _run(self, told: Callable[[Report], None]) -> None:
        self.pace.go_on()
        options = self.options
        while not self.pace.over:
            if self.pace.step % LOOK_EVERY == 0 and (found := self._more()):
                self._take([*self._examples, *found])
            stage = 1 if self.pace.done < options.adapter_share else 2
            self.network.lora.requires_grad_(stage == 2)
            for group in self._optimizer.param_groups:
                group["lr"] = self._rate()
            batch = make_batch([self._draw() for _ in range(options.windows)])
            losses = self.losses(batch)
            self._optimizer.zero_grad()
            losses[0].backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self._optimizer.step()
            self.pace.tick()
            check = {}
            if self.pace.step % options.check_every == 0:
                check = self.check()
            total, frames, ends = (float(loss.detach()) for loss in losses)
            report = Report(
                self.pace.step, self.pace.spent, stage, total, frames, ends, batch.size, self._rate(), check
            )
            with (self.folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(asdict(report)) + "\n")
            told(report)
            if self.pace.step % options.save_every == 0:
                self.save()

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Total, frames, ends."""
        options, device = self.options, self._device

        def given(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Tensor:
            return torch.from_numpy(array).to(device)

        exist = given(batch.frames)
        with precision(device):
            hidden = self.network(batch)
            decided, soon = self.network.frames(hidden[:, batch.first : batch.first + batch.frames.shape[1]][exist])
        due = given(_ROWS[batch.due])[exist]
        weights = torch.tensor([options.silence, 1.0, 1.0, 1.0], device=device)
        frames = F.cross_entropy(decided.float(), due, weights)
        counts = given(batch.counts)[exist]
        each = F.binary_cross_entropy_with_logits(soon.float(), given(batch.ends)[exist].float(), reduction="none")
        ends = (each * counts).sum() / counts.sum()
        return frames + options.ends * ends, frames, ends

    def check(self) -> dict[str, float | None]:
        """Losses and a free rehearsal on the conversations that are never trained on."""
        with torch.no_grad():
            found = [self.losses(make_batch(windows))[1:] for windows, _ in self._groups()]
        means = {
            f"{name}_loss": float(np.mean([float(loss) for loss in losses]))
            for name, losses in zip(("frames", "ends"), zip(*found, strict=True), strict=True)
        }
        return {**means, **_named(self.rehearsed(self.policy))}

    def rehearsed(self, policy: Policy) -> Figures:
        """Run free over the conversations that are never trained on."""
        played = []
        for windows, parts in self._groups():
            streams = NetworkStreams(self.network, [window.context for window in windows])
            played += rehearse(streams, parts, policy, self.vocabulary.whole)
        return judge(played)

    def tune(self, told: Callable[[int, int], None]) -> None:
        """Choose the thresholds, and save them with the adapter. ``told`` hears how many rehearsals are done."""
        self.policy = tuned(self.rehearsed, told)
        self.save()

    def _groups(self) -> list[tuple[list[Window], list[Part]]]:
        """Some windows of the checked conversations at a time, and their parts, of one length."""
        windows = [self._window(example, 0, None) for example in self._checked]
        groups = []
        for first in range(0, len(windows), 8):
            some, examples = windows[first : first + 8], self._checked[first : first + 8]
            n = min(window.frames for window in some)
            parts = [
                Part(example.conversation, 0, window.features[:n], window.history.words[:n])
                for window, example in zip(some, examples, strict=True)
            ]
            groups.append((some, parts))
        return groups

    def save(self) -> None:
        """Write the adapter and all that is needed to go on."""
        save_adapter(self.folder / "adapter.npz", self.adapter())
        partial = self.folder / ".state.pt"
        torch.save(
            {
                "network": self.network.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "step": self.pace.step,
                "minutes": self.pace.spent,
                "rng": json.dumps(self._rng.bit_generator.state),
                "ear": self._ear,
                "body": self._body.sha256,
                "checked": [example.conversation.id for example in self._checked],
            },
            partial,
        )
        partial.replace(self.folder / "state.pt")
        draw_curves(self.folder / "log.jsonl", ("frames", "ends"), _DRAWN)

    def adapter(self) -> Adapter:
        """What was trained so far."""
        own, changes = self.network.learned()
        hours = sum(e.conversation.seconds for e in self._examples) / 3600
        return Adapter(
            own=own,
            changes=changes,
            kept=(),
            ear=self._ear,
            ear_width=self._width,
            body=self._body.sha256,
            layers=self._body.dims.layers,
            card={
                "steps": self.pace.step,
                "minutes": round(self.pace.spent, 1),
                "conversations": len(self._examples),
                "hours": round(hours, 2),
                "options": asdict(self.options),
                "policy": asdict(self.policy),
            },
        )

    def _resume(self) -> None:
        state = torch.load(self.folder / "state.pt", map_location=self._device, weights_only=True)
        if (state["ear"], state["body"]) != (self._ear, self._body.sha256):
            raise DragomanError(f"{self.folder} holds the training on another ear or body: choose another folder")
        try:
            self.network.load_state_dict(state["network"])
        except RuntimeError as error:
            reason = f"{self.folder} was trained with another rank or other layers: give the same, or another folder"
            raise DragomanError(reason) from error
        # What it was checked on before must not be trained on now.
        known = {example.conversation.id: example for example in (*self._checked, *self._examples)}
        self._checked = [known.pop(name) for name in state["checked"] if name in known]
        self._examples = list(known.values())
        self._optimizer.load_state_dict(state["optimizer"])
        self.pace.step, self.pace.spent = int(state["step"]), float(state["minutes"])
        self._rng.bit_generator.state = json.loads(state["rng"])

    def _take(self, examples: Sequence[Example]) -> None:
        """Train on these, but for the dialogues that it is checked on, spoken anew. Long ones are drawn more often."""
        checked = {_said(example) for example in self._checked}
        self._examples = [example for example in examples if _said(example) not in checked]
        lengths = np.array([e.conversation.frames for e in self._examples], np.float64)
        self._shares = lengths / lengths.sum()

    def _draw(self) -> Window:
        rng = self._rng
        example = self._examples[int(rng.choice(len(self._examples), p=self._shares))]
        last = example.conversation.frames - self.options.frames
        start = 0 if last <= 0 or rng.random() < 0.3 else int(rng.integers(last + 1))
        return self._window(example, start, rng)

    def _window(self, example: Example, start: int, rng: np.random.Generator | None) -> Window:
        history = make_history(example.conversation, self.vocabulary, rng)
        return cut_window(example.conversation, example.features, history, self.vocabulary, start, self.options.frames)

    def _rate(self) -> float:
        return self.options.rate * self.pace.share()


_DRAWN: Final = ("begin_f1", "cutoff_rate", "stop_rate", "false_stop_rate")

_ROWS: Final = np.array([list(FRAME_CONTROLS).index(c) if c in FRAME_CONTROLS else 0 for c in Control], np.int64)


def _said(example: Example) -> tuple[object, ...]:
    """What stands before a conversation and what the user says in it, whoever speaks it."""
    conversation = example.conversation
    return conversation.context, *(event.text for event in conversation.user if event.answered)


def _named(figures: Figures) -> dict[str, float | None]:
    return {
        "begin_f1": figures.begin_f1,
        "cutoff_rate": figures.cutoff_rate,
        "gap_p50_ms": figures.gap_p50_ms,
        "stop_rate": figures.stop_rate,
        "false_stop_rate": figures.false_stop_rate,
    }
