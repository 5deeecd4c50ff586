"""Train the duplex model. Needs the ``train`` extra.

Two stages, as RelayS2S has them (arXiv 2603.23346, section 3): first the ear's adapter, the tables and the heads, with
the body as it came; then low-rank changes to the body too. Three losses: what each frame is decided as (silence counts
a fifth), whether a turn ends soon, and, for the ear's adapter to learn what was said and not only how, which words the
user has just said. The checks rehearse (``rehearsal``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from dragoman.agent.duplex.adapter import Adapter, load_adapter, save_adapter
from dragoman.agent.duplex.body import Body
from dragoman.agent.duplex.examples import Example
from dragoman.agent.duplex.frames import Control
from dragoman.agent.duplex.history import make_history
from dragoman.agent.duplex.network import DuplexNetwork
from dragoman.agent.duplex.policy import FRAME_CONTROLS, Policy
from dragoman.agent.duplex.rehearsal import NEAR, Rehearsal, rehearse
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
from dragoman.models.pace import Pace
from dragoman.models.training import Journal, descend

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
    words: float = 0.05
    dropout: float = 0.1
    """In the ear's adapter."""
    begin: Path | None = None
    """An adapter to begin with, and no first stage; None: the body as it came."""
    save_every: int = 25
    check_every: int = 100
    checked: int = 48
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
    words: float
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
        self.network = DuplexNetwork(self._body, self._width, rank=options.rank, dropout=options.dropout)
        if options.begin is not None:
            self._begin(options.begin)
        self.network.place(self._device)
        self._optimizer = torch.optim.AdamW(
            [
                {"params": [*self.network.own.parameters(), self.network.naming], "weight_decay": 0.01},
                {"params": list(self.network.lora.parameters()), "weight_decay": 0.0},
            ],
            lr=options.rate,
            betas=(0.9, 0.98),
        )
        self.pace = Pace(options.steps, options.minutes, warm=40)
        self.policy = Policy()
        self._rng = np.random.default_rng(options.seed)
        self._journal = Journal(folder, ("frames", "ends", "words"), _DRAWN)
        self._journal.resume(self._resume, self._device)
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
            stage = 1 if options.begin is None and self.pace.done < options.adapter_share else 2
            self.network.lora.requires_grad_(stage == 2)
            batch = make_batch([self._draw() for _ in range(options.windows)])
            self.network.train()
            losses = self.losses(batch, self._hidden(batch))
            descend(self._optimizer, self.network.parameters(), self._rate(), losses[:1])
            self.pace.tick()
            check = {}
            if self.pace.step % options.check_every == 0:
                check = self.check()
            total, frames, ends, words = (float(loss.detach()) for loss in losses)
            report = Report(
                self.pace.step, self.pace.spent, stage, total, frames, ends, words, batch.size, self._rate(), check
            )
            self._journal.log(report)
            told(report)
            if self.pace.step % options.save_every == 0:
                self.save()

    def _hidden(self, batch: Batch) -> Tensor:
        """States [B, t, d] of the frames."""
        with precision(self._device):
            return self.network(batch)[:, batch.first :]

    def losses(self, batch: Batch, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Total, frames, ends, words, of the states [B, t, d] of a batch's frames."""
        options, device = self.options, self._device

        def given(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Tensor:
            return torch.from_numpy(array).to(device)

        exist = given(batch.frames)
        with precision(device):
            hidden = hidden[exist]
            decided, soon = self.network.frames(hidden)
            words = self._naming(hidden, given(batch.said)[exist])
        due = given(_ROWS[batch.due])[exist]
        weights = torch.tensor([options.silence, 1.0, 1.0, 1.0], device=device)
        frames = F.cross_entropy(decided.float(), due, weights)
        counts = given(batch.counts)[exist]
        each = F.binary_cross_entropy_with_logits(soon.float(), given(batch.ends)[exist].float(), reduction="none")
        ends = (each * counts).sum() / counts.sum()
        return frames + options.ends * ends + options.words * words, frames, ends, words

    def _naming(self, hidden: Tensor, said: Tensor) -> Tensor:
        """Loss of the words' tokens [n, WORDS] in the frames since which they can be known, hidden [n, d]."""
        spoken = (said >= 0).any(1)
        if not bool(spoken.any()):
            return hidden.new_zeros((), dtype=torch.float32)
        opinions = self.network.named(hidden[spoken]).float().log_softmax(-1)
        known = said[spoken] >= 0
        return -opinions.gather(1, said[spoken].clamp(min=0))[known].mean()

    @torch.no_grad()
    def check(self) -> dict[str, float | None]:
        """Losses and a rehearsal on the conversations that are never trained on; the thresholds that are best there are
        taken.
        """
        self.network.eval()
        losses: list[list[float]] = []
        found = Rehearsal()
        pieces = [(e, start) for e in self._checked for start in range(0, e.conversation.frames, self.options.frames)]
        for first in range(0, len(pieces), self.options.windows):
            some = pieces[first : first + self.options.windows]
            batch = make_batch([self._late_window(example, start) for example, start in some])
            hidden = self._hidden(batch)
            losses.append([float(loss) for loss in self.losses(batch, hidden)[1:]])
            for (example, start), row, exist in zip(some, self._probabilities(hidden), batch.frames, strict=True):
                found += rehearse(example.conversation, start, row[exist])
        self.policy = found.policy(self.policy)
        means = dict(zip(("frames_loss", "ends_loss", "words_loss"), np.mean(losses, 0).tolist(), strict=True))
        return {**means, **asdict(found.figures(self.policy)), "begin": self.policy.begin, "stop": self.policy.stop}

    def _probabilities(self, hidden: Tensor) -> npt.NDArray[np.float32]:
        with precision(self._device):
            decided, _ = self.network.frames(hidden)
        return np.asarray(decided.float().softmax(-1).cpu().numpy())

    def _late_window(self, example: Example, start: int) -> Window:
        history = make_history(example.conversation, self.vocabulary, late=NEAR)
        return cut_window(example.conversation, example.features, history, self.vocabulary, start, self.options.frames)

    def save(self) -> None:
        """Write the adapter and all that is needed to go on."""
        save_adapter(self.folder / "adapter.npz", self.adapter())
        self._journal.keep(
            {
                "network": self.network.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "step": self.pace.step,
                "minutes": self.pace.spent,
                "rng": json.dumps(self._rng.bit_generator.state),
                "dropout": torch.get_rng_state(),
                "ear": self._ear,
                "body": self._body.sha256,
                "policy": asdict(self.policy),
                "checked": [example.conversation.id for example in self._checked],
            }
        )

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
                "options": {name: value for name, value in asdict(self.options).items() if name != "begin"},
                "began_with": self.options.begin.name if self.options.begin else "",
                "policy": asdict(self.policy),
            },
        )

    def _begin(self, path: Path) -> None:
        """Take over an adapter."""
        found = load_adapter(path)
        found.check(self._ear, self._body.sha256)
        changes = {
            f"lora.{name.replace('.', '/')}/{part}": torch.from_numpy(array)
            for name, pair in found.changes.items()
            for part, array in zip(("up", "down"), pair, strict=True)
        }
        own = {f"own.{name}": torch.from_numpy(array) for name, array in found.own.items()}
        try:
            self.network.load_state_dict({"naming": self.network.naming, **own, **changes})
        except RuntimeError as error:
            raise DragomanError(f"{path} was trained with another rank or other layers: give the same") from error

    def _resume(self, state: Mapping[str, Any]) -> None:
        if (state["ear"], state["body"]) != (self._ear, self._body.sha256):
            raise DragomanError(f"{self.folder} holds the training on another ear or body: choose another folder")
        try:
            self.network.load_state_dict(state["network"])
        except RuntimeError as error:
            reason = f"{self.folder} was trained with another rank or other layers: give the same, or another folder"
            raise DragomanError(reason) from error
        # What it was checked on before must not be trained on now.
        known = {example.conversation.id: example for example in (*self._checked, *self._examples)}
        if again := [known.pop(name) for name in state["checked"] if name in known]:  # or it is all made anew
            self._checked, self._examples = again, list(known.values())
        self._optimizer.load_state_dict(state["optimizer"])
        self.pace.step, self.pace.spent = int(state["step"]), float(state["minutes"])
        self._rng.bit_generator.state = json.loads(state["rng"])
        torch.set_rng_state(state["dropout"].cpu())
        self.policy = Policy.restored(state["policy"])

    def _take(self, examples: Sequence[Example]) -> None:
        """Train on these, but for the dialogues that it is checked on, spoken anew. Long ones are drawn more often."""
        checked = {example.said for example in self._checked}
        self._examples = [example for example in examples if example.said not in checked]
        lengths = np.array([e.conversation.frames for e in self._examples], np.float64)
        self._shares = lengths / lengths.sum()

    def _draw(self) -> Window:
        rng = self._rng
        example = self._examples[int(rng.choice(len(self._examples), p=self._shares))]
        last = example.conversation.frames - self.options.frames
        start = 0 if last <= 0 or rng.random() < 0.3 else int(rng.integers(last + 1))
        return self._window(example, start, rng)

    def _window(self, example: Example, start: int, rng: np.random.Generator) -> Window:
        history = make_history(example.conversation, self.vocabulary, rng)
        return cut_window(example.conversation, example.features, history, self.vocabulary, start, self.options.frames)

    def _rate(self) -> float:
        return self.options.rate * self.pace.share()


_DRAWN: Final = ("begin_f1", "cutoff_rate", "stop_rate", "false_stop_rate")

_ROWS: Final = np.array([list(FRAME_CONTROLS).index(c) if c in FRAME_CONTROLS else 0 for c in Control], np.int64)
