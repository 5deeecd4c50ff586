"""Train the low-rank changes that let Whisper hear with a block mask. Needs the ``train`` extra.

Each step: clips cut at random moments, through the same module that streams, under a mask drawn anew. Three losses:
the words that are over (cross-entropy), the offline model's opinion of each of them, and its features (mean squared
error, normalized). What is trained with the offline model's own answers forgets less of what it knew.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dragoman.asr.causal.adapter import Adapter, check_base, load_adapter, save_adapter
from dragoman.asr.causal.corpus import Clip, load_clips, shards
from dragoman.asr.causal.examples import Cut, Example, draw_cut, make_example, make_nothing, padded_tokens
from dragoman.asr.causal.network import CausalWhisper, batch_mel, precision
from dragoman.asr.causal.teacher import Lesson, Teacher
from dragoman.asr.causal.tokens import Tokens
from dragoman.asr.causal.weights import load_weights
from dragoman.audio.types import DragomanError
from dragoman.models.pace import Pace
from dragoman.models.training import Journal, descend

MASKS: Final[tuple[tuple[int, int | None, float], ...]] = (
    (8, 0, 0.14),
    (16, 0, 0.05),
    (32, 0, 0.05),
    (8, 1, 0.08),
    (16, 1, 0.15),
    (32, 1, 0.45),
    (8, None, 0.08),
)
"""(frames of a block, blocks ahead, how often): chunks of 160, 320 and 640 ms, published and for the decoder alone."""


CHECK_MASK: Final = (32, 1)
"""The mask of the checks: that of the decoder's branch."""

CHECKED: Final = 16
"""Clips of the first shard of each language that are never trained on."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to train. ``minutes`` or ``steps``, whichever comes first, ends it; the learning rate falls toward it."""

    steps: int = 4000
    minutes: float = 170.0
    rank: int = 64
    decoder_rank: int = 32
    rate: float = 8e-4
    frames: int = 2600
    """Frames of sound in a batch, about."""
    save_every: int = 50
    check_every: int = 100
    seed: int = 1
    features: float = 1.0
    opinion: float = 1.0
    words: float = 0.6
    strength: float = 0.7
    """Share of the changes that the saved adapter makes: on human speech better than all of them."""
    begin: Path | None = None
    """An adapter for the same weights to begin with, of the same strength; None: no changes yet."""
    encoder: bool = True
    """Whether the encoder learns, too. Without it what was trained on its outputs stays true, and the strength is the
    share of the way from the adapter that it began with."""


@dataclass(frozen=True, slots=True)
class Report:
    """One line of the log."""

    step: int
    minutes: float
    loss: float
    words: float
    opinion: float
    features: float
    rate: float
    check: float | None = None


