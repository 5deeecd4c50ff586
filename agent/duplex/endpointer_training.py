"""Train the endpointer on conversations and what the ear hears in them. Needs the ``train`` extra."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from dragoman.agent.duplex.endpointer import Endpointer, save_endpointer
from dragoman.agent.duplex.endpointer_network import EndpointerNetwork
from dragoman.agent.duplex.endpoints import Replies, common_words, endpoints, judged
from dragoman.agent.duplex.examples import Example
from dragoman.agent.duplex.prosody import PROSODY
from dragoman.audio.types import DragomanError
from dragoman.models.pace import Pace
from dragoman.models.shares import share_of
from dragoman.models.training import Journal, descend
from dragoman.verifier.figures import auroc


@dataclass(frozen=True, slots=True)
class Options:
    """How to train. ``minutes`` or ``steps``, whichever comes first, ends it; the learning rate falls toward it.

    It knows 30 hours of conversations by heart after some 3,000 steps; what it can do with others falls from there.
    """

    steps: int = 20_000
    minutes: float = 15.0
    width: int = 128
    rate: float = 2.5e-3
    dropout: float = 0.3
    other_voices: tuple[float, float] = (0.3, 0.25)
    """Loudness and octaves by which a piece is moved at random (standard deviations): its voice could be another."""
    words: int = 400
    """How many words it learns to name, and ``naming``: what that counts beside the ends."""
    naming: float = 0.3
    smooth: float = 0.02
    """What the truth is short of certainty."""
    pieces: int = 16
    """Pieces of conversations in a batch."""
    frames: int = 150
    """Frames of a piece."""
    held: float = 0.03
    """Share of the conversations that are never trained on: the checks run on them."""
    save_every: int = 200
    check_every: int = 200
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Report:
    """One line of the log. ``check``: AUROC on conversations that are never trained on, by name."""

    step: int
    minutes: float
    loss: float
    words: float
    rate: float
    check: dict[str, float | None] = field(default_factory=dict)


class Trainer:
    """Training in a folder: ``endpointer.npz``, ``state.pt`` and ``log.jsonl`` lie in it."""

    def __init__(
        self, ear: str, examples: Sequence[Example], folder: Path, options: Options, device: str = "cpu"
    ) -> None:
        """``ear``: digest of the recognizer that the features come from. Raises ``DragomanError``."""
        held = [example for example in examples if _share(example) < options.held]
        self._examples = [example for example in examples if _share(example) >= options.held]
        if not held or not self._examples:
            raise DragomanError(
                f"{len(examples)} conversations are too few to train on: make more with `dragoman data duplex`"
            )
        self.options, self.folder, self._ear, self._held = options, folder, ear, held
        self._device = torch.device(device)
        replies = Replies([example.conversation for example in self._examples])
        words = common_words([example.conversation for example in self._examples], options.words)
        self._taught = [endpoints(example.conversation, replies, words) for example in self._examples]
        torch.manual_seed(options.seed)
        ear_width = int(examples[0].features.shape[2])
        self.network = EndpointerNetwork(ear_width, options.width, options.words, options.dropout)
        self.network.to(self._device)
        self._optimizer = torch.optim.AdamW(self.network.parameters(), lr=options.rate, weight_decay=0.05)
        self.pace = Pace(options.steps, options.minutes, warm=50)
        self._checked: tuple[int, dict[str, float | None]] = (-1, {})
        """The step that was checked last, and what was found."""
        self._rng = np.random.default_rng(options.seed)
        lengths = np.array([example.conversation.frames for example in self._examples], np.float64)
        self._shares = lengths / lengths.sum()
        self._journal = Journal(folder, ("loss", "words"), ("auroc", "auroc_before"))
        self._journal.resume(self._resume, self._device)

    def run(self, told: Callable[[Report], None]) -> None:
        """Train until steps or minutes are over; ``told`` after each step. Interrupted, it saves; run it again."""
        try:
            self.pace.go_on()
            while not self.pace.over:
                told(self._step())
                if self.pace.step % self.options.save_every == 0:
                    self.save()
        finally:
            self.save()

    def _step(self) -> Report:
        rate = self.options.rate * self.pace.share()
        self.network.train()
        loss, words = self._losses()
        descend(self._optimizer, self.network.parameters(), rate, [loss + self.options.naming * words])
        self.pace.tick()
        check = self.check() if self.pace.step % self.options.check_every == 0 else {}
        report = Report(self.pace.step, self.pace.spent, float(loss.detach()), float(words.detach()), rate, check)
        self._journal.log(report)
        return report

    def _losses(self) -> tuple[Tensor, Tensor]:
        """Of ends and pauses, and of the words that are named."""
        count, frames = self.options.pieces, self.options.frames
        block, ear = self._examples[0].features.shape[1:]
        features = np.zeros((count, frames, block, ear), np.float32)
        prosody = np.zeros((count, frames, block, PROSODY), np.float32)
        sounding, over = np.zeros((count, frames), np.bool_), np.zeros((count, frames), np.bool_)
        counts, said = np.zeros((count, frames), np.float32), np.full((count, frames), -1, np.int64)
        for row in range(count):
            number = int(self._rng.choice(len(self._examples), p=self._shares))
            example, taught = self._examples[number], self._taught[number]
            first = int(self._rng.integers(0, max(1, example.conversation.frames - frames + 1)))
            span = slice(first, min(first + frames, example.conversation.frames))
            long = span.stop - first
            features[row, :long], prosody[row, :long] = example.features[span], self._otherwise(example.prosody[span])
            sounding[row, :long] = example.conversation.agent_speaking()[span]
            over[row, :long], counts[row, :long] = taught.over[span], taught.counts[span]
            said[row, :long] = taught.said[span]
        states = self.network.states(*map(self._given, (features, prosody, sounding)))
        logits = self.network.judged(states)
        truth = self._given(over).float() * (1 - 2 * self.options.smooth) + self.options.smooth
        weights = self._given(counts)
        each = F.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none")
        named = self.network.named(states).flatten(0, 1).float()
        words = F.cross_entropy(named, self._given(said).flatten(), ignore_index=-1)
        return (each * weights).sum() / weights.sum().clamp(min=1e-6), words.nan_to_num()

    def _otherwise(self, prosody: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """As of a voice that is louder or higher."""
        out = prosody.astype(np.float32)
        louder, higher = self._rng.normal(0, self.options.other_voices)
        out[..., 0] += louder
        out[..., 2] += higher * out[..., 1]
        return out

    def _given(self, array: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(self._device)

    def check(self) -> dict[str, float | None]:
        """How well ends are told from pauses, at the frame of a begin's label and at the one before it."""
        if self._checked[0] != self.pace.step:
            self._checked = self.pace.step, self._check()
        return self._checked[1]

    @torch.no_grad()
    def _check(self) -> dict[str, float | None]:
        self.network.eval()
        found: dict[int, tuple[list[float], list[bool]]] = {-1: ([], []), 0: ([], [])}
        for example in self._held:
            heard = (example.features.astype(np.float32), example.prosody.astype(np.float32))
            given = [self._given(part)[None] for part in (*heard, example.conversation.agent_speaking())]
            logits = self.network(*given)[0].float().cpu().numpy()
            for late, (scores, ends) in found.items():
                for frame, over in judged(example.conversation, late):
                    scores.append(float(logits[frame]))
                    ends.append(over)
        before, at = (auroc(np.array(scores), np.array(ends, np.bool_)) for scores, ends in found.values())
        return {"auroc_before": before, "auroc": at}

    def endpointer(self) -> Endpointer:
        """What was trained so far."""
        hours = sum(example.conversation.seconds for example in self._examples) / 3600
        return Endpointer(
            self.network.weights(),
            self._ear,
            {
                "steps": self.pace.step,
                "minutes": round(self.pace.spent, 1),
                "conversations": len(self._examples),
                "hours": round(hours, 2),
                "options": asdict(self.options),
                "held": {"conversations": len(self._held), **self.check()},
            },
        )

    def save(self) -> None:
        """Write the endpointer and all that is needed to go on."""
        save_endpointer(self.folder / "endpointer.npz", self.endpointer())
        self._journal.keep(
            {
                "network": self.network.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "step": self.pace.step,
                "minutes": self.pace.spent,
                "rng": json.dumps(self._rng.bit_generator.state),
                "dropout": torch.get_rng_state(),
                "ear": self._ear,
            }
        )

    def _resume(self, state: Mapping[str, Any]) -> None:
        if state["ear"] != self._ear:
            raise DragomanError(f"{self.folder} holds the training on another ear: choose another folder")
        try:
            self.network.load_state_dict(state["network"])
        except RuntimeError as error:
            raise DragomanError(
                f"{self.folder} was trained with another width or other words: give the same"
            ) from error
        self._optimizer.load_state_dict(state["optimizer"])
        self.pace.step, self.pace.spent = int(state["step"]), float(state["minutes"])
        self._rng.bit_generator.state = json.loads(state["rng"])
        torch.set_rng_state(state["dropout"].cpu())


def _share(example: Example) -> float:
    """By what is said, whoever speaks it: a dialogue that is spoken anew stays on its side."""
    return share_of(f"{json.dumps(example.said)}/endpointer")
