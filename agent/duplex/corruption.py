"""Conversations as a worse microphone would have heard them: what the drafter is given is spoilt, the truth stays.

A verifier must learn what it looks like when the drafter has not understood. So each turn of a conversation that is
answered is spoilt in one way, in its sound and in the words that were recognized. The context is never touched: what a
draft should have answered is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final, Literal, TypeAlias, get_args

import numpy as np

from dragoman.agent.duplex.conversation import Conversation, UserEvent
from dragoman.asr.causal.augment import noise
from dragoman.audio.levels import rms
from dragoman.audio.types import INPUT_RATE, Samples

Corruption: TypeAlias = Literal["noise", "masked", "misheard", "other"]
"""Drowned in noise; some words without a sound; words taken for others; the sound of another turn in its place."""

CORRUPTIONS: Final[tuple[Corruption, ...]] = get_args(Corruption)

_DROWNED_DB: Final = (-6.0, 6.0)
"""Speech against noise."""

_QUIET_DB: Final = -40.0
"""Of what stands where something was taken out, against the speech."""


@dataclass(frozen=True, slots=True)
class Spoilt:
    """A conversation as it was heard, and how each of its turns was spoilt, by the turn's place among the events."""

    conversation: Conversation
    how: dict[int, Corruption]


def spoil(conversation: Conversation, others: Sequence[Conversation], seed: str) -> Spoilt:
    """Spoil every turn that is answered; ``others`` lend their turns. All have their sound. Deterministic by ``seed``.

    Without ``others`` no turn is replaced.
    """
    rng = Random(f"{seed}/{conversation.id}")
    pcm, events, how = conversation.pcm.copy(), list(conversation.user), dict[int, Corruption]()
    kinds = [kind for kind in CORRUPTIONS if others or kind != "other"]
    for i, event in enumerate(events):
        if event.answered:
            how[i] = rng.choice(kinds)
            events[i] = _HOW[how[i]](pcm, event, others, rng)
    return Spoilt(replace(conversation, pcm=pcm, user=tuple(events)), how)


def _drowned(pcm: Samples, event: UserEvent, others: Sequence[Conversation], rng: Random) -> UserEvent:
    span = _span(event.start_s - 0.1, event.end_s + 0.1, pcm)
    hiss = noise(span.stop - span.start, np.random.default_rng(rng.getrandbits(32)))
    level = rms(pcm[span]) / 10 ** (rng.uniform(*_DROWNED_DB) / 20)
    pcm[span] += hiss * (level / max(rms(hiss), 1e-6))
    missed = rng.uniform(0.3, 1.0)
    return replace(event, words=tuple(word for word in event.words if rng.random() >= missed))


def _masked(pcm: Samples, event: UserEvent, others: Sequence[Conversation], rng: Random) -> UserEvent:
    """The words of some phrases, together half of them or more."""
    words, gone = event.words, set[int]()
    wanted = rng.uniform(0.5, 0.9) * len(words)
    while len(gone) < wanted:
        first = rng.randrange(len(words))
        gone |= set(range(first, min(len(words), first + rng.randint(1, 4))))
    level = rms(pcm[_span(event.start_s, event.end_s, pcm)])
    for i in gone:
        _silence(pcm, words[i].start, words[i].end, level, rng)
    return replace(event, words=tuple(word for i, word in enumerate(words) if i not in gone))


def _misheard(pcm: Samples, event: UserEvent, others: Sequence[Conversation], rng: Random) -> UserEvent:
    """The words that change the answer are recognized as others, and their sound tells nothing: what is denied, names,
    numbers, moods; and where there are none, the long words, as those of another turn.
    """
    level = rms(pcm[_span(event.start_s, event.end_s, pcm)])
    changed = {i: text for i, word in enumerate(event.words) if (text := _mistaken(word.text, i, rng)) is not None}
    strange = [word.text for turn in _turns(others) for word in turn.words if _is_long(word.text)]
    if not changed and strange:
        changed = {i: rng.choice(strange) for i, word in enumerate(event.words) if _is_long(word.text)}
    for i in changed:
        _silence(pcm, event.words[i].start, event.words[i].end, level, rng)
    heard = (replace(word, text=changed.get(i, word.text)) for i, word in enumerate(event.words))
    return replace(event, words=tuple(word for word in heard if word.text))


