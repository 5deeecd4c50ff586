"""A voice over any engine that tells how long each phoneme lasts: text in, sound and word times out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from dragoman.audio.levels import faded, frame_levels, trim_silence
from dragoman.audio.text import CLOSERS, ends_clause, ends_sentence
from dragoman.audio.types import OUTPUT_RATE, DragomanError, Samples, Speech, Word
from dragoman.tts.speakable import CleanWord, clean_words

Durations = npt.NDArray[np.float32]

SENTENCE_PAUSE_S: Final = 0.28
CLAUSE_PAUSE_S: Final = 0.06
SLOWEST, FASTEST = 0.5, 2.0
_LAG_S: Final = 0.065
# Seconds by which the sound of both engines runs ahead of their durations: measured against the silences at the
# marks and a recognizer's word times.
_FADE: Final = 120
_MARGIN: Final = 240
_NAMED: Final = frozenset("%@&+=")
"""Signs that are said by their names."""
_SILENT: Final = frozenset(' ;:,.!?—…"()“”ˈˌ')


class Engine(Protocol):
    """An acoustic model and its pronunciation; safe to call from several threads."""

    @property
    def symbols(self) -> frozenset[str]:
        """The phonemes and marks that the model knows."""

    @property
    def longest(self) -> int:
        """Most symbols that it takes at once."""

    @property
    def onward(self) -> str:
        """A word that makes the tone before it say that more will come ("and"): the end mark alone does not."""

    def pronounce(self, words: Sequence[str]) -> list[str]:
        """The phonemes of a sentence, one string for each word with the white space and marks after it."""

    def render(self, symbols: str, rate: float) -> tuple[Samples, Durations]:
        """Sound at ``OUTPUT_RATE`` and the share of it that each symbol lasts, shape [len(symbols) + 2].

        The first and the last duration belong to the silence around the symbols.
        """


def check_rate(rate: float) -> None:
    """Raises ``DragomanError`` for a pace at which nothing can be said."""
    if not SLOWEST <= rate <= FASTEST:
        raise DragomanError(f"a speaking rate of {rate:g} is not possible: choose one from 0.5 to 2")


class Voice:
    """Implements ``Synthesizer``: any text, any length; the same text always gives the same sound."""

    def __init__(self, engine: Engine, language: str, name: str) -> None:
        self._engine = engine
        self._language = language
        self.name = name

    @property
    def language(self) -> str:
        """ISO 639-1 code of what it speaks."""
        return self._language

    def warm(self) -> None:
        """Run the models once: the first call takes several times as long as the others."""
        self.synthesize("One moment, please.")

    def synthesize(self, text: str, *, rate: float = 1.0, final: bool = True) -> Speech:
        """Speak ``text`` at ``rate`` times the voice's own pace, trimmed of the silence around it.

        The words are those of ``speakable(text)``. ``final`` False: the sentence goes on after it, so the
        tone does not fall. Text with nothing that has a sound (marks alone, a script that the voice can't read)
        gives an empty ``Speech``. Raises ``DragomanError`` for a rate outside 0.5 to 2.
        """
        return joined(self.stream(text, rate=rate, final=final), rate=rate)

    def stream(self, text: str, *, rate: float = 1.0, final: bool = True) -> Iterator[Speech]:
        """The sentences of ``text`` one by one (the parts of very long ones), each trimmed and timed by itself.

        Takes and raises what ``synthesize`` does; ``joined`` puts them together.
        """
        check_rate(rate)
        sentences = list(_sentences(clean_words(text)))
        for index, sentence in enumerate(sentences):
            yield from self._sentence(sentence, rate, final or index + 1 < len(sentences))

    def _sentence(self, words: list[str], rate: float, ends: bool) -> list[Speech]:
        if not any(c.isalnum() or c in _NAMED for word in words for c in word):
            return [Speech(_EMPTY.pcm, tuple(Word(word, 0.0, 0.0) for word in words))]
        known = self._engine.symbols
        asked = _closed(words) if ends else [*_open(words), self._engine.onward]
        pieces = ["".join(c for c in piece if c in known) for piece in self._engine.pronounce(asked)]
        onward = "" if ends else pieces.pop()
        parts = []
        for a, b in self._chunks(words, pieces):
            parts.append(self._chunk(words[a:b], pieces[a:b], onward if b == len(words) else "", rate))
        return parts

    def _chunks(self, words: Sequence[str], pieces: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Cut a sentence that is too long for the model, after a mark where there is one."""
        start, best, length = 0, 0, 0
        for i, piece in enumerate(pieces):
            if length + len(piece) > self._engine.longest and i > start:
                cut = best if best > start else i
                yield start, cut
                start, length = cut, sum(map(len, pieces[cut:i]))
            length += len(piece)
            if ends_clause(words[i]):
                best = i + 1
        yield start, len(pieces)

    def _chunk(self, words: Sequence[str], pieces: Sequence[str], onward: str, rate: float) -> Speech:
        symbols = "".join(pieces)[: self._engine.longest].rstrip()
        if not any(c not in _SILENT for c in symbols):
            return Speech(_EMPTY.pcm, tuple(Word(word, 0.0, 0.0) for word in words))
        pcm, edges = self._render(symbols, onward, rate)
        start, end = trim_silence(pcm, OUTPUT_RATE)
        start, end = max(0, start - _MARGIN), min(len(pcm), end + _MARGIN)
        length = (end - start) / OUTPUT_RATE
        timed: list[Word] = []
        position, now = 1, 0.0
        for word, piece in zip(words, pieces, strict=True):
            stop = min(position + len(piece), len(symbols) + 1)
            heard = [i for i in range(position, stop) if symbols[i - 1] not in _SILENT]
            if heard:
                first, last = (
                    (edges[heard[0]] - start) / OUTPUT_RATE,
                    (edges[heard[-1] + 1] - start) / OUTPUT_RATE,
                )
                begin, now = max(now, min(first, length)), max(now, min(last, length))
                timed.append(Word(word, float(begin), float(now)))
            else:
                timed.append(Word(word, now, now))
            position = stop
        return Speech(faded(pcm[start:end], _FADE), tuple(timed))

    def _render(self, symbols: str, onward: str, rate: float) -> tuple[Samples, npt.NDArray[np.float64]]:
        """Sound, and the sample where each symbol begins in it; ``onward`` shapes the tone and is cut off."""
        pcm, durations = self._engine.render(f"{symbols} {onward}" if onward else symbols, rate)
        edges = np.concatenate(([0.0], np.cumsum(durations, dtype=np.float64)))
        edges *= len(pcm) / max(edges[-1], 1e-9)
        edges -= _LAG_S * OUTPUT_RATE
        if onward:
            # The mark and the space before the word that is not wanted: the sound is cut where it is softest.
            first, last = int(max(0, edges[len(symbols)])), int(edges[len(symbols) + 2])
            levels = frame_levels(pcm[first:last], OUTPUT_RATE)
            pcm = pcm[: first + int(np.argmin(levels)) * OUTPUT_RATE // 100] if len(levels) else pcm[:first]
        return pcm, edges


def spread(words: Sequence[str], phonemes: str, alone: Callable[[str], str]) -> list[str]:
    """Share the phonemes of a sentence among its words, in order; nothing is lost.

    A word may be read as several ("1,250"), or several as one, and a word sounds a little different in its
    sentence than ``alone``: the phonemes are aligned with those of the words spoken alone.
    """
    tokens = phonemes.split()
    if len(tokens) == len(words) and all(w.strip(".,;:!?…" + CLOSERS).isalpha() for w in words):
        return [token + " " for token in tokens]
    expected, owners = "", []
    for index, word in enumerate(words):
        sound = alone(word) + " "
        expected += sound
        owners += [index] * len(sound)
    matched: list[int | None] = [None] * len(phonemes)
    for block in difflib.SequenceMatcher(None, expected, phonemes, autojunk=False).get_matching_blocks():
        for k in range(block.size):
            matched[block.b + k] = owners[block.a + k]
    # A token goes to the word that most of its phonemes were matched with; words never go back.
    pieces = [""] * len(words)
    owner = 0
    for token in re.finditer(r"\S+\s*", phonemes):
        votes = [v for v in matched[token.start() : token.end()] if v is not None and v >= owner]
        if votes:
            owner = max(sorted(set(votes)), key=votes.count)
        pieces[owner] += token.group()
    return [piece if not piece or piece.endswith(" ") else piece + " " for piece in pieces]


_EMPTY: Final = Speech(np.zeros(0, np.float32), ())


def _sentences(words: Sequence[CleanWord]) -> Iterator[list[str]]:
    sentence: list[str] = []
    for word in words:
        if word.breaks and sentence:
            yield sentence
            sentence = []
        previous = sentence[-1] if sentence else ""
        sentence.append(word.text)
        if ends_sentence(word.text, previous):
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _closed(words: Sequence[str]) -> list[str]:
    """The words with a mark at their end that makes the model end the sentence."""
    *rest, last = words
    bare = last.rstrip(CLOSERS)
    return [*rest, bare if bare and bare[-1] in ".!?…" else bare.rstrip(",;:—– ") + "."]


def _open(words: Sequence[str]) -> list[str]:
    """The words with a mark at their end that lets the sentence go on."""
    *rest, last = words
    return [*rest, last.rstrip(CLOSERS).rstrip(".!?…,;:—– ") + ","]


def joined(parts: Iterable[Speech], *, rate: float = 1.0) -> Speech:
    """Sentences one after the other, with a pause between them; empty when none of them sounds."""
    sounds: list[Samples] = []
    words: list[Word] = []
    length = 0
    for part in parts:
        if len(part.pcm) and length:
            ended = bool(words) and ends_sentence(words[-1].text)
            pause = round((SENTENCE_PAUSE_S if ended else CLAUSE_PAUSE_S) / rate * OUTPUT_RATE)
            sounds.append(np.zeros(pause, np.float32))
            length += pause
        words += [word.shifted(length / OUTPUT_RATE) for word in part.words]
        sounds.append(part.pcm)
        length += len(part.pcm)
    return Speech(np.concatenate(sounds), tuple(words)) if length else _EMPTY
