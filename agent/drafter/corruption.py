"""Turns as a worse ear would have heard them: what the drafter is given is spoilt, the truth stays.

A verifier must learn what it looks like when the drafter has not understood. So each turn is spoilt in one way. The
dialogue before it is never touched: what a draft should have answered is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final, Literal, TypeAlias, get_args

Corruption: TypeAlias = Literal["cut", "masked", "misheard", "other"]
"""Only the first words; the words of some phrases missing; words taken for others; another turn in its place."""

CORRUPTIONS: Final[tuple[Corruption, ...]] = get_args(Corruption)

_CUT: Final = (0.3, 0.75)
"""Of a turn, what is left when it is cut."""

_LEAST: Final = 5
"""Words that a turn must have to be cut."""


def spoil(text: str, others: Sequence[str], rng: Random) -> tuple[str, Corruption]:
    """A turn spoilt, and how; ``others`` are turns of other dialogues, at least one."""
    kinds = [kind for kind in CORRUPTIONS if kind != "cut" or len(text.split()) >= _LEAST]
    kind = rng.choice(kinds)
    return _HOW[kind](text, others, rng), kind


def _cut(text: str, others: Sequence[str], rng: Random) -> str:
    words = text.split()
    return " ".join(words[: max(1, round(rng.uniform(*_CUT) * len(words)))])


def _masked(text: str, others: Sequence[str], rng: Random) -> str:
    """The words of some phrases are gone, together half of them or more; one is left."""
    words, gone = text.split(), set[int]()
    wanted = rng.uniform(0.5, 0.9) * len(words)
    while len(gone) < wanted:
        first = rng.randrange(len(words))
        gone |= set(range(first, min(len(words), first + rng.randint(1, 4))))
    return " ".join(word for i, word in enumerate(words) if i not in gone) or words[-1]


def _misheard(text: str, others: Sequence[str], rng: Random) -> str:
    """The words that change the answer are taken for others: what is denied, names, numbers, moods; and where there are
    none, the long words, for those of another turn.
    """
    words = text.split()
    changed = {i: found for i, word in enumerate(words) if (found := _mistaken(word, i, rng)) is not None}
    strange = [word for turn in others for word in turn.split() if _is_long(word)]
    if not changed and strange:
        changed = {i: rng.choice(strange) for i, word in enumerate(words) if _is_long(word)}
    return " ".join(word for i, plain in enumerate(words) if (word := changed.get(i, plain)))


def _replaced(text: str, others: Sequence[str], rng: Random) -> str:
    return rng.choice(others)


_HOW: Final[dict[Corruption, Callable[[str, Sequence[str], Random], str]]] = {
    "cut": _cut,
    "masked": _masked,
    "misheard": _misheard,
    "other": _replaced,
}

_DENIALS: Final = {
    "not": "", "never": "always", "no": "yes", "yes": "no", "nothing": "everything", "nobody": "everybody",
    "don't": "do", "doesn't": "does", "didn't": "did", "can't": "can", "won't": "will", "isn't": "is", "wasn't": "was",
    "always": "never", "yeah": "no", "can": "can't", "will": "won't", "did": "didn't", "do": "don't", "is": "isn't",
    "love": "hate", "hate": "love", "like": "dislike", "great": "terrible", "good": "bad", "bad": "good",
    "terrible": "great", "awful": "wonderful", "happy": "sad", "sad": "happy", "lost": "won", "won": "lost",
    "best": "worst", "worst": "best", "fun": "boring", "boring": "fun", "sick": "well",
}  # fmt: skip
_NAMES: Final = tuple("Anna Brian Chicago Denver Emma Frank Grace Henry Italy Julia Kevin London Maria Nathan".split())
_DIGITS: Final = tuple("zero one two three four five six seven eight nine ten twelve twenty".split())


def _mistaken(text: str, at: int, rng: Random) -> str | None:
    """What a word that matters is taken for; None for others, "" for nothing."""
    bare = text.strip(",.!?")
    if bare.lower() in _DENIALS:
        return _DENIALS[bare.lower()]
    if bare.lower() in _DIGITS:
        return rng.choice([digit for digit in _DIGITS if digit != bare.lower()])
    if bare.isdigit():
        return str(rng.randrange(10 ** (len(bare) - 1), 10 ** len(bare)))
    if at > 0 and bare[:1].isupper() and bare[1:].islower() and not bare.startswith("I'"):
        return rng.choice([name for name in _NAMES if name != bare])
    return None


def _is_long(text: str) -> bool:
    return len(text.strip(",.!?")) > 4
