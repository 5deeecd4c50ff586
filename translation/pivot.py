"""Two translators in a row: for pairs of languages that none translates directly."""

from __future__ import annotations

from dragoman.audio.types import DragomanError
from dragoman.translation.languages import LANGUAGES
from dragoman.translation.steering import Steering, Translation, Translator, steered


class PivotTranslator:
    """Implements ``Translator`` and ``Steerable`` for one pair, through a language between."""

    def __init__(self, first: Translator, second: Translator, source: str, between: str, target: str) -> None:
        if (source, between) not in first.pairs or (between, target) not in second.pairs:
            raise DragomanError(f"no way from {source} through {between} to {target}")
        self._first, self._second = first, second
        self._source, self._between, self._target = source, between, target

    @property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """The one."""
        return frozenset({(self._source, self._target)})

    @property
    def notice(self) -> str:
        """What a person should know: mistakes of both add up."""
        names = (LANGUAGES[code].name if code in LANGUAGES else code for code in self._route)
        return "no translator does {0} to {2} directly: it goes through {1}".format(*names)

    def translate(self, text: str, source: str, target: str) -> str:
        """Translate one segment."""
        return self.steered(text, source, target, Steering()).text

    def steered(self, text: str, source: str, target: str, steering: Steering) -> Translation:
        """Translate one segment; the second translator is steered."""
        if (source, target) not in self.pairs:
            raise DragomanError(f"this translator can't translate from {source} to {target}")
        between = steered(self._first, text, source, self._between, Steering())
        out = steered(self._second, between.text, self._between, target, steering)
        if not (between.sources and out.sources):
            return Translation(out.text)
        last = len(between.sources) - 1
        return Translation(out.text, tuple(between.sources[min(word, last)] for word in out.sources))

    @property
    def _route(self) -> tuple[str, str, str]:
        return self._source, self._between, self._target
