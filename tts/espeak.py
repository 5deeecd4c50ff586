"""Phonemes of many languages from the espeak-ng library, through ctypes.

The library (GPL-3) is an optional extra, never part of this program: it comes with the ``espeakng-loader``
package or from the system.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import re
import threading
from functools import cache
from typing import Final

from dragoman.audio.types import DragomanError

_RETRIEVAL: Final = 1
_DONT_EXIT: Final = 0x8000
_UTF8: Final = 1
_IPA_TIED: Final = 0x02 | 0x80 | (ord("^") << 8)
_SWITCH: Final = re.compile(r"\([a-z-]+\)")

INSTALL: Final = "run `pip install 'dragoman[translate]'`, or install the system package libespeak-ng1"


class Espeak:
    """The library, opened once for the process: it has global state, so calls take turns."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._voice = ""
        library, data = _find()
        try:
            self._lib = ctypes.CDLL(library)
        except OSError as error:
            raise DragomanError(f"espeak-ng can't be loaded ({error}): {INSTALL}") from error
        self._lib.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._lib.espeak_TextToPhonemes.argtypes = [
            ctypes.POINTER(ctypes.c_void_p),
            ctypes.c_int,
            ctypes.c_int,
        ]
        if self._lib.espeak_Initialize(_RETRIEVAL, 0, data.encode() if data else None, _DONT_EXIT) < 0:
            raise DragomanError(f"espeak-ng finds no data in {data or 'the system'}: {INSTALL}")

    def phonemes(self, text: str, voice: str) -> str:
        """IPA with stress marks, words separated by spaces, affricates and diphthongs tied by ``^``.

        ``voice`` is espeak's name of a language, such as ``pt-br``. Marks are lost: give a clause at a time.
        """
        with self._lock:
            if voice != self._voice:
                if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
                    raise DragomanError(f"espeak-ng has no voice {voice!r}")
                self._voice = voice
            buffer = ctypes.create_string_buffer(text.replace("\0", " ").encode() + b"\0")
            pointer = ctypes.c_void_p(ctypes.addressof(buffer))
            parts = []
            while pointer.value:
                part = self._lib.espeak_TextToPhonemes(ctypes.byref(pointer), _UTF8, _IPA_TIED)
                parts.append((part or b"").decode("utf-8", "ignore"))
        return " ".join(_SWITCH.sub("", " ".join(parts)).split())


@cache
def espeak() -> Espeak:
    """The process's espeak-ng. Raises ``DragomanError`` that names what to install."""
    return Espeak()


def available() -> bool:
    """Whether the library is there, without opening it."""
    return bool(importlib.util.find_spec("espeakng_loader") or ctypes.util.find_library("espeak-ng"))


def _find() -> tuple[str, str]:
    """Paths of the library and of its data (empty: the system's own)."""
    if importlib.util.find_spec("espeakng_loader"):
        import espeakng_loader

        return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
    system = ctypes.util.find_library("espeak-ng")
    if system is None:
        raise DragomanError(f"this voice needs espeak-ng for its pronunciation: {INSTALL}")
    return system, ""
