"""How a sentence sounds, word by word, for voices that read the phonemes of espeak-ng."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from dragoman.audio.text import CLOSERS, ends_clause, ends_sentence
from dragoman.audio.types import DragomanError
from dragoman.tts.espeak import espeak
from dragoman.tts.voice import spread

ESPEAK_VOICES: Final = {"pt": "pt-br", "es": "es", "fr": "fr", "it": "it", "en": "en-us"}
"""The languages, and what espeak-ng calls them."""

_ONWARD: Final = {"pt": "e", "es": "y", "fr": "et", "it": "e", "en": "and"}
_MARKS: Final = ".!?…,;:—"
_CURRENCIES: Final = {
    "pt": {
        "R$": ("real", "reais"),
        "$": ("dólar", "dólares"),
        "US$": ("dólar", "dólares"),
        "€": ("euro", "euros"),
        "£": ("libra", "libras"),
    },
    "es": {"$": ("dólar", "dólares"), "US$": ("dólar", "dólares"), "€": ("euro", "euros"), "£": ("libra", "libras")},
    "fr": {"$": ("dollar", "dollars"), "€": ("euro", "euros"), "£": ("livre", "livres")},
    "it": {"$": ("dollaro", "dollari"), "€": ("euro", "euro"), "£": ("sterlina", "sterline")},
    "en": {"$": ("dollar", "dollars"), "US$": ("dollar", "dollars"), "€": ("euro", "euros"), "£": ("pound", "pounds")},
}
"""One, and several."""
_MILLIONS: Final = {
    "pt": dict.fromkeys("milhão milhões bilhão bilhões trilhão trilhões".split(), "de ") | {"mil": ""},
    "es": dict.fromkeys("millón millones billón billones".split(), "de ") | {"mil": ""},
    "fr": dict.fromkeys("million millions milliard milliards".split(), "de ") | {"mille": ""},
    "it": dict.fromkeys("milione milioni miliardo miliardi".split(), "di ") | {"mila": ""},
    "en": dict.fromkeys("thousand million billion trillion".split(), ""),
}
"""What stands between an amount and the money's name, with what joins them."""
_TITLES: Final = {
    "pt": {"sr": "senhor", "sra": "senhora", "srta": "senhorita", "jr": "júnior", "sto": "santo", "sta": "santa"},
    "fr": {"m": "monsieur", "mm": "messieurs"},
    "it": {"sig": "signor", "sig.ra": "signora", "dott": "dottor", "dott.ssa": "dottoressa"},
    "en": {"ms": "miz", "jr": "junior", "sr": "senior"},
}
_TITLE: Final = re.compile(r"(?P<before>\W*)(?P<title>\w+\.\w+|\w+(?=\.))\.?(?P<after>\W*)")
_AMOUNT: Final = re.compile(r"(?P<amount>\d[\d.,]*?)(?P<after>[^\w]*)")
_LARGE: Final = re.compile(r"(?P<amount>\w+)(?P<after>[^\w]*)")
_MONEY: Final = re.compile(r"(?P<sign>(?:R|US)?[$€£])(?P<amount>\d[\d.,]*?)?(?P<after>[^\w]*)")


class Pronunciation:
    """Of one language; safe to call from several threads. ``spelled`` turns IPA into the voice's own symbols."""

    def __init__(self, language: str, spelled: Callable[[str], str]) -> None:
        if language not in ESPEAK_VOICES:
            raise DragomanError(f"nothing is known of how {language!r} sounds: there are {', '.join(ESPEAK_VOICES)}")
        self.onward: str = _ONWARD[language]
        self._language = language
        self._voice = ESPEAK_VOICES[language]
        self._spelled = spelled
        self._espeak = espeak()

    def words(self, words: Sequence[str]) -> list[str]:
        """The symbols of each word with the mark and the space after it.

        espeak-ng loses the marks, so it is asked clause by clause.
        """
        pieces: list[str] = []
        clause: list[str] = []
        for index, word in enumerate(_readings(words, self._language)):
            clause.append(word)
            mark = _mark(word)
            if mark or index + 1 == len(words):
                sounds = spread(clause, self._phonemes(" ".join(clause)), self._phonemes)
                sounds[-1] = sounds[-1].rstrip() + mark + " "
                pieces += sounds
                clause = []
        return pieces

    def _phonemes(self, text: str) -> str:
        return self._spelled(self._espeak.phonemes(text, self._voice))


def _readings(words: Sequence[str], language: str) -> list[str]:
    """The words with money and titles as they are said: espeak-ng reads "R$ 50" and "Sr." as letters. As many as there
    were.
    """
    names, titles = _CURRENCIES[language], _TITLES.get(language, {})
    read = list(words)
    for i, word in enumerate(read):
        if (found := _TITLE.fullmatch(word)) and (title := titles.get(found["title"].lower())):
            read[i] = f"{found['before']}{title}{found['after']}"
        money = _MONEY.fullmatch(word)
        if money and money["sign"] in names:
            at = i if money["amount"] else i + 1
            found = money if money["amount"] else _AMOUNT.fullmatch("".join(read[at : at + 1]))
            if found is not None:
                read[i] = ""  # a word without a sound keeps its place
                _name_money(read, at, found, names[money["sign"]], language)
    return read


def _name_money(read: list[str], at: int, found: re.Match[str], name: tuple[str, str], language: str) -> None:
    """Put the money's name behind the amount that was ``found`` at a place, and the millions that belong to it."""
    large, end, last = _MILLIONS[language], at, found
    while (
        not last["after"] and (then := _LARGE.fullmatch("".join(read[end + 1 : end + 2]))) and then["amount"] in large
    ):
        end, last = end + 1, then
    said = name[0] if end == at and found["amount"] == "1" else name[1]
    of = large.get(last["amount"], "")
    if of and language == "fr" and said.startswith("e"):
        of = "d'"
    read[at] = found["amount"]
    read[end] = f"{last['amount']} {of}{said}{last['after']}"


def _mark(word: str) -> str:
    """The mark to speak after ``word``, if a clause or sentence ends with it."""
    bare = word.rstrip(CLOSERS)
    if not (ends_clause(word) or ends_sentence(word)):
        return ""
    return bare[-1] if bare[-1] in _MARKS else ","
