"""What the causal ear hears in the conversations: computed once, and kept beside each shard for every epoch.

The features are the very ones that the ear publishes while it listens. They belong to one adapter of the ear, whose
digest stands in the file.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.agent.duplex.frames import FRAME
from dragoman.agent.duplex.store import load_conversations
from dragoman.asr.causal.adapter import load_adapter
from dragoman.asr.causal.catalog import adapter_path, open_recognizer
from dragoman.asr.causal.features import BLOCK, FeatureStream
from dragoman.asr.causal.runtime import CausalModel
from dragoman.audio.types import INPUT_RATE, DragomanError, Samples
from dragoman.audio.writing import replacing

Features = npt.NDArray[np.float16]
"""What is heard in each frame of a conversation, shape [frames, BLOCK, width of the ear]."""

EAR: Final = "whisper-tiny.en"
_TAIL: Final = INPUT_RATE // 4


@dataclass(frozen=True, slots=True)
class Ear:
    """The causal ear, and the digest of its adapter."""

    model: CausalModel
    digest: str


def open_ear(name: str = EAR, *, threads: int = 1) -> Ear:
    """Load the ear of a catalog model. Some seconds. Raises ``DragomanError`` when it or its adapter is missing."""
    model = open_recognizer(name, threads=threads).model
    path = adapter_path(name)
    assert path is not None  # or there were no recognizer
    return Ear(model, load_adapter(path).digest())


def features_path(shard: Path) -> Path:
    """Where the features of a shard lie."""
    return shard.with_suffix(".features.npz")


def heard(ear: Ear, pcm: Samples) -> Features:
    """The features of a sound of whole frames; of the last frame as if silence followed."""
    frames = len(pcm) // FRAME
    stream = FeatureStream(ear.model)
    out = np.concatenate([stream.push(pcm), stream.push(np.zeros(_TAIL, np.float32))])[: frames * BLOCK]
    return out.reshape(frames, BLOCK, -1).astype(np.float16)


def make_features(shard: Path, ear: Ear, told: Callable[[float], None] = lambda seconds: None) -> Path:
    """Compute the features of a shard unless this ear's of these conversations are there; they appear whole or not at
    all.

    ``told`` is given the seconds of each conversation that is done: some 20 of them take a second. Raises
    ``DragomanError``.
    """
    path = features_path(shard)
    lengths = [conversation.frames for conversation in load_conversations(shard, sound=False)]
    if path.is_file() and _made_of(path) == (ear.digest, lengths):
        return path
    made: list[Features] = []
    for conversation in load_conversations(shard):
        made.append(heard(ear, conversation.pcm))
        told(conversation.seconds)
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            features=np.concatenate(made) if made else np.zeros((0, BLOCK, ear.model.dims.width), np.float16),
            frames=np.array([len(one) for one in made], np.int64),
            ear=np.frombuffer(ear.digest.encode(), np.uint8),
        )
    return path


def load_features(shard: Path, digest: str) -> list[Features]:
    """The features of each conversation of a shard, as the ear with this adapter hears it.

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
    try:
        with path.open("rb") as file, np.load(file) as data:
            features, frames = data["features"], data["frames"]
        return list(np.split(features, np.cumsum(frames)[:-1])) if len(frames) else []
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _broken(path, error) from error


def check_features(shard: Path, lengths: Sequence[int], features: Sequence[Features]) -> None:
    """Raise ``DragomanError`` unless there are as many features as the conversations have frames."""
    if [len(one) for one in features] != list(lengths):
        raise DragomanError(f"{features_path(shard)}: made of other conversations; delete it and make it anew")


def _made_of(path: Path) -> tuple[str, list[int]]:
    """The digest of the ear, and the frames of each conversation."""
    try:
        with path.open("rb") as file, np.load(file) as data:
            return bytes(data["ear"].tobytes()).decode(), data["frames"].tolist()
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> DragomanError:
    return DragomanError(f"{path}: not features of conversations ({error}); delete it and make it anew")
