"""A judge of what answers what, taught by what people answered to each other.

Two towers over sentence vectors (``sentences``): a dialogue's last turn, with the one before it, and the first words of
a reply become vectors whose product tells how well they fit. It has never seen the drafter or its likelihoods.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from dragoman.audio.reading import expecting
from dragoman.audio.types import DragomanError, Json
from dragoman.models.arrays import load_arrays, save_arrays
from dragoman.models.catalog import Progress
from dragoman.verifier.contradictions import Dialogue
from dragoman.verifier.features import Array
from dragoman.verifier.sentences import open_sentences

INNER: Final = 256
"""Width inside each tower."""

PASSING: Final = 0.15
"""The share of replies to something else that may pass for good: the margin is set by it."""

TOWERS: Final = ("dialogue", "reply")


class Encoder(Protocol):
    """What makes vectors of texts."""

    @property
    def width(self) -> int:
        """Of a vector."""

    def encode(self, texts: Sequence[str]) -> Array:
        """Vectors [n, width]; zeros for an empty text."""


@dataclass(frozen=True)
class Towers:
    """``arrays``, matrices [out, in]: of each tower ``direct`` (what it adds to is a plain sum of its inputs), ``in``,
    ``in_bias``, ``out``. ``margin`` and ``generic``: the thresholds of labels that suit it.
    """

    arrays: Mapping[str, Array]
    margin: float
    generic: float
    card: Mapping[str, Json]

    def digest(self) -> str:
        """A short name of all that is in it but the card."""
        found = hashlib.sha256(f"{self.margin:.5f} {self.generic:.5f}".encode())
        for name, array in sorted(self.arrays.items()):
            found.update(name.encode())
            found.update(array.astype(np.float16).tobytes())
        return found.hexdigest()[:16]


class Ranker:
    """Judges beginnings of replies (``labels.Ranking``)."""

    def __init__(self, towers: Towers, encoder: Encoder) -> None:
        self.towers = towers
        self._encoder = encoder

    @property
    def margin(self) -> float:
        """The advantage from which on a draft is good."""
        return self.towers.margin

    @property
    def generic(self) -> float:
        """The spread below which a draft fits everything alike."""
        return self.towers.generic

    def dialogues(self, dialogues: Sequence[Dialogue]) -> Array:
        """Vectors [n, k] of dialogues."""
        known = {text: i for i, text in enumerate(dict.fromkeys(text for d in dialogues for text in last_turns(d)))}
        vectors = self._encoder.encode(list(known))
        joined = np.array([np.concatenate([vectors[known[text]] for text in last_turns(d)]) for d in dialogues])
        return tower(self.towers.arrays, "dialogue", joined)

    def replies(self, texts: Sequence[str]) -> Array:
        """Vectors [n, k] of beginnings of replies."""
        return tower(self.towers.arrays, "reply", self._encoder.encode(texts))


def last_turns(dialogue: Dialogue) -> tuple[str, str]:
    """What a ranker reads of a dialogue: its last turn, and the one before."""
    texts = [text for _, text in dialogue[-2:]]
    return (texts[-1] if texts else "", texts[-2] if len(texts) > 1 else "")


def tower(arrays: Mapping[str, Array], name: str, x: Array) -> Array:
    """One side: vectors [n, inputs] to vectors [n, k] of length 1."""
    w = {key: arrays[f"{name}.{key}"] for key in ("direct", "in", "in_bias", "out")}
    y = x @ w["direct"].T + np.maximum(x @ w["in"].T + w["in_bias"], 0) @ w["out"].T
    return np.asarray(y / np.maximum(np.linalg.norm(y, axis=1, keepdims=True), 1e-9), np.float32)


def save_ranker(path: Path, towers: Towers) -> None:
    """Write it, float16; the file appears whole or not at all."""
    header = {"margin": towers.margin, "generic": towers.generic, "card": towers.card}
    save_arrays(path, header, {f"own/{name}": array.astype(np.float16) for name, array in towers.arrays.items()})


def load_towers(path: Path) -> Towers:
    """Read it. Raises ``DragomanError`` when it is none."""
    with expecting("a ranker", path):
        header, found = load_arrays(path)
        arrays = {n.removeprefix("own/"): a.astype(np.float32) for n, a in found.items() if n.startswith("own/")}
        if {name.split(".")[0] for name in arrays} != set(TOWERS):
            raise ValueError(f"its towers are not {' and '.join(TOWERS)}")
        return Towers(arrays=arrays, **header)


def open_ranker(path: Path, *, threads: int = 1, progress: Progress | None = None) -> Ranker:
    """Load a ranker and the sentence encoder under it. Raises ``DragomanError`` when one is missing."""
    if not path.is_file():
        raise DragomanError(f"{path} is not there: train a ranker with `dragoman train ranker`")
    return Ranker(load_towers(path), open_sentences(threads=threads, progress=progress))
