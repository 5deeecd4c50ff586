"""Turns of human speech: clips of people who read or talk, with pauses where nobody could take them for the end.

A clip is cut at a word boundary, mostly inside a phrase, and drawn apart. What stands in the gap, before it and after
it is noise like the clip's own background: after the last audible sound there is nothing else, so the end is true.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.agent.duplex.conversation import PAUSE_S, AgentUtterance, Conversation, Pause, Place, UserEvent
from dragoman.agent.duplex.frames import BEGIN_AFTER_S, decided_s, first_decided
from dragoman.agent.duplex.frames import FRAME as BEAT
from dragoman.audio.text import ends_clause, ends_sentence
from dragoman.audio.types import INPUT_RATE, Samples, Word
from dragoman.benchmarks.recorded_speech import FRAME, examined, noise

RECIPE: Final = 1
"""Raised when the same clips would give other turns."""

LONGEST_PAUSE_S: Final = 2.0
INSIDE: Final = 0.9
"""Share of the pauses that are put inside a phrase; the others stand at the end of a clause, where there is one."""

LONG_S: Final = 15.0
"""Longer clips are cut at the ends of sentences."""

QUIET_S: Final = 5.3
"""Background after the end of a turn."""

_BEFORE_S: Final = (0.5, 1.5)
_ONSET_S: Final = 0.3
_REPLY_S: Final = 2.0
_WORDS_PER_PAUSE: Final = 6
_SENTENCE: Final = 4  # words that may be a turn of their own
_REACH_S: Final = 0.06  # by which an aligner may err
_FADE: Final = 80


@dataclass(frozen=True, slots=True)
class Piece:
    """One person's turn: sound at 16 kHz from its first to its last audible sound, its words, and how far each 10 ms
    rise out of the background (``recorded_speech``).
    """

    name: str
    pcm: Samples
    words: tuple[Word, ...]
    rises: npt.NDArray[np.float64]
    background: npt.NDArray[np.float64]

    @property
    def clip(self) -> str:
        """The clip that it comes from."""
        return self.name.partition("#")[0]


def pieces(clip: str, pcm: Samples, words: Sequence[Word]) -> list[Piece]:
    """The turns of a clip: one, or its sentences where it is long; none where the voice can't be told from the noise.

    ``words`` are those that an aligner heard.
    """
    recorded = examined(pcm, words[-1].end) if words else None
    if recorded is None:
        return []
    rises = recorded.rises
    cuts = [0, *(_sentences(words, rises) if len(pcm) > LONG_S * INPUT_RATE else ()), len(words)]
    edges = [0, *(_softest(rises, words[i - 1], words[i]) for i in cuts[1:-1]), len(rises)]
    found = []
    for number, ((first, last), (begin, end)) in enumerate(zip(pairwise(cuts), pairwise(edges), strict=True)):
        heard = begin + np.flatnonzero(rises[begin:end])
        if len(heard):
            start, stop = int(heard[0]), int(heard[-1]) + 1
            length = (stop - start) * FRAME / INPUT_RATE
            found.append(
                Piece(
                    f"{clip}#{number}",
                    pcm[start * FRAME : stop * FRAME],
                    tuple(_inside(word.shifted(-start * FRAME / INPUT_RATE), length) for word in words[first:last]),
                    rises[start:stop],
                    recorded.background,
                )
            )
    return found


def make_turns(found: Sequence[Piece], count: int, seed: int = 1) -> Iterator[Conversation]:
    """Up to ``count`` turns: variant after variant of each piece, but one alone where there is no place for a pause."""
    made, variant = 0, 0
    while made < count:
        able = [piece for piece in found if variant == 0 or len(piece.words) > 1][: count - made]
        if not able:
            return
        for piece in able:
            yield make_turn(piece, variant, seed)
        made, variant = made + len(able), variant + 1


def make_turn(piece: Piece, variant: int, seed: int) -> Conversation:
    """A conversation of one turn: background, the piece with pauses in it, background. The same from the same seed."""
    rng = Random(f"{seed}/{piece.name}/{variant}")
    at = begun = round(rng.uniform(*_BEFORE_S) * INPUT_RATE)
    sounds: list[tuple[int, Samples]] = []
    words: list[Word] = []
    pauses: list[Pause] = []
    begin = first = 0
    for last, place in [*_pauses(rng, piece.words), (len(piece.words) - 1, None)]:
        left, right = (len(piece.pcm), 0) if place is None else _gap(piece, last)
        if left <= begin:
            continue
        sounds.append((at, piece.pcm[begin:left]))
        inside = (word.shifted(-begin / INPUT_RATE) for word in piece.words[first : last + 1])
        words += [_inside(word, (left - begin) / INPUT_RATE).shifted(at / INPUT_RATE) for word in inside]
        at += left - begin
        if place is not None:
            start, at = at, at + round(_pause_s(rng) * INPUT_RATE)
            pauses.append(Pause(start / INPUT_RATE, at / INPUT_RATE, place))
            begin, first = right, last + 1
    end_s = at / INPUT_RATE
    due = first_decided(end_s + BEGIN_AFTER_S)
    voice = decided_s(due) + _ONSET_S
    count = -(-round((end_s + QUIET_S) * INPUT_RATE) // BEAT) * BEAT
    quiet = noise(piece.background, count, np.random.default_rng(rng.randrange(2**32)))
    text = " ".join(word.text for word in words)
    return Conversation(
        id=f"{piece.name}/{variant}",
        split="test",
        language="en",
        pcm=_mixed(sounds, quiet),
        context=(),
        user=(UserEvent("turn", begun / INPUT_RATE, end_s, tuple(words), text, pauses=tuple(pauses)),),
        agent=(AgentUtterance("reply", "", due, voice, voice + _REPLY_S),),
        user_voice=piece.clip,
        agent_voice="",
    )


def _mixed(sounds: Sequence[tuple[int, Samples]], background: Samples) -> Samples:
    """The sounds in the background: where one fades in, the background fades out."""
    out = background.copy()
    for at, pcm in sounds:
        count = min(_FADE, len(pcm) // 2)
        share = np.ones(len(pcm), np.float32)
        share[:count] = np.linspace(0, 1, count, dtype=np.float32)
        share[len(pcm) - count :] = share[:count][::-1]
        span = slice(at, at + len(pcm))
        out[span] = out[span] * (1 - share) + pcm * share
    return np.clip(out, -1, 1)


def _sentences(words: Sequence[Word], rises: npt.NDArray[np.float64]) -> Iterator[int]:
    """Numbers of the words that begin a new turn: after a sentence, and a silence that can be heard."""
    last = 0
    for i in range(_SENTENCE, len(words) - _SENTENCE + 1):
        ended = i - last >= _SENTENCE and ends_sentence(words[i - 1].text)
        if ended and rises[_softest(rises, words[i - 1], words[i])] == 0:
            yield i
            last = i


def _pauses(rng: Random, words: Sequence[Word]) -> list[tuple[int, Place | None]]:
    """After which words the speaker pauses, and where that is."""
    whole = [i for i, word in enumerate(words[1:]) if not word.text.startswith("-")]  # aligners cut "ill-disposed"
    inner = [i for i in whole if not (ends_clause(words[i].text) or ends_sentence(words[i].text))]
    clauses = [i for i in whole if ends_clause(words[i].text)]
    chosen: dict[int, Place | None] = {}
    for _ in range(rng.randint(1, max(1, len(words) // _WORDS_PER_PAUSE))):
        inside = not clauses or rng.random() < INSIDE
        if pool := inner if inside else clauses:
            chosen[rng.choice(pool)] = "phrase" if inside else "clause"
    return sorted(chosen.items())


def _pause_s(rng: Random) -> float:
    """As in the synthetic conversations: short ones are more common."""
    return min(LONGEST_PAUSE_S, PAUSE_S + 0.02 + rng.expovariate(1 / 0.45))


def _gap(piece: Piece, index: int) -> tuple[int, int]:
    """The samples [left, right) of the silence between a word and the next; the softest moment twice where none is."""
    rises = piece.rises
    left = right = _softest(rises, piece.words[index], piece.words[index + 1])
    while left > 0 and not rises[left - 1]:
        left -= 1
    while right < len(rises) and not rises[right]:
        right += 1
    return left * FRAME, right * FRAME


def _softest(rises: npt.NDArray[np.float64], word: Word, following: Word) -> int:
    """The frame between two words at which least is heard; the middle of a silence."""
    low = min(len(rises) - 1, max(0, int((word.end - _REACH_S) * INPUT_RATE / FRAME)))
    high = max(low + 1, int((following.start + _REACH_S) * INPUT_RATE / FRAME) + 1)
    span = rises[low:high]
    softest = np.flatnonzero(span == span.min())
    return low + int(softest[len(softest) // 2])


def _inside(word: Word, length: float) -> Word:
    return Word(word.text, min(max(word.start, 0.0), length), min(max(word.end, 0.0), length), word.p)
