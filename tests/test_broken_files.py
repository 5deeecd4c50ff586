"""Files of our own that are broken: one line names the file, whatever is wrong with it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dragoman.agent.drafter.dialogues import load_dialogues
from dragoman.agent.drafter.drafts import load_drafts
from dragoman.agent.drafter.endings import load_endings
from dragoman.agent.drafter.habits import load_habits
from dragoman.agent.drafter.pauses import load_pauses
from dragoman.agent.duplex import adapter as duplex
from dragoman.agent.duplex.endpointer import load_endpointer
from dragoman.agent.duplex.store import load_conversations
from dragoman.asr.causal import adapter as causal
from dragoman.asr.causal import catalog
from dragoman.asr.causal.corpus import load_clips
from dragoman.audio.types import DragomanError
from dragoman.translation import checkpoint as translation
from dragoman.translation.training.pairs import load_pairs
from dragoman.verifier import model as verifier
from dragoman.verifier.gold import Sheet
from dragoman.verifier.ranker import load_towers


def _archive(header: bytes) -> bytes:
    file = io.BytesIO()
    np.savez(file, header=np.frombuffer(header, np.uint8), index=np.frombuffer(header, np.uint8), filling=np.zeros(999))
    return file.getvalue()


def _array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


CONTENTS = {
    "missing": None,
    "one array": _array(),
    "text": b"no",
    "cut off": _archive(b"{}")[:5000],
    "damaged": _archive(b"{}").replace(b"\0" * 64, b"\1" * 64, 1),
    "another": _archive(b"{}"),
    "a list": _archive(b"[1]"),
}

LOADERS: dict[str, Callable[[Path], object]] = {
    "an adapter of the causal recognizer": causal.load_adapter,
    "an adapter of the duplex model": duplex.load_adapter,
    "an endpointer": load_endpointer,
    "what ends of turns are told by": load_endings,
    "the habits of a drafter": load_habits,
    "a log of drafts": load_drafts,
    "a verifier": verifier.load_checkpoint,
    "a ranker": load_towers,
    "a translator that was trained here": translation.load_checkpoint,
    "a shard of training clips": lambda path: list(load_clips(path)),
    "a shard of conversations": lambda path: list(load_conversations(path)),
    "a shard of dialogues": load_dialogues,
    "the pauses of a shard": load_pauses,
    "pairs of texts": load_pairs,
    "a sheet of gold labels": Sheet,
}


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("what", LOADERS)
def test_a_broken_file_is_told_in_one_line(what: str, content: str, tmp_path: Path) -> None:
    path, data = tmp_path / "file", CONTENTS[content]
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DragomanError) as told:
        LOADERS[what](path)
    assert str(told.value).startswith(f"{path}: not {what} (")
    assert "\n" not in str(told.value)


def test_an_adapter_of_another_model_is_told_as_that() -> None:
    """Not by the languages that it was trained for."""
    with pytest.raises(DragomanError, match="the adapter belongs to other weights"):
        catalog.open_recognizer("whisper-tiny.en", second_pass=True, adapter=catalog.SHIPPED / "whisper-base.npz")
