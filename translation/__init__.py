"""Segmenting and translating what is heard. ``open_translator`` gives a translator for two languages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from dragoman.audio.types import DragomanError
from dragoman.translation.bergamot import BergamotTranslator

__all__ = ["BergamotTranslator", "open_translator", "pairs"]


@dataclass(frozen=True, slots=True)
class _Entry:
    pairs: frozenset[tuple[str, str]]
    open: Callable[[], BergamotTranslator]


_TRANSLATORS: Final = {"bergamot": _Entry(BergamotTranslator.pairs, cache(BergamotTranslator))}


def pairs() -> list[tuple[str, str]]:
    """All (source, target) pairs that can be translated."""
    return sorted({pair for entry in _TRANSLATORS.values() for pair in entry.pairs})


def open_translator(source: str, target: str, name: str = "auto") -> BergamotTranslator:
    """Load a translator for a pair of languages (ISO 639-1). ``name`` "auto" takes the first that knows the pair.

    Blocking: about a second. Loaded once per process. Raises ``DragomanError`` for an unknown pair or name, or
    when its package is missing.
    """
    if name != "auto" and name not in _TRANSLATORS:
        raise DragomanError(f"no translator named {name!r}: choose one of {', '.join(_TRANSLATORS)}")
    for known, entry in _TRANSLATORS.items():
        if name in ("auto", known) and (source, target) in entry.pairs:
            translator = entry.open()
            translator.warm(source, target)
            return translator
    can = ", ".join(f"{a} to {b}" for a, b in pairs())
    raise DragomanError(f"no translator from {source!r} to {target!r}: there is {can}")
