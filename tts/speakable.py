"""Text as a voice can say it: markdown, links, emoji, list markers and code are taken out, word by word.

The cleaner works on a stream, so what is said while a reply is being written and what is said of the finished
text are the same words.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

_MARKER: Final = re.compile(r"[-*+•‣–>]|#{1,6}|(\d{1,3})[.)]")
_TABLE_RULE: Final = re.compile(r"\|?(?::?-{2,}:?\|?)+|\|+|[-*_=]{3,}")
_AUTOLINK: Final = re.compile(r"<(https?://[^<>\s]+)>")
_LINK_TARGET: Final = re.compile(r"\]\([^\s)]*\)?")
_CITATION: Final = re.compile(r"\[\^?\d+\]")
_URL: Final = re.compile(
    r"(?:https?://(?:[^\s/?#]*@)?(?:www\.)?|(?<!\w)www\.)([^\s/?#:]+)(?:\S*[^\s.,;:!?)\]}'\"*_])?", re.IGNORECASE
)
_TAG: Final = re.compile(r"</?(?:b|i|u|s|em|strong|br|p|code|sub|sup|ul|ol|li|div|span|h[1-6])/?>", re.IGNORECASE)
_EMPHASIS: Final = re.compile(r"(?<!\w)(?:[*_`]|~~)+|(?:[*_`]|~~)+(?!\w)|(?<=\S)~+(?!\w)")
_NO_POWER: Final = re.compile(r"(?<![\w)\]}])\^|\^(?![\w({+-])")
_KEPT_SYMBOLS: Final = "°©®™^"


@dataclass(frozen=True, slots=True)
class CleanWord:
    """A word to say; ``breaks`` when a paragraph, a list item or a heading begins with it."""

    text: str
    breaks: bool = False


class Cleaner:
    """Turns a stream of text into words to say. It holds no more than a word, and a list marker."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._partial = ""
        self._marker = ""
        self._newlines = 1
        self._items = 0
        self._breaks = False
        self._code = False

    def feed(self, text: str) -> list[CleanWord]:
        """Words that ``text`` completed: a word is complete when white space follows it."""
        words: list[CleanWord] = []
        start = 0
        for space in re.finditer(r"\s", text):
            words += self._complete(text[start : space.start()])
            start = space.end()
            if space.group() == "\n":
                words += self._line_end()
        self._partial += text[start:]
        return words

    def flush(self) -> list[CleanWord]:
        """The text is over: what was left of it. The cleaner is then as new."""
        words = self._complete("")
        if self._marker:
            words += self._emit(self._marker)
        self._reset()
        return words

    def _complete(self, tail: str) -> list[CleanWord]:
        raw, self._partial = self._partial + tail, ""
        if not raw:
            return []
        at_line_start, self._newlines = self._newlines > 0, 0
        if fences := raw.count("```") + (at_line_start and raw.startswith("~~~")):
            if fences % 2:
                self._code = not self._code
            self._breaks = True
            return []
        if self._code:
            return []
        if at_line_start and self._begins_item(raw):
            # Only a marker if something follows it on its line: a reply may be just "42."
            self._marker = raw
            return []
        if self._marker:
            self._marker, self._breaks = "", True
        return self._emit(raw)

    def _begins_item(self, raw: str) -> bool:
        """Whether it is no more than a mark at the beginning of a line. A number is one where it goes on from those
        before it: else it is what is said ("56. Want another one?").
        """
        marker = _MARKER.fullmatch(raw)
        if marker is None or (marker[1] and int(marker[1]) > self._items + 1):
            return False
        self._items = int(marker[1] or self._items)
        return True

    def _line_end(self) -> list[CleanWord]:
        words = self._emit(self._marker) if self._marker else []
        self._marker = ""
        self._newlines += 1
        self._breaks = self._breaks or self._newlines > 1
        return words

    def _emit(self, raw: str) -> list[CleanWord]:
        words = []
        for text in _clean(raw):
            words.append(CleanWord(text, self._breaks))
            self._breaks = False
        return words


def clean_words(text: str) -> list[CleanWord]:
    """The words to say of a whole text."""
    cleaner = Cleaner()
    return cleaner.feed(text) + cleaner.flush()


def speakable(text: str) -> str:
    """The text as it is said: words with single spaces. Empty when nothing can be said."""
    return " ".join(word.text for word in clean_words(text))


def _clean(raw: str) -> list[str]:
    """The words in one white-space token of raw text."""
    if raw in ("*", "_"):
        return [raw] if raw == "*" else []
    if _TABLE_RULE.fullmatch(raw):
        return []
    word = _AUTOLINK.sub(r"\1", raw)
    word = _LINK_TARGET.sub("", word)
    word = _CITATION.sub("", word)
    word = _URL.sub(r"\1", word)
    word = _TAG.sub(" ", word)
    word = _EMPHASIS.sub("", word)
    word = _NO_POWER.sub("", word)
    word = word.replace("![", "").replace("[", "").replace("]", "")
    word = "".join(map(_said, unicodedata.normalize("NFC", word)))
    return [w for w in word.split() if not _TABLE_RULE.fullmatch(w)]


def _said(char: str) -> str:
    """The character, if it is text: no joiner, control or private one, and no emoji, which stands between words."""
    category = unicodedata.category(char)
    if char in _KEPT_SYMBOLS:
        return char
    if category == "So":
        return " "
    return "" if category in ("Sk", "Cc", "Cf", "Cs", "Co", "Cn") or char in "\ufe0e\ufe0f\u20e3" else char
