"""Where one text goes on in another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.audio.text import common
from dragoman.translation.alignment import continuation


def test_common_counts_exact_words() -> None:
    """A comma more is another word."""
    assert common("o gato preto".split(), "o gato branco".split()) == 2
    assert common("o gato, preto".split(), "o gato preto".split()) == 1
    assert common([], ["o"]) == 0


@pytest.mark.parametrize(
    ("given_", "whole", "rest"),
    [
        ("bom dia", "Bom dia, meu amigo", "meu amigo"),
        ("a cidade romântica", "a romântica e bela cidade de Sintra", "e bela cidade de Sintra"),
        ("eu vou", "Bem, eu vou agora", "agora"),
        ("um dois três", "um três quatro", "quatro"),
        ("", "tudo", "tudo"),
        ("mais do que há", "", ""),
    ],
)
def test_the_rest_goes_on_behind_what_was_given(given_: str, whole: str, rest: str) -> None:
    """Words that were put in, left out or changed don't shift it."""
    words = whole.split()
    assert " ".join(words[continuation(given_.split(), words) :]) == rest


@given(st.lists(st.sampled_from("abcde")), st.lists(st.sampled_from("abcde")))
def test_an_exact_prefix_is_found(first: list[str], rest: list[str]) -> None:
    """Nothing is lost or doubled where the text begins just so."""
    assert continuation(first, first + rest) == len(first)
