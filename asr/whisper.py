"""Offline Whisper behind the streaming ports: quick partials over a short window, an accurate pass at the end.

A turn of any length is heard through one open window of at most 30 s. When speech fills it, it is cut at a
pause: the part before is decoded accurately, its words are kept and its sound is dropped, so a stream's memory is
bounded. Voice activity guards both ends: what holds no speech is never decoded (Whisper would invent words for
it), and long silence around the speech is cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import Final

from dragoman.asr.engine import MAX_SECONDS, Decoded, Encoded, Engine
from dragoman.asr.window import Window, settled
from dragoman.audio.text import common
from dragoman.audio.types import INPUT_RATE, DragomanError, Samples, Word

_SHORTEST: Final = 10.0
"""Seconds that a partial's sound is padded to: below about 8 the decoder degrades or loops."""

_STEP: Final = 5.0
"""Longer partials are padded to a multiple of this."""

_BEAM: Final = 5
"""Hypotheses of the accurate pass."""

_SURE: Final = 0.8
"""Probability from which a detected language is held for the turn."""

FINAL_S: Final = 15.0
_FINAL_MORE: Final = 3.0
"""Seconds that a final is padded to at least, and beyond its sound: the encoder takes a fifth of what the usual 30 s
take, for one error in twenty more on human speech (``python -m dragoman.benchmarks.wer``)."""

_LEFT: Final = 0.2
"""Seconds of speech behind the decoder's last timestamp that are worth another pass."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a stream believes was said so far.

    ``words`` (seconds from the first sample that the stream accepted, with probabilities) covers the closed
    windows in a partial, and everything in a final. ``stable`` counts the leading words of ``text`` that closed
    windows hold, which never change, or that the last two partials agree on, which seldom do.
    """

    text: str = ""
    words: tuple[Word, ...] = ()
    stable: int = 0
    language: str = ""


class WhisperRecognizer:
    """A Whisper model shared by all sessions, on CTranslate2. Safe to call from several threads."""

    def __init__(
        self,
        folder: Path,
        languages: Sequence[str] = (),
        *,
        threads: int = 1,
        compute_type: str = "int8",
        final_s: float = FINAL_S,
    ) -> None:
        """Load it. ``languages`` limits what is detected; an English-only model knows English alone. ``final_s``: what
        a final is padded to at least.
        """
        self.final_s = final_s
        self.engine = Engine(folder, threads=threads, compute_type=compute_type)
        self.languages = tuple(languages)
        for language in languages:
            self._check(language)

    def open(self, language: str | None = None) -> WhisperStream:
        """An ear for a new turn. Raises ``DragomanError`` for a language that the model doesn't know."""
        if language is not None:
            self._check(language)
        return WhisperStream(self.engine, language, self.languages, self.final_s)

    def warm(self) -> None:
        """Decode a second of nothing: the first turn doesn't pay for what is set up late. Blocking."""
        encoded = self.engine.encode(Window.silence(1.0), _SHORTEST)
        self.engine.decode(encoded, (self.languages or ("en",))[0], timestamps=False)

    def _check(self, language: str) -> None:
        if language not in self.engine.languages:
            known = shorten(", ".join(sorted(self.engine.languages)), 100, placeholder=" ...")
            raise DragomanError(f"this Whisper model doesn't recognize {language!r}; it knows: {known}")


