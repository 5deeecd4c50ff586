"""What a speaker probably says next, by a small language model: llama.cpp inside this process.

It reads the bare text, not a chat, and keeps what it has read: each call costs the words that are new and those that
it writes. Measured for captions by ``dragoman bench translate``.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from dragoman.agent.llm.llamacpp import open_engine
from dragoman.audio.text import ends_sentence
from dragoman.audio.types import DragomanError
from dragoman.models.catalog import Progress, resolve

_MODELS: Final = {"en": "smollm2-135m", "pt": "qwen2.5-coder-0.5b"}
_CONTEXT: Final = 512
_LONGEST: Final = 1200
"""Characters of the text that are read: its end."""
_TOKENS_PER_WORD: Final = 2


class LlamaCppPredictor:
    """Implements ``Predictor``: the likeliest continuation. Safe to call from several threads, which take turns."""

    def __init__(self, path: Path, languages: Iterable[str], *, threads: int = 1) -> None:
        """Load a GGUF model: blocking. Raises ``DragomanError``."""
        self.languages = frozenset(languages)
        self._engine = open_engine(path, threads=threads, context=_CONTEXT)
        self._turn = threading.Lock()

    def predict(self, text: str, words: int) -> str:
        """See ``Predictor.predict``."""
        body = {
            "prompt": text[-_LONGEST:],
            "max_tokens": words * _TOKENS_PER_WORD + 1,
            "temperature": 0.0,
            "cache_prompt": True,
            "stop": ["\n"],
            "stream": True,
        }
        written = ""
        failures: list[object] = []

        def receive(event: dict[str, object]) -> bool:
            nonlocal written
            match event:
                case {"error": error}:
                    failures.append(error)
                case {"choices": [{"text": str(piece), "finish_reason": reason}, *_]}:
                    # Where the model ended by itself, its last word is whole.
                    written += f"{piece} " if reason == "stop" else piece
            return bool(failures) or len(written.split()) > words

        with self._turn:
            self._engine.handle_completions(body, receive)
        if failures:
            raise DragomanError(f"the language model failed: {failures[0]}")
        return whole_words(text, written, words)


def open_predictor(language: str, progress: Progress | None = None) -> LlamaCppPredictor:
    """The embedded model that continues texts of a language. Blocking. Raises ``DragomanError``."""
    if language not in _MODELS:
        raise DragomanError(f"no embedded model continues {language!r}: there is {', '.join(_MODELS)}")
    return LlamaCppPredictor(resolve(_MODELS[language], progress=progress), [language])


def whole_words(text: str, written: str, most: int) -> str:
    """The whole words that were written behind a text, to the end of its sentence at the furthest; a word is whole
    where something follows it.
    """
    # Letters right behind the last word would make another word of it; it was heard whole.
    start = re.match(r"\w*", written)
    rest = written[start.end() :] if start else written
    marks = re.match(r"[^\w\s]*", rest)
    kept = marks.group() if marks else ""
    last = text.split()[-1] if text.split() else ""
    if kept and ends_sentence(last + kept):
        return kept
    # The last word may be cut off where the writing ended.
    for word in rest[len(kept) :].split(" ")[1:-1][:most]:
        if not word:
            break
        kept += f" {word}"
        if ends_sentence(word):
            break
    return kept if any(c.isalnum() for c in kept) else ""
