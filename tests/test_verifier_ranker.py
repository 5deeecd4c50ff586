"""The ranker: what it learns from talks, its file, the talks that it may see, and the real sentence encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from duplex_small import conversation
from verifier_small import Bags

from dragoman.agent.duplex.chat import Line, ranker_talks, split_of
from dragoman.agent.duplex.conversation import SPLITS
from dragoman.audio.types import DragomanError
from dragoman.verifier.ranker import Ranker, Towers, last_turns, load_towers, open_ranker, save_ranker, tower


def towers(seed: int = 1, width: int = Bags.width) -> Towers:
    """Random everything."""
    rng = np.random.default_rng(seed)
    shapes = {"dialogue": 2 * width, "reply": width}
    arrays = {}
    for name, inputs in shapes.items():
        for key, shape in {"direct": (width, inputs), "in": (8, inputs), "in_bias": (8,), "out": (width, 8)}.items():
            arrays[f"{name}.{key}"] = rng.standard_normal(shape).astype(np.float16).astype(np.float32)
    return Towers(arrays, 0.25, 0.125, {"taught": 3})


def test_a_ranker_comes_back(tmp_path: Path) -> None:
    """All of it; another file is refused, a missing one says what to run."""
    path, made = tmp_path / "ranker.npz", towers()
    save_ranker(path, made)
    loaded = load_towers(path)
    assert (loaded.margin, loaded.generic, loaded.card) == (made.margin, made.generic, made.card)
    assert loaded.digest() == made.digest() != replace(made, margin=0.3).digest()
    x = np.random.default_rng(2).standard_normal((3, Bags.width)).astype(np.float32)
    np.testing.assert_allclose(tower(loaded.arrays, "reply", x), tower(made.arrays, "reply", x), atol=1e-6)
    path.write_bytes(b"nothing")
    with pytest.raises(DragomanError, match="not a ranker"):
        load_towers(path)
    with pytest.raises(DragomanError, match="train ranker"):
        open_ranker(tmp_path / "missing.npz")


def test_it_reads_the_last_two_turns() -> None:
    """What was said before does not count, whose it was neither; no dialogue is an empty one."""
    dialogue = [("user", "One."), ("assistant", "Two."), ("user", "Three.")]
    assert last_turns(dialogue) == ("Three.", "Two.")
    assert last_turns(dialogue[:1]) == ("One.", "")
    ranker = Ranker(towers(), Bags())
    long, short, alone = ranker.dialogues([dialogue, dialogue[1:], dialogue[2:]])
    np.testing.assert_array_equal(long, short)
    assert np.abs(short - alone).max() > 0.01
    np.testing.assert_allclose(np.linalg.norm(long), 1, atol=1e-5)
    assert np.isfinite(ranker.dialogues([[]])).all()


def talks() -> dict[str, list[Line]]:
    rng = Random(3)
    words = "apples rivers castles horses poems bridges storms pianos".split()
    return {
        f"talk-{n}": [Line("ab"[i % 2], f"I really do like {rng.choice(words)} {n} {i}") for i in range(6)]
        for n in range(60)
    }


def test_its_talks_are_nobody_elses() -> None:
    """They belong to no split, and one that is spoken somewhere all the same is left out."""
    found = ranker_talks(talks())
    assert found
    assert all(split_of(name) not in SPLITS for name in found)
    assert all(len(turns) == 6 for stretches in found.values() for turns in stretches)
    name, [turns] = next(iter(found.items()))
    heard = replace(conversation(), context=(("user", "Hello."), ("assistant", turns[2])))
    assert set(ranker_talks(talks(), [heard])) == set(found) - {name}


@pytest.mark.train
def test_it_learns_what_answers_what(tmp_path: Path) -> None:
    """Talks in which a topic is answered by another word for it: what was never met is found out of 16, and people's
    own beginnings pass more often than others'. Vectors are kept, so that a second run reads no text again.
    """
    pytest.importorskip("torch")
    from dragoman.verifier.ranker_training import Options, pairs_of, train

    rng = Random(4)
    known = {"dogs": "barking", "cats": "purring", "cars": "driving", "boats": "sailing", "songs": "singing"}
    known |= {"bread": "baking", "wine": "drinking", "books": "reading", "walls": "painting", "trees": "climbing"}
    fillers = "really quite often always maybe today here now then again".split()
    made = {}
    for n in range(400):
        topic = rng.choice(list(known))
        first = f"{rng.choice(fillers)} {topic} {rng.choice(fillers)}"
        made[f"talk-{n}"] = [
            (first, f"{known[topic]} {rng.choice(fillers)} {rng.choice(fillers)} {rng.choice(fillers)}")
        ]
    pairs = pairs_of(made)
    assert len(pairs) == 400

    class Counting(Bags):
        texts = 0

        def encode(self, texts: list[str]) -> np.ndarray:  # type: ignore[override]
            self.texts += len(texts)
            return super().encode(texts)

    encoder = Counting()
    options = Options(epochs=30, batch=64, rate=3e-3, dropout=0.0)
    found = train(pairs, encoder, tmp_path, options, lambda what, done, total: None)
    figures = found.card["figures"]
    assert isinstance(figures, dict)
    assert figures["hits_at_1_of_16_whole"] > 0.3  # others of the same topic fit as well
    assert figures["auroc_beginnings"] > 0.8
    assert figures["own_beginnings_that_pass"] > 2 * figures["foreign_beginnings_that_pass"]
    assert found.generic > 0
    before = encoder.texts
    again = train(pairs, encoder, tmp_path, options, lambda what, done, total: None)
    assert again.digest() == found.digest()
    assert encoder.texts - before < before
    with pytest.raises(DragomanError, match="too few"):
        train(pairs[:40], encoder, tmp_path, options, lambda what, done, total: None)


@pytest.mark.slow
def test_the_real_encoder_knows_what_is_about_the_same() -> None:
    """Weights as published: known products of known sentences, alone or beside others; no text is nothing."""
    from dragoman.verifier.sentences import open_sentences

    try:
        encoder = open_sentences()
    except DragomanError as error:
        pytest.skip(str(error))
    texts = ["My dog is very sick.", "I am sorry to hear about your dog.", "Congratulations on the new job!", ""]
    found = encoder.encode(texts)
    assert found.shape == (4, encoder.width)
    products = found @ found.T
    assert products[0, 1] == pytest.approx(0.6307, abs=1e-3)
    assert products[0, 2] == pytest.approx(0.0467, abs=1e-3)
    assert not found[3].any()
    np.testing.assert_allclose(encoder.encode(texts[:1])[0], found[0], atol=1e-5)
    long = "word " * 300 + "My dog is very sick."
    assert np.isfinite(encoder.encode([long])).all()
