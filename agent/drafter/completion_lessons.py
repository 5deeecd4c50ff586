"""What layers learn from when a turn is complete: dialogues as text, in which users hesitate as they do when spoken.

No sound is needed: where a turn ends is known, and where people break off to think is drawn as for conversations that
are spoken (``duplex.delivery``). A recognizer's mistakes are made, too. What is learned of a word is what its turn is
worth without the mark behind it: the marks are the recognizer's guess, which is weighed elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.agent.drafter.hearing import misheard
from dragoman.agent.drafter.prompt import MARKS, OPEN, before, line
from dragoman.agent.duplex.chat import Chat
from dragoman.agent.duplex.conversation import PAUSE_S
from dragoman.agent.duplex.delivery import ends_part, hesitations, read_aloud, without_delay
from dragoman.agent.duplex.scripts import DIGITS, Exchange, Script, draw_script
from dragoman.agent.duplex.vocabulary import Vocabulary

LONGEST: Final = 256
"""Tokens of a lesson at most."""

INNER: Final = 0.15
"""What it counts that a turn is not over at a word after which nobody paused; one after which somebody did counts 1."""

MARKED: Final = 0.05
"""The same at the end of a clause or a sentence."""

WRONG: Final = 0.13
"""Share of the words that are taken for others, missed, or have one put before them: as the ear does where people talk
in conversations, in rooms and noise.
"""

_MISSED: Final = 0.25
_ADDED: Final = 0.07
_SMALL: Final = ("a", "the", "I", "it", "to")
_JOINED: Final = 0.6
_KNOWN: Final = 20_000
_REPLY_WORDS: Final = (12, 12, 25, 5)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Spoken:
    """A word as it might have been written down, whether the turn is ``over`` with it, and what that ``counts``."""

    text: str
    over: bool
    counts: float


@dataclass(frozen=True, slots=True)
class CompletionLesson:
    """``tokens`` of a dialogue; at each whether a turn is ``over`` there, and what that ``counts``: 0 where nothing is
    learned.
    """

    tokens: tuple[int, ...]
    over: tuple[bool, ...]
    counts: tuple[float, ...]


class Lessons:
    """Lessons without end, drawn from the talks of some chats."""

    def __init__(self, chats: Sequence[Chat], vocabulary: Vocabulary, seed: int | str) -> None:
        self._chats, self._vocabulary, self._rng = chats, vocabulary, Random(seed)
        self._others: list[str] = []
        """Words that others are mistaken for."""

    def draw(self) -> CompletionLesson:
        """The next one."""
        [chat] = self._rng.choices(self._chats, [chat.talks for chat in self._chats])
        script = draw_script(self._rng, chat, "")
        if len(self._others) < _KNOWN:
            self._others += [word for exchange in script.exchanges for word in exchange.text.split()]
        return make_lesson(self._rng, script, self._vocabulary, self._others)


def make_lesson(rng: Random, script: Script, vocabulary: Vocabulary, others: Sequence[str]) -> CompletionLesson:
    """The lesson of a script, from an exchange on that is drawn; what does not fit into ``LONGEST`` is left out."""
    first = rng.randrange(len(script.exchanges)) if rng.random() < 0.6 else 0
    dialogue = list(script.context)
    for exchange in script.exchanges[:first]:
        dialogue += [("user", exchange.text), *_answer(rng, exchange)]
    tokens = before(vocabulary, dialogue)
    over, counts = [False] * len(tokens), [0.0] * len(tokens)
    for number, exchange in enumerate(script.exchanges[first:]):
        rows = [(token, False, 0.0) for token in vocabulary.read(OPEN)]
        for word in written_down(rng, exchange, others):
            rows += _read(vocabulary, word)
        rest = vocabulary.read("\n")
        for role, text in _answer(rng, exchange):
            rest += line(vocabulary, role, text)
        rows += [(token, False, 0.0) for token in rest]
        if number and len(tokens) + len(rows) > LONGEST:
            break
        tokens += [token for token, _, _ in rows]
        over += [one for _, one, _ in rows]
        counts += [count for _, _, count in rows]
    return CompletionLesson(tuple(tokens[:LONGEST]), tuple(over[:LONGEST]), tuple(counts[:LONGEST]))


def written_down(rng: Random, exchange: Exchange, others: Sequence[str]) -> list[Spoken]:
    """A turn with its hesitations, as a recognizer might have written it."""
    spoken = list(_spoken(rng, exchange))
    if exchange.situation == "number" and rng.random() < _JOINED:
        spoken = _joined(spoken)
    kept = list[Spoken]()
    for word in spoken:
        kind = rng.random() if len(spoken) > 1 and rng.random() < WRONG else 1.0
        if kind < _MISSED and not word.over:
            if kept and word.counts == 1:  # the pause is heard behind the word before
                kept[-1] = replace(kept[-1], counts=1.0)
            continue
        if kind < _MISSED + _ADDED:
            kept.append(Spoken(rng.choice(_SMALL), False, MARKED))
        if kind < 1.0 and not (kind < _MISSED + _ADDED and rng.random() < 0.5):
            word = replace(word, text=misheard(word.text, rng, others))
        kept.append(word)
    kind = rng.random()
    return [replace(word, text=_marked(rng, word, kind)) for word in kept]


def _joined(spoken: Sequence[Spoken]) -> list[Spoken]:
    """Digits that were read out without a pause between them are one number."""
    out: list[Spoken] = []
    for word in spoken:
        if out and word.text[0].isdigit() and out[-1].text[-1].isdigit() and out[-1].counts < 1:
            out[-1] = replace(word, text=out[-1].text + word.text)
        else:
            out.append(word)
    return out


def _marked(rng: Random, word: Spoken, kind: float) -> str:
    """Some turns have no marks and no capitals, some lack marks, and some have them where the speaker paused."""
    if kind < 0.1:
        return re.sub(r"[^\w\s'%$-]", "", word.text).lower() or word.text
    if kind < 0.3:
        return word.text.rstrip(MARKS) if rng.random() < 0.5 else word.text
    paused = not word.over and word.counts == 1 and word.text[-1] not in MARKS
    return word.text + rng.choice(".,.?") if kind < 0.5 and paused and rng.random() < 0.4 else word.text


def _spoken(rng: Random, exchange: Exchange) -> Iterator[Spoken]:
    """The words with what is said between them while the speaker thinks."""
    words, spots = read_aloud(exchange.said)
    plan = hesitations(rng, words, spots, exchange.situation)
    if exchange.breaks_in is not None:
        plan = without_delay(plan)
    digits = exchange.situation == "number" and rng.random() < 0.6
    for i in range(-1, len(words)):
        brk = plan.get(i)
        paused = brk is not None and (brk.gap_s if brk.filler else brk.pause_s) >= PAUSE_S
        if i >= 0:
            word = words[i]
            if digits and (digit := word.strip(MARKS).lower()) in DIGITS:
                word = word.lower().replace(digit, str(DIGITS.index(digit)))
            inner = MARKED if ends_part(words[i]) and not (brk is not None and brk.filler) else INNER
            last = i == len(words) - 1
            yield Spoken(word, last, 1.0 if last or paused else inner)
        if brk is not None and brk.filler and i < len(words) - 1:
            *most, end = brk.filler.split()
            yield from (Spoken(word, False, 0.1) for word in most)
            yield Spoken(end + ("," if rng.random() < 0.7 else ""), False, 1.0 if brk.pause_s >= PAUSE_S else 0.1)


def _answer(rng: Random, exchange: Exchange) -> list[tuple[str, str]]:
    words = exchange.reply.split()[: rng.choice(_REPLY_WORDS)]
    return [("assistant", " ".join(words))] if words else []


def _read(vocabulary: Vocabulary, word: Spoken) -> list[tuple[int, bool, float]]:
    """Its tokens: what is learned is learned at the last one before its marks."""
    bare = word.text.rstrip(MARKS)
    tokens = vocabulary.read(" " + bare) if bare else []
    rows = [(token, False, 0.0) for token in tokens[:-1]]
    rows += [(token, word.over, word.counts) for token in tokens[-1:]]
    return rows + [(token, False, 0.0) for token in vocabulary.read(word.text[len(bare) :])]


def make_batch(lessons: Iterable[CompletionLesson]) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Lessons as arrays [B, n] of tokens, of 1 where a turn is over, and of what that counts, padded at their end."""
    found = list(lessons)
    shape = len(found), max(len(lesson.tokens) for lesson in found)
    tokens, over, counts = np.zeros(shape, np.int64), np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for row, lesson in enumerate(found):
        n = len(lesson.tokens)
        tokens[row, :n], over[row, :n], counts[row, :n] = lesson.tokens, lesson.over, lesson.counts
    return tokens, over, counts