class WhisperStream:
    """One speaker's ear for one turn. ``accept`` may run beside one ``partial`` or ``final`` at a time."""

    def __init__(self, engine: Engine, language: str | None, among: Sequence[str], final_s: float = FINAL_S) -> None:
        self._engine = engine
        self._final_s = final_s
        self._among = among
        self._fixed = language or (None if engine.multilingual else "en")
        self._language = self._fixed or ""
        self._window = Window()
        self._closed: list[Word] = []
        self._closed_text: list[str] = []
        self._partial = Hypothesis()
        self._partial_of: tuple[int, int] | None = None  # the speech that it was made of
        self._open_text = ""
        self._final: tuple[tuple[int, int], Hypothesis] | None = None

    def accept(self, pcm: Samples) -> None:
        """Take more sound, 16 kHz mono, any length. Does no work: it is scanned by the next decode."""
        self._window.accept(pcm)

    def partial(self) -> Hypothesis:
        """Decode the open window quickly: greedy, short context. As before when no speech came since."""
        self._scan()
        speech = self._window.extent()
        if speech == self._partial_of:
            return self._partial
        text, agreed = "", 0
        if (span := self._window.span()) is not None:
            text = self._quick(span)
            agreed = common(text.split(), self._open_text.split())
        self._open_text, self._partial_of = text, speech
        closed = " ".join(self._closed_text)
        self._partial = Hypothesis(
            _begun(" ".join(filter(None, (closed, text)))),
            tuple(self._closed),
            len(closed.split()) + agreed,
            self._language,
        )
        return self._partial

    def ended(self) -> Hypothesis:
        """As ``final``: there is no second pass, since each is the accurate one."""
        return self.final()

    def refined(self) -> None:
        """None: ``ended`` says all."""

    def final(self) -> Hypothesis:
        """The best text of all that was accepted, with words in time. Free when no speech came since."""
        self._scan()
        speech, span = self._window.extent(), self._window.span()
        if speech is None or span is None:
            return self._whole(self._closed_text, self._closed)
        if self._final is None or self._final[0] != speech:
            text, words = self._accurate(*span)
            self._final = speech, self._whole([*self._closed_text, text], [*self._closed, *words])
        return self._final[1]

    def _whole(self, texts: Sequence[str], words: Sequence[Word]) -> Hypothesis:
        text = _begun(" ".join(filter(None, texts)))
        first = [replace(word, text=_begun(word.text)) for word in words[:1]]
        return Hypothesis(text, (*first, *words[1:]), len(text.split()), self._language)

    def _scan(self) -> None:
        """Look at what was accepted, and close windows while the speech is longer than one."""
        while (cut := self._window.scan()) is not None:
            span = self._window.span(until=cut)
            if span is not None:
                text, words = self._accurate(*span)
                self._closed_text += [text] if text else []
                self._closed += words
            self._window.drop(cut)
            self._open_text = ""

    def _quick(self, span: tuple[int, int]) -> str:
        pcm = self._window.cut(*span)
        seconds = len(pcm) / INPUT_RATE
        padded = min(MAX_SECONDS, max(_SHORTEST, _STEP * -(-seconds // _STEP)))
        encoded = self._engine.encode(pcm, padded)
        decoded = self._engine.decode(encoded, self._spoken(encoded), timestamps=False)
        if decoded.silent:
            return ""
        # A loop is never shown: the last text stands until there is more to hear.
        return self._open_text if decoded.repetitive else decoded.text

    def _accurate(self, start: int, end: int) -> tuple[str, list[Word]]:
        """Whisper's long-form rule: go on behind the last timestamp if speech is left."""
        texts: list[str] = []
        words: list[Word] = []
        while True:
            pcm = self._window.cut(start, end)
            padded = min(MAX_SECONDS, max(self._final_s, len(pcm) / INPUT_RATE + _FINAL_MORE))
            encoded = self._engine.encode(pcm, padded)
            language = self._spoken(encoded)
            decoded = self._best(encoded, language)
            if not decoded.silent:
                texts.append(decoded.text)
                offset = start / INPUT_RATE
                words += [word.shifted(offset) for word in self._engine.words(encoded, decoded, language)]
            stop = start + int((decoded.end or encoded.seconds) * INPUT_RATE)
            if stop < start + INPUT_RATE or self._window.speech(stop, end) < _LEFT:
                return " ".join(texts), settled(words, self._window.regions(), end / INPUT_RATE)
            start = stop

    def _best(self, encoded: Encoded, language: str) -> Decoded:
        """Beam search; where that loops or is unsure, again without repetitions, if it is better.

        Greedy decoding flips words when the sound is cut a little differently; a beam hardly does, and it costs
        little beside the encoder.
        """
        first = self._engine.decode(encoded, language, timestamps=True, beam=_BEAM)
        if not first.doubtful:
            return first
        second = self._engine.decode(encoded, language, timestamps=True, beam=_BEAM, no_repeat=5)
        return max(first, second, key=lambda decoded: (not decoded.repetitive, decoded.logprob))

    def _spoken(self, encoded: Encoded) -> str:
        """The turn's language: fixed, or detected until it is sure, and then held."""
        if self._fixed is None:
            self._language, sure = self._engine.detect(encoded, self._among)
            if sure >= _SURE and encoded.seconds >= 1.0:
                self._fixed = self._language
        return self._language


def _begun(text: str) -> str:
    """A turn begins with a capital; small Whisper models forget it now and then, and then it comes and goes."""
    return text[:1].upper() + text[1:]
