"""Train the ranker: which reply belongs to which dialogue, among those of a batch. Needs the ``train`` extra.

Every text becomes a vector once; what is trained are the towers above, in a minute. A reply is met whole and as its
first words, as drafts are. Both directions count: which of many replies, and which of many dialogues.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dragoman.audio.types import DragomanError, Json
from dragoman.audio.writing import replacing
from dragoman.models.catalog import Progress
from dragoman.models.shares import share_of
from dragoman.verifier.features import Array
from dragoman.verifier.figures import auroc
from dragoman.verifier.labels import OTHERS, Candidate, label
from dragoman.verifier.ranker import INNER, PASSING, Encoder, Ranker, Towers, last_turns

PREFIX: Final = (3, 7)
"""Words of the beginnings: from, to."""

_GENERIC: Final = 0.2
"""The share of people's own beginnings whose fit varies so little that it tells nothing."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A reply that somebody gave to a dialogue, in a talk."""

    talk: str
    dialogue: tuple[tuple[str, str], ...]
    reply: str


@dataclass(frozen=True, slots=True)
class Options:
    """How to train."""

    epochs: int = 6
    batch: int = 512
    rate: float = 1e-3
    decay: float = 0.02
    dropout: float = 0.4
    held: float = 0.1
    """Share of the talks that are not learned from: margins and figures come from them."""
    seed: int = 1


def pairs_of(talks: Mapping[str, Sequence[Sequence[str]]]) -> list[Pair]:
    """The pairs of talks: name to stretches of turns in alternation. The one who replies is the assistant."""
    pairs = []
    for name, stretches in sorted(talks.items()):
        for turns in stretches:
            for i in range(1, len(turns)):
                before = (("assistant", turns[i - 2]),) if i > 1 else ()
                pairs.append(Pair(name, (*before, ("user", turns[i - 1])), turns[i]))
    return pairs


def is_held(talk: str, options: Options) -> bool:
    """Whether a talk is kept out of the training."""
    return share_of(f"{talk}/ranker") < options.held


def beginning(reply: str, rng: Random) -> str:
    """The first words of a reply, as many as a draft may have."""
    return " ".join(reply.split()[: rng.randint(*PREFIX)])


def train(pairs: Sequence[Pair], encoder: Encoder, folder: Path, options: Options, progress: Progress) -> Towers:
    """Train a ranker. Vectors are kept in ``folder``. Raises ``DragomanError`` when there are too few pairs."""
    held = [pair for pair in pairs if is_held(pair.talk, options)]
    taught = [pair for pair in pairs if not is_held(pair.talk, options)]
    if len(held) <= 2 * OTHERS or len(taught) < options.batch:
        raise DragomanError(f"{len(pairs)} replies are too few to train a ranker on")
    rng = Random(f"{options.seed}/beginnings")
    forms = [(pair.reply, beginning(pair.reply, rng), beginning(pair.reply, rng)) for pair in taught]
    texts = list(dict.fromkeys(t for p, f in zip(taught, forms, strict=True) for t in (*last_turns(p.dialogue), *f)))
    vectors = _vectors(texts, encoder, folder, progress)
    place = {text: i for i, text in enumerate(texts)}
    dialogues = np.array([[place[text] for text in last_turns(pair.dialogue)] for pair in taught])
    replies = np.array([[place[text] for text in form] for form in forms])
    torch.manual_seed(options.seed)
    network = _Network(encoder.width, options.dropout)
    _fit(network, torch.from_numpy(vectors), dialogues, replies, options, progress)
    untuned = Towers(network.arrays(), 0.0, 0.0, {})
    card: dict[str, Json] = {"taught": len(taught), "held": len(held), "options": asdict(options)}
    return measured(untuned, held, encoder, card)


def measured(towers: Towers, held: Sequence[Pair], encoder: Encoder, card: Mapping[str, Json]) -> Towers:
    """Set the margins by talks that were not learned from, and tell on the card how well the towers rank them."""
    found: dict[str, Json] = {}
    rng = Random("held")
    whole = [pair.reply for pair in held]
    short = [beginning(text, rng) for text in whole]
    ranker = Ranker(towers, encoder)
    sides = ranker.dialogues([pair.dialogue for pair in held])
    for name, texts in (("whole", whole), ("beginnings", short)):
        found[f"hits_at_1_of_16_{name}"] = hits(sides, ranker.replies(texts), [pair.talk for pair in held])
    own, foreign = (
        label([Candidate(f"{i}", text, pair.dialogue, pair.talk) for i, (text, pair) in enumerate(said)], ranker)
        for said in (list(zip(short, held, strict=True)), list(zip(_moved(short, held), held, strict=True)))
    )
    gains = np.array([one.advantage for one in own.values()])
    strays = np.array([one.advantage for one in foreign.values()])
    margin = float(np.quantile(strays, 1 - PASSING))
    found |= {
        "auroc_beginnings": auroc(np.concatenate([gains, strays]), np.arange(2 * len(held)) < len(held)),
        "own_beginnings_that_pass": float((gains >= margin).mean()),
        "foreign_beginnings_that_pass": float((strays >= margin).mean()),
    }
    generic = float(np.quantile([one.spread for one in own.values()], _GENERIC))
    return Towers(towers.arrays, margin, generic, {**card, "figures": found})


