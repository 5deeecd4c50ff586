"""Which words of a hypothesis were understood, and which are what another language sounds like.

A recognizer of one language hears another one as words of its own, and finds each of them improbable: with the ears
that are embedded here, synthetic English is heard with 0.01 to 0.2 nats a word, Portuguese and Spanish by the English
ear with 0.6 to 1.3. Words come in runs of one kind; the likeliest runs are found by two states and a price for each
change between them (Viterbi 1967), so that a rare name among words that are clear is no foreign language.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from dragoman.audio.text import core
from dragoman.audio.types import Word

_HESITATIONS: Final = {"en": frozenset("um uh uhm umm er erm hm hmm mm".split())}
"""Sounds of who searches for words: an interpreter leaves them out. What they are in one language is a word in another
("um" is Portuguese, "er" German).
"""
_FOREIGN: Final = 0.7
"""Nats of doubt a word from which a long run was not understood."""
_CHANGE: Final = 1.5
"""Nats that a change between the two has to save."""
_MOST: Final = 2.0
"""So much at most is said by one word: no single one is a language."""


def understood(words: Sequence[Word]) -> tuple[list[bool], int]:
    """Whether each word was understood, and for how many leading words that stays so, whatever words follow.

    Words without a probability are taken as understood.
    """
    clear: tuple[float, list[bool]] = 0.0, []
    foreign: tuple[float, list[bool]] = _CHANGE, []
    for word in words:
        doubt = min(_MOST, -math.log(max(word.p, 1e-9))) if word.p is not None else 0.0
        clear, foreign = (
            _after(min(clear, _changed(foreign)), doubt, True),
            _after(min(foreign, _changed(clear)), _FOREIGN, False),
        )
    # The paths to both ends agree on what no further word can change.
    settled = next((i for i, (a, b) in enumerate(zip(clear[1], foreign[1], strict=True)) if a != b), len(words))
    return min(clear, foreign, key=lambda path: path[0])[1], settled


def hesitates(word: Word, language: str | None) -> bool:
    """Whether it is no word of the language, but the sound of searching for one."""
    return core(word.text).lower() in _HESITATIONS.get(language or "", ())


def _changed(path: tuple[float, list[bool]]) -> tuple[float, list[bool]]:
    return path[0] + _CHANGE, path[1]


def _after(path: tuple[float, list[bool]], cost: float, kind: bool) -> tuple[float, list[bool]]:
    return path[0] + cost, [*path[1], kind]
