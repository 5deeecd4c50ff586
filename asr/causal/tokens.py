"""Whisper's tokens: the prompt, words to numbers and back."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import tokenizers
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from dragoman.audio.types import DragomanError


class Tokens:
    """The tokenizer of a model folder, for all languages that it knows."""

    def __init__(self, folder: Path, vocabulary: int) -> None:
        try:
            self._plain = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # the library raises bare exceptions
            raise DragomanError(f"{folder}: no tokenizer.json that can be read ({error})") from error
        self.multilingual = vocabulary >= 51865
        self._whisper = Tokenizer(self._plain, self.multilingual, "transcribe", "en")
        self.end: int = self._whisper.eot
        self.suppressed: tuple[int, ...] = tuple(get_suppressed_tokens(self._whisper, [-1]))

    def prompt(self, language: str) -> list[int]:
        """What stands before the text: start, language and task where the model knows several, no timestamps."""
        tokenizer = Tokenizer(self._plain, self.multilingual, "transcribe", language)
        return [*tokenizer.sot_sequence, tokenizer.no_timestamps]

    @cached_property
    def inner(self) -> tuple[int, ...]:
        """The tokens that go on with a word, marks among them."""
        return tuple(token for token in range(self.end) if not self.begins_word(token))

    def begins_word(self, token: int) -> bool:
        """Whether a token begins a word: it holds a space first."""
        return (self._plain.id_to_token(token) or "").startswith("\u0120")

    def language(self, code: str) -> int:
        """The token of a language."""
        found: int | None = self._plain.token_to_id(f"<|{code}|>")
        if not self.multilingual or found is None:
            raise DragomanError(f"this Whisper model doesn't recognize {code!r}")
        return found

    def encode(self, text: str) -> list[int]:
        """Text to tokens; words but the first begin with a space."""
        return list(self._plain.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: list[int]) -> str:
        """Tokens to text, special ones left out."""
        return str(self._whisper.decode([token for token in tokens if token < self.end]))
