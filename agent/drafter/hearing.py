"""A turn as a recognizer might have written it: what the drafter reads is never quite what was said.

The rates are about those of the causal ear on clear speech, in which the last word is often still to come.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from random import Random
from typing import Final

from dragoman.agent.drafter.prompt import MARKS

UNMARKED: Final = 0.3
"""How often the mark at the end is missing."""

PLAIN: Final = 0.1
"""How often there are no marks and no capital letters at all."""

UNFINISHED: Final = 0.12
"""How often the last word has not been heard yet."""

WRONG: Final = 0.04
"""Share of words that are heard as others, or not at all."""


def heard(text: str, rng: Random, others: Sequence[str]) -> str:
    """``text`` with a recognizer's mistakes; words are mistaken for some of ``others``."""
    words = text.split()
    if len(words) > 2 and rng.random() < UNFINISHED:
        words = words[:-1]
    kept = []
    for word in words:
        if rng.random() < WRONG and len(words) > 2:
            if rng.random() < 0.4:
                continue
            word = rng.choice(others)
        kept.append(word)
    text = " ".join(kept or words)
    if rng.random() < PLAIN:
        return re.sub(r"[^\w\s'%$-]", "", text).lower()
    return text.rstrip(".!?,") if rng.random() < UNMARKED else text


def misheard(word: str, rng: Random, others: Sequence[str]) -> str:
    """A word that is written much like this one, of some of ``others`` that are drawn; its marks stay."""
    bare = word.rstrip(MARKS)
    drawn = (other.rstrip(MARKS) for other in rng.choices(others, k=_DRAWN))
    unlike = {other for other in drawn if other and other.lower() != bare.lower()}
    best = max(sorted(unlike), key=lambda other: _likeness(bare, other), default=bare)
    return best + word[len(bare) :]


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one.lower(), other.lower(), autojunk=False).quick_ratio()


_DRAWN: Final = 60
