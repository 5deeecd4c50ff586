"""Apertium: a stand-in for its program, and the program itself where it is installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dragoman.audio.types import DragomanError
from dragoman.translation.apertium import ApertiumTranslator, modes
from dragoman.translation.pivot import PivotTranslator
from dragoman.translation.steering import Steering, Translation

PROGRAM = """#!/bin/sh
if [ "$1" = -l ]; then printf '  spa-eng_US\\n  eng-spa\\n  spa-eng\\n  cat-oci_aran\\n'; exit; fi
if [ "$2" = eng-spa ]; then exit 3; fi
printf '%s>' "$2"; cat
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "apertium"
    path.write_text(PROGRAM)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return path


def test_knows_what_is_installed(stand_in: Path) -> None:
    """Codes of three letters become two; a variant gives way to the plain pair; what has no code is left out."""
    assert modes(str(stand_in)) == {("en", "es"): "eng-spa", ("es", "en"): "spa-eng"}
    assert ApertiumTranslator().pairs == {("en", "es"), ("es", "en")}


def test_asks_the_program(stand_in: Path) -> None:
    """A line in, a line out; nothing to say, nothing asked."""
    translator = ApertiumTranslator()
    assert translator.translate(" el  gato ", "es", "en") == "spa-eng>el gato"
    assert translator.translate(" ... ", "es", "en") == "..."


def test_failures_are_told(stand_in: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program that fails, a pair that is not installed, no program."""
    translator = ApertiumTranslator()
    with pytest.raises(DragomanError, match="apertium failed"):
        translator.translate("the cat", "en", "es")
    with pytest.raises(DragomanError, match="can't translate from es to fr"):
        translator.translate("el gato", "es", "fr")
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    with pytest.raises(DragomanError, match="apertium is not installed"):
        ApertiumTranslator()


def test_the_program_itself() -> None:
    """Spanish, where its data are installed."""
    program = shutil.which("apertium")
    if program is None or ("es", "en") not in modes(program):
        pytest.skip("apertium-eng-spa is not installed")
    assert "cat" in ApertiumTranslator().translate("El gato duerme en la mesa.", "es", "en").lower()


class Reversing:
    """Turns the words round, and says so."""

    def __init__(self, *pair: str) -> None:
        self.pairs = frozenset({(pair[0], pair[1])})

    def translate(self, text: str, source: str, target: str) -> str:
        return self.steered(text, source, target, Steering()).text

    def steered(self, text: str, source: str, target: str, steering: Steering) -> Translation:
        words = text.split()[::-1]
        return Translation(" ".join(words), tuple(range(len(words)))[::-1])


def test_two_in_a_row_tell_what_a_word_was_made_from() -> None:
    """Through the language between."""
    pivot = PivotTranslator(Reversing("es", "en"), Reversing("en", "pt"), "es", "en", "pt")
    assert pivot.steered("a b c", "es", "pt", Steering()) == Translation("a b c", (0, 1, 2))
    assert pivot.translate("a b", "es", "pt") == "a b"
    with pytest.raises(DragomanError, match="no way from es through en to fr"):
        PivotTranslator(Reversing("es", "en"), Reversing("en", "pt"), "es", "en", "fr")
