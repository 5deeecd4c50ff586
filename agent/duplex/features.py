"""What is heard in the conversations, by the causal ear and of the voice's prosody: computed once, and kept beside each
shard for every epoch.

The features are the very ones that the ear publishes while it listens. They belong to one adapter of the ear, whose
digest stands in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.agent.duplex.frames import FRAME
from dragoman.agent.duplex.prosody import PROSODY, ProsodyStream
from dragoman.agent.duplex.store import load_conversations
from dragoman.asr.causal.adapter import load_adapter
from dragoman.asr.causal.catalog import open_recognizer, require_adapter
from dragoman.asr.causal.features import BLOCK, FeatureStream
from dragoman.asr.causal.runtime import CausalModel
from dragoman.asr.causal.weights import Array
from dragoman.audio.reading import ANEW, expecting
from dragoman.audio.types import INPUT_RATE, DragomanError, Samples
from dragoman.audio.writing import replacing

Features = npt.NDArray[np.float16]
"""Of each frame what the ear makes of it [frames, BLOCK, width of the ear], or its prosody [frames, BLOCK, PROSODY]."""

EAR: Final = "whisper-tiny.en"
_TAIL: Final = INPUT_RATE // 4
_NONE: Final = "none that knows prosody"
_WHAT: Final = "features of conversations"


@dataclass(frozen=True, slots=True)
class Sounds:
    """What is heard in frames."""

    features: Features
    prosody: Features

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True, slots=True)
class Ear:
    """The causal ear, and the name of its encoder (``Adapter.ear``)."""

    model: CausalModel
    digest: str


def open_ear(name: str = EAR, *, threads: int = 1) -> Ear:
    """Load the ear of a catalog model. Some seconds. Raises ``DragomanError`` when it or its adapter is missing."""
    return Ear(open_recognizer(name, threads=threads, talk=True).model, ear_digest(name))


def ear_digest(name: str) -> str:
    """Name of the encoder of a catalog model's causal adapter. Raises ``DragomanError`` when there is none."""
    return load_adapter(require_adapter(name)).ear


class EarStream:
    """One session's: what the ear and the voice's prosody are in each frame, 12.5 ms after it has been heard."""

    def __init__(self, ear: Ear) -> None:
        self._features, self._prosody = FeatureStream(ear.model), ProsodyStream()
        self._waiting = np.zeros((0, PROSODY), np.float32)

    def push(self, pcm: Samples) -> tuple[Array, Array]:
        """The ear's features [n, BLOCK, d] and the prosody [n, BLOCK, PROSODY] of the frames that ``pcm`` (16 kHz)
        completes; may be none.
        """
        features = self._features.push(pcm)
        known = np.concatenate([self._waiting, self._prosody.push(pcm)])
        self._waiting = known[len(features) :]
        return features.reshape(-1, BLOCK, features.shape[1]), known[: len(features)].reshape(-1, BLOCK, PROSODY)


def features_path(shard: Path) -> Path:
    """Where the features of a shard lie."""
    return shard.with_suffix(".features.npz")


def heard(ear: Ear, pcm: Samples) -> Sounds:
    """What is heard in a sound of whole frames; in the last frame as if silence followed."""
    frames = len(pcm) // FRAME
    parts = EarStream(ear).push(np.concatenate([pcm, np.zeros(_TAIL, np.float32)]))
    return Sounds(*(part[:frames].astype(np.float16) for part in parts))


def make_features(shard: Path, ear: Ear, told: Callable[[float], None] = lambda seconds: None) -> Path:
    """Compute what is heard in a shard unless this ear's of these conversations is there; it appears whole or not at
    all.

    ``told`` is given the seconds of each conversation that is done: some 20 of them take a second. Raises
    ``DragomanError``.
    """
    path = features_path(shard)
    lengths = [conversation.frames for conversation in load_conversations(shard, sound=False)]
    if path.is_file() and _made_of(path) == (ear.digest, lengths):
        return path
    made: list[Sounds] = []
    for conversation in load_conversations(shard):
        made.append(heard(ear, conversation.pcm))
        told(conversation.seconds)
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            features=_joined([one.features for one in made], ear.model.dims.width),
            prosody=_joined([one.prosody for one in made], PROSODY),
            frames=np.array([len(one) for one in made], np.int64),
            ear=np.frombuffer(ear.digest.encode(), np.uint8),
        )
    return path


def _joined(parts: Sequence[Features], width: int) -> Features:
    return np.concatenate(parts) if parts else np.zeros((0, BLOCK, width), np.float16)


def load_features(shard: Path, digest: str) -> list[Sounds]:
    """What is heard in each conversation of a shard by the ear with this adapter.

    Raises ``DragomanError`` when there are none, or those of another ear.
    """
    path = features_path(shard)
    if not path.is_file():
        raise DragomanError(
            f"{shard} has no features yet: run `dragoman data duplex --hours 0 --features` on its folder"
        )
    found, _ = _made_of(path)
    if found != digest:
        raise DragomanError(
            f"{path}: made by another ear ({found}, not {digest}); "
            "run `dragoman data duplex --hours 0 --features` on its folder"
        )
    with expecting(_WHAT, path, ANEW):
        with path.open("rb") as file, np.load(file) as data:
            features, prosody, frames = data["features"], data["prosody"], data["frames"]
        if len(prosody) != len(features):
            raise ValueError(f"prosody of {len(prosody)} frames instead of {len(features)}")
        ends = np.cumsum(frames)[:-1]
        return list(map(Sounds, np.split(features, ends), np.split(prosody, ends))) if len(frames) else []


def check_features(shard: Path, lengths: Sequence[int], features: Sequence[Sounds]) -> None:
    """Raise ``DragomanError`` unless there are as many features as the conversations have frames."""
    if [len(one) for one in features] != list(lengths):
        raise DragomanError(f"{features_path(shard)}: made of other conversations; delete it and make it anew")


def _made_of(path: Path) -> tuple[str, list[int]]:
    """The digest of the ear, and the frames of each conversation."""
    with expecting(_WHAT, path, ANEW), path.open("rb") as file, np.load(file) as data:
        ear = bytes(data["ear"].tobytes()).decode() if "prosody" in data else _NONE
        return ear, data["frames"].tolist()
