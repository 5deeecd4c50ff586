"""Where written words end a sentence or a clause, shared by whoever cuts text for a voice or a translator; and how
languages are written.

Words are whitespace tokens with their punctuation attached ("Dr.", "3.5", "well,").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from dragoman.audio.types import DragomanError

CLOSERS: Final = "\"'”’»)]}"
"""Marks that may follow the punctuation which ends a word."""

_SENTENCE_MARKS: Final = ".!?…。！？"
_CLAUSE_MARKS: Final = ",;:—–，；："
_LISTED: Final = (
    "dr dra mr mrs ms prof profa sr sra srta st mt jr mme mlle dott sig etc vs approx dept est fig vol ed "
    "e.g i.e a.m p.m e.u ph.d u.s u.k cf pág p.ex av aprox núm"
)
_ABBREVIATIONS: Final = frozenset(_LISTED.split())
_DOTTED: Final = re.compile(r"(?:[^\W\d_]\.){2,}")
_MONSIEUR: Final = "M."


def language_code(written: str) -> str:
    """The ISO 639 code of a language however it is written: EN, pt-BR. Raises ``DragomanError``."""
    code = re.split(r"[-_]", written.lower(), maxsplit=1)[0]
    if not re.fullmatch(r"[a-z]{2,3}", code):
        raise DragomanError(f"{written!r} is no language's code: write en, pt, pt-BR")
    return code


def language_of(written: str) -> str | None:
    """The same for what is spoken: None for "auto", where it is to be detected."""
    return None if written.lower() == "auto" else language_code(written)


def core(word: str) -> str:
    """The word without the punctuation around it."""
    return word.strip("\"'“”‘’«»()[]{}¿¡.,;:!?…—–")


def ends_sentence(word: str, previous: str = "") -> bool:
    """Whether a sentence ends with ``word``: not after an abbreviation or a name's initial."""
    bare = word.rstrip(CLOSERS)
    if not bare or bare[-1] not in _SENTENCE_MARKS:
        return False
    if bare[-1] != "." or bare.endswith(".."):
        return True
    stem = bare.lstrip("\"'“‘«([{¿¡")
    if stem[:-1].lower() in _ABBREVIATIONS or _DOTTED.fullmatch(stem) or stem == _MONSIEUR:
        return False
    initial = len(stem) == 2 and stem[0].isupper() and stem != "I."
    return not (initial and (not previous or _is_capitalized(previous)))


def whole_sentence(words: Sequence[str]) -> bool:
    """Whether a sentence ends with the last of some words."""
    return bool(words) and ends_sentence(*reversed(words[-2:]))


def ends_clause(word: str) -> bool:
    """Whether a clause, but no sentence, ends with ``word``."""
    bare = word.rstrip(CLOSERS)
    return bool(bare) and (bare[-1] in _CLAUSE_MARKS or bare in ("-", "--"))


def belong_together(first: str, second: str) -> bool:
    """Whether a cut between two words would break a name ("New York") or a number ("3 million", "May 5")."""
    if ends_clause(first) or ends_sentence(first):
        return False
    if first[-1:].isdigit() or first[-1:] in "$€£¥":
        return True
    return _is_capitalized(first) and (_is_capitalized(second) or second[:1].isdigit())


def _is_capitalized(word: str) -> bool:
    return core(word)[:1].isupper()


def common(first: Sequence[str], second: Sequence[str]) -> int:
    """How many leading words are the same, case and punctuation included."""
    count = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        count += 1
    return count
