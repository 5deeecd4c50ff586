"""What the file of a model tells of how to speak to it."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Final

from dragoman.agent.llm.thinking import NO_THOUGHTS
from dragoman.audio.types import DragomanError

_HEAD: Final = 64 << 20
"""The words and the template of a model stand before its weights."""


def reply_opening(path: Path) -> str:
    """What a reply of the ChatML model begins with before its first word: that nothing is to be thought, where it
    would think else.

    Raises ``DragomanError`` when the file can't be read, or is no GGUF model that speaks ChatML.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            gguf, speaks = data[:4] == b"GGUF", data.find(b"<|im_start|>", 0, _HEAD) >= 0
            thinks = data.find(b"enable_thinking", 0, _HEAD) >= 0  # only its template would say so
    except (OSError, ValueError) as error:
        raise DragomanError(f"the language model {path} can't be read: {error}") from error
    if not gguf:
        raise DragomanError(f"{path} is not a GGUF model")
    if not speaks:
        raise DragomanError(
            f"{path} does not speak ChatML: serve it with llama.cpp or Ollama and give --llm http://..."
        )
    return NO_THOUGHTS if thinks else ""
