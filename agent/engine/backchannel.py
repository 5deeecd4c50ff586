"""Which words a listener says without wanting the floor."""

from __future__ import annotations

import re
from typing import Final

_HUM = re.compile(r"m+h*m*|h+m+|u+h+|a+h+|o+h+|e+h+|u+h+u+m*|a+h+a+m*|u+m+|e+r+m*|h+u+h+|mm+|ajá")
"""Hums and grunts as recognizers spell them in any of our languages."""

_WORDS: Final = frozenset(
    # English
    "yeah yep yes yup ok okay right sure wow nice great good cool true exactly alright fine indeed interesting "
    # Portuguese
    "sim tá certo claro isso né entendi sei exato verdade legal beleza bom "
    # Spanish
    "sí vale ya bueno entiendo exacto "
    # French
    "oui ouais d'accord voilà mouais exactement "
    # German
    "ja genau klar stimmt gut verstehe richtig".split()
)
_PHRASES: Final = frozenset(
    ("i see", "got it", "of course", "go on", "ah bon", "bien sûr", "pois é", "por supuesto", "alles klar")
)
_MOST_WORDS: Final = 3


def is_backchannel(text: str) -> bool:
    """Whether ``text`` as a whole is a short sign of attention that asks for nothing.

    A question mark makes it one that asks for something ("Right?"), so then it is none.
    """
    if "?" in text or any(letter.isdigit() for letter in text):
        return False
    plain = text.lower().replace("’", "'").replace("-", " ")
    words = re.findall(r"[^\W_]+(?:'[^\W_]+)*", plain)
    if not words or len(words) > _MOST_WORDS:
        return False
    return " ".join(words) in _PHRASES or all(word in _WORDS or _HUM.fullmatch(word) for word in words)
