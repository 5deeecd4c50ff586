"""How complete do the words sound? The embedded turn detector: it reads, it doesn't listen.

Recognizers of Whisper's kind write punctuation, and people who search for words say so ("um"). Both tell more about
whether a pause is the end of a turn than its length does. So does what the turn is: a number that is read out and a
list come in pieces, and the answer to a question may be a single word.
"""

from __future__ import annotations

import re
from typing import Final

_FILLERS: Final = frozenset(
    "um uh uhm er erm hmm hm mm like well so and but or because if that the a an to of in on at for with my your "
    "i'm it's is are was were we're they're you're "
    "e mas ou porque se que o os as um uma de do da em no na para pra com meu minha seu sua é então tipo "
    "y pero o porque si que el la los las un una de del en para con mi su es entonces "
    "et mais ou parce si que le les un une des du dans pour avec mon ma est alors euh "
    "und aber oder weil wenn dass der die das ein eine von im für mit mein ist also äh ähm".split()
)
"""Words that hardly ever end what someone wants to say."""


_SENTENCE: Final = 4
"""Words from which a text without any mark may well be a whole sentence."""

_DIGITS: Final = frozenset(
    "zero oh one two three four five six seven eight nine double "
    "zero um dois duas três quatro cinco seis meia sete oito nove".split()
)
_NUMBER_ASKED: Final = re.compile(
    r"\b(number|code|pin|zip|postcode|digits|card|número|numero|código|senha|cep|telefone)\b", re.IGNORECASE
)
_PHONE: Final = 7
"""Digits from which a number that is read out may be whole."""
_READ_OUT: Final = 3
"""Digits in more than one group that are a number being read out, asked for or not."""

_LAST_ITEM: Final = re.compile(r"^(and|or|plus|e|ou|y|et|und|oder)\b", re.IGNORECASE)
_ITEMS: Final = 3
_ITEM_WORDS: Final = 3

_SHORT_ANSWERS: Final = frozenset(
    "yes yeah yep yup no nope nah sure okay ok right exactly maybe never always none nothing "
    "sim não nao claro certo talvez nunca sempre nada".split()
)


class TextTurnDetector:
    """Reads the end of a transcript. No state: one object serves every session."""

    def complete(self, text: str, asked: str = "") -> float:
        """Probability-like score in [0, 1] that nothing more will come. ``asked``: what the agent said before it."""
        stripped = text.rstrip().rstrip("\"'”’)")
        words = re.findall(r"[^\W_]+(?:['’][^\W_]+)*", stripped.lower())
        if not words:  # or marks alone
            return 0.0
        last = words[-1].replace("’", "'")
        if stripped.endswith(("...", "…", "-", "—")):
            return 0.0
        digits, groups = _read_out(words)
        if digits and (_NUMBER_ASKED.search(asked) or (groups > 1 and digits >= _READ_OUT)):
            return 0.9 if digits >= _PHONE else 0.2
        if last in _FILLERS and not stripped.endswith("?"):
            return 0.1
        if stripped.endswith(("?", "!")):
            return 1.0
        question = asked.rstrip().endswith("?")
        if question and words[0] in _SHORT_ANSWERS and len(words) < _SENTENCE and not stripped.endswith(","):
            return 1.0
        if _lists(stripped):
            return 0.3
        if stripped.endswith("."):
            return 0.9
        if stripped.endswith((",", ":", ";")):
            return 0.15
        # Small recognizers leave out all punctuation of a sentence now and then: that says little.
        return 0.4 if len(words) < _SENTENCE and not question else 0.6


def _read_out(words: list[str]) -> tuple[int, int]:
    """Digits at the end of a text, and in how many groups they are said."""
    digits, groups = 0, 0
    for word in reversed(words):
        if word.isdigit():
            digits += len(word)
        elif word in _DIGITS:
            digits += 1
        else:
            break
        groups += 1
    return digits, groups


def _lists(text: str) -> bool:
    """Whether a text ends in the middle of a list: short items, and no "and" before the last one yet."""
    items = [item.strip() for item in re.split(r"[,;.]", text) if item.strip()]
    if len(items) < _ITEMS or any(_LAST_ITEM.match(item) for item in items[1:]):
        return False
    return all(len(item.split()) <= _ITEM_WORDS and " and " not in item for item in items[1:])