def _replaced(pcm: Samples, event: UserEvent, others: Sequence[Conversation], rng: Random) -> UserEvent:
    """Another turn that ends when this one ends; where it is shorter, silence comes before it."""
    lender = rng.choice([other for other in others if any(turn.answered for turn in other.user)])
    turn = rng.choice([turn for turn in lender.user if turn.answered])
    level = rms(pcm[_span(event.start_s, event.end_s, pcm)])
    _silence(pcm, event.start_s, event.end_s, level, rng)
    seconds = min(turn.end_s - turn.start_s, event.end_s - event.start_s)
    sound = lender.pcm[_span(turn.end_s - seconds, turn.end_s, lender.pcm)]
    at = _span(event.end_s - seconds, event.end_s, pcm)
    count = min(len(sound), at.stop - at.start)
    pcm[at.stop - count : at.stop] += sound[len(sound) - count :] * (level / max(rms(sound), 1e-6))
    moved = (word.shifted(event.end_s - turn.end_s) for word in turn.words if word.start >= turn.end_s - seconds)
    return replace(event, words=tuple(moved))


_Spoil: TypeAlias = Callable[[Samples, UserEvent, Sequence[Conversation], Random], UserEvent]
_HOW: Final[dict[Corruption, _Spoil]] = {
    "noise": _drowned,
    "masked": _masked,
    "misheard": _misheard,
    "other": _replaced,
}

_DENIALS: Final = {
    "not": "", "never": "always", "no": "yes", "yes": "no", "nothing": "everything", "nobody": "everybody",
    "don't": "do", "doesn't": "does", "didn't": "did", "can't": "can", "won't": "will", "isn't": "is", "wasn't": "was",
    "always": "never", "yeah": "no", "can": "can't", "will": "won't", "did": "didn't", "do": "don't", "is": "isn't",
    "love": "hate", "hate": "love", "like": "dislike", "great": "terrible", "good": "bad", "bad": "good",
    "terrible": "great", "awful": "wonderful", "happy": "sad", "sad": "happy", "lost": "won", "won": "lost",
    "best": "worst", "worst": "best", "fun": "boring", "boring": "fun", "sick": "well",
}  # fmt: skip
_NAMES: Final = tuple("Anna Brian Chicago Denver Emma Frank Grace Henry Italy Julia Kevin London Maria Nathan".split())
_DIGITS: Final = tuple("zero one two three four five six seven eight nine ten twelve twenty".split())


def _mistaken(text: str, at: int, rng: Random) -> str | None:
    """What a word that matters is taken for; None for others, "" for nothing."""
    bare = text.strip(",.!?")
    if bare.lower() in _DENIALS:
        return _DENIALS[bare.lower()]
    if bare.lower() in _DIGITS:
        return rng.choice([digit for digit in _DIGITS if digit != bare.lower()])
    if bare.isdigit():
        return str(rng.randrange(10 ** (len(bare) - 1), 10 ** len(bare)))
    if at > 0 and bare[:1].isupper() and bare[1:].islower() and not bare.startswith("I'"):
        return rng.choice([name for name in _NAMES if name != bare])
    return None


def _is_long(text: str) -> bool:
    return len(text.strip(",.!?")) > 4


def _turns(conversations: Sequence[Conversation]) -> list[UserEvent]:
    return [event for conversation in conversations for event in conversation.user if event.answered]


def _silence(pcm: Samples, start: float, end: float, level: float, rng: Random) -> None:
    """In place of a sound, the faint noise of a room."""
    span = _span(start, end, pcm)
    if span.stop > span.start:
        room = noise(span.stop - span.start, np.random.default_rng(rng.getrandbits(32)))
        pcm[span] = room * (level * 10 ** (_QUIET_DB / 20) / max(rms(room), 1e-6))


def _span(start: float, end: float, pcm: Samples) -> slice:
    return slice(max(0, round(start * INPUT_RATE)), max(0, min(len(pcm), round(end * INPUT_RATE))))
