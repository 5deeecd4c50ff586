"""The conversations that turn-taking is measured on. What had to be made for it is kept in the cache.

``heldout``: the test split of a folder, or one made by the same factory as the training data, with talks and voices of
the test split alone. What the agent says in it decides nothing that is measured but how long it speaks, so its answers
are what people said in such chats, and no language model has to write them. ``human``: clips of a folder, as turns.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Final

from dragoman.agent.duplex.answers import PeoplesAnswers
from dragoman.agent.duplex.chat import installed_talks
from dragoman.agent.duplex.factory import CONVERSATIONS, Factory, split_of
from dragoman.agent.duplex.features import EAR
from dragoman.agent.duplex.personas import Cast, casting
from dragoman.agent.duplex.store import load_conversations, save_conversations, shard_path, shards
from dragoman.audio.files import load
from dragoman.audio.types import DragomanError
from dragoman.benchmarks.human_turns import RECIPE, make_turns, pieces
from dragoman.benchmarks.turn_taking import turns_of
from dragoman.models.catalog import Progress, cache_dir

_HELDOUT: Final = "heldout-echoes"
"""Folder of the cache; another name where the conversations become others."""

_SLOW_VOICES: Final = 0.05
_PER_SHARD: Final = 20


@dataclass(frozen=True, slots=True)
class Conversations:
    """A set: its shards; ``own`` when they lie in the cache, where features may be kept beside them. ``skipped``: clips
    that are of no use, in another language or noisier than their voice.
    """

    name: str
    shards: tuple[Path, ...]
    own: bool
    skipped: int = 0


def given(folder: Path) -> Conversations:
    """The test split of a folder. Raises ``DragomanError`` when there is none."""
    found = shards(folder, "test")
    if not found:
        raise DragomanError(f"{folder} holds no conversations of the split test: make more with `dragoman data duplex`")
    return Conversations("heldout", tuple(found), own=False)


def made(turns: int, seed: int, progress: Progress, late: Callable[[], bool] = lambda: False) -> Conversations:
    """At least so many turns of conversations: what is missing is made, some 40 turns a minute.

    When it gets ``late`` it ends with what there is, at least one shard. Raises ``DragomanError``.
    """
    folder = _folder() / _HELDOUT
    found: list[Path] = []
    have = 0
    factory: Factory | None = None
    for number in filter(lambda n: split_of(n) == "test", count()):
        if have >= turns or (found and late()):
            break
        path = shard_path(folder, "test", seed, number)
        if not path.is_file():
            factory = factory or Factory(folder, seed, installed_talks(), PeoplesAnswers(), _cast())
            _make(factory, number, progress)
        have += sum(len(turns_of(conversation)) for conversation in load_conversations(path, sound=False))
        found.append(path)
    return Conversations("heldout", tuple(found), own=True)


def human(data: Path, turns: int, seed: int, progress: Progress) -> Conversations:
    """Up to so many turns made of the English clips that ``index.json`` lists. Raises ``DragomanError``."""
    from dragoman.benchmarks.asr import word_ends
    from dragoman.benchmarks.wer import read_index  # here: what they need takes a second to import

    clips = read_index(data)
    english = [clip for clip in clips if clip.lang[:2] == "en"]
    recipe = [RECIPE, seed, turns, [(clip.file, clip.transcript, _size(data / clip.file)) for clip in english]]
    folder = _folder() / f"human-{hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]}"
    about = folder / "about.json"
    if not about.is_file():
        found, useless = [], 0
        for number, clip in enumerate(english):
            progress("aligning words", number, len(english))
            parts = pieces(clip.file, load(data / clip.file), word_ends(data, clip, EAR, "en"))
            found += parts
            useless += not parts
        progress("aligning words", len(english), len(english))
        conversations = make_turns(found, turns, seed)
        for number in count():
            if not (shard := list(islice(conversations, _PER_SHARD))):
                break
            progress("making human turns", min(number * _PER_SHARD, turns), turns)
            save_conversations(shard_path(folder, "test", seed, number), shard)
        progress("making human turns", turns, turns)
        folder.mkdir(parents=True, exist_ok=True)
        about.write_text(json.dumps({"clips": len(english) - useless, "skipped": len(clips) - len(english) + useless}))
    ready = shards(folder, "test")
    if not ready:
        raise DragomanError(f"{data} lists no English clips whose voice can be told from the background")
    return Conversations("human", tuple(ready), own=True, skipped=int(json.loads(about.read_text())["skipped"]))


def _cast() -> Cast:
    """The fast voices, and a few of Kokoro's where it is installed."""
    with suppress(DragomanError):
        return casting(kokoro_share=_SLOW_VOICES)
    return casting(kokoro_share=0)


def _make(factory: Factory, number: int, progress: Progress) -> None:
    dialogues = asyncio.run(factory.write(number))
    what, spoken = f"speaking conversations ({factory.path(number).stem})", 0

    def told() -> None:
        nonlocal spoken
        spoken += 1
        progress(what, spoken, CONVERSATIONS)

    progress(what, 0, CONVERSATIONS)
    factory.perform(number, dialogues, told)


def _folder() -> Path:
    return cache_dir().parent / "bench"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DragomanError(f"{path}: listed in index.json, but can't be read ({error.strerror})") from error
