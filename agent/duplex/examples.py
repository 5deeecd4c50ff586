"""What is trained on: conversations without their sound, and what the ear hears in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dragoman.agent.duplex.conversation import Conversation, Split
from dragoman.agent.duplex.features import check_features, load_features
from dragoman.agent.duplex.store import load_conversations, shards
from dragoman.agent.duplex.windows import Features
from dragoman.asr.causal.adapter import load_adapter
from dragoman.asr.causal.catalog import adapter_path
from dragoman.audio.types import DragomanError
from dragoman.models.catalog import Progress

BODY: Final = "smollm2-135m"
"""The language model that is trained unless another is named."""


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation, which may be silent, and the ear's features of its sound [frames, 8, d]."""

    conversation: Conversation
    features: Features


def ear_digest(name: str) -> str:
    """Digest of the causal adapter of a catalog model. Raises ``DragomanError`` when there is none."""
    path = adapter_path(name)
    if path is None:
        raise DragomanError(f"no causal adapter for {name}: train one with `dragoman train asr --model {name}`")
    return load_adapter(path).digest()


def load_examples(folder: Path, ear: str, progress: Progress, split: Split = "drafter") -> list[Example]:
    """All conversations of a split, as the ear of this digest hears them. Raises ``DragomanError``."""
    found = shards(folder, split)
    if not found:
        raise DragomanError(f"{folder} holds no conversations to train on: run `dragoman data duplex`")
    examples: list[Example] = []
    for number, shard in enumerate(found):
        progress("reading conversations", number, len(found))
        conversations = list(load_conversations(shard, sound=False))
        features = load_features(shard, ear)
        check_features(shard, [c.frames for c in conversations], features)
        examples += map(Example, conversations, features)
    progress("reading conversations", len(found), len(found))
    return examples
