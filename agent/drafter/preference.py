"""The drafter's second training: to begin replies with words that may be spoken. Needs the ``train`` extra.

Direct preference optimization (arXiv 2305.18290, equation 7) on drafts of the drafter's own that were judged, held to
what it wrote before; beside it, the words that may be spoken are learned as they are, so that what is made less likely
does not take them along. The checks are on conversations that are never trained on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dragoman.agent.drafter.choices import Choice
from dragoman.agent.drafter.network import DrafterNetwork
from dragoman.agent.duplex.adapter import Adapter, save_adapter
from dragoman.agent.duplex.body import Body
from dragoman.asr.causal.network import precision
from dragoman.audio.types import DragomanError
from dragoman.models.shares import share_of
from dragoman.models.training import Journal, descend


@dataclass(frozen=True, slots=True)
class Options:
    """How to train. ``epochs`` over all turns; ``hold``: how strongly it is held to what it wrote before (beta);
    ``keep``: weight of learning what may be spoken as it is; ``checked``: share of conversations for the checks.
    """

    epochs: float = 2.0
    rate: float = 1e-4
    hold: float = 0.2
    keep: float = 0.1
    turns: int = 4
    checked: float = 0.15
    check_every: int = 25
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Report:
    """One line of the log. ``check``: of turns that are never trained on."""

    step: int
    loss: float
    rate: float
    check: Mapping[str, float] = field(default_factory=dict)


class Preference:
    """Training in a folder: ``adapter.npz``, ``state.pt`` and ``log.jsonl`` lie in it."""

    def __init__(
        self, body: Body, adapter: Adapter, turns: Sequence[Choice], folder: Path, options: Options, device: str = "cpu"
    ) -> None:
        """``adapter``: the drafter whose drafts ``turns`` are. Raises ``DragomanError``."""
        self.options, self.folder, self._adapter = options, folder, adapter
        self._device = torch.device(device)
        self._checked = [turn for turn in turns if share_of(f"{turn.conversation}/preference") < options.checked]
        self._turns = [turn for turn in turns if share_of(f"{turn.conversation}/preference") >= options.checked]
        if not self._checked or len(self._turns) < options.turns:
            raise DragomanError(
                f"{len(turns)} turns with drafts that may be spoken and drafts that may not are too few: "
                "make more with `dragoman data drafts --alternatives 5`"
            )
        torch.manual_seed(options.seed)
        self.network = begun(body, adapter).place(self._device)
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=options.rate, betas=(0.9, 0.98), weight_decay=0.0
        )
        with torch.no_grad():
            self._before = {id(turn): self._logp(turn) for turn in (*self._turns, *self._checked)}
        self.step, self.steps = 0, max(1, round(options.epochs * len(self._turns) / options.turns))
        self._journal = Journal(folder, ("loss",), ("right", "likeliest_good"))
        self._journal.resume(self._resume, self._device)

    def run(self, told: Callable[[Report], None]) -> None:
        """Train to the end; ``told`` after each step. Interrupted, it saves; run it again."""
        try:
            while self.step < self.steps:
                told(self._step())
        finally:
            self._save()
        save_adapter(self.folder / "adapter.npz", self.adapter(self.check()))

    def _step(self) -> Report:
        losses = (self._loss(turn) / self.options.turns for turn in self._batch())
        loss = descend(self._optimizer, self.network.parameters(), self._rate(), losses)
        self.step += 1
        check = self.check() if self.step % self.options.check_every == 0 or self.step == self.steps else {}
        report = Report(self.step, loss, self._rate(), check)
        self._journal.log(report)
        if check:
            self._save()
        return report

    def check(self) -> dict[str, float]:
        """Of unseen turns: how often a draft that may be spoken is likelier than one that may not, how often the
        likeliest one may be, and the loss.
        """
        pairs, losses, likeliest = list[float](), list[float](), list[float]()
        with torch.no_grad():
            for turn in self._checked:
                logp = self._logp(turn)
                good = torch.from_numpy(turn.good).to(self._device)
                pairs += (logp[good][:, None] > logp[~good][None]).float().flatten().tolist()
                likeliest.append(float(good[logp.argmax()]))
                losses.append(float(self._preferred(turn, logp)))
        found = {"right": pairs, "likeliest_good": likeliest, "preference_loss": losses}
        return {name: sum(values) / len(values) for name, values in found.items()}

    def adapter(self, check: Mapping[str, float]) -> Adapter:
        """What was trained so far."""
        own, changes = self.network.learned()
        about = {"turns": len(self._turns), "steps": self.step, "options": asdict(self.options), "check": dict(check)}
        return replace(
            self._adapter,
            own=own,
            changes=changes,
            card={**self._adapter.card, "preference": {**about, "begun_with": self._adapter.digest()}},
        )

    def _loss(self, turn: Choice) -> Tensor:
        logp = self._logp(turn)
        good = torch.from_numpy(turn.good).to(self._device)
        tokens = torch.bincount(torch.from_numpy(turn.draft)).to(self._device)
        kept = -logp[good].sum() / tokens[good].sum()
        return self._preferred(turn, logp) + self.options.keep * kept

    def _preferred(self, turn: Choice, logp: Tensor) -> Tensor:
        gained = logp - self._before[id(turn)]
        better, worse = torch.from_numpy(turn.better).to(self._device).T
        weight = torch.from_numpy(turn.weighs).to(self._device)
        each = -F.logsigmoid(self.options.hold * (gained[better] - gained[worse]))
        return (each * weight).sum() / weight.sum()

    def _logp(self, turn: Choice) -> Tensor:
        """Log-probability of each draft."""
        tokens, positions, sees, at, written, draft = (
            torch.from_numpy(array).to(self._device)
            for array in (turn.tokens, turn.positions, turn.sees, turn.at, turn.written, turn.draft)
        )
        with precision(self._device):
            x = F.embedding(tokens, self.network.stock["tokens"])
            hidden = self.network.read(x[None], positions[None], sees[None])[0]
            guessed = self.network.drafts(hidden[at]).float()
        logp = guessed.log_softmax(-1).gather(1, written[:, None])[:, 0]
        return torch.zeros(len(turn.good), device=self._device).index_add(0, draft, logp)

    def _batch(self) -> list[Choice]:
        """The turns of this step: each epoch has an order of its own."""
        chosen = []
        for place in range(self.step * self.options.turns, (self.step + 1) * self.options.turns):
            epoch, i = divmod(place, len(self._turns))
            order = Random(f"{self.options.seed}/{epoch}").sample(range(len(self._turns)), len(self._turns))
            chosen.append(self._turns[order[i]])
        return chosen

    def _save(self) -> None:
        self._journal.keep(
            {
                "network": self.network.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "step": self.step,
                "of": self._name(),
            }
        )

    def _resume(self, state: Mapping[str, Any]) -> None:
        if state["of"] != self._name():
            raise DragomanError(f"{self.folder} holds a training on other drafts: choose another folder, or delete it")
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step = int(state["step"])

    def _name(self) -> str:
        """Of what is learned from: a training goes on with the same alone."""
        found = hashlib.sha256(self._adapter.digest().encode())
        for turn in self._turns:
            for array in (turn.tokens, turn.good):
                found.update(array.tobytes())
        return found.hexdigest()[:16]

    def _rate(self) -> float:
        return self.options.rate * min(1.0, (self.step + 1) / 10) * (1 - self.step / self.steps)


def begun(body: Body, adapter: Adapter) -> DrafterNetwork:
    """The network as an adapter has it. Raises ``DragomanError`` when it does not fit the body."""
    adapter.check("", body.sha256)
    rank = next(iter(adapter.changes.values()))[0].shape[1]
    network = DrafterNetwork(body.shortened(adapter.layers), adapter.kept, rank=rank)
    lora = {name.replace(".", "/"): pair for name, pair in adapter.changes.items()}
    state = {f"own.{name}": torch.from_numpy(array) for name, array in adapter.own.items()}
    state |= {f"lora.{name}/up": torch.from_numpy(up) for name, (up, _) in lora.items()}
    state |= {f"lora.{name}/down": torch.from_numpy(down) for name, (_, down) in lora.items()}
    network.load_state_dict(state)
    return network
