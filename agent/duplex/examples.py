"""What is trained on: conversations without their sound, and what the ear hears in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dragoman.agent.duplex.conversation import Conversation, Split
from dragoman.agent.duplex.features import check_features, features_path, load_features
from dragoman.agent.duplex.store import load_conversations, shards
from dragoman.agent.duplex.windows import Features
from dragoman.audio.types import DragomanError
from dragoman.models.catalog import Progress

BODY: Final = "smollm2-135m"
"""The language model that is trained unless another is named."""


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation, which may be silent, and what is heard in it: the ear's ``features`` [frames, 8, d] and the
    ``prosody`` [frames, 8, PROSODY] of the voice.
    """

    conversation: Conversation
    features: Features
    prosody: Features

    @property
    def said(self) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
        """What stands before it and what the user says in it, whoever speaks it."""
        turns = tuple(event.text for event in self.conversation.user if event.answered)
        return self.conversation.context, turns


class Examples:
    """The conversations of a split in a folder, as the ear of this digest hears them. More may be made meanwhile."""

    def __init__(self, folder: Path, ear: str, split: Split = "drafter") -> None:
        self._folder, self._ear, self._split = folder, ear, split
        self._read = set[Path]()

    def load(self, progress: Progress) -> list[Example]:
        """All that are finished. Raises ``DragomanError``: where there are none, or no features of this ear."""
        found = self._finished() or shards(self._folder, self._split)
        if not found:
            raise DragomanError(f"{self._folder} holds no conversations to train on: run `dragoman data duplex`")
        examples: list[Example] = []
        for number, shard in enumerate(found):
            progress("reading conversations", number, len(found))
            examples += self._load(shard)
        progress("reading conversations", len(found), len(found))
        return examples

    def new(self) -> list[Example]:
        """Those that were finished since."""
        return [example for shard in self._finished() if shard not in self._read for example in self._load(shard)]

    def _finished(self) -> list[Path]:
        return [shard for shard in shards(self._folder, self._split) if features_path(shard).is_file()]

    def _load(self, shard: Path) -> list[Example]:
        self._read.add(shard)
        conversations = list(load_conversations(shard, sound=False))
        heard = load_features(shard, self._ear)
        check_features(shard, [c.frames for c in conversations], heard)
        return [Example(c, one.features, one.prosody) for c, one in zip(conversations, heard, strict=True)]
