"""The languages that translators know by other codes than ISO 639-1, and their names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Language:
    """A language."""

    name: str
    three: str
    """ISO 639-3, as Apertium and OPUS-MT write it."""
    script: str
    """ISO 15924; ``three`` with it is the code of FLORES and NLLB."""

    @property
    def flores(self) -> str:
        """Such as por_Latn."""
        return f"{self.three}_{self.script}"


LANGUAGES: Final = {
    "ar": Language("Arabic", "arb", "Arab"),
    "bg": Language("Bulgarian", "bul", "Cyrl"),
    "ca": Language("Catalan", "cat", "Latn"),
    "cs": Language("Czech", "ces", "Latn"),
    "da": Language("Danish", "dan", "Latn"),
    "de": Language("German", "deu", "Latn"),
    "el": Language("Greek", "ell", "Grek"),
    "en": Language("English", "eng", "Latn"),
    "es": Language("Spanish", "spa", "Latn"),
    "et": Language("Estonian", "est", "Latn"),
    "fi": Language("Finnish", "fin", "Latn"),
    "fr": Language("French", "fra", "Latn"),
    "gl": Language("Galician", "glg", "Latn"),
    "he": Language("Hebrew", "heb", "Hebr"),
    "hi": Language("Hindi", "hin", "Deva"),
    "hr": Language("Croatian", "hrv", "Latn"),
    "hu": Language("Hungarian", "hun", "Latn"),
    "id": Language("Indonesian", "ind", "Latn"),
    "it": Language("Italian", "ita", "Latn"),
    "ja": Language("Japanese", "jpn", "Jpan"),
    "ko": Language("Korean", "kor", "Hang"),
    "lt": Language("Lithuanian", "lit", "Latn"),
    "lv": Language("Latvian", "lvs", "Latn"),
    "nl": Language("Dutch", "nld", "Latn"),
    "pl": Language("Polish", "pol", "Latn"),
    "pt": Language("Portuguese", "por", "Latn"),
    "ro": Language("Romanian", "ron", "Latn"),
    "ru": Language("Russian", "rus", "Cyrl"),
    "sk": Language("Slovak", "slk", "Latn"),
    "sl": Language("Slovene", "slv", "Latn"),
    "sv": Language("Swedish", "swe", "Latn"),
    "tr": Language("Turkish", "tur", "Latn"),
    "uk": Language("Ukrainian", "ukr", "Cyrl"),
    "vi": Language("Vietnamese", "vie", "Latn"),
    "zh": Language("Chinese", "zho", "Hans"),
}
"""By ISO 639-1."""

ALL_PAIRS: Final = frozenset((a, b) for a in LANGUAGES for b in LANGUAGES if a != b)
"""What a translator of any language into any other can do."""
