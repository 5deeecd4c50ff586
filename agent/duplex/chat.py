"""Conversations that people typed to each other, made such that they could have been spoken.

Source: the ``chitchat-dataset`` package (MIT). Chat is written without marks, with abbreviations and laughter; what is
not speech is taken out, and the rest is put into the spelling that a recognizer writes.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Final, Literal, NamedTuple

from dragoman.agent.duplex.conversation import Conversation, Split
from dragoman.asr.causal.texts import CONTRACTIONS
from dragoman.audio.types import DragomanError
from dragoman.models.shares import share_of

MOST_WORDS: Final = 34
"""Words of a turn: further lines of it are left out."""


LEAST_TURNS: Final = 4
"""Turns in a row that a talk must have."""

_TRIES: Final = 1000

_TELLING: Final = 5
"""Words of a turn by which a talk is recognized."""


class Line(NamedTuple):
    """What someone typed before pressing return."""

    sender: str
    text: str


_SPOKEN: Final = CONTRACTIONS | {
    "r": "are", "y": "why", "cuz": "because", "bc": "because", "tho": "though",
    "btw": "by the way", "idk": "I don't know", "idc": "I don't care", "omg": "oh my god", "tbh": "to be honest",
    "thx": "thanks", "pls": "please", "plz": "please", "ppl": "people", "w": "with", "b": "be", "k": "okay",
    "ok": "okay", "ya": "yeah", "yea": "yeah", "rn": "right now", "jk": "just kidding", "imo": "in my opinion",
    "vs": "versus", "alot": "a lot",
}  # fmt: skip

_LAUGHTER: Final = re.compile(
    r"\W*\b(?:(?:ba|a)?ha(?:ha)*h*|a*hah+a+h*|hehe\w*|l+o+l+s*|lmao+|rofl|xd)\b\W*", re.IGNORECASE
)
_FACES: Final = re.compile(r"(?<!\w)[:;=8][-']?[)(DPpOo/|\]\[3]+(?!\w)|<3|\^_?\^|\*\w+\*")
_DOTS: Final = re.compile(r"\s*(?:\.\s?\.[\s.]*|…)\s*")
_MANY: Final = re.compile(r"([!?])[!?]+")
_LOOSE: Final = re.compile(r" +([,.!?])")
_TIGHT: Final = re.compile(r"([,!?])(?=[A-Za-z])")
_MIXED: Final = re.compile(r"[A-Za-z]\d+[A-Za-z]|[A-Za-z]{2}\.[A-Za-z]{2}")
_PLAIN: Final = re.compile(r"[A-Za-z0-9 ,.'!?$%-]+")
_DRAWN_OUT: Final = re.compile(r"(\w)\1\1")
_ASKING: Final = re.compile(
    r"(?:and |so |but |wait |oh )?(?:how|what|what's|how's|why|where|when|who|which|do|does|did|are|is|was|were|have"
    r"|has|can|could|would|will|should) \w.*",
    re.IGNORECASE,
)
_STATING: Final = re.compile(
    r"(?:how|what) (?:a|an|cool|nice|great|fun|funny|sad|weird)\b.*|.*\b(?:when|what|why) I\b", re.I
)


class Chat:
    """The talks that one split may see, in a fixed order. Each is made speakable when it is asked for."""

    def __init__(self, talks: Mapping[str, Sequence[Line]], split: Split | Literal["ranker"]) -> None:
        """``talks``: by name, lines in their order. Raises ``DragomanError`` where the split has none."""
        self._named = [
            (name, talks[name]) for name in sorted(talks) if split_of(name) == split and len(talks[name]) > 1
        ]
        self._talks = [lines for _, lines in self._named]
        if not self._talks:
            raise DragomanError(f"there are no conversations for the split {split!r}")

    @property
    def talks(self) -> int:
        """How many there are."""
        return len(self._talks)

    def stretches(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The longest stretch of each talk that has one, with the talk's name."""
        for name, lines in self._named:
            found = max(_turns(lines), key=len, default=())
            if len(found) >= LEAST_TURNS:
                yield name, found

    def draw(self, rng: Random, turns: int) -> tuple[str, ...]:
        """Up to ``turns`` turns of two people in alternation, at least ``LEAST_TURNS``. Raises ``DragomanError``."""
        for _ in range(_TRIES):
            found = [part for part in _turns(rng.choice(self._talks)) if len(part) >= LEAST_TURNS]
            if found:
                part = rng.choices(found, [len(part) for part in found])[0]
                first = rng.randint(0, max(0, len(part) - turns))
                return part[first : first + turns]
        raise DragomanError(f"no conversation has {LEAST_TURNS} turns that can be spoken")


