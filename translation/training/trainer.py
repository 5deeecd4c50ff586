"""Training of small translators on what the embedded one translated. Needs the ``train`` extra.

The parallel network learns by connectionist temporal classification with glancing: what it would write is compared
with the true text, as their likeliest alignment has it, and a share of the frames, larger the more it errs, is shown
to the decoder before it is asked again (Qian et al. 2021, arXiv 2008.07905; with CTC: Gu and Kong 2021, arXiv
2012.15833). The students learn by cross-entropy. Both are sequence-level distillation (Kim and Rush 2016), and both
are told besides what the embedded translator held likely at each place (``guidance``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dragoman.audio.types import DragomanError
from dragoman.models.pace import Pace
from dragoman.models.training import Journal, descend
from dragoman.translation.bergamot import Base, read_base
from dragoman.translation.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from dragoman.translation.marian import Weights
from dragoman.translation.training.alignment import alignment
from dragoman.translation.training.guidance import Guide, of_frames, of_places
from dragoman.translation.training.lessons import Batch, Lesson, batch_of, drawn, lessons_of
from dragoman.translation.training.network import ParallelNetwork, StudentNetwork, parallel_start, student_start
from dragoman.translation.training.pairs import load_pairs, pair_shards

DEPTHS: Final = {"nar": (6, 2), "ar-6-6": (6, 6), "ar-12-1": (12, 1)}
"""Layers of encoder and decoder, by kind."""
UPSAMPLING: Final = 2

LOOK_EVERY: Final = 50
"""Steps after which it is looked whether there is more to train on."""
CHECKED: Final = 400
"""Test pairs of the checks, at most."""
_GLANCE: Final = (0.5, 0.2)
"""Share of the wrong frames that is shown: at first, at last."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to train. ``minutes`` or ``steps``, whichever comes first, ends it; the learning rate falls toward it."""

    steps: int = 100_000
    minutes: float = 170.0
    rate: float = 1e-3
    encoder_rate: float = 0.3
    """Of the encoder, which knows its language already: as a share of ``rate``."""
    tokens: int = 600
    """Source tokens of a batch, about."""
    guided: float = 1.0
    """Weight of what the embedded translator held likely; 0: only its text counts."""
    begin: Path | None = None
    """A translator of the same kind and pair to begin with; None: the base."""
    warm: int = 100
    save_every: int = 100
    check_every: int = 100
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Report:
    """One line of the log. Losses are a target token's; ``wrong``: the share of frames that glancing may show."""

    step: int
    minutes: float
    loss: float
    wrong: float
    rate: float
    check: float | None = None


