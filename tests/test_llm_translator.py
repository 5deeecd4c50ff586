"""A language model behind a real HTTP server, as a translator."""

from __future__ import annotations

import threading

import pytest

from dragoman.agent.llm.translator import LlmTranslator
from dragoman.audio.types import DragomanError
from dragoman.translation.steering import Steering
from tests.test_llm_openai import Server, serving


def test_asks_for_the_translation_alone() -> None:
    """From any language into any other."""
    with serving(Server("vllm", ["Bom dia,", " meu amigo."])) as server:
        translator = LlmTranslator(server.url)
        assert translator.translate("Good morning, my friend.", "en", "pt") == "Bom dia, meu amigo."
        assert ("fr", "ja") in translator.pairs
        translator.close()
    system, user = server.bodies[0]["messages"]
    assert "from English into Portuguese" in system["content"]
    assert user["content"] == "Good morning, my friend."


def test_goes_on_from_what_is_committed() -> None:
    """As the model's own words."""
    with serving(Server("vllm", [" meu amigo."])) as server:
        translator = LlmTranslator(server.url)
        out = translator.steered(
            "Good morning, my friend.", "en", "pt", Steering(prefix="Bom dia,", last="Bom dia, meu")
        )
        translator.close()
    assert out.text == "Bom dia, meu amigo."
    assert server.bodies[0]["messages"][-1] == {"role": "assistant", "content": "Bom dia,"}


def test_nothing_to_translate_asks_nothing() -> None:
    """Text without words passes through, and so does who turns out to speak the target language."""
    with serving(Server("vllm")) as server:
        translator = LlmTranslator(server.url)
        assert translator.translate(" ... ", "en", "pt") == "..."
        assert translator.translate("Good morning.", "en", "en") == "Good morning."
        translator.close()
    assert server.bodies == []


def test_failures_are_told_and_leave_no_thread() -> None:
    """A server that is away, or refuses; a language without a name."""
    before = threading.active_count()
    with pytest.raises(DragomanError, match=r"127.0.0.1:9"):
        LlmTranslator("http://127.0.0.1:9")
    with serving(Server("vllm", status=500)) as server:
        translator = LlmTranslator(server.url)
        with pytest.raises(DragomanError, match="HTTP 500"):
            translator.translate("Hello.", "en", "pt")
        with pytest.raises(DragomanError, match="from en to xx"):
            translator.translate("Hello.", "en", "xx")
        translator.close()
    assert threading.active_count() <= before