def installed_talks() -> dict[str, list[Line]]:
    """The talks of the data set. Raises ``DragomanError`` when it is not installed."""
    found = importlib.util.find_spec("chitchat_dataset")
    if found is None or found.origin is None:
        raise DragomanError("there are no conversations to speak: run pip install chitchat-dataset")
    data = json.loads((Path(found.origin).parent / "dataset.json").read_text(encoding="utf-8"))
    return {
        name: [Line(part["sender"], part["text"]) for message in talk["messages"] for part in message]
        for name, talk in data.items()
    }


def split_of(talk: str) -> Split | Literal["ranker"]:
    """Who may see a talk, by its name: 40 % are the drafter's, 15 % the verifier's, 15 % are for tests; and 30 % are
    never spoken: the ranker learns from them what people answer to each other, and when turns are complete is learned
    from them, too.
    """
    share = share_of(talk)
    return "drafter" if share < 0.4 else "ranker" if share < 0.7 else "verifier" if share < 0.85 else "test"


def ranker_talks(
    talks: Mapping[str, Sequence[Line]], heard: Iterable[Conversation] = ()
) -> dict[str, list[tuple[str, ...]]]:
    """The ranker's talks, each as stretches of turns that follow each other; without those that ``heard`` come from,
    which may have been made when talks were shared out otherwise.
    """
    known = {text for one in heard for text in (*(t for _, t in one.context), *(event.text for event in one.user))}
    out = {}
    for name, lines in sorted(talks.items()):
        if split_of(name) == "ranker":
            stretches = [turns for turns in _turns(lines) if len(turns) > 1]
            long = (turn for turns in stretches for turn in turns if len(turn.split()) >= _TELLING)
            if stretches and known.isdisjoint(long):
                out[name] = stretches
    return out


def spoken(line: str) -> str | None:
    """A typed line as a person would say it, with a mark at its end; None when there is nothing to say, or what can't
    be said.
    """
    text = line.replace("’", "'").replace("‘", "'").replace("“", "").replace("”", "").replace('"', "")
    text = _FACES.sub(" ", text)
    text = _LAUGHTER.sub(lambda found: ". " if re.search(r"[.!?]", found.group()) else " ", text)
    text = _MANY.sub(r"\1", _DOTS.sub(lambda found: ", " if found.end() < len(text) else ".", text))
    text = _TIGHT.sub(r"\1 ", _LOOSE.sub(r"\1", " ".join(text.split()))).strip(" ,-.")
    if not text or not _PLAIN.fullmatch(text) or _DRAWN_OUT.search(text):
        return None
    words = [_word(word) for word in text.split()]
    if any(len(word) > 16 for word in words) or _MIXED.search(text) or not re.search(r"[A-Za-z]{2}", text):
        return None
    text = " ".join(words)
    text = re.sub(r"(?:^|(?<=[.!?] ))[a-z]", lambda found: found.group().upper(), text)
    if text[-1] in ".!?":
        return text
    asks = _ASKING.fullmatch(text) and not _STATING.fullmatch(text) and len(text.split()) > 1
    return text + ("?" if asks else ".")


def _word(word: str) -> str:
    bare = word.strip(",.!?-")
    if not bare or (bare.lower() not in _SPOKEN):
        return word
    if not bare.islower() and bare.lower() != "i" and len(bare) > 1 and bare.isupper():
        return word
    fixed = _SPOKEN[bare.lower()]
    return word.replace(bare, fixed[0].upper() + fixed[1:] if bare[0].isupper() else fixed)


def _turns(lines: Sequence[Line]) -> Iterator[tuple[str, ...]]:
    """The stretches of a talk in which every turn can be spoken: lines of one person in a row are a turn."""
    turns: list[str] = []
    for _, group in groupby(lines, key=lambda line: line.sender):
        said = _joined([text for line in group if (text := spoken(line.text))])
        if said is not None:
            turns.append(said)
        elif turns:
            yield tuple(turns)
            turns = []
    yield tuple(turns)


def _joined(lines: Sequence[str]) -> str | None:
    """The first lines of a turn, as many as can be said in one go."""
    kept: list[str] = []
    for line in lines:
        if len(" ".join([*kept, line]).split()) > MOST_WORDS:
            break
        kept.append(line)
    return " ".join(kept) or None
