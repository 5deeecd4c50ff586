"""What a beginning of a reply must not say, found in the words alone: a name or a number that nobody said, comfort for
good news and congratulations for bad, "you like" to who said "I don't like", and "my dog" to who asked about theirs.
Nor, aloud, what only who knows the world can say, or anything to thanks but that they are welcome.

Only what is plain is found: a draft without a finding may still be wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from dragoman.verifier.openers import tells_nothing

Contradiction: TypeAlias = Literal["name", "number", "polarity", "person"]

Dialogue: TypeAlias = Sequence[tuple[str, str]]
"""Turns (role, text); the last is the user's, and is to be answered."""


def contradiction(text: str, dialogue: Dialogue) -> Contradiction | None:
    """What a beginning of a reply says against a dialogue, or None."""
    said = " ".join(turn for _, turn in dialogue)
    if _names(text) - _words(said):
        return "name"
    if not _numbers_known(text, said):
        return "number"
    last = dialogue[-1][1] if dialogue else ""
    if _mood_is_wrong(text, last) or _echo_is_wrong(text, last):
        return "polarity"
    return "person" if _speaks_of_itself(text, last) else None


# --- names and numbers --------------------------------------------------------------------------------------------

_NO_NAMES: Final = frozenset("i i'm i'd i've i'll ai ok okay english god tv".split())
_SMALL: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty"
).split()
_COUNTS: Final = frozenset(_SMALL[2:]) | frozenset(
    "thirty forty fifty sixty seventy eighty ninety hundred thousand million billion dozen".split()
)
"""Without "one": it is a pronoun more often than a number."""


def _words(text: str) -> set[str]:
    found = re.findall(r"[a-z]+(?:'[a-z]+)?", text.lower())
    return {*found, *(word.removesuffix("'s") for word in found)}


def _names(text: str) -> set[str]:
    """Words in capitals that don't owe them to the beginning of a sentence."""
    found = re.findall(r"(?<=[A-Za-z0-9,;'-] )[A-Z][a-z]+(?:'[a-z]+)?", text)
    return {word.lower().removesuffix("'s") for word in found} - _NO_NAMES


def _numbers_known(text: str, said: str) -> bool:
    """Whether every number was said: digits may have been grouped otherwise, and small numbers written out."""
    digits = "".join(re.findall(r"\d", said))
    counted = _words(said)
    for number in re.findall(r"\d+", text):
        if number not in digits and not (int(number) < len(_SMALL) and _SMALL[int(number)] in counted):
            return False
    groups = set(re.findall(r"\d+", said))
    return all(
        word in counted or (word in _SMALL and str(_SMALL.index(word)) in groups) for word in _words(text) & _COUNTS
    )


# --- moods --------------------------------------------------------------------------------------------------------

_SO: Final = r"(?:so |really |very |just |such |a |an |like |pretty |truly )*"
_COMFORT: Final = re.compile(
    r"\bsorry (?:to hear|for your|that you|about (?:that|your))|\btoo bad\b|\boh no\b|\bmy condolences\b"
    rf"|\b(?:that's|that is|how|it's) {_SO}(?:sad|awful|terrible|horrible|tough|rough|unfortunate|heartbreaking)\b",
    re.IGNORECASE,
)
_CHEER: Final = re.compile(
    r"\bcongrat|\b(?:glad|happy|excited|thrilled) (?:to hear|for you|that you|you)\b|\bgood for you\b|\bwell done\b"
    rf"|\b(?:that's|that is|how|sounds|that sounds) {_SO}"
    r"(?:great|wonderful|awesome|amazing|fantastic|exciting|lovely|fun|nice|good|cool|fantastic)\b",
    re.IGNORECASE,
)
_GLAD: Final = frozenset(
    "great good awesome amazing love loved happy fun excited exciting won enjoyed nice wonderful best perfect glad"
    " fantastic married graduated promoted promotion vacation beautiful delicious lucky thrilled engaged passed".split()
)
_SAD: Final = frozenset(
    "died dead death sick ill lost broke broken hurt sad depressed lonely terrible awful worst horrible failed fired"
    " stressed cancer hospital pain crying cried upset sucks sucked unfortunately accident stolen divorce divorced"
    " funeral miserable exhausted scared worried crashed injured".split()
)
_NEGATIONS: Final = frozenset("not never no hardly without nobody nothing cannot isn't ain't".split())
_REACH: Final = 3
"""Words behind a negation that it turns round."""


def _negated(words: Sequence[str], at: int) -> bool:
    return any(word in _NEGATIONS or word.endswith("n't") for word in words[max(0, at - _REACH) : at])


def mood(text: str) -> int:
    """1 where a text is glad for somebody, -1 where it comforts, 0 where it does neither or both."""
    return bool(_CHEER.search(text)) - bool(_COMFORT.search(text))


def _mood_is_wrong(text: str, last: str) -> bool:
    felt = mood(text)
    if not felt:
        return False
    words = re.findall(r"[a-z]+(?:'[a-z]+)?", last.lower())
    moods = {(word in _GLAD) != _negated(words, i) for i, word in enumerate(words) if word in _GLAD or word in _SAD}
    return moods == {felt < 0}


