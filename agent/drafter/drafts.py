"""Drafts of a reply's first words, with what a verifier needs to judge them, and their log on disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dragoman.audio.reading import expecting
from dragoman.audio.writing import replacing

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Draft:
    """The first words of a reply. For each of ``tokens``: the ``hidden`` state that it was guessed from [n, d], and of
    the guess the ``entropy``, the ``logp`` of the token, and the ``margin`` to the second best (nats) [n].

    The states are those of a layer in the middle: there a body still knows what was said, and a verifier is right more
    often than with those of its last layer, which know little but the next token.
    """

    text: str
    tokens: tuple[int, ...]
    complete: bool
    """The reply has no more words."""
    hidden: Array = field(repr=False, compare=False)
    entropy: Array = field(repr=False, compare=False)
    logp: Array = field(repr=False, compare=False)
    margin: Array = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class LastWord:
    """What is known at the last word of a turn that is read: the ``state`` in the middle of the body [d], and the logit
    that the turn is ``complete`` there by those layers that learned just that (0 where there are none).
    """

    state: Array = field(repr=False, compare=False)
    complete: float = 0.0


def save_drafts(path: Path, drafts: Sequence[Draft], names: Sequence[str]) -> None:
    """Write drafts, each under a name (of conversation and frame, say); the file appears whole or not at all."""
    if len(names) != len(drafts):
        raise ValueError(f"{len(names)} names for {len(drafts)} drafts")
    index = [
        {"name": name, "text": draft.text, "tokens": draft.tokens, "complete": draft.complete}
        for name, draft in zip(names, drafts, strict=True)
    ]
    width = drafts[0].hidden.shape[1] if drafts else 0
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            index=np.frombuffer(json.dumps(index).encode(), np.uint8),
            hidden=np.concatenate([np.zeros((0, width), np.float16), *(d.hidden.astype(np.float16) for d in drafts)]),
            **{name: np.concatenate([_NONE, *(getattr(d, name) for d in drafts)]) for name in _SCALARS},
        )


def load_drafts(path: Path) -> list[tuple[str, Draft]]:
    """Drafts with their names. Raises ``DragomanError``."""
    with expecting("a log of drafts", path):
        with path.open("rb") as file, np.load(file) as data:
            index = json.loads(data["index"].tobytes())
            ends = np.cumsum([len(entry["tokens"]) for entry in index])
            hidden, *scalars = (np.split(data[name].astype(np.float32), ends)[:-1] for name in ("hidden", *_SCALARS))
        return [
            (entry["name"], Draft(entry["text"], tuple(entry["tokens"]), entry["complete"], *rows))
            for entry, *rows in zip(index, hidden, *scalars, strict=True)
        ]


_SCALARS = ("entropy", "logp", "margin")
_NONE = np.zeros(0, np.float32)
