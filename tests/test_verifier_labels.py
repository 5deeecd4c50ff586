"""Labels of drafts: what contradicts, what fits its own dialogue better than others, what fits anything."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from verifier_small import Bags

from dragoman.audio.types import DragomanError
from dragoman.verifier.contradictions import Dialogue, contradiction, guesses, ignores_thanks
from dragoman.verifier.features import Array
from dragoman.verifier.labels import OTHERS, Candidate, counts, label
from dragoman.verifier.openers import tells_nothing


@pytest.mark.parametrize(
    ("said", "text", "found"),
    [
        ("I met Anna in Lisbon.", "How is Anna doing", None),
        ("I met Anna in Lisbon.", "How is Maria doing", "name"),
        ("I met someone.", "Maria is a nice", None),  # a first word owes its capital to the sentence
        ("What's the capital?", "I'm an AI, and I'm not sure", None),
        ("My number is 555 1234.", "Got it, 5551234, thank", None),
        ("My number is 555 1234.", "Got it, 555 1299", "number"),
        ("I have two dogs.", "Your 2 dogs must", None),
        ("I have 2 dogs.", "Your two dogs must", None),
        ("I have two dogs.", "Your three dogs must", "number"),
        ("I have a dog.", "That is one happy dog", None),
        ("My dog died yesterday.", "That's great to hear", "polarity"),
        ("My dog died yesterday.", "I'm sorry to hear that", None),
        ("I got promoted, it was awesome!", "I'm so sorry to hear", "polarity"),
        ("I got promoted, it was awesome!", "Congratulations on your promotion", None),
        ("It was not great.", "I'm sorry to hear that", None),
        ("It was not great.", "That sounds wonderful", "polarity"),
        ("I love it but I'm sad that it ended.", "That's wonderful", None),  # both moods: nothing is plain
        ("I don't like coffee.", "Why don't you like coffee", None),
        ("I don't like coffee.", "I'm surprised that you like coffee", "polarity"),
        ("I like coffee.", "It's a pity you don't like", "polarity"),
        ("I like coffee.", "What do you like about", None),
        ("I'm going home.", "Sorry, I can't help you", None),
        ("What is my favorite food?", "My favorite food is pizza", "person"),
        ("Which instrument do I play?", "I play the piano", "person"),
        ("Hm. Was I at work today.", "Yes, I was at work", "person"),  # an ear may forget the mark
        ("Did I pass the test?", "Yes! I really passed it", "person"),
        ("Did I tell you that?", "No, I don't think so", None),
        ("Do I have a dog?", "Yes, you do", None),
        ("Where do I live?", "I'm not sure", None),
        ("Do you like my dog?", "Yes, I do", None),
        ("I play the piano.", "I play the piano too", None),
    ],
)
def test_what_contradicts(said: str, text: str, found: str | None) -> None:
    """Names and numbers that nobody said, the wrong mood, the opposite of what the user feels, and whom it is about."""
    assert contradiction(text, [("assistant", "Hello."), ("user", said)]) == found


@pytest.mark.parametrize(
    ("said", "text", "found"),
    [
        ("Is London the capital of Spain?", "Yes, London is the capital", True),
        ("Interesting. And do fish live in water", "Fish do not live in water", True),
        ("Is a week longer than a month?", "Yes, it is.", True),
        ("Is London the capital of Spain?", "That's a good question!", False),  # promises nothing
        ("Is your dog old?", "Yes, he is very old", False),  # what is asked of the agent, it may make up
        ("Can you help me?", "Sure, I can help", False),
        ("What do bees make?", "Bees make honey", False),
        ("London is big.", "Yes, it is big", False),
    ],
)
def test_what_is_a_guess(said: str, text: str, found: bool) -> None:
    """Anything but an opener, where it is asked whether something in the world is so."""
    assert guesses(text, [("user", said)]) == found


@pytest.mark.parametrize(
    ("said", "text", "found"),
    [
        ("Thank you, that was very helpful.", "Absolutely! It's always good", True),
        ("I see. Okay, thanks!", "That's great! It's okay", True),
        ("Thank you so much.", "You're welcome! I hope", False),
        ("Thanks.", "No problem.", False),
        ("Thanks, and what is that?", "It is a bird", False),
        ("I have to thank you for it.", "That's great", False),  # there is more to answer than thanks
    ],
)
def test_thanks_want_an_answer(said: str, text: str, found: bool) -> None:
    """Whatever fits anything else."""
    assert ignores_thanks(text, [("user", said)]) == found


def test_what_was_said_earlier_is_known() -> None:
    """Names and numbers may come from any turn; without a dialogue, nothing is known."""
    dialogue = [("user", "I am Tom, I am 40."), ("assistant", "Hi."), ("user", "Who am I?")]
    assert contradiction("You are Tom, and 40", dialogue) is None
    assert contradiction("You are Tom", []) == "name"


class Overlap:
    """Texts that share words fit."""

    margin = 0.1
    generic = 0.02

    def dialogues(self, dialogues: Sequence[Dialogue]) -> Array:
        return Bags().encode([dialogue[-1][1] for dialogue in dialogues])

    def replies(self, texts: Sequence[str]) -> Array:
        # A text of which nothing is known fits everything alike.
        return np.stack(
            [Bags().encode([text])[0] if len(text.split()) > 2 else np.zeros(64, np.float32) for text in texts]
        )


TOPICS = (
    "bread dogs chess trains gardens violins boats wine maps stars bees ovens shoes clocks rain tea salt ice".split()
)


def candidate(topic: str, text: str, name: str = "x", said: str = "Tell me about {} please.") -> Candidate:
    return Candidate(f"{topic}/{name}", text, (("user", said.format(topic)),), topic, "chat")


def candidates() -> list[Candidate]:
    own = [candidate(topic, f"Surely {topic} are nice") for topic in TOPICS]
    other = [candidate(a, f"Surely {b} are nice", "other") for a, b in pairwise(TOPICS)]
    return [*own, *other, *(candidate(topic, "Well then", "generic") for topic in TOPICS)]


def test_a_draft_is_held_against_other_dialogues() -> None:
    """What takes up its own dialogue is good, what takes up another is bad, what takes up none is generic."""
    labels = label(candidates(), Overlap())
    verdicts = {
        kind: {labels[f"{topic}/{kind}"].verdict for topic in TOPICS[:-1]} for kind in ("x", "other", "generic")
    }
    assert verdicts == {"x": {"good"}, "other": {"bad"}, "generic": {"generic"}}
    assert {labels[f"{topic}/other"].reason for topic in TOPICS[:-1]} == {"elsewhere"}
    found = counts(labels)
    assert (found["good"], found["generic"], found["bad: elsewhere"]) == (len(TOPICS), len(TOPICS), len(TOPICS) - 1)


def test_a_contradiction_is_bad_however_well_it_fits() -> None:
    """The words count before the ranker."""
    made = [*candidates(), candidate("bread", "Surely bread, says Maria", "named")]
    found = label(made, Overlap())["bread/named"]
    assert (found.verdict, found.reason) == ("bad", "name")
    assert found.advantage > Overlap.margin


@pytest.mark.parametrize(
    ("text", "nothing"),
    [
        ("I'm glad to hear that you're", True),
        ("Well, that’s a really good", True),
        ("", True),
        ("I'm glad that your dog", False),
        ("It's about 20", False),
    ],
)
def test_openers_tell_nothing(text: str, nothing: bool) -> None:
    """A single word that tells something is enough."""
    assert tells_nothing(text) == nothing


def test_an_opener_is_generic_unless_others_fit_it_better() -> None:
    """Its words tell nothing, so it is not said to be elsewhere; what fits better elsewhere is bad all the same."""

    class Places(Overlap):
        """A reply fits a dialogue the better, the later its topic comes."""

        generic = 0.0

        def dialogues(self, dialogues: Sequence[Dialogue]) -> Array:
            found = [next(i for i, topic in enumerate(TOPICS) if topic in dialogue[-1][1]) for dialogue in dialogues]
            return np.array(found, np.float32)[:, None] / 50

        def replies(self, texts: Sequence[str]) -> Array:
            return np.ones((len(texts), 1), np.float32)

    for text, between in (("That's very good", "generic"), ("That's very salty", "bad")):
        found = label([candidate(topic, text) for topic in TOPICS], Places()).values()
        assert [one.verdict for one in found] == [
            "good" if one.advantage >= 0.1 else between if one.advantage >= 0 else "bad" for one in found
        ]
        assert {one.verdict for one in found} >= {"good", "bad", between}


def test_labels_do_not_depend_on_the_order() -> None:
    """The same drafts get the same labels."""
    made = candidates()
    assert label(made, Overlap()) == label(made, Overlap())
    there, back = label(made, Overlap()), label(made[::-1], Overlap())
    assert {name: one.verdict for name, one in there.items()} == {name: one.verdict for name, one in back.items()}


def test_the_others_match() -> None:
    """Dialogues of the same kind, that ask as the own one does, are taken first, and never the own conversation."""
    asked = [candidate(topic, "Surely salt", said="Do you know {}?") for topic in TOPICS]
    told: list[str] = []

    class Spy(Overlap):
        def dialogues(self, dialogues: Sequence[Dialogue]) -> Array:
            told.extend(dialogue[-1][1] for dialogue in dialogues)
            # The own dialogue and every asking one say 1, the others 0: the median tells which were taken.
            return np.array([[float("?" in dialogue[-1][1])] for dialogue in dialogues], np.float32)

        def replies(self, texts: Sequence[str]) -> Array:
            return np.ones((len(texts), 1), np.float32)

    many = [*asked, *(candidate(f"{topic}{i}", "Surely salt") for topic in TOPICS for i in range(6))]
    labels = label(many, Spy())
    assert len(told) == 7 * len(TOPICS)
    assert all(labels[f"{topic}/x"].advantage == 0 for topic in TOPICS)


def test_too_few_dialogues_are_told() -> None:
    """A draft needs others to be held against."""
    with pytest.raises(DragomanError, match="too few"):
        label(candidates()[:OTHERS], Overlap())
