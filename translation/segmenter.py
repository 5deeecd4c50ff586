"""Cutting a stream of heard words into segments to translate: sentences, bounded where they don't end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dragoman.audio.text import belong_together, core, ends_clause, ends_sentence
from dragoman.audio.types import Word
from dragoman.translation.alignment import continuation


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of what was heard; times are those of its words."""

    number: int
    words: tuple[Word, ...]
    certain: int | None = None
    """How many leading words will not change any more, where it is open; None: it is closed, and nothing changes."""

    @property
    def text(self) -> str:
        """The words, joined by spaces."""
        return " ".join(word.text for word in self.words)

    @property
    def closed(self) -> bool:
        """Whether it is complete and will not change."""
        return self.certain is None

    @property
    def start(self) -> float:
        """Seconds: where its first word begins."""
        return self.words[0].start

    @property
    def end(self) -> float:
        """Seconds: where its last word ends."""
        return self.words[-1].end


@dataclass(frozen=True, slots=True)
class Segmenting:
    """When a segment is closed."""

    pause: float = 2.5
    """Seconds of silence between two words that close it, whatever its text."""
    most_words: int = 40
    most_seconds: float = 15.0
    """Beyond these it is closed at its last clause mark, or else at its last word that may end it."""
    least_words: int = 3
    """A segment closed for its length has at least these."""


class Segmenter:
    """Takes words as they become certain; however the stream is cut, the segments are the same.

    A segment closes at the end of a sentence, at a pause, at the recognizer's own end, or when it grows too long;
    never inside a name or a number, unless the speaker pauses there. What is held is bounded by the greatest length.
    """

    def __init__(self, limits: Segmenting | None = None) -> None:
        self._limits = limits or Segmenting()
        self._words: list[Word] = []
        self._count = 0

    @property
    def open(self) -> tuple[Word, ...]:
        """The certain words of the segment that is not closed."""
        return tuple(self._words)

    def push(self, words: Iterable[Word], *, final: bool = False) -> list[Segment]:
        """Segments that ``words`` closed; ``final`` closes the last one too."""
        closed: list[Segment] = []
        for word in words:
            closed += self._take(word)
        if final and self._words:
            closed.append(self._close(len(self._words)))
        return closed

    def foreseen(self, tail: Iterable[Word]) -> list[Segment]:
        """The open segment with ``tail``, words that may still change, behind its certain ones.

        Several, where the tail would close some: each with the number that it would get.
        """
        trial = Segmenter(self._limits)
        trial._words, trial._count = list(self._words), self._count
        certain = len(self._words)
        pieces = []
        for segment in trial.push(tail, final=True):
            pieces.append(Segment(segment.number, segment.words, min(certain, len(segment.words))))
            certain = max(0, certain - len(segment.words))
        return pieces

    def _take(self, word: Word) -> list[Segment]:
        closed = []
        if self._words and word.start - self._words[-1].end >= self._limits.pause:
            closed.append(self._close(len(self._words)))
        while self._words and self._is_full(word):
            closed.append(self._close(self._best_cut(word)))
        previous = self._words[-1].text if self._words else ""
        self._words.append(word)
        if ends_sentence(word.text, previous):
            closed.append(self._close(len(self._words)))
        return closed

    def _is_full(self, following: Word) -> bool:
        too_many = len(self._words) >= self._limits.most_words
        too_long = following.end - self._words[0].start > self._limits.most_seconds
        return too_many or (too_long and len(self._words) >= self._limits.least_words)

    def _best_cut(self, following: Word) -> int:
        """How many words to close: up to the last clause mark, else to the last place that breaks nothing."""
        texts = [word.text for word in self._words] + [following.text]
        least = min(self._limits.least_words, len(self._words))
        places = range(len(self._words), least - 1, -1)
        marked = next((n for n in places if ends_clause(texts[n - 1])), None)
        if marked is not None:
            return marked
        return next((n for n in places if not belong_together(texts[n - 1], texts[n])), len(self._words))

    def _close(self, count: int) -> Segment:
        segment = Segment(self._count, tuple(self._words[:count]))
        self._count += 1
        self._words = self._words[count:]
        return segment


@dataclass(frozen=True, slots=True)
class Source:
    """What there is to translate: segments that closed just now, and what is still open (none, one or a few)."""

    closed: tuple[Segment, ...]
    open: tuple[Segment, ...]


class Heard:
    """A recognizer's growing hypotheses, one utterance after the other, as segments."""

    def __init__(self, limits: Segmenting | None = None) -> None:
        self._segmenter = Segmenter(limits)
        self._taken: list[str] = []

    def partial(self, words: Sequence[Word], stable: int) -> Source:
        """The whole utterance so far: its first ``stable`` words will not change."""
        closed = self._segmenter.push(self._new(words, stable))
        return Source(tuple(closed), tuple(self._segmenter.foreseen(words[len(self._taken) :])))

    def ended(self, words: Sequence[Word], *, complete: bool) -> Source:
        """The whole utterance, which is over; ``complete`` False: its last sentence may go on in the next one."""
        closed = self._segmenter.push(self._new(words, len(words)), final=complete)
        self._taken = []
        return Source(tuple(closed), tuple(self._segmenter.foreseen(())))

    def over(self) -> Source:
        """Nothing goes on any more: a long pause, or the end of the sound."""
        return self.ended((), complete=True)

    def _new(self, words: Sequence[Word], stable: int) -> Sequence[Word]:
        texts = [word.text for word in words]
        taken = len(self._taken)
        if texts[:taken] != self._taken:
            if _bare(texts) == _bare(self._taken[: len(texts)]):
                return ()  # less of the same, for once: what was taken stays
            # A recognizer that hears the whole again at its end may put it otherwise: go on behind what was taken.
            taken = continuation(self._taken, texts)
        new = words[taken : max(taken, stable)]
        self._taken = texts[: max(taken, stable)]
        return new


def _bare(texts: Sequence[str]) -> list[str]:
    return [core(text).lower() for text in texts]