def hits(dialogues: Array, replies: Array, talks: Sequence[str]) -> float:
    """How often the own reply fits a dialogue best among it and ``OTHERS`` of other talks, drawn at random."""
    rng, found = Random("hits"), 0
    for i, side in enumerate(dialogues):
        others: list[int] = []
        while len(others) < OTHERS:
            j = rng.randrange(len(talks))
            if talks[j] != talks[i]:
                others.append(j)
        found += bool(side @ replies[i] > (replies[others] @ side).max())
    return found / len(talks)


def _moved(texts: Sequence[str], pairs: Sequence[Pair]) -> list[str]:
    """Each text replaced by one of another talk."""
    rng, out = Random("moved"), []
    for pair in pairs:
        j = rng.randrange(len(pairs))
        while pairs[j].talk == pair.talk:
            j = rng.randrange(len(pairs))
        out.append(texts[j])
    return out


class _Network(nn.Module):
    """Both towers. At first they add nothing to the product of the last turn and the reply."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.own = nn.ParameterDict()
        for name, inputs in (("dialogue", 2 * width), ("reply", width)):
            self.own[f"{name}/direct"] = nn.Parameter(torch.eye(width, inputs))
            self.own[f"{name}/in"] = nn.Parameter(torch.randn(INNER, inputs) * inputs**-0.5)
            self.own[f"{name}/in_bias"] = nn.Parameter(torch.zeros(INNER))
            self.own[f"{name}/out"] = nn.Parameter(torch.zeros(width, INNER))
        self.temperature = nn.Parameter(torch.tensor(2.5))
        self._drop = nn.Dropout(dropout)

    def forward(self, dialogues: Tensor, replies: Tensor) -> Tensor:
        """How each dialogue [B, 2 width] fits each reply [B, width]: logits [B, B]."""
        return self.temperature.exp() * self.side("dialogue", dialogues) @ self.side("reply", replies).T

    def side(self, name: str, x: Tensor) -> Tensor:
        """As ``ranker.tower``, with what is dropped in training."""
        w = {key: self.own[f"{name}/{key}"] for key in ("direct", "in", "in_bias", "out")}
        x = self._drop(x)
        y = F.linear(x, w["direct"]) + F.linear(self._drop(F.relu(F.linear(x, w["in"], w["in_bias"]))), w["out"])
        return F.normalize(y, dim=-1)

    def arrays(self) -> dict[str, Array]:
        """Numbers as ``Towers`` has them."""
        return {name.replace("/", "."): value.detach().numpy().copy() for name, value in self.own.items()}


def _fit(
    network: _Network,
    vectors: Tensor,
    dialogues: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    replies: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    options: Options,
    progress: Progress,
) -> None:
    rng = np.random.default_rng(options.seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=options.decay)
    total, step = options.epochs * (len(dialogues) // options.batch), 0
    network.train()
    for _ in range(options.epochs):
        order = rng.permutation(len(dialogues))
        for first in range(0, len(order) - options.batch + 1, options.batch):
            rows = order[first : first + options.batch]
            form = rng.choice(replies.shape[1], size=len(rows), p=(0.25, 0.375, 0.375))
            given, said = vectors[dialogues[rows]].flatten(1), vectors[replies[rows, form]]
            for group in optimizer.param_groups:
                group["lr"] = options.rate * 0.5 * (1 + math.cos(math.pi * step / total))
            logits, own = network(given, said), torch.arange(len(rows))
            loss = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1
            progress("teaching", step, total)


def _vectors(texts: Sequence[str], encoder: Encoder, folder: Path, progress: Progress) -> Array:
    """The vectors of texts, half precision; kept in pieces, so that a stopped run goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    for first in range(0, len(texts), _PIECE):
        progress("reading texts", first, len(texts))
        piece = texts[first : first + _PIECE]
        name = hashlib.sha256("\n".join(piece).encode()).hexdigest()[:16]
        path = folder / f"vectors-{name}.npy"
        if not path.is_file():
            with replacing(path) as partial, partial.open("wb") as file:
                np.save(file, encoder.encode(piece).astype(np.float16))
        out.append(np.load(path))
    progress("reading texts", len(texts), len(texts))
    return np.concatenate(out).astype(np.float32)


_PIECE: Final = 2000
