"""Sound to words: voice activity, and Whisper behind the streaming port: on CTranslate2, or causal."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from dragoman.asr.whisper import WhisperRecognizer
from dragoman.models.catalog import Progress, resolve

if TYPE_CHECKING:
    from dragoman.asr.causal.stream import CausalRecognizer

__all__ = ["ENGLISH", "MULTILINGUAL", "WhisperRecognizer", "open_recognizer"]

ENGLISH: Final = "whisper-tiny.en"
MULTILINGUAL: Final = "whisper-base"

_SHORT: Final = {"tiny.en": ENGLISH, "base": MULTILINGUAL}


_LIVE: Final = {"en": "causal-tiny.en+second-pass", "pt": "causal-base+second-pass"}
"""Languages whose causal recognizer serves a conversation at least as well as decoding a short window again and again
(``dragoman bench asr``)."""

_TALK: Final = {**_LIVE, "en": "causal-tiny.en-talk+second-pass"}
"""The same for who talks with a person: its decoder writes what people say while they search for words."""


def open_recognizer(
    name: str = "auto",
    language: str | None = None,
    *,
    live: bool = False,
    talk: bool = False,
    among: Collection[str] = (),
    progress: Progress | None = None,
) -> WhisperRecognizer | CausalRecognizer:
    """Load a recognizer, and warm it up. Blocking, a second or two.

    ``name``: "auto" (tiny.en for English, base for any other or an unknown language), "tiny.en", "base", or a
    catalog name, a folder or a hub id of a CTranslate2 Whisper; "causal", "causal-tiny.en", "causal-tiny.en-talk" or
    "causal-base" (with "+second-pass" for offline finals) hear while the speaker speaks. ``live``: for someone who
    waits for the words; then "auto" is causal where that is as good. ``talk``: the same for a conversation.
    ``language`` limits it to one; None detects it for each turn, ``among`` those that are given, if any.
    Raises ``DragomanError`` when the model is missing or doesn't know the language.
    """
    if (live or talk) and name == "auto" and language in _LIVE:
        name = (_TALK if talk else _LIVE)[language]
    if name.startswith("causal"):
        from dragoman.asr.causal.catalog import open_named

        return open_named(name, language, progress=progress)
    chosen = (ENGLISH if language == "en" else MULTILINGUAL) if name == "auto" else _SHORT.get(name, name)
    folder = resolve(chosen, progress=progress, role="recognizer")
    recognizer = WhisperRecognizer(folder, (language,) if language else ())
    if language is None:
        recognizer.languages = tuple(code for code in among if code in recognizer.engine.languages)
    recognizer.warm()
    return recognizer
