"""Decoding of text that grows with the sound: old tokens are scored again, kept while they stay the best.

At each step the tokens that are not stable yet are scored in one pass over the sound heard so far. The first one that
is no longer the best is replaced, and decoding goes on from there until the end of text. A token that stayed for
``STEADY`` decodes is stable: it is never scored again, and its keys and values are kept. With a beam, everything behind
the stable tokens is searched anew, and a token stayed if the best path has it again.

A text that grows is trained to end wherever the sound does, and a decoder that lost its place ends it too, before what
it has not read. So greedy decoding holds the end back while a voice sounds that is behind the place of its last token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.asr.causal.beam import search
from dragoman.asr.causal.runtime import CausalModel, Scored
from dragoman.asr.causal.tokens import Tokens
from dragoman.asr.causal.weights import Array
from dragoman.audio.types import Word

STEADY: Final = 4
"""Decodes that a token must survive: at 320 ms steps, 0.96 s after it was first written."""

FRAME_S: Final = 0.02

UNREAD_S: Final = 0.6
"""Voiced sound behind the last token that may be unread when the sound is over: the last word's own."""

WAITING_S: Final = 1.5
"""The same while more comes, which says what is not sure yet: with less, more words are taken back."""

HELD_PER_S: Final = 2.0
"""Nats that each further second takes from the end of text."""

HELD_MOST: Final = 6.0
"""So many at most: what is no speech may stay unread."""

BACK: Final = 25
"""Frames that a word may be read before the furthest word: attention is no exact place."""

