"""The tokens of a translator, and the words that they make."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final

import numpy as np
from tokenizers import Tokenizer

from dragoman.translation.layers import END

_SPACE: Final = "▁"  # begins the token that begins a word


class Vocabulary:
    """Read from a ``tokenizer.json``; both languages share it."""

    def __init__(self, path: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        size = self._tokenizer.get_vocab_size()
        self._begins = np.array([(self._tokenizer.id_to_token(i) or "").startswith(_SPACE) for i in range(size)])
        self.openers = self._begins.copy()
        """Which tokens may follow a whole word: those that begin one, and the end."""
        self.openers[END] = True

    def tokens(self, text: str) -> list[int]:
        """Without the end."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids) if text else []

    def text(self, tokens: Sequence[int]) -> str:
        """What they say."""
        return str(self._tokenizer.decode(list(tokens))).strip()

    def words(self, tokens: Sequence[int]) -> list[int]:
        """The word that each token belongs to."""
        return [max(0, n - 1) for n in accumulate(int(self._begins[token]) for token in tokens)]
