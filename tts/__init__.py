"""Streaming synthesis with word timings, one voice per language.

``open_voice`` gives a voice by language and name; ``voices`` lists them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

from dragoman.audio.text import language_code
from dragoman.audio.types import DragomanError
from dragoman.models.catalog import Progress, resolve
from dragoman.tts.voice import Voice

__all__ = ["Voice", "VoiceInfo", "find_voice", "open_voice", "speaks", "voices"]


@dataclass(frozen=True, slots=True)
class VoiceInfo:
    """A voice that can be asked for by name."""

    name: str
    languages: tuple[str, ...]
    engine: str
    description: str


_KOKORO_LANGUAGES: Final = ("pt", "es", "fr", "it", "en")

# The first that speaks a language is its default.
_VOICES: Final = (
    VoiceInfo("heart", ("en",), "hibari", "female, American English"),
    VoiceInfo("joe", ("en",), "piper", "male, American English"),
    VoiceInfo("gongitsune", _KOKORO_LANGUAGES, "kokoro", "female, foreign colour"),
    VoiceInfo("kumo", _KOKORO_LANGUAGES, "kokoro", "male, foreign colour"),
    VoiceInfo("alpha", _KOKORO_LANGUAGES, "kokoro", "female, foreign colour"),
    VoiceInfo("nezumi", _KOKORO_LANGUAGES, "kokoro", "female, foreign colour"),
    VoiceInfo("tebukuro", _KOKORO_LANGUAGES, "kokoro", "female, foreign colour"),
)
_PACKS: Final = {
    "gongitsune": "jf_gongitsune",
    "kumo": "jm_kumo",
    "alpha": "jf_alpha",
    "nezumi": "jf_nezumi",
    "tebukuro": "jf_tebukuro",
}
# Kokoro's packs begin with a letter for the language and one for the gender: pf_dora, em_alex.
_PACK_LANGUAGES: Final = {"p": "pt", "e": "es", "f": "fr", "i": "it", "a": "en", "b": "en"}


def voices(packs: Path | None = None) -> tuple[VoiceInfo, ...]:
    """Every voice that can be named; native packs in ``packs`` (or ``$DRAGOMAN_VOICES``) come first."""
    return (*_native(packs or _pack_folder()), *_VOICES)


def open_voice(
    language: str = "en", name: str = "auto", *, packs: Path | None = None, progress: Progress | None = None
) -> Voice:
    """Load a voice for ``language`` (ISO 639-1). ``name`` "auto" takes the best one there is; ``PATH.onnx`` is a
    voice of Piper's.

    Blocking: half a second for English, three for the others. The same voice is loaded once per process.
    Raises ``DragomanError`` for a language without a voice, an unknown name, or a missing model.
    """
    packs = packs or _pack_folder()
    found = find_voice(language, name, packs=packs)
    return _OPENERS[found.engine](found.languages[0], found.name, packs, progress)


def find_voice(language: str, name: str = "auto", *, packs: Path | None = None) -> VoiceInfo:
    """What ``open_voice`` loads, as a voice of the one language. Raises ``DragomanError`` as it does, at once."""
    code = language_code(language)
    if name.endswith(".onnx"):
        return VoiceInfo(name, (code,), "own", "")
    known = voices(packs)
    speaking = [voice for voice in known if code in voice.languages]
    if not speaking:
        languages = sorted({spoken for voice in known for spoken in voice.languages})
        raise DragomanError(f"no voice speaks {language!r}: choose one of {', '.join(languages)}")
    named = [voice for voice in speaking if name in ("auto", voice.name)]
    if not named:
        names = ", ".join(voice.name for voice in speaking)
        raise DragomanError(f"no voice named {name!r} speaks {code!r}: choose one of {names}")
    return replace(named[0], languages=(code,))


def speaks(language: str, name: str = "auto", *, packs: Path | None = None) -> bool:
    """Whether there is such a voice."""
    try:
        find_voice(language, name, packs=packs)
    except DragomanError:
        return False
    return True


def _pack_folder() -> Path | None:
    folder = os.environ.get("DRAGOMAN_VOICES")
    return Path(folder) if folder else None


def _native(packs: Path | None) -> tuple[VoiceInfo, ...]:
    if packs is None:
        return ()
    if not packs.is_dir():
        raise DragomanError(f"the folder of voices {packs} does not exist")
    files = sorted(f for f in packs.iterdir() if f.suffix in (".bin", ".npy") and f.stem[1:3] in ("f_", "m_"))
    return tuple(
        VoiceInfo(f.stem, (_PACK_LANGUAGES[f.stem[0]],), "kokoro", "male" if f.stem[1] == "m" else "female")
        for f in files
        if f.stem[0] in _PACK_LANGUAGES
    )


@cache
def _hibari() -> Voice:
    from dragoman.tts.hibari import open_hibari

    return open_hibari()


@cache
def _piper(path: Path) -> Voice:
    from dragoman.tts.piper import open_piper

    return open_piper(path)


def _open_own(language: str, name: str, packs: Path | None, progress: Progress | None) -> Voice:
    voice = _piper(Path(name))
    if voice.language != language:
        raise DragomanError(f"the voice {name} speaks {voice.language!r}, not {language!r}")
    return voice


def _open_piper(language: str, name: str, packs: Path | None, progress: Progress | None) -> Voice:
    return _piper(resolve(f"piper-{name}", progress=progress) / "voice.onnx")


@cache
def _kokoro_model(folder: Path) -> object:
    from dragoman.tts.kokoro import KokoroModel

    return KokoroModel(folder)


def _open_hibari(language: str, name: str, packs: Path | None, progress: Progress | None) -> Voice:
    return _hibari()


def _open_kokoro(language: str, name: str, packs: Path | None, progress: Progress | None) -> Voice:
    from dragoman.tts.espeak import espeak
    from dragoman.tts.kokoro import KokoroEngine, KokoroModel

    espeak()  # first: its absence is found at once, a model takes seconds
    model = _kokoro_model(resolve("kokoro", progress=progress))
    assert isinstance(model, KokoroModel)
    return Voice(KokoroEngine(model, language, model.styles(_PACKS.get(name, name), packs)), language, name)


_OPENERS: Final[dict[str, Callable[[str, str, Path | None, Progress | None], Voice]]] = {
    "hibari": _open_hibari,
    "kokoro": _open_kokoro,
    "own": _open_own,
    "piper": _open_piper,
}