_EDGE: Final = 12  # newest frames: what is read there is often no place, but that the sound is over
_WIDE: Final = 10  # frames of a place: a single one may draw some of any row
_TOKENS_PER_SECOND: Final = 9.0
_FIRST_TOKENS: Final = 4
_ROOM: Final = 64
_LOOPS: Final = 2  # repetitions in one decode after which its text ends


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the text: how many decodes it stayed, its probability, and the frame where it ends."""

    number: int
    stayed: int
    logp: float
    end: int


class Transcript:
    """The text of one stretch of sound, at most 30 s."""

    def __init__(self, model: CausalModel, tokens: Tokens, language: str, *, width: int = 1) -> None:
        self._model = model
        self._tokens = tokens
        self._prompt = tokens.prompt(language)
        self._bias = _bias(tokens, model.dims.vocabulary)
        self._past = np.zeros((_ROOM, 2 * model.dims.width * model.dims.decoder_layers), np.float32)
        self._kept = 0
        self._width = width
        self._voiced = 0
        self._ended = False
        self.said: tuple[Token, ...] = ()
        self.stable = 0

    def fork(self) -> Transcript:
        """A copy to try the end of the sound on. Only one of the two may be used at a time: they share a buffer."""
        copy = object.__new__(Transcript)
        copy.__dict__.update(self.__dict__)
        return copy

    def restarted(self, said: Sequence[Token]) -> Transcript:
        """A new one for sound that begins later, with ``said`` as the first guess of its text."""
        new = self.fork()
        new._past = np.zeros((_ROOM, self._past.shape[1]), np.float32)
        new._kept = new.stable = 0
        new.said = tuple(replace(token, stayed=0, end=0) for token in said)
        return new

    @property
    def text(self) -> str:
        """Everything that was said."""
        return self._tokens.decode([token.number for token in self.said]).strip()

    def update(self, cross: Array, voiced: int | None = None, *, ended: bool = False) -> None:
        """Decode again, now that ``cross`` [frames, .] has been heard, with a voice until frame ``voiced``.

        ``ended``: no more sound comes.
        """
        self._ended = ended
        self._voiced = len(cross) if voiced is None else min(voiced, len(cross))
        limit = _FIRST_TOKENS + int(_TOKENS_PER_SECOND * len(cross) * FRAME_S)
        tail, attention = (self._greedy if self._width == 1 else self._beam)(cross, limit)
        self.said = self._timed([*self.said[: self.stable], *tail], attention[: len(tail) + 1])
        self._settle()

    def _greedy(self, cross: Array, limit: int) -> tuple[list[Token], Array]:
        """The unstable tokens that are still the best, and what follows them; the attention that led to each.

        Where that repeats itself, the old text stays; at the end of the sound the next best goes on instead.
        """
        old = self.said[self.stable :]
        logits, rows = self._score([token.number for token in old], cross)
        tail: list[Token] = []
        for row, token in zip(logits, old, strict=False):
            if self._best(row, rows[: len(tail)]) != token.number:
                break
            tail.append(replace(token, stayed=token.stayed + 1, logp=_logp(row, token.number)))
        row, attention = logits[len(tail)], list(rows[: len(tail) + 1])
        tried: list[int] = []
        while self.stable + len(tail) < limit:
            if (best := self._best(row, attention[:-1])) == self._tokens.end:
                break
            if self._read_before(best, tail, attention):
                break
            tail.append(Token(best, 1, _logp(row, best), 0))
            if (kept := self._unlooped(tail)) < len(tail):
                tried.append(tail[kept].number)
                del tail[kept:], attention[kept + 1 :]
                if not self._ended and len(old) > kept:
                    return list(old), rows
                if not self._ended or len(tried) > _LOOPS:
                    break
                logits, again = self._score([token.number for token in tail], cross)
                row, attention = logits[-1], list(again)
                row[tried] = -np.inf
                continue
            place = len(self._prompt) + self.stable + len(tail) - 1
            scored = self._model.decode([best], self._past[:place], cross)
            self._store(place, scored.new)
            row = scored.logits[0] + self._bias
            attention.append(scored.attention[0])
        return tail, np.stack(attention)

    def _read_before(self, number: int, tail: Sequence[Token], attention: Sequence[Array]) -> bool:
        """Whether the word that ``number`` begins would be read where words before it were: reading goes forward.

        ``attention`` led to each token of ``tail``, and to it.
        """
        if self._ended or not self._tokens.begins_word(number):
            return False
        places = [
            _place(row) for row, token in zip(attention, tail, strict=False) if self._tokens.begins_word(token.number)
        ]
        read = [place for place in places if place < len(attention[-1]) - _EDGE]
        furthest = max(read, default=0)
        if self.stable:
            # Its end is where the next word's part begins, the silence between them included.
            furthest = max(furthest, self.said[self.stable - 1].end - BACK)
        return _place(attention[-1]) < furthest - BACK

    def _best(self, row: Array, attention: Sequence[Array] | Array) -> int:
        """The best token after those to which ``attention`` led; the end of text only as far as the voice was read."""
        best = int(row.argmax())
        if best != self._tokens.end:
            return best
        read = self.said[self.stable - 1].end if self.stable else 0
        if len(attention):
            read = max(read, int(attention[-1].argmax()))
        unread = (self._voiced - read) * FRAME_S - (UNREAD_S if self._ended else WAITING_S)
        other = row.copy()
        other[best] -= min(HELD_MOST, max(0.0, HELD_PER_S * unread))
        return int(other.argmax())

    def _beam(self, cross: Array, limit: int) -> tuple[list[Token], Array]:
        """As ``_greedy``, by a beam search from the stable text on."""
        logits, rows = self._score([], cross)
        place = len(self._prompt) + self.stable
        kept = self._past[:place]

        def score(numbers: list[int], past: Array) -> list[Scored]:
            whole = np.broadcast_to(kept, (len(numbers), *kept.shape))
            if past.shape[1]:
                whole = np.concatenate([whole, past], axis=1)
            return self._model.decode_paths([[number] for number in numbers], np.ascontiguousarray(whole), cross)

        path = search(
            score,
            (logits[0], rows[0]),
            bias=self._bias,
            end=self._tokens.end,
            width=self._width,
            limit=max(0, limit - self.stable),
            loops=lambda numbers: self._loop_of(numbers) > 0,
        )
        tail: list[Token] = []
        old = iter(self.said[self.stable :])
        same = True
        for number, logp in zip(path.numbers, path.logps, strict=True):
            before = next(old, None) if same else None
            same = before is not None and before.number == number
            tail.append(Token(number, before.stayed + 1 if before is not None and same else 1, logp, 0))
        del tail[self._unlooped(tail) :]
        if path.rows.size:
            self._store(place, path.rows)
        return tail, path.attention

    def _score(self, tail: list[int], cross: Array) -> tuple[Array, Array]:
        """Logits and attention that lead to each token of ``tail``, and to the one after it."""
        ids = [*self._prompt, *(token.number for token in self.said[: self.stable]), *tail]
        scored = self._model.decode(ids[self._kept :], self._past[: self._kept], cross)
        self._store(self._kept, scored.new)
        first = len(self._prompt) + self.stable - 1 - self._kept
        logits = scored.logits[first:] + self._bias
        if self.stable:
            # A stable word is whole: no mark may be added to it.
            logits[0, list(self._tokens.inner)] = -np.inf
        return logits, scored.attention[first:]

    def _unlooped(self, tail: Sequence[Token]) -> int:
        """How many tokens of ``tail`` there are before what repeats itself at its end."""
        return max(0, len(tail) - self._loop_of([token.number for token in tail]))

    def _loop_of(self, numbers: Sequence[int]) -> int:
        return _loop([*(token.number for token in self.said[: self.stable]), *numbers])

    def after(self, words: int) -> tuple[Token, ...]:
        """The tokens behind the first ``words`` words."""
        spans = [span for span in self._spans() if self._word(span)]
        return self.said[spans[words][0] :] if words < len(spans) else ()

    def words(self) -> tuple[list[Word], int]:
        """The words in seconds from the start of the sound, and how many of them are stable."""
        words: list[Word] = []
        stable = 0
        for first, last in self._spans():
            part = self.said[first:last]
            if not (text := self._word((first, last))):
                continue
            start = self.said[first - 1].end if first else 0
            p = float(np.exp(np.mean([token.logp for token in part])))
            words.append(Word(text, start * FRAME_S, part[-1].end * FRAME_S, p))
            stable += last <= self.stable
        return words, stable

    def _spans(self) -> list[tuple[int, int]]:
        """First and last token of each word."""
        begins = [i for i, token in enumerate(self.said) if i == 0 or self._tokens.begins_word(token.number)]
        return list(zip(begins, [*begins[1:], len(self.said)], strict=False))

    def _word(self, span: tuple[int, int]) -> str:
        return self._tokens.decode([token.number for token in self.said[span[0] : span[1]]]).strip()

    def _settle(self) -> None:
        """Words that stayed long enough become stable."""
        stable = self.stable
        for first, last in self._spans()[:-1]:
            if last > stable and all(token.stayed >= STEADY for token in self.said[max(first, stable) : last]):
                stable = last
            elif last > stable:
                break
        self.stable = stable
        # The last stable token is scored again: its row says what follows.
        self._kept = max(0, len(self._prompt) + stable - 1)

    def _store(self, place: int, rows: Array) -> None:
        if place + len(rows) > len(self._past):
            self._past = np.concatenate([self._past, np.zeros((len(rows) + _ROOM, self._past.shape[1]), np.float32)])
        self._past[place : place + len(rows)] = rows

    def _timed(self, said: list[Token], attention: Array) -> tuple[Token, ...]:
        """Where each unstable token ends, by the decoder's attention; the last row is that of the end of text."""
        if len(said) == self.stable:
            return tuple(said)
        start = said[self.stable - 1].end if self.stable else 0
        start = min(start, attention.shape[1] - 1)
        ends = start + _ends(attention[:, start:])
        tail = [replace(token, end=int(end)) for token, end in zip(said[self.stable :], ends, strict=False)]
        return (*said[: self.stable], *tail)


