"""Shards: conversations on disk, of one split each. Sound as 16-bit numbers, the truth as a JSON index."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dragoman.agent.duplex.conversation import SPLITS, AgentUtterance, Conversation, Pause, Split, UserEvent
from dragoman.agent.duplex.frames import FRAME
from dragoman.asr.causal.corpus import from_16_bits, write_shard
from dragoman.audio.reading import ANEW, expecting
from dragoman.audio.types import Samples, Word


def shard_path(folder: Path, split: Split, seed: int, number: int) -> Path:
    """Where a shard lies."""
    return folder / f"{split}-{seed}-{number:05}.npz"


def shards(folder: Path, split: Split | None = None) -> list[Path]:
    """The shards that a folder holds, of one split or of all, in a fixed order."""
    return [path for name in ((split,) if split else SPLITS) for path in sorted(folder.glob(f"{name}-*-?????.npz"))]


def save_conversations(path: Path, conversations: Sequence[Conversation]) -> None:
    """Write a shard; it appears whole or not at all. A sound that is not of whole frames is a ``ValueError``."""
    index = []
    for conversation in conversations:
        if len(conversation.pcm) % FRAME:
            raise ValueError(f"{conversation.id}: {len(conversation.pcm)} samples are not whole frames")
        silent = asdict(replace(conversation, pcm=_NO_SOUND, echo=None))
        echoes = conversation.echo is not None
        index.append({"samples": len(conversation.pcm), **silent, "pcm": None, "echo": echoes})
    echo = [conversation.echo for conversation in conversations if conversation.echo is not None]
    write_shard(path, _joined([one.pcm for one in conversations]), index, echo=_joined(echo))


def load_conversations(path: Path, *, sound: bool = True) -> Iterator[Conversation]:
    """The conversations of a shard; without ``sound`` they are silent, and much is saved. Raises ``DragomanError``."""
    with expecting("a shard of conversations", path, ANEW):
        with path.open("rb") as file, np.load(file) as data:
            index = json.loads(data["index"].tobytes())
            samples = sum(entry["samples"] for entry in index)
            pcm = data["pcm"] if sound else np.broadcast_to(np.int16(0), samples)
            echo = data["echo"] if sound and "echo" in data else None
        if len(pcm) != samples:
            raise ValueError(f"{len(pcm)} samples instead of {samples}")
        echoes = sum(entry["samples"] for entry in index if entry.get("echo"))
        if echo is not None and len(echo) != echoes:
            raise ValueError(f"{len(echo)} samples of echo instead of {echoes}")
        made, at, echo_at = [], 0, 0
        for entry in index:
            count = entry.pop("samples")
            sounds = {"pcm": from_16_bits(pcm[at : at + count]) if sound else _silence(count), "echo": None}
            at += count
            if entry.pop("echo", False) and echo is not None:
                sounds["echo"] = from_16_bits(echo[echo_at : echo_at + count])
                echo_at += count
            made.append(_conversation({**entry, **sounds}))
    yield from made


_NO_SOUND = np.zeros(0, np.float32)


def _joined(sounds: Sequence[Samples]) -> Samples:
    return np.concatenate(sounds) if sounds else _NO_SOUND


def _silence(count: int) -> npt.NDArray[np.float32]:
    """Silence that takes no memory."""
    return np.broadcast_to(np.float32(0), count)


def _conversation(entry: dict[str, Any]) -> Conversation:
    user = [
        UserEvent(
            **{
                **event,
                "words": tuple(Word(**word) for word in event["words"]),
                "pauses": tuple(Pause(**pause) for pause in event["pauses"]),
            }
        )
        for event in entry["user"]
    ]
    agent = [AgentUtterance(**said) for said in entry["agent"]]
    context = tuple((role, text) for role, text in entry["context"])
    return Conversation(**{**entry, "context": context, "user": tuple(user), "agent": tuple(agent)})
