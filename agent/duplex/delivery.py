"""How a turn is spoken: with hesitations, as people do, and with the truth about each pause.

A voice reads a text without thinking. Here it is made to think: the sound is cut between two words and drawn apart, or
the words before are spoken as if more would come at once; an "um" may stand in the gap, and a boundary of sentences,
where voices pause by themselves, is closed up. Most pauses lie where nobody could take them for the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Final

import numpy as np

from dragoman.agent.duplex.conversation import PAUSE_S, Pause, Place, Situation
from dragoman.agent.duplex.personas import Persona
from dragoman.agent.duplex.scripts import SPOT
from dragoman.audio.levels import AUDIBLE_DB, faded, frame_levels, trim_silence
from dragoman.audio.text import ends_clause, ends_sentence
from dragoman.audio.types import INPUT_RATE, Samples, Word

GRID: Final = INPUT_RATE // 100
"""Sounds are placed on the beat of the 10 ms frames by which audibility is judged."""

LONGEST_PAUSE_S: Final = 2.0

_FILLERS: Final = ("um", "uh", "um", "uh", "um", "er", "like", "you know", "I mean", "let me see")
_PROMISING: Final = frozenset(
    "a an the to of in on at for with my your and but or so because if that is was are I I'm it's we you they".split()
)
_FLUENT: Final = 3
"""Words that somebody who breaks in says in one go."""

_REACH_S: Final = 0.04
_FADE: Final = 80


class Unspeakable(Exception):
    """The voice makes no sound of a text."""


@dataclass(frozen=True, slots=True)
class Break:
    """What lies between two words: ``gap_s``, perhaps a filler, ``pause_s``. ``apart``: the words before it are spoken
    for themselves, with the tone of someone who will go on.
    """

    pause_s: float
    filler: str | None = None
    gap_s: float = 0.0
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """Sound at 16 kHz from its first to its last audible frame, and times in seconds from its start."""

    pcm: Samples
    words: tuple[Word, ...]
    pauses: tuple[Pause, ...]

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.pcm) / INPUT_RATE


@dataclass(frozen=True, slots=True)
class _Piece:
    pcm: Samples
    words: tuple[Word, ...]
    filler: bool = False


def deliver(
    rng: Random, persona: Persona, said: str, situation: Situation = "chat", *, at_once: bool = False
) -> Delivery:
    """Speak a turn. ``said`` may hold ``SPOT`` between words; ``at_once``: its first words come without hesitation.

    Raises ``Unspeakable``.
    """
    words, spots = read_aloud(said)
    plan = hesitations(rng, words, spots, situation)
    if at_once:
        plan = without_delay(plan)
    return spoken(rng, persona, words, plan)


def hesitations(
    rng: Random, words: Sequence[str], spots: Sequence[int], situation: Situation = "chat"
) -> dict[int, Break]:
    """Where a speaker breaks off to think, by the index of the word before; -1 is before the first."""
    plan: dict[int, Break] = {}
    inner = [i for i in range(len(words) - 1) if not ends_part(words[i])]
    marked = [i for i in range(len(words) - 1) if ends_part(words[i])]
    if rng.random() < (0.25 if situation == "answer" else 0.1):
        plan[-1] = Break(rng.choice((0.05, _pause(rng))), rng.choice(_FILLERS[:6]))
    for i in spots:
        if rng.random() < 0.7:
            plan[i] = Break(_pause(rng), rng.choice(_FILLERS[:5]) if rng.random() < 0.2 else None, 0.1)
    wanted = 0 if spots else sum(rng.random() < 0.55 for _ in range((len(words) + 2) // 6))
    for _ in range(min(wanted, len(inner))):
        weights = [3.0 if words[i].lower() in _PROMISING or words[i] in _PROMISING else 1.0 for i in inner]
        i = rng.choices(inner, weights)[0]
        filler = rng.choice(_FILLERS) if rng.random() < 0.45 else None
        plan[i] = Break(_pause(rng), filler, rng.uniform(0.02, 0.25) if filler else 0.0, rng.random() < 0.5)
    for i in marked:
        if i not in plan:
            plan[i] = Break(_pause(rng) if rng.random() < 0.06 else rng.uniform(0.03, 0.18))
    return plan


def without_delay(plan: Mapping[int, Break]) -> dict[int, Break]:
    """The same, but the first words come without hesitation: of somebody who breaks in."""
    return {i: brk for i, brk in plan.items() if i >= _FLUENT or (i >= 0 and brk.pause_s < PAUSE_S)}


def spoken(rng: Random, persona: Persona, words: Sequence[str], plan: Mapping[int, Break]) -> Delivery:
    """Speak ``words`` with the breaks of ``plan``. Raises ``Unspeakable``."""
    pieces: list[_Piece | float] = []
    if -1 in plan:
        pieces += _between(rng, persona, plan[-1])
    start = 0
    for end in [*sorted(i + 1 for i, brk in plan.items() if brk.apart), len(words)]:
        if end == start:
            continue
        pcm, timed = persona.say(" ".join(words[start:end]), final=end == len(words))
        inside = {i - start: brk for i, brk in plan.items() if start <= i < end - 1}
        # A voice may read a word as two or none; then there is no place to cut at.
        pieces += _drawn_apart(rng, persona, pcm, timed, inside if len(timed) == end - start else {})
        if end < len(words):
            pieces += _between(rng, persona, plan[end - 1])
        start = end
    return _assembled(pieces)


def broken_off(rng: Random, persona: Persona, said: str) -> Delivery:
    """The first one to three words of a turn, stopped in the middle of the next. Raises ``Unspeakable``."""
    words, _ = read_aloud(said)
    count = min(rng.randint(1, 3), len(words) - 1)
    pcm, timed = persona.say(" ".join(words[: count + 1]), final=False)
    if len(timed) == count + 1:
        cut = timed[count].start + min(rng.uniform(0.02, 0.12), timed[count].end - timed[count].start)
        pcm, timed = pcm[: max(GRID, int(cut * INPUT_RATE))], timed[:count]
    return _assembled([_Piece(faded(pcm, _FADE), timed)])


def _between(rng: Random, persona: Persona, brk: Break) -> Iterator[_Piece | float]:
    if brk.filler is not None:
        yield brk.gap_s
        pcm, timed = persona.say(brk.filler + ",", final=False, slow=rng.uniform(1.1, 1.7))
        yield _Piece(pcm, timed, filler=True)
    yield brk.pause_s


def _drawn_apart(
    rng: Random, persona: Persona, pcm: Samples, words: Sequence[Word], breaks: Mapping[int, Break]
) -> Iterator[_Piece | float]:
    """Cut the sound after each word of ``breaks``, and yield what comes of it."""
    levels = frame_levels(pcm, INPUT_RATE)
    quiet = levels <= levels.max(initial=0.0) * 10 ** (AUDIBLE_DB / 20)
    begin, first = 0, 0
    for i, brk in sorted(breaks.items()):
        left, right = _gap(levels, quiet, words[i].end, words[i + 1].start)
        if left <= begin:
            continue
        yield _piece(pcm, begin, left, words[first : i + 1])
        yield from _between(rng, persona, brk)
        begin, first = right, i + 1
    yield _piece(pcm, begin, len(pcm), words[first:])


def _gap(levels: np.ndarray, quiet: np.ndarray, end_s: float, start_s: float) -> tuple[int, int]:
    """The samples [left, right) of the silence between two words; where there is none, their softest moment twice."""
    low = max(0, int((end_s - _REACH_S) * 100))
    high = max(low + 1, min(len(levels), int((start_s + _REACH_S) * 100) + 1))
    softest = min(low + int(np.argmin(levels[low:high])), len(levels) - 1) if low < len(levels) else len(levels) - 1
    left = right = softest
    while left > 0 and quiet[left - 1]:
        left -= 1
    while right < len(quiet) and quiet[right]:
        right += 1
    return left * GRID, max(left, right) * GRID


def _piece(pcm: Samples, begin: int, end: int, words: Sequence[Word]) -> _Piece:
    length = (end - begin) / INPUT_RATE
    timed = [word.shifted(-begin / INPUT_RATE) for word in words]
    inside = [Word(w.text, min(max(w.start, 0.0), length), min(max(w.end, 0.0), length)) for w in timed]
    return _Piece(faded(pcm[begin:end], _FADE), tuple(inside))


def _assembled(pieces: Sequence[_Piece | float]) -> Delivery:
    sounds: list[Samples] = []
    words: list[Word] = []
    fillers: set[int] = set()
    at = 0
    for piece in pieces:
        if isinstance(piece, float):
            sounds.append(np.zeros(round(piece * 100) * GRID, np.float32))
        else:
            if piece.filler:
                fillers |= set(range(len(words), len(words) + len(piece.words)))
            words += [word.shifted(at / INPUT_RATE) for word in piece.words]
            sounds.append(np.pad(piece.pcm, (0, -len(piece.pcm) % GRID)))
        at += len(sounds[-1])
    pcm = np.concatenate(sounds) if sounds else np.zeros(0, np.float32)
    start, end = trim_silence(pcm, INPUT_RATE)
    if not end:
        raise Unspeakable(" ".join(word.text for word in words))
    length = (end - start) / INPUT_RATE
    timed = [word.shifted(-start / INPUT_RATE) for word in words]
    inside = tuple(Word(w.text, min(max(w.start, 0.0), length), min(max(w.end, 0.0), length)) for w in timed)
    return Delivery(pcm[start:end], inside, tuple(_pauses(pcm[start:end], inside, fillers)))


def _pauses(pcm: Samples, words: Sequence[Word], fillers: set[int]) -> Iterator[Pause]:
    """The silences of a trimmed sound that are long enough to be pauses, and where they lie."""
    levels = frame_levels(pcm, INPUT_RATE)
    audible = np.flatnonzero(levels > levels.max(initial=0.0) * 10 ** (AUDIBLE_DB / 20))
    for one, other in pairwise(audible):
        start, end = (int(one) + 1) * GRID / INPUT_RATE, int(other) * GRID / INPUT_RATE
        if end - start < PAUSE_S:
            continue
        # A word's time is true to some hundredths of a second.
        last = max((i for i, word in enumerate(words) if word.start < start - _REACH_S / 2), default=0)
        yield Pause(start, end, _place(words[last].text, filler=last in fillers))


def _place(word: str, *, filler: bool) -> Place:
    if filler:
        return "filler"
    return "sentence" if ends_sentence(word) else "clause" if ends_clause(word) else "phrase"


def _pause(rng: Random) -> float:
    return min(LONGEST_PAUSE_S, PAUSE_S + 0.02 + rng.expovariate(1 / 0.45))


def ends_part(word: str) -> bool:
    """Whether a clause or a sentence ends with a word."""
    return ends_sentence(word) or ends_clause(word)


def read_aloud(said: str) -> tuple[list[str], list[int]]:
    """The words of a text that may hold ``SPOT``, and the indices of those that one follows."""
    words: list[str] = []
    spots: list[int] = []
    for word in said.split():
        if word == SPOT:
            spots.append(len(words) - 1)
        else:
            words.append(word)
    return words, [spot for spot in spots if spot >= 0]