class Trainer:
    """Training of one model in a folder: ``adapter.npz``, ``state.pt`` and ``log.jsonl`` lie in it."""

    def __init__(
        self,
        model: Path,
        data: Path,
        folder: Path,
        languages: Sequence[str],
        options: Options,
        device: str = "cpu",
    ) -> None:
        self.options = options
        self.folder = folder
        self._model, self._data, self._languages = model, data, tuple(languages)
        self._device = torch.device(device)
        weights = load_weights(model)
        torch.manual_seed(options.seed)
        self.network = CausalWhisper(weights, rank=options.rank, decoder_rank=options.decoder_rank)
        self.network.place(self._device)
        self._sha256 = weights.sha256
        self._begun: Adapter | None = None
        """What the decoder alone is trained on from."""
        if not options.encoder and options.begin is None:
            raise DragomanError("a decoder is trained on an encoder that hears already: give an adapter to begin with")
        if options.begin is not None:
            begun = load_adapter(options.begin)
            self._begun = None if options.encoder else begun
            self._begin(begun.scaled(1 / options.strength) if options.encoder else begun, options.begin)
        self._tokens = Tokens(model, weights.dims.vocabulary)
        self._known: set[Path] = set()
        self._check_shards: tuple[Path, ...] = ()
        self._clips: list[tuple[str, Clip]] = []
        self._teachers: dict[str, Teacher] = {}
        if not options.encoder:
            for name, values in self.network.lora.items():
                values.requires_grad_(name.startswith("decoder"))
        self._learning = [values for values in self.network.lora.parameters() if values.requires_grad]
        self._optimizer = torch.optim.AdamW(self._learning, lr=options.rate, betas=(0.9, 0.98), weight_decay=0.01)
        self.pace = Pace(options.steps, options.minutes, warm=60)
        self._rng = np.random.default_rng(options.seed)
        self._journal = Journal(folder, ("words", "opinion", "features"), ("words",))
        self._journal.resume(self._resume, self._device)

    def run(self, told: Callable[[Report], None]) -> None:
        """Train until steps or minutes are over; ``told`` after each step. Interrupted, it saves; run it again."""
        self._look_for_clips()  # where there are none, what was trained stays as it is
        checks = self._checks()
        try:
            self._run(checks, told)
        finally:
            self.save()

    def _run(self, checks: list[list[_Item]], told: Callable[[Report], None]) -> None:
        self.pace.go_on()
        while not self.pace.over:
            if self.pace.step % 50 == 0:
                self._look_for_clips()
            mask = self._draw_mask()
            losses = self._losses(list(self._batch(self._rng)), mask)
            descend(self._optimizer, self._learning, self._rate(), losses[:1])
            self.pace.tick()
            check = None
            if self.pace.step % self.options.check_every == 0 and checks:
                with torch.no_grad():
                    check = float(np.mean([float(self._losses(batch, CHECK_MASK)[1]) for batch in checks]))
            total, words, opinion, features = (float(loss.detach()) for loss in losses)
            report = Report(self.pace.step, self.pace.spent, total, words, opinion, features, self._rate(), check)
            self._journal.log(report)
            told(report)
            if self.pace.step % self.options.save_every == 0:
                self.save()

    def save(self) -> None:
        """Write the adapter and all that is needed to go on."""
        card: dict[str, object] = {
            "languages": list(self._languages),
            "steps": self.pace.step,
            "minutes": round(self.pace.spent, 1),
            "clips": len(self._clips),
            "hours": round(sum(clip.seconds for _, clip in self._clips) / 3600, 2),
            "options": {name: value for name, value in asdict(self.options).items() if name != "begin"},
            "began_with": str(self.options.begin.name) if self.options.begin else "",
        }
        changes = {
            key.removesuffix("/up").replace("/", "."): (
                up.detach().float().cpu().numpy(),
                self.network.lora[key.removesuffix("up") + "down"].detach().float().cpu().numpy(),
            )
            for key, up in self.network.lora.items()
            if key.endswith("/up")
        }
        if self._begun is None:
            adapter = Adapter(changes, self._sha256, card).scaled(self.options.strength)
        else:
            adapter = self._begun.mixed(Adapter(changes, self._sha256, card, self._begun.ear), self.options.strength)
        save_adapter(self.folder / "adapter.npz", adapter)
        self._journal.keep(
            {
                "lora": self.network.lora.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "step": self.pace.step,
                "minutes": self.pace.spent,
                "rng": json.dumps(self._rng.bit_generator.state),
                "sha256": self._sha256,
            }
        )

    def _begin(self, adapter: Adapter, path: Path) -> None:
        """Take over its changes."""
        check_base(adapter, self._sha256)
        changes = {
            f"{name.replace('.', '/')}/{part}": torch.from_numpy(array)
            for name, pair in adapter.changes.items()
            for part, array in zip(("up", "down"), pair, strict=True)
        }
        self._take_over(changes, str(path))

    def _take_over(self, lora: Mapping[str, Tensor], source: str) -> None:
        try:
            self.network.lora.load_state_dict(lora)
        except RuntimeError as error:
            raise DragomanError(
                f"{source} was trained with other ranks: give the same, or begin in another folder"
            ) from error

    def _resume(self, state: Mapping[str, Any]) -> None:
        if state["sha256"] != self._sha256:
            raise DragomanError(f"{self.folder} holds the training of another model: choose another folder")
        self._take_over(state["lora"], str(self.folder))
        self._optimizer.load_state_dict(state["optimizer"])
        self.pace.step, self.pace.spent = int(state["step"]), float(state["minutes"])
        self._rng.bit_generator.state = json.loads(state["rng"])

    def _look_for_clips(self) -> None:
        """Take in the shards that are new: data may be made while training runs."""
        found = shards(self._data, self._languages)
        if not self._known:
            firsts = (
                next((path for path in found if path.name.startswith(f"{code}-")), None) for code in self._languages
            )
            self._check_shards = tuple(path for path in firsts if path is not None)
        for path in found:
            if path not in self._known:
                self._known.add(path)
                clips = _named(path)
                kept = CHECKED if path in self._check_shards else 0
                self._clips += [(name, clip) for name, clip in clips[kept:] if clip.words]
        if not self._clips:
            wanted = ", ".join(map(repr, self._languages))
            raise DragomanError(f"{self._data} holds no clips in {wanted} to train on: run `dragoman data speech`")
        # A voice with many clips is drawn more often than one with few, but not as much more.
        spoken = Counter(clip.speaker for _, clip in self._clips)
        shares = np.array([spoken[clip.speaker] ** -0.5 for _, clip in self._clips])
        self._shares = shares / shares.sum()

    def _checks(self) -> list[list[_Item]]:
        """The same cuts of the same clips each time."""
        rng = np.random.default_rng(0)
        batches = []
        for path in self._check_shards:
            clips = [(name, clip) for name, clip in _named(path)[:CHECKED] if clip.words]
            items = [self._item(clips, i, draw_cut(clip, rng), rng) for i, (_, clip) in enumerate(clips)]
            batches += [items[i : i + 8] for i in range(0, len(items), 8)]
        return batches

    def _item(self, clips: list[tuple[str, Clip]], index: int, cut: Cut, rng: np.random.Generator) -> _Item:
        name, clip = clips[index]
        other = clips[int(rng.integers(len(clips)))][1].pcm
        return _Item(make_example(clip, cut, rng, self._tokens, other), name, clip, clip.language)

    def _batch(self, rng: np.random.Generator) -> Iterator[_Item]:
        """Examples of like length, up to the wanted number of frames."""
        if rng.random() < 0.06:
            for _ in range(6):
                yield _Item(make_nothing(rng), "", None, str(rng.choice(self._languages)))
        drawn = [int(i) for i in rng.choice(len(self._clips), size=24, p=self._shares)]
        pool = sorted((draw_cut(self._clips[i][1], rng), i) for i in drawn)
        start, taken = int(rng.integers(len(pool))), 0
        for cut, index in [*pool[start:], *reversed(pool[:start])]:
            yield self._item(self._clips, index, cut, rng)
            taken += cut.frames
            if taken > self.options.frames:
                return

    def _losses(self, items: Sequence[_Item], mask: tuple[int, int | None]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Total, words, opinion, features."""
        examples = [item.example for item in items]
        block, ahead = mask
        longest = -(-max(e.frames for e in examples) // block) * block
        mel = batch_mel([e.mel for e in examples])
        mel = F.pad(mel, (0, 0, 0, 2 * longest + 1 - mel.shape[1]), value=-1.0).to(self._device)
        frames = torch.tensor([e.frames for e in examples], device=self._device)
        valid = torch.arange(longest, device=self._device)[None] < frames[:, None]
        lessons = [self._lesson(item) for item in items]
        prompts = [self._tokens.prompt(item.language) for item in items]
        inputs, targets = (
            torch.from_numpy(a).to(self._device) for a in padded_tokens(examples, prompts, self._tokens.end, 440)
        )
        counted = targets >= 0
        with self.network.merged(), precision(self._device):
            features = self.network.encode(mel, block=block, ahead=ahead, valid=valid)
            logits, _ = self.network.decode(inputs, self.network.cross(features), valid=valid, rows=counted)
        logp = logits.float().log_softmax(-1)
        words = F.nll_loss(logp, targets[counted])
        error = self._feature_error(features, examples, lessons)
        firsts = np.cumsum([0, *counted.sum(1).tolist()])
        opinion = self._opinion(logp, [int(first) for first in firsts], examples, lessons)
        options = self.options
        return (
            options.words * words + options.opinion * opinion + options.features * error,
            words,
            opinion,
            error,
        )

    def _feature_error(self, features: Tensor, examples: Sequence[Example], lessons: Sequence[Lesson | None]) -> Tensor:
        """Squared error to the offline features, in their own variance; the mean of the clips' means."""
        wanted = np.zeros(features.shape, np.float32)
        share = np.zeros(features.shape[:2], np.float32)
        for i, (example, lesson) in enumerate(zip(examples, lessons, strict=True)):
            if lesson is not None:
                count = min(example.alike, len(lesson.features))
                wanted[i, :count] = lesson.features[:count]
                share[i, :count] = 1 / (count * max(1e-3, float(wanted[i, :count].var())))
        known = max(1, sum(lesson is not None for lesson in lessons))
        squares = ((features.float() - torch.from_numpy(wanted).to(self._device)) ** 2).mean(-1)
        return (squares * torch.from_numpy(share).to(self._device)).sum() / known

    def _opinion(
        self,
        logp: Tensor,
        firsts: Sequence[int],
        examples: Sequence[Example],
        lessons: Sequence[Lesson | None],
    ) -> Tensor:
        """Divergence from the offline model's probabilities of the words that are over; what it finds improbable
        counts as one.
        """
        rows: list[int] = []
        tokens, probable = [], []
        for first, last, example, lesson in zip(firsts, firsts[1:], examples, lessons, strict=False):
            if lesson is not None:
                count = min(example.shared, len(lesson.tokens), last - first)
                rows += range(first, first + count)
                tokens.append(lesson.tokens[:count])
                probable.append(lesson.logp[:count])
        if not rows:
            return logp.new_zeros(())
        said = torch.from_numpy(np.concatenate(tokens).astype(np.int64)).to(self._device)
        p = torch.from_numpy(np.concatenate(probable).astype(np.float32)).to(self._device).exp()
        own = logp[torch.tensor(rows, device=self._device)[:, None], said]
        rest, own_rest = ((1 - x.sum(1)).clamp_min(1e-6) for x in (p, own.exp()))
        parts = (p * (p.clamp_min(1e-8).log() - own)).sum(1) + rest * (rest.log() - own_rest.log())
        return parts.mean()

    def _lesson(self, item: _Item) -> Lesson | None:
        if item.clip is None or item.clip.heard:  # the offline model is a teacher of clear sound
            return None
        language = item.clip.language
        if language not in self._teachers:
            folder = self.folder / "lessons"
            self._teachers[language] = Teacher(
                self.network, self._tokens, self._tokens.prompt(language), folder, self._device
            )
        return self._teachers[language].lesson(item.name, item.clip)

    def _draw_mask(self) -> tuple[int, int | None]:
        shares = np.array([share for _, _, share in MASKS])
        block, ahead, _ = MASKS[int(self._rng.choice(len(MASKS), p=shares / shares.sum()))]
        return block, ahead

    def _rate(self) -> float:
        return self.options.rate * self.pace.share()


def _named(path: Path) -> list[tuple[str, Clip]]:
    return [(f"{path.stem}-{i}", clip) for i, clip in enumerate(load_clips(path))]


@dataclass(frozen=True, slots=True)
class _Item:
    example: Example
    name: str
    clip: Clip | None
    language: str