# --- what the user feels ------------------------------------------------------------------------------------------

_STATES: Final = "like love want need have know enjoy hate remember believe agree care understand feel".split()
_MINE: Final = re.compile(rf"\bi (don't |do not |never |didn't |did not |really |also |just )*({'|'.join(_STATES)})\b")
_YOURS: Final = re.compile(
    rf"\b(don't |do not |never )?you (don't |do not |never |didn't |really |also |do )*({'|'.join(_STATES)})\b"
)


def _echo_is_wrong(text: str, last: str) -> bool:
    mine = {found.group(2): _denies(found.group()) for found in _MINE.finditer(last.lower())}
    return any(
        mine.get(found.group(3), _denies(found.group())) != _denies(found.group())
        for found in _YOURS.finditer(text.lower())
    )


def _denies(phrase: str) -> bool:
    return "n't" in phrase or " not " in phrase or "never" in phrase


# --- whom it is about ---------------------------------------------------------------------------------------------

_BEFORE: Final = r"^(?:(?:and|but|so|well|oh|um|uh|okay|ok|yeah|hey),? )*"
_WHETHER: Final = re.compile(
    _BEFORE + r"(?:is|are|was|were|do|does|did|can|could|has|have|had|will|would)(?:n't)? ",
)
_ASKING: Final = re.compile(
    _BEFORE + r"(?:who|whose|what|which|where|when|why|how|is|am|are|was|were|do|does|did|has|have|had|can|could)\b"
)
_PERSONAL: Final = re.compile(r"\b(?:i|my|me|mine|myself|you|your|yours|yourself|we|our|us)\b")
AGREES: Final = "yes|yeah|yep|yup|sure|absolutely|definitely|certainly|exactly|indeed|of course"
"""Words that agree, as a regular expression."""
_SAYS: Final = re.compile(rf"\b(?:{AGREES}|no|nope|not|never|\w+n't)\b")
_THANKS: Final = re.compile(_BEFORE + r"(?:(?:great|cool|alright|yes|no),? )?(?:thanks|thank you)\b")
_TAKEN: Final = re.compile(
    r"\b(?:welcome|no (?:problem|worries)|glad|happy|pleasure|any ?time|of course|sure|thanks?|you too|bye|take care)\b"
)
_AM_I: Final = re.compile(r"\b(?:am|was|do|did|have|had)(?:n't)? i\b")
_MY: Final = re.compile(r"\bmy (\w+)")
_I_DO: Final = re.compile(
    r"^\W*(?:(?:oh|well|hmm|yes|yeah|yep|no|nope|sure|of course|absolutely|definitely)\b\W*)*"
    r"i(?:'m|'ve|'d| am| have)?(?: (?:do|did|have|not|\w+n't|never|really|also|just|too))* (\w+)"
)
_TO_SAY: Final = frozenset(
    "think know believe remember recall guess suppose hope see hear heard understand mean agree say said told can could"
    " would will sure sorry afraid glad happy certain so".split()
)
"""What the agent does itself when it is asked about the user."""


def guesses(text: str, dialogue: Dialogue) -> bool:
    """Whether a beginning of a reply says yes, no or anything else to a question whether something in the world is so
    ("Is London in Spain?"): a small model that drafts does not know, and is as sure.
    """
    asked = _asked(dialogue[-1][1] if dialogue else "")
    if not text or _WHETHER.match(asked) is None or _PERSONAL.search(asked) is not None:
        return False
    return not tells_nothing(text) or _SAYS.search(_plain(text)) is not None


def ignores_thanks(text: str, dialogue: Dialogue) -> bool:
    """Whether the user has just said thanks, and a beginning of a reply does not take it ("It's always good to")."""
    last = _last_sentence(dialogue[-1][1] if dialogue else "")
    return _THANKS.match(last) is not None and not last.endswith("?") and _TAKEN.search(_plain(text)) is None


def _asked(last: str) -> str:
    """The last sentence of a turn if it is a question; an ear may forget the mark."""
    asked = _last_sentence(last)
    return asked if asked.endswith("?") or _ASKING.match(asked) else ""


def _last_sentence(turn: str) -> str:
    """In small letters."""
    sentences = [sentence for sentence in re.split(r"(?<=[.!?])\s+", _plain(turn)) if sentence]
    return sentences[-1] if sentences else ""


def _plain(text: str) -> str:
    return text.strip().lower().replace("’", "'")


def _speaks_of_itself(text: str, last: str) -> bool:
    """Whether the user asks about themselves, and the agent answers about itself."""
    asked, reply = _asked(last), _plain(text)
    if {found.group(1) for found in _MY.finditer(asked)} & {found.group(1) for found in _MY.finditer(reply)}:
        return True
    said = _I_DO.match(reply)
    return said is not None and said.group(1) not in _TO_SAY and _AM_I.search(asked) is not None