class Trainer:
    """Training of one translator in a folder: ``translator.npz`` (the newest), ``state.pt``, ``log.jsonl``."""

    def __init__(
        self, kind: str, pair: tuple[str, str], data: Path, folder: Path, options: Options, device: str = "cpu"
    ) -> None:
        """Raises ``DragomanError`` for a kind or pair that there is not, and where there is nothing to train on."""
        if kind not in DEPTHS:
            raise DragomanError(f"there is no translator {kind!r} to train: choose one of {', '.join(DEPTHS)}")
        self.kind, self.pair, self.options, self.folder = kind, pair, options, folder
        self._data, self._device = data, torch.device(device)
        self._base = read_base(*pair)
        torch.manual_seed(options.seed)
        self.network = start(kind, self._base, options.begin).to(self._device)
        self._guide = Guide(self._base, self._device) if options.guided else None
        own = [value for name, value in self.network.learned.items() if not name.startswith("encoder_")]
        encoder = [value for name, value in self.network.learned.items() if name.startswith("encoder_")]
        groups = [{"params": own, "share": 1.0}, {"params": encoder, "share": options.encoder_rate}]
        self._optimizer = torch.optim.AdamW(groups, lr=options.rate, betas=(0.9, 0.98), weight_decay=0.01)
        self.pace = Pace(options.steps, options.minutes, options.warm)
        self._lessons: list[Lesson] = []
        self._known: set[Path] = set()
        self._batches = drawn(self._lessons, options.tokens, Random(options.seed))
        self._rng = torch.Generator().manual_seed(options.seed)
        self._some = np.random.default_rng(options.seed)
        self._journal = Journal(folder, ("loss",), ("loss",))
        self._journal.resume(self._resume, self._device)
        self._look()
        if not self._lessons:
            raise DragomanError(f"{data} holds no pairs: run `dragoman data translation --pair {'-'.join(pair)}`")
        self._checked = self._checks()
        self._check = self.check()

    def run(self, told: Callable[[Report], None]) -> None:
        """Train until steps or minutes are over; ``told`` after each step. Interrupted, it saves; run it again."""
        try:
            self._run(told)
        finally:
            self.save()

    def _run(self, told: Callable[[Report], None]) -> None:
        options, pace = self.options, self.pace
        pace.go_on()
        while not pace.over:
            if pace.step % LOOK_EVERY == 0:
                self._look()
            rate = options.rate * pace.share()
            batch = batch_of(next(self._batches), self._base.shortlist, self._device, self._some)
            total, wrong = self.loss(batch, learning=True)
            loss = descend(self._optimizer, self.network.learned.parameters(), rate, [total])
            pace.tick()
            check = None
            if pace.step % options.check_every == 0 or pace.over:
                check = self._check = self.check()
            report = Report(pace.step, pace.spent, loss, wrong, rate, check)
            self._journal.log(report)
            told(report)
            if pace.step % options.save_every == 0:
                self.save()

    @torch.no_grad()
    def check(self) -> float:
        """The loss of test pairs, without glancing."""
        losses = [float(self.loss(batch, learning=False)[0]) for batch in self._checked]
        return sum(losses) / max(1, len(losses))

    def loss(self, batch: Batch, *, learning: bool) -> tuple[Tensor, float]:
        """Of a target token, and the share of frames that were wrong; ``learning``: with glancing and guidance."""
        memory = self.network.encode(batch.source, batch.mask)
        if isinstance(self.network, ParallelNetwork):
            return self._parallel_loss(self.network, memory, batch, learning)
        known = batch.candidates[batch.target]
        states = self.network.decode(known, memory, batch.mask)
        scores = self.network.scores(states, batch.candidates)
        follow = F.pad(batch.target, (0, 1), value=0)  # the end is the first candidate
        places = torch.arange(follow.shape[1], device=self._device)[None]
        counted = places <= batch.lengths[:, None]
        loss = F.cross_entropy(scores[counted], follow[counted])
        if learning and self._guide:
            loss = loss + self.options.guided * of_places(self._guide.scores(batch), scores, counted)
        return loss, 0.0

    def _parallel_loss(
        self, network: ParallelNetwork, memory: Tensor, batch: Batch, learning: bool
    ) -> tuple[Tensor, float]:
        frames = network.frames(memory)
        mask = batch.mask.repeat_interleave(network.upsampling, dim=1)
        counts = mask.sum(1)
        wrong = 0.0
        if learning:
            with torch.no_grad():
                guessed = network.scores(network.decode(frames, memory, batch.mask), batch.candidates).log_softmax(-1)
                places = alignment(guessed, counts, batch.target, batch.lengths)
                written = places >= 0
                path = batch.target.gather(1, places.clamp_min(0)).masked_fill(~written, 0)
                errors = ((guessed.argmax(-1) != path) & mask).sum(1)
                wrong = float(errors.sum() / mask.sum())
                first, last = _GLANCE
                share = (first + (last - first) * self.pace.done) * errors / counts
                shown = (torch.rand(mask.shape, generator=self._rng).to(self._device) < share[:, None]) & mask
            frames = network.hinted(frames, batch.candidates[path], shown)
        logp = network.scores(network.decode(frames, memory, batch.mask), batch.candidates).log_softmax(-1)
        losses = F.ctc_loss(
            logp.transpose(0, 1), batch.target, counts, batch.lengths, reduction="sum", zero_infinity=True
        )
        loss = losses / batch.lengths.sum()
        if learning and self._guide:
            loss = loss + self.options.guided * of_frames(self._guide.scores(batch), logp, places, written & ~shown)
        return loss, wrong

    def save(self) -> None:
        """Write the translator and all that is needed to go on."""
        save_checkpoint(self.folder / "translator.npz", self.checkpoint())
        self._journal.keep(
            {
                "network": self.network.learned.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "step": self.pace.step,
                "minutes": self.pace.spent,
                "kind": self.kind,
                "base": self._base.sha256,
            }
        )

    def checkpoint(self) -> Checkpoint:
        """What was trained so far."""
        encoder, decoder = DEPTHS[self.kind]
        settings = {
            **{name: value for name, value in self._base.weights.settings.items() if name in _SETTINGS},
            "enc-depth": str(encoder),
            "dec-depth": str(decoder),
        }
        card: dict[str, object] = {
            "pair": "-".join(self.pair),
            "steps": self.pace.step,
            "minutes": round(self.pace.spent, 1),
            "pairs": len(self._lessons),
            "options": {name: value for name, value in asdict(self.options).items() if name != "begin"},
            "began_with": str(self.options.begin.name) if self.options.begin else "",
            "check": self._check,
        }
        made = Checkpoint(self.kind, Weights(self.network.arrays(), settings), self._base.sha256, card)
        return made.without(self._base.weights)

    def _resume(self, state: Mapping[str, Any]) -> None:
        if (state["kind"], state["base"]) != (self.kind, self._base.sha256):
            raise DragomanError(f"{self.folder} holds the training of another translator: choose another folder")
        self.network.learned.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.pace.step, self.pace.spent = int(state["step"]), float(state["minutes"])
        seed = self.options.seed + self.pace.step
        self._batches = drawn(self._lessons, self.options.tokens, Random(seed))
        self._rng.manual_seed(seed)
        self._some = np.random.default_rng(seed)

    def _look(self) -> None:
        """Take in the shards that are new: pairs may be made while training runs."""
        for path in pair_shards(self._data, "-".join(self.pair), "train"):
            if path not in self._known:
                self._known.add(path)
                self._lessons += self._fitting(path)

    def _fitting(self, path: Path) -> Iterator[Lesson]:
        for lesson in lessons_of(load_pairs(path), self._base.vocabulary):
            if lesson.fits(UPSAMPLING):
                yield lesson

    def _checks(self) -> list[Batch]:
        """The same test pairs each time."""
        paths = pair_shards(self._data, "-".join(self.pair), "test")
        lessons = [lesson for path in paths for lesson in self._fitting(path)][:CHECKED]
        lessons.sort(key=lambda one: len(one.source))
        shortlist, device = self._base.shortlist, self._device
        return [batch_of(lessons[i : i + 50], shortlist, device) for i in range(0, len(lessons), 50)]


_SETTINGS: Final = ("transformer-heads", "transformer-decoder-autoreg", "dec-cell")


def start(kind: str, base: Base, begin: Path | None = None) -> ParallelNetwork | StudentNetwork:
    """A network to begin with: as much of the base as fits, or a translator that was trained from it.

    Raises ``DragomanError`` for one of another kind, or of another base.
    """
    settings = base.weights.settings
    heads = int(settings["transformer-heads"])
    have = int(settings["enc-depth"]), int(settings["dec-depth"])
    encoder, decoder = DEPTHS[kind]
    arrays = (
        parallel_start(base.weights.arrays, have, UPSAMPLING)
        if kind == "nar"
        else student_start(base.weights.arrays, have, (encoder, decoder))
    )
    if begin is not None:
        trained = load_checkpoint(begin)
        if trained.kind != kind:
            raise DragomanError(f"{begin} is a translator of the kind {trained.kind}, not {kind}")
        whole = trained.whole(base.weights, base.sha256).arrays
        arrays = {name: whole[name] for name in arrays}
    if kind == "nar":
        return ParallelNetwork(arrays, heads, encoder, decoder)
    return StudentNetwork(arrays, heads, encoder, decoder)
