"""Greedy decoding of a growing text, by a decoder whose opinions are written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest

from dragoman.asr.causal.decoding import STEADY, UNREAD_S, Transcript
from dragoman.asr.causal.runtime import Scored

END, PROMPT, FIRST, VOCABULARY = 38, [1, 2], 3, 40
FRAMES = 300
Opinion = Callable[[Sequence[int]], dict[int, float]]


class Written:
    """Holds the ``opinion`` about what follows; the decoder looks ``pace`` frames further at each word."""

    dims = SimpleNamespace(vocabulary=VOCABULARY, width=1, decoder_layers=1)

    def __init__(self, opinion: Opinion, pace: int = 50) -> None:
        self.opinion, self.pace = opinion, pace

    def decode(self, ids: Sequence[int], past: npt.NDArray[np.float32], cross: npt.NDArray[np.float32]) -> Scored:
        # A token's keys and values are its number: so what was kept tells what was said.
        every = [*past[:, 0].astype(int), *ids]
        assert every[: len(PROMPT)] == PROMPT
        logits = np.full((len(ids), VOCABULARY), -20.0, np.float32)
        attention = np.zeros((len(ids), len(cross)), np.float32)
        for i in range(len(ids)):
            said = every[len(PROMPT) : len(past) + i + 1]
            for token, p in self.opinion(said).items():
                logits[i, token] = np.log(p)
            attention[i, min(self.pace * len(said), len(cross) - 1)] = 1
        return Scored(logits, np.repeat(np.array(ids, np.float32)[:, None], 2, axis=1), attention)


class Names:
    """Each token is a word, named by its number."""

    end, suppressed, inner = END, (), ()

    def prompt(self, language: str) -> list[int]:
        return PROMPT

    def begins_word(self, number: int) -> bool:
        return True

    def decode(self, numbers: Sequence[int]) -> str:
        return " ".join(str(number) for number in numbers)


def transcript(model: Written) -> Transcript:
    return Transcript(model, Names(), "en")  # type: ignore[arg-type]


def cross(frames: int = FRAMES) -> npt.NDArray[np.float32]:
    return np.zeros((frames, 2), np.float32)


def faint(said: Sequence[int]) -> dict[int, float]:
    """Would rather end, at each place."""
    return {END: 0.6, FIRST + len(said): 0.4}


@pytest.mark.parametrize(
    ("voiced", "ended", "words"),
    [
        (FRAMES, True, 7),
        (FRAMES, False, 6),
        (100, True, 3),
        (100, False, 2),
        (int(UNREAD_S * 50), True, 0),
        (0, True, 0),
    ],
)
def test_the_end_waits_for_what_was_not_read(voiced: int, ended: bool, words: int) -> None:
    """A decoder that would end reads on while a voice sounds behind the place where it looked, and no further; while
    more sound comes it may leave more unread.
    """
    one = transcript(Written(faint))
    one.update(cross(), voiced, ended=ended)
    assert one.text.split() == [str(FIRST + i) for i in range(words)]
    one.update(cross(), voiced, ended=ended)
    assert len(one.text.split()) == words


def test_what_is_no_speech_may_stay_unread() -> None:
    """A decoder that is sure of the end is believed, however long a voice is supposed to be there."""
    one = transcript(Written(lambda said: {END: 0.999, FIRST: 0.001}))
    one.update(cross(1400))
    assert one.text == ""


def looping(said: Sequence[int]) -> dict[int, float]:
    """Says the second word again and again; behind its first time another is second best, and leads to the end."""
    if not said:
        return {FIRST: 0.9, END: 0.1}
    if said[-1] == 9:
        return {END: 1.0}
    return {5: 0.9, 9: 0.06, END: 0.04}


def test_a_repetition_does_not_end_the_final_text() -> None:
    """Where it began, the next best goes on."""
    one = transcript(Written(looping))
    one.update(cross(), ended=True)
    assert one.text == "3 5 9"


def test_a_repetition_does_not_replace_what_stood() -> None:
    """While more comes, the old text stays; where none is, what came before the repetition is shown."""
    model = Written(lambda said: ({FIRST: 0.9}, {6: 0.9}, {7: 0.9}, {END: 0.9})[min(3, len(said))])
    one = transcript(model)
    one.update(cross())
    assert one.text == "3 6 7"
    model.opinion = looping
    one.update(cross())
    assert one.text == "3 6 7"
    new = transcript(model)
    new.update(cross())
    assert new.text == "3 5"
    one.update(cross(), ended=True)
    assert one.text == "3 5 9"


class Wandering(Written):
    """Looks at the given frames, word by word, instead of going on at one pace; and a little at the first frame."""

    def __init__(self, opinion: Opinion, places: Sequence[int]) -> None:
        super().__init__(opinion)
        self.places = places

    def decode(self, ids: Sequence[int], past: npt.NDArray[np.float32], cross: npt.NDArray[np.float32]) -> Scored:
        scored = super().decode(ids, past, cross)
        attention = np.zeros_like(scored.attention)
        for i, row in enumerate(attention):
            place = self.places[min(len(past) + i + 1 - len(PROMPT), len(self.places) - 1)]
            row[0] = 0.3
            row[max(0, place - 2) : place + 3] = 0.14
        return Scored(scored.logits, scored.new, attention)


def chain(said: Sequence[int]) -> dict[int, float]:
    """Five words, then the end."""
    return {FIRST + len(said): 0.9} if len(said) < 5 else {END: 0.9}


@pytest.mark.parametrize(
    ("places", "ended", "words"),
    [
        ((30, 60, 90, 120, 150, 180), False, 5),
        ((30, 60, 90, 30, 60, 180), False, 3),
        ((30, 60, 90, 80, 120, 150), False, 5),
        ((30, 60, 90, 30, 60, 180), True, 5),
        ((30, 60, 298, 90, 120, 180), False, 5),
    ],
    ids=["forward", "read again", "a little back", "the sound is over", "a look at the newest"],
)
def test_a_word_that_was_read_is_not_read_again(places: Sequence[int], ended: bool, words: int) -> None:
    """A decoder that looks where it has looked repeats itself, in whatever words: there the text waits for more sound.
    Single frames that draw a part of every look are no places, and the newest frames tell that the sound is over.
    """
    one = transcript(Wandering(chain, places))
    one.update(cross(), ended=ended)
    assert len(one.text.split()) == words


def test_what_stands_before_a_stable_word_is_not_read_again() -> None:
    """Once its words are stable, a decoder that looks at them again waits too."""
    model = Wandering(lambda said: ({FIRST: 0.9}, {6: 0.9}, {7: 0.9}, {END: 0.9})[min(3, len(said))], (100, 150, 200))
    one = transcript(model)
    for _ in range(STEADY):
        one.update(cross(230))
    assert one.stable == 2
    model.opinion, model.places = chain, (100, 150, 60)
    one.update(cross())
    assert one.text == "3 6"


def test_endless_repetitions_end() -> None:
    """Each next best repeats itself, too: after some the text ends."""
    one = transcript(Written(lambda said: {5 + token: 0.5**token for token in range(1, 30)}))
    one.update(cross(1400), ended=True)
    assert 1 <= len(one.text.split()) <= 12
