"""Text to tokens and back, and the numbers of the control tokens.

The text that is read (context, words that were heard) uses the body's whole vocabulary. Drafts use a part of it, chosen
for the texts that are to be said, so that a smaller table is read at each drafted word. The part is closed: with every
token it has those that merge into it, so any text can be written with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from dragoman.agent.duplex.frames import Control
from dragoman.audio.text import core
from dragoman.audio.types import DragomanError

_SPLITS: Final = {
    "smollm": (pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "gpt-2": (pre_tokenizers.ByteLevel(add_prefix_space=False),),
}
_SPLITS["qwen2"] = _SPLITS["smollm"]
"""How text is cut before its bytes are paired. Qwen2 has a pattern of its own that differs in contractions in capital
letters and in line ends, which speech does not have."""


@dataclass(frozen=True, slots=True)
class Merges:
    """A byte pair vocabulary: tokens in the order of their numbers, merges in the order of their rank, where texts are
    cut first, and the token that begins a text.
    """

    tokens: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    split: str
    begin: int

    @classmethod
    def of_gguf(cls, fields: Mapping[str, Any]) -> Merges:
        """Out of the metadata of a GGUF file. Raises ``DragomanError``."""
        if fields.get("tokenizer.ggml.model") != "gpt2" or fields.get("tokenizer.ggml.pre") not in _SPLITS:
            raise DragomanError("this language model has a tokenizer that is not known here: take SmolLM2 or Qwen2.5")
        pairs = tuple((left, right) for left, right in (m.split(" ") for m in fields["tokenizer.ggml.merges"]))
        begin = int(fields.get("tokenizer.ggml.bos_token_id", 0))
        return cls(tuple(fields["tokenizer.ggml.tokens"]), pairs, str(fields["tokenizer.ggml.pre"]), begin)

    @classmethod
    def restored(cls, about: Mapping[str, Any]) -> Merges:
        """Out of its fields as JSON keeps them."""
        pairs = tuple((left, right) for left, right in about["pairs"])
        return cls(tuple(about["tokens"]), pairs, about["split"], about["begin"])

    def tokenizer(self, kept: Iterable[int] | None = None) -> Tokenizer:
        """The tokenizer; with ``kept``, one that writes with these tokens alone."""
        numbers = range(len(self.tokens)) if kept is None else kept
        known = {self.tokens[number]: number for number in numbers}
        pairs = [(a, b) for a, b in self.pairs if a in known and b in known and a + b in known]
        tokenizer = Tokenizer(BPE(vocab=known, merges=pairs))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(_SPLITS[self.split]))
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer

    def chosen(self, texts: Iterable[str], size: int) -> list[int]:
        """The numbers, sorted, of ``size`` tokens to write ``texts`` with: the bytes, what the texts use, most often
        used first, and then the commonest of the language.
        """
        numbers = {token: number for number, token in enumerate(self.tokens)}
        whole = {a + b for a, b in self.pairs}
        parts = {a + b: (a, b) for a, b in reversed(self.pairs)}
        kept = {numbers[token] for token in numbers if token not in whole and len(token) == 1}
        tokenizer = self.tokenizer()
        used = Counter(number for text in texts for number in tokenizer.encode(" " + text.strip()).ids)
        common = sorted(numbers[token] for token in whole)
        for number in (*(number for number, _ in used.most_common()), *common):
            needed, open_ = set[int](), [self.tokens[number]]
            while open_:
                token = open_.pop()
                if numbers[token] not in kept:
                    needed.add(numbers[token])
                    open_ += parts.get(token, ())
            if len(kept) + len(needed) <= size:
                kept |= needed
            if len(kept) == size:
                break
        return sorted(kept)


class Vocabulary:
    """The tokens of a duplex model: those of its body, and a number for each ``Control`` behind them."""

    def __init__(self, merges: Merges, kept: Sequence[int] | None = None) -> None:
        """``kept``: the numbers of the tokens that drafts are written with, sorted; None: all."""
        self.whole = len(merges.tokens)
        self.kept = tuple(range(self.whole)) if kept is None else tuple(kept)
        self.rows: Final[Mapping[int, int]] = {number: row for row, number in enumerate(self.kept)}
        """Where a token stands among those of the drafts; the end of a draft stands behind the last."""
        self.begin = merges.begin
        self._reader = merges.tokenizer()
        self._writer = self._reader if kept is None else merges.tokenizer(self.kept)

    def control(self, control: Control) -> int:
        """The number of a control token."""
        return self.whole + control

    def token(self, row: int) -> int:
        """The token of a row of the drafts' table."""
        return self.kept[row] if row < len(self.kept) else self.control(Control.EOS)

    def read(self, text: str) -> list[int]:
        """Tokens of a text that the model is given."""
        return list(self._reader.encode(text).ids)

    def heard(self, word: str) -> list[int]:
        """Tokens of a word that was recognized: as it sounds, without its stops and capitals, which are guesses about
        what comes next.
        """
        bare = core(word.strip(" -"))
        return self.read(f" {bare.lower()}") if bare else []

    def write(self, text: str) -> list[int]:
        """Tokens of a text that the model is to say; each word begins with its space."""
        return list(self._writer.encode(" " + text.strip()).ids)

    def text(self, tokens: Sequence[int]) -> str:
        """Tokens back to text, without controls and without the first space."""
        return str(self._reader.decode([t for t in tokens if t < self.whole], skip_special_tokens=False)).strip()

    def begins_word(self, token: int) -> bool:
        """Whether a token begins a word: it holds the space before it."""
        return (self._reader.id_to_token(token) or "").startswith("\u0120")

    def context(self, turns: Sequence[tuple[str, str]], room: int) -> list[int]:
        """The last of the turns (role, text) that fit into ``room`` tokens, the oldest cut at its beginning."""
        pieces: list[int] = []
        for role, text in reversed(turns):
            turn = self.read(f"{role}: {text.strip()}\n")
            pieces = turn + pieces
            if len(pieces) >= room - 1:
                break
        return [self.begin, *pieces[max(0, len(pieces) - (room - 1)) :]]
