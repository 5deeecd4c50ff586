"""What the small translators learn from: sentences, and their beginnings, as the embedded translator translates them.

A live translator is mostly asked for sentences that are not over, so about half of the pairs are beginnings, cut after
any word; a tenth has no marks and no capitals. For another source language than English the source is itself a
translation (back-translation), since people's chat is at hand in English alone. Shards are JSON lines, named by seed
and number; some sentences, by a hash of the English one, are kept for tests, whatever the seed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, Literal, TypeAlias

from dragoman.audio.reading import ANEW, expecting
from dragoman.audio.writing import replacing
from dragoman.translation.sentences import sentences

Translate: TypeAlias = Callable[[Sequence[str]], list[str]]
Split: TypeAlias = Literal["train", "test"]
SPLITS: Final[tuple[Split, ...]] = ("train", "test")

TEXTS: Final = 2000
"""Texts drawn for a shard."""
_TESTED: Final = 40
"""One sentence of so many is for tests."""
_CUT: Final = 0.9
"""How many of the sentences that are long enough give a beginning too."""
_LEAST: Final = 3
"""Words of a sentence that is cut."""
_UNMARKED: Final = 0.1
"""How many of the sentences are small letters without marks, as some recognizers write."""
_MOST: Final = 60
_RATIO: Final = 1.8
"""Words of a translation for each word of its source, at most, and a few more."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A text and its translation; ``cut``: it is a beginning."""

    source: str
    target: str
    cut: bool


def pair_path(folder: Path, pair: str, split: Split, seed: int, number: int) -> Path:
    """Where a shard lies; ``pair`` such as en-pt."""
    return folder / f"{pair}-{split}-{seed}-{number:05}.jsonl"


def pair_shards(folder: Path, pair: str, split: Split) -> list[Path]:
    """The shards that a folder holds, in a fixed order."""
    return sorted(folder.glob(f"{pair}-{split}-*-?????.jsonl"))


def load_pairs(path: Path) -> list[Pair]:
    """Raises ``DragomanError``."""
    with expecting("pairs of texts", path, ANEW):
        lines = path.read_text(encoding="utf-8").splitlines()
        return [Pair(str(one["source"]), str(one["target"]), bool(one["cut"])) for one in map(json.loads, lines)]


def drawn(draw: Callable[[Random], str], seed: int, number: int) -> dict[Split, list[str]]:
    """The English sentences of a shard, each once."""
    rng = Random(f"{seed}/{number}")
    texts = (draw(rng) for _ in range(TEXTS))
    found = dict.fromkeys(one for text in texts for one in sentences(text) if len(one.split()) <= _MOST)
    return {split: [one for one in found if split_of(one) == split] for split in SPLITS}


def split_of(sentence: str) -> Split:
    """Who may see it, whatever its case and marks."""
    core = "".join(c for c in sentence.lower() if c.isalnum())
    share = int(hashlib.sha256(core.encode()).hexdigest()[:8], 16)
    return "test" if share % _TESTED == 0 else "train"


def paired(english: Sequence[str], into: Translate | None, translate: Translate, rng: Random) -> Iterator[Pair]:
    """Pairs for some sentences. ``into`` carries them into the source language; None: that is English."""
    sources = [_plain(one) if rng.random() < _UNMARKED else one for one in english]
    if into is not None:
        sources = [carried for one, carried in zip(sources, into(sources), strict=True) if _likely(one, carried)]
    beginnings = [cut for source in sources if (cut := _cut(source, rng))]
    texts = [*sources, *beginnings]
    for index, (source, target) in enumerate(zip(texts, translate(texts), strict=True)):
        if _likely(source, target):
            yield Pair(source, target, index >= len(sources))


def save_pairs(path: Path, pairs: Iterator[Pair]) -> None:
    """Write a shard; it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, partial.open("w", encoding="utf-8") as file:
        for pair in pairs:
            entry: Mapping[str, str | bool] = {"source": pair.source, "target": pair.target, "cut": pair.cut}
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _plain(text: str) -> str:
    """In small letters, without marks."""
    return " ".join(word.lower().strip(".,;:?!") for word in text.split()) or text


def _likely(source: str, target: str) -> bool:
    """Whether it looks like a translation: what a translator adds of its own is often long, or begins with a title."""
    longest = _RATIO * len(source.split()) + 3
    return 0 < len(target.split()) <= longest and (":" in source or ":" not in target)


def _cut(source: str, rng: Random) -> str | None:
    """A beginning of it, as a recognizer writes what is not over: without a mark behind."""
    words = source.split()
    if len(words) < _LEAST or rng.random() > _CUT:
        return None
    return " ".join(words[: rng.randint(1, len(words) - 1)]).rstrip(".,;:?!") or None
