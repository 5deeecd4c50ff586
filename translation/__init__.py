"""Segmenting and translating what is heard. ``open_translator`` gives a translator for two languages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Final

from dragoman.audio.types import DragomanError
from dragoman.translation.apertium import ApertiumTranslator
from dragoman.translation.bergamot import BergamotTranslator
from dragoman.translation.languages import LANGUAGES
from dragoman.translation.learned import KINDS, LearnedTranslator
from dragoman.translation.pivot import PivotTranslator
from dragoman.translation.steering import Translator

__all__ = [
    "BergamotTranslator",
    "LearnedTranslator",
    "PivotTranslator",
    "Translator",
    "open_translator",
    "pairs",
    "require_pair",
    "sources",
]

BETWEEN: Final = "en"
"""The language through which a pair goes that no translator does directly."""

_bergamot = cache(BergamotTranslator)
_apertium = cache(ApertiumTranslator)
_learned = cache(LearnedTranslator)
_NAMED: Final[dict[str, Callable[[], Translator]]] = {
    "bergamot": _bergamot,
    "apertium": _apertium,
    **{kind: partial(_learned, kind) for kind in KINDS},
}


def pairs() -> list[tuple[str, str]]:
    """All (source, target) pairs that can be translated directly with what is installed."""
    apertium = _installed()
    return sorted(BergamotTranslator.pairs | (apertium.pairs if apertium else frozenset()))


def open_translator(source: str, target: str, name: str = "auto") -> Translator:
    """Load a translator for a pair of languages (ISO 639-1).

    ``name``: "auto" takes the first that knows the pair; "bergamot", "nar" and the other students of ``learned``,
    "apertium", or the folder of a CTranslate2 model.
    A pair that none of them does directly goes through English: then it is a ``PivotTranslator``, whose ``notice``
    says so. Blocking: about a second, once per process. Raises ``DragomanError`` for an unknown pair or name, or when
    a package is missing.
    """
    translator = _found(source, target, name)
    translator.translate("1.", source, target)  # loads it
    return translator


def require_pair(source: str | None, target: str, name: str = "auto") -> None:
    """Raises ``DragomanError`` where ``open_translator`` has none (``source`` None: from no language). "auto" loads
    nothing.
    """
    if source is not None:
        _found(source, target, name)
    elif name == "auto" and target not in {into for _, into in pairs()}:
        raise _none(f"to {target!r}")


def sources(target: str, name: str = "auto") -> tuple[str, ...]:
    """The languages that ``open_translator`` has something from; none where a folder's model may know any."""
    return tuple(source for source in LANGUAGES if _can(source, target, name)) if name in ("auto", *_NAMED) else ()


def _can(source: str, target: str, name: str) -> bool:
    try:
        _found(source, target, name)
    except DragomanError:
        return False
    return True


def _found(source: str, target: str, name: str) -> Translator:
    if name == "auto":
        chosen, others = list(_installed_for(source, target)), list[Translator]()
    else:
        chosen, others = [_named(name, source, target)], list(_installed_for(source, target))
    direct = next((translator for translator in chosen if (source, target) in translator.pairs), None)
    through = None if source == target else _through(chosen, others, source, target)
    translator = direct or through
    if translator is None:
        raise _none(f"from {source!r} to {target!r}")
    return translator


def _none(pair: str) -> DragomanError:
    can = ", ".join(f"{a} to {b}" for a, b in pairs())
    return DragomanError(f"no translator {pair}: there is {can}; a model's folder may be named")


def _installed() -> ApertiumTranslator | None:
    try:
        return _apertium()
    except DragomanError:
        return None


def _installed_for(source: str, target: str) -> Iterator[Translator]:
    """What may take part in translating a pair; a missing package is told only where it is needed."""
    if "pt" in (source, target):
        yield _bergamot()
    if (apertium := _installed()) is not None:
        yield apertium


def _named(name: str, source: str, target: str) -> Translator:
    if name in _NAMED:
        return _NAMED[name]()
    from dragoman.translation.ctranslate import CTranslateTranslator, is_folder

    if not is_folder(Path(name)):
        raise DragomanError(f"no translator named {name!r}: choose {', '.join(_NAMED)} or a folder of CTranslate2's")
    return CTranslateTranslator(Path(name), source, target)


def _through(chosen: list[Translator], others: list[Translator], source: str, target: str) -> Translator | None:
    """Two translators, at least one of them chosen."""
    for first, second in product([*chosen, *others], repeat=2):
        asked_for = any(translator in (first, second) for translator in chosen)
        if asked_for and (source, BETWEEN) in first.pairs and (BETWEEN, target) in second.pairs:
            return PivotTranslator(first, second, source, BETWEEN, target)
    return None
