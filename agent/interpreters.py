"""Opening interpreters: which recognizer, translator and voice serve a pair of languages, each loaded once."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final

from dragoman.agent.interpreter import Interpreter
from dragoman.agent.ports import Recognizer, Synthesizer
from dragoman.agent.translators import open_translator, require_pair, told_apart
from dragoman.asr import open_recognizer
from dragoman.asr.vad import SileroVad
from dragoman.models.catalog import Progress
from dragoman.translation import PivotTranslator
from dragoman.translation.prediction import Predictor
from dragoman.translation.retranslation import Stability
from dragoman.translation.steering import Translator
from dragoman.tts import find_voice, open_voice

LATEST_S: Final = 12.0
"""For a listener who is there now speech is never later than this: what would be is left to the captions."""
_LIVE_EARS: Final[dict[str | None, str]] = {"en": "causal-tiny.en", "pt": "causal-base", None: "causal-base"}
"""Recognizers for who wants words as they come; where there is none, what was said is decoded again and again. The
one for an unknown language tells English from Portuguese."""


@dataclass(slots=True)
class Interpreters:
    """The models of a process. May be used from several threads."""

    recognizer: str = "auto"
    translator: str = "auto"
    live: bool = True
    """See ``Interpreter``."""
    stability: Stability | None = None
    latest: float | None = None
    """See ``Interpreter``."""
    predictor: Predictor | None = None
    """For a ``stability`` that foresees: ``agent.llm.prediction`` has some."""
    _recognizers: dict[tuple[str | None, frozenset[str]], Recognizer] = field(default_factory=dict)
    """By what is spoken, or that of which it is told apart."""
    _translators: dict[tuple[str | None, str], Translator] = field(default_factory=dict)
    _voices: dict[tuple[str, str], Synthesizer] = field(default_factory=dict)
    _opening: threading.Lock = field(default_factory=threading.Lock)

    def open(
        self, source: str | None, target: str, voice: str | None = None, progress: Progress | None = None
    ) -> Interpreter:
        """An interpreter for a pair; ``source`` None detects the language, ``voice`` None speaks nothing.

        Blocking: seconds the first time. Raises ``DragomanError``.
        """
        with self._opening:
            if (source, target) not in self._translators:
                opened = open_translator(source, target, self.translator, progress)
                self._translators[source, target] = opened
            if voice is not None and (target, voice) not in self._voices:
                opened_voice = open_voice(target, voice, progress=progress)
                opened_voice.warm()
                self._voices[target, voice] = opened_voice
            among = frozenset(told_apart(target, self.translator) if source is None else ())
            if (source, among) not in self._recognizers:
                name = _LIVE_EARS.get(source, "auto") if self.live and self.recognizer == "auto" else self.recognizer
                self._recognizers[source, among] = open_recognizer(name, source, among=among, progress=progress)
            return Interpreter(
                self._recognizers[source, among],
                SileroVad,
                self._translators[source, target],
                source=source,
                target=target,
                voice=None if voice is None else self._voices[target, voice],
                live=self.live,
                stability=self.stability,
                latest=self.latest,
                predictor=self.predictor,
            )

    def require(self, source: str | None, target: str, voice: str | None = None) -> None:
        """Raises the ``DragomanError`` of ``open`` where that is known without loading anything."""
        require_pair(source, target, self.translator)
        if voice is not None:
            find_voice(target, voice)

    def notice(self, source: str | None, target: str) -> str | None:
        """What a person should know of how a pair that is open is translated."""
        translator = self._translators.get((source, target))
        return translator.notice if isinstance(translator, PivotTranslator) else None
