"""What users say in conversations, as clips for the ear: people who pause, search for words and are interrupted.

The voices have been through rooms and microphones already. Digits that are read out are left out: a conversation has
them as words, the ear writes figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dragoman.agent.duplex.conversation import Conversation
from dragoman.agent.duplex.store import load_conversations
from dragoman.asr.causal.corpus import LONGEST_S, Clip, save_clips
from dragoman.audio.types import INPUT_RATE

_BEFORE_S: Final = 0.45
_AFTER_S: Final = 1.2
"""Sound around what is said, about as much as a session's ear hears."""


def clips_of(conversation: Conversation) -> Iterator[Clip]:
    """Each thing that the user says, up to ``LONGEST_S``."""
    for event in conversation.user:
        start = max(0.0, event.start_s - _BEFORE_S)
        end = min(conversation.seconds, event.end_s + _AFTER_S)
        if event.situation == "number" or not event.words or end - start > LONGEST_S:
            continue
        pcm = conversation.pcm[int(start * INPUT_RATE) : int(end * INPUT_RATE)]
        words = tuple(word.shifted(-start) for word in event.words)
        yield Clip(pcm, words, conversation.language, conversation.user_voice, heard=True)


def make_turns(shard: Path, folder: Path) -> Path:
    """Keep a shard's turns as a shard of clips, unless that is there; it appears whole or not at all. Its name is none
    of `dragoman data speech`: both may lie in one folder.
    """
    _, seed, number = shard.stem.rsplit("-", 2)
    path = folder / f"en-{seed}-turns-{number}.npz"
    if not path.is_file():
        save_clips(path, [clip for conversation in load_conversations(shard) for clip in clips_of(conversation)])
    return path
