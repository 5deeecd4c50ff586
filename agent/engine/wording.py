"""Whether two recognizers heard the same thing: what they write differently need not mean anything else.

A reply that is being written is thrown away when a second pass heard other words than those that it answers; that
costs a second or two, so it must be worth it.
"""

from __future__ import annotations

import re
from typing import Final

from dragoman.audio.text import core

_SPELLED: Final = {
    "can't": "can not",
    "cannot": "can not",
    "won't": "will not",
    "gonna": "going to",
    "wanna": "want to",
    "gotta": "got to",
    "let's": "let us",
    "ok": "okay",
    "alright": "all right",
    "yep": "yes",
    "yeah": "yes",
    "favourite": "favorite",
    "colour": "color",
    "mum": "mom",
}
_ENDINGS: Final = (
    ("n't", " not"),
    ("'re", " are"),
    ("'ll", " will"),
    ("'ve", " have"),
    ("'d", " would"),
    ("'m", " am"),
)
_IS: Final = frozenset("it that what there here he she who where how when".split())
_NUMBERS: Final = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty".split()
    )
}
_WEAK: Final = frozenset("a an the uh um er erm mm hm hmm oh ah well so and just like".split())
"""What is said between the words that count."""


def same_meaning(first: str, second: str) -> bool:
    """Whether two texts differ in case, punctuation, spelling and words that carry nothing at most."""
    return _counting(first) == _counting(second)


def _counting(text: str) -> list[str]:
    words: list[str] = []
    for part in re.split(r"[\s\-–—]+", text.replace("’", "'")):
        words += _spelled(core(part).lower()).split()
    return [word for word in words if word not in _WEAK] or words


def _spelled(word: str) -> str:
    if word in _SPELLED:
        return _SPELLED[word]
    if word in _NUMBERS:
        return _NUMBERS[word]
    if word.endswith("'s") and word[:-2] in _IS:
        return f"{word[:-2]} is"
    for ending, spelled in _ENDINGS:
        if word.endswith(ending) and len(word) > len(ending):
            return word.removesuffix(ending) + spelled
    return word
