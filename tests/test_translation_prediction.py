"""Foreseeing: what the speaker may say next decides how much of a translation is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from dragoman.agent.llm.prediction import open_predictor, whole_words
from dragoman.audio.types import DragomanError, Word
from dragoman.translation.prediction import answered
from dragoman.translation.retranslation import Request, Retranslator, Stability, Update
from dragoman.translation.segmenter import Segment, Source
from dragoman.translation.steering import Steering, Translation


@dataclass
class Scripted:
    """Continues the texts that it knows."""

    script: Mapping[str, str]
    languages: frozenset[str] = frozenset({"en"})
    asked: list[tuple[str, int]] = field(default_factory=list)

    def predict(self, text: str, words: int) -> str:
        self.asked.append((text, words))
        return self.script.get(text, "")


@dataclass
class Adjectives:
    """A translator that puts an adjective behind its noun: "black" comes after what it is said of."""

    pairs: frozenset[tuple[str, str]] = frozenset({("en", "pt")})
    asked: list[str] = field(default_factory=list)

    def translate(self, text: str, source: str, target: str) -> str:
        self.asked.append(text)
        words = text.lower().split()
        for i, word in enumerate(words[:-1]):
            if word == "black":
                words[i : i + 2] = words[i + 1], word
        return " ".join(words)


def heard(text: str, *, closed: bool = False) -> Source:
    words = tuple(Word(word, i * 0.3, i * 0.3 + 0.25) for i, word in enumerate(text.split()))
    return Source((Segment(0, words),), ()) if closed else Source((), (Segment(0, words, len(words)),))


def update(engine: Retranslator, source: Source, translator: Adjectives, predictor: Scripted | None) -> Update | None:
    """What one state of the source shows."""
    engine.heard(source)
    request = engine.request()
    assert request is not None
    answer = answered(request, translator, "en", "pt", predictor)
    return engine.translated(request, answer.translation, answer.foreseen)


def foreseeing(words: int = 2, hold_back: int = 2) -> Retranslator:
    return Retranslator(Stability(hold_back=hold_back, agreement=99, foresee=words))


def test_only_what_the_continuation_confirms_is_shown() -> None:
    """A word that the next one will move is held back; what is shown is not taken back by what was foreseen."""
    engine, translator = foreseeing(), Adjectives()
    predictor = Scripted({"see the black": " cat now", "see the black cat": " now"})
    first = update(engine, heard("see the black"), translator, predictor)
    assert first is not None
    assert first.text == "see the"
    second = update(engine, heard("see the black cat"), translator, predictor)
    assert second is not None
    assert second.text == "see the cat black"
    assert translator.asked == ["see the black", "see the black cat now", "see the black cat", "see the black cat now"]
    assert predictor.asked == [("see the black", 2), ("see the black cat", 2)]


def test_a_sentence_that_stands_whatever_comes_is_shown_at_once() -> None:
    """Where a mask of fixed length would hold back its last words."""
    engine = foreseeing(hold_back=3)
    shown = update(engine, heard("see the cat"), Adjectives(), Scripted({"see the cat": " and the dog"}))
    assert shown is not None
    assert shown.text == "see the cat"


def test_where_nothing_is_known_the_last_words_are_held_back() -> None:
    """No predictor, one of another language, or one that has nothing to say."""
    for predictor in (None, Scripted({"see the black cat": " now"}, frozenset({"pt"})), Scripted({})):
        engine, translator = foreseeing(), Adjectives()
        shown = update(engine, heard("see the black cat"), translator, predictor)
        assert shown is not None
        assert shown.text == "see the"
        assert translator.asked == ["see the black cat"]


def test_a_mark_that_the_recognizer_put_does_not_end_what_is_foreseen() -> None:
    """It ends all that it has heard so far like a sentence."""
    predictor = Scripted({"see the cat": " here"})
    request = Request(0, "see the cat.", Steering(), 3, 3, False, 2)
    answer = answered(request, Adjectives(), "en", "pt", predictor)
    assert answer.foreseen == Translation("see the cat here")
    assert answered(Request(0, "...", Steering(), 1, 1, False, 2), Adjectives(), "en", "pt", predictor).foreseen is None


def test_a_closed_segment_is_not_continued() -> None:
    """Its text is final."""
    predictor = Scripted({"see the black": " cat"})
    final = update(foreseeing(), heard("see the black", closed=True), Adjectives(), predictor)
    assert final == Update(0, 1, "see the black", "", 3, True)
    assert predictor.asked == []


def test_by_default_nothing_is_foreseen() -> None:
    """The predictor is not asked."""
    predictor = Scripted({"see the black": " cat"})
    update(Retranslator(), heard("see the black"), Adjectives(), predictor)
    assert predictor.asked == []


def test_what_is_committed_is_the_beginning_of_what_was_foreseen_too() -> None:
    """A translator that can't be steered begins otherwise: that must not hide what was confirmed."""
    engine = Retranslator(Stability(hold_back=0, agreement=2, behind=1, foresee=2))
    for source, answer in (("one two three", "um dois três"), ("one two three four", "um dois três quatro")):
        engine.heard(heard(source))
        request = engine.request()
        assert request is not None
        engine.translated(request, Translation(answer))
    engine.heard(heard("one two three four five"))
    request = engine.request()
    assert request is not None
    shown = engine.translated(
        request, Translation("Um dois três quatro cinco"), Translation("Um dois três quatro cinco seis")
    )
    assert shown is not None
    assert shown.text == "um dois três quatro cinco"


@pytest.mark.parametrize(
    ("text", "written", "most", "continuation"),
    [
        ("the cat", " is on the ta", 9, " is on the"),
        ("the cat", " is on the table", 2, " is on"),
        ("the cat", "s are here", 9, " are"),
        ("the cat", ", which is", 9, ", which"),
        ("the cat", " sleeps. It was", 9, " sleeps."),
        ("the cat", ". It was", 9, "."),
        ("the cat", "", 9, ""),
        ("the cat", " slee", 9, ""),
        ("the cat", " sleeps ", 9, " sleeps"),
        ("the cat", ",", 9, ""),
    ],
)
def test_a_continuation_is_of_whole_words(text: str, written: str, most: int, continuation: str) -> None:
    """No word that was heard becomes another, none is cut, and none goes beyond the sentence."""
    assert whole_words(text, written, most) == continuation


def test_a_language_without_a_model_is_told() -> None:
    """By the languages there are."""
    with pytest.raises(DragomanError, match="en, pt"):
        open_predictor("sv")


def test_the_embedded_model_continues_english() -> None:
    """As people do, in whole words, and no more of them than are wanted."""
    try:
        predictor = open_predictor("en")
    except DragomanError as error:
        pytest.skip(str(error))
    assert predictor.languages == {"en"}
    assert predictor.predict("The United States of", 2).startswith(" America")
    assert predictor.predict("I would like a cup of", 3) == " coffee."
    assert len(predictor.predict("She lives in New York and", 4).split()) == 4