def _bias(tokens: Tokens, vocabulary: int) -> Array:
    bias = np.zeros(vocabulary, np.float32)
    bias[list(tokens.suppressed)] = -np.inf
    bias[tokens.end + 1 :] = -np.inf
    return bias


def _logp(row: Array, number: int) -> float:
    top = row.max()
    return float(row[number] - top - np.log(np.exp(row - top).sum()))


def _place(row: Array) -> int:
    """Where a row of attention reads: the middle of the 0.2 s with most of it. Single frames draw some of any row."""
    sums = np.cumsum(np.concatenate([[0.0], row]))
    wide = min(_WIDE, len(row))
    return int((sums[wide:] - sums[:-wide]).argmax()) + wide // 2


def _ends(attention: Array) -> npt.NDArray[np.int64]:
    """Cut the frames into one run per row, in order, so that the attention inside the runs is greatest: their ends."""
    rows, frames = attention.shape
    weights = attention / np.maximum(attention.max(axis=1, keepdims=True), 1e-6) - 0.1
    sums = np.concatenate([np.zeros((rows, 1)), np.cumsum(weights, axis=1)], axis=1)
    best = np.concatenate([[0.0], np.full(frames, -np.inf)])
    came: list[npt.NDArray[np.int64]] = []
    for row in sums:
        gain = best - row
        top = np.maximum.accumulate(gain)
        came.append(np.maximum.accumulate(np.where(gain >= top, np.arange(frames + 1), 0)))
        best = top + row
    ends = np.zeros(rows, np.int64)
    at = frames
    for row in range(rows - 1, -1, -1):
        ends[row] = at
        at = int(came[row][at])
    return ends


def _loop(numbers: Sequence[int]) -> int:
    """Tokens at the end that repeat what stands before them too often: how many to take away.

    A word may come three times, a few words twice, a sentence once.
    """
    for size in range(1, 21):
        times = 4 if size < 3 else 3 if size < 6 else 2
        piece = numbers[-size:]
        if len(numbers) >= size * times and all(
            numbers[len(numbers) - size * (k + 1) : len(numbers) - size * k] == piece for k in range(times)
        ):
            return size * (times - 1)
    return 0
