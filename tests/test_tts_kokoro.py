"""The Portuguese voice, and what Kokoro says of other languages."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import numpy as np
import pytest

from dragoman.audio.types import DragomanError
from dragoman.tts import Voice, open_voice, voices
from dragoman.tts.pronunciation import Pronunciation
from dragoman.tts.speakable import speakable
from tests.conftest import Transcribe


def similarity(said: str, heard: str) -> float:
    """Share of the words that were heard, in order."""
    a, b = (re.findall(r"\w+", text.lower()) for text in (said, heard))
    blocks = difflib.SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / max(len(a), len(b))


def test_portuguese_is_understood(portuguese_voice: Voice, transcribe: Transcribe) -> None:
    """A recognizer hears nearly every word."""
    text = "O tempo em Lisboa costuma ser quente e bonito, mesmo em outubro."
    assert similarity(text, transcribe(portuguese_voice.synthesize(text).pcm, "pt")) >= 0.85


@pytest.mark.parametrize(
    "text",
    ["Às 10:30 a Dra. Ana pagou R$ 50 — que caro!", "Não, 50% é pouco… 🙂 **sim**"],
)
def test_words_are_those_of_the_text_in_order(portuguese_voice: Voice, text: str) -> None:
    """Numbers, money and marks stay attached, times never go back."""
    speech = portuguese_voice.synthesize(text)
    assert " ".join(word.text for word in speech.words) == speakable(text)
    times = [t for word in speech.words for t in (word.start, word.end)]
    assert times == sorted(times)
    assert times[-1] <= speech.seconds + 1e-6


def test_money_is_read_as_people_say_it(portuguese_voice: Voice, transcribe: Transcribe) -> None:
    """The currency comes after the number, by its own name."""
    heard = transcribe(portuguese_voice.synthesize("Custa R$ 50 ou €20.").pcm, "pt").lower()
    assert re.search(r"r\$ ?50|(50|cinquenta) reais", heard)
    assert re.search(r"€ ?20|(20|vinte) euros|20€", heard)


@pytest.mark.parametrize(
    ("language", "written", "said"),
    [
        ("pt", "De R$ 1 a R$ 5 milhões, ou US$10 mil.", "De 1 real a 5 milhões de reais, ou 10 mil dólares."),
        ("es", "Son €3 mil millones.", "Son 3 mil millones de euros."),
        ("fr", "Avec €5 millions, $2.", "Avec 5 millions d'euros, 2 dollars."),
        ("it", "€5 milioni e $ 1", "5 milioni di euro e 1 dollaro"),
        ("en", "It is $5, not $1 or £3 million.", "It is 5 dollars, not 1 dollar or 3 million pounds."),
    ],
)
def test_money_is_named_behind_all_of_its_amount(language: str, written: str, said: str) -> None:
    """One is one, and the millions belong to it."""
    spoken = Pronunciation(language, lambda ipa: ipa)
    first, second = (spoken.words(text.split()) for text in (written, said))
    assert "".join(first).split() == "".join(second).split()
    assert len(first) == len(written.split())


@pytest.mark.parametrize(
    ("language", "written", "said"),
    [
        ("pt", "O Sr. Silva e a (Sra.) Lima, Srta.", "O senhor Silva e a (senhora) Lima, senhorita."),
        ("fr", "M. Dupont et MM. Roy.", "monsieur Dupont et messieurs Roy."),
        (
            "it",
            "Il Sig. Rossi, la Sig.ra e la Dott.ssa Bianchi.",
            "Il signor Rossi, la signora e la dottoressa Bianchi.",
        ),
        ("en", "Ms. Lee, Sammy Davis Jr. and me.", "miz Lee, Sammy Davis junior and me."),
        ("es", "El Sr. Ruiz no.", "El señor Ruiz no."),
    ],
)
def test_titles_are_read_as_people_say_them(language: str, written: str, said: str) -> None:
    """Not by their letters."""
    spoken = Pronunciation(language, lambda ipa: ipa)
    first, second = ("".join(spoken.words(text.split())) for text in (written, said))
    assert first.replace(".", "").split() == second.replace(".", "").split()


def test_nothing_to_say_is_silence(portuguese_voice: Voice) -> None:
    """An empty speech, no error."""
    assert portuguese_voice.synthesize("🙂 …").words == ()


@pytest.mark.parametrize(("language", "text"), [("es", "Buenos días."), ("fr", "C'est l'eau."), ("it", "Va bene.")])
def test_other_languages_speak(portuguese_voice: Voice, language: str, text: str) -> None:
    """The same model, other phonemes."""
    speech = open_voice(language).synthesize(text)
    assert speech.seconds > 0.3
    assert [w.text for w in speech.words] == text.split()


def test_a_native_pack_is_found(portuguese_voice: Voice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the folder is a voice, and the default of its language."""
    np.full((510, 256), 0.05, np.float32).tofile(tmp_path / "pf_dora.bin")
    monkeypatch.setenv("DRAGOMAN_VOICES", str(tmp_path))
    assert voices()[0].name == "pf_dora"
    assert open_voice("pt").name == "pf_dora"
    assert open_voice("es").name == "gongitsune"


@pytest.mark.parametrize(("name", "content"), [("dora.bin", b"1234"), ("dora.bin", b"\xff" * 1024), ("a.npy", b"text")])
def test_a_broken_pack_is_told(
    name: str, content: bytes, portuguese_voice: Voice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One clear line that names the file."""
    (tmp_path / f"pf_{name}").write_bytes(content)
    monkeypatch.setenv("DRAGOMAN_VOICES", str(tmp_path))
    with pytest.raises(DragomanError, match=rf"pf_{name}.*not a voice pack"):
        open_voice("pt")
    monkeypatch.setenv("DRAGOMAN_VOICES", str(tmp_path / "none"))
    with pytest.raises(DragomanError, match="does not exist"):
        open_voice("pt")
