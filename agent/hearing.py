"""One speaker's sound as segments to translate: as the speaker speaks, or utterance by utterance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dragoman.agent.endpointing import TextTurnDetector
from dragoman.agent.listening import STEP, Cutter, eager
from dragoman.agent.ports import Recognizer, VoiceActivity
from dragoman.agent.understanding import hesitates, understood
from dragoman.asr.vad import WINDOW
from dragoman.audio.frames import Frames
from dragoman.audio.types import INPUT_RATE, Samples, Word
from dragoman.translation.segmenter import Heard, Source

_OVER_S: Final = 2.5
"""After so long without a word a sentence that seemed unfinished is over too, be it silence or what is left out."""
_COMPLETE: Final = 0.5
_FULL: Final = 10 * INPUT_RATE
_TELLING: Final = 2 * INPUT_RATE
"""Sound of an open utterance from which its language can be told."""


class SegmentEar:
    """Fed window by window; ``partial`` and ``end`` compute and belong on a worker, one at a time and no ``push``
    beside them. Holds one utterance's words and what its recognizer holds. What another language sounds like to the
    recognizer is left out, and so is the sound of searching for words.
    """

    def __init__(
        self, recognizer: Recognizer, vad: VoiceActivity | None, language: str | None, *, live: bool = True
    ) -> None:
        """``live`` False: nothing is known of an utterance before its end."""
        self._cutter = Cutter(recognizer, language, vad, eager)
        self._live = live
        self._heard = Heard()
        self._detector = TextTurnDetector()
        self._frames = Frames(WINDOW)
        self._fresh = 0
        self._waiting = False
        self._said = 0.0  # where the last word ends
        self._fixed = language
        self.heard = 0.0
        """Seconds of the sound that has been taken."""
        self.language = language
        """ISO 639-1: fixed, or what was heard last, as soon as it can be told; None until then."""

    def windows(self, pcm: Samples) -> Samples:
        """Sound of any length cut for ``push``: [n, WINDOW], may be none."""
        return self._frames.push(pcm)

    def push(self, window: Samples) -> Source | None:
        """Take a window; gives what a long silence closed."""
        self._cutter.push(window)
        self.heard += len(window) / INPUT_RATE
        self._fresh = self._fresh + len(window) if self._cutter.length else 0
        if self._waiting and not self._cutter.length and self._cutter.silence >= _OVER_S * INPUT_RATE:
            self._waiting = False
            return self._heard.over()
        return None

    @property
    def ended(self) -> bool:
        """Whether a pause has ended the utterance: call ``end`` before more is pushed."""
        return self._cutter.ended

    @property
    def fresh(self) -> bool:
        """Whether there is enough new sound for ``partial``."""
        return self._fresh >= (STEP if self._live else _FULL)

    def partial(self) -> Source | None:
        """What the open utterance says so far. Blocking."""
        self._fresh = 0
        caption = self._cutter.partial()  # without it a recognizer would keep the sound of a long utterance
        if not self._live:
            return None
        clear, settled = self._clear(caption.words, caption.lang)
        if any(clear) and (self.language is not None or self._cutter.length >= _TELLING):
            self.language = self._fixed or caption.lang or self.language
        words = _kept(caption.words, clear)
        self._said = words[-1].end if words else self._said
        return self._heard.partial(words, sum(clear[: min(settled, caption.stable)]))

    def end(self) -> Source:
        """What the utterance said. Blocking."""
        self._fresh = 0
        words: list[Word] = []
        for segment in self._cutter.take():
            words = _kept(segment.words, self._clear(segment.words, segment.lang)[0])
            if words:  # of a short word the language is soon mistaken: the recognizer is not held to it, nor is this
                self.language, self._said = self._fixed or segment.lang, words[-1].end
        # A pause inside a sentence ("ask not ...") must not tear it in two: what seems unfinished waits. Of nothing
        # after all what was open is gone, and what is certain waits too.
        complete = bool(words) and self._detector.complete(" ".join(word.text for word in words)) >= _COMPLETE
        complete = complete or self.heard - self._said >= _OVER_S
        self._waiting = not complete
        return self._heard.ended(words, complete=complete)

    def _clear(self, words: Sequence[Word], language: str) -> tuple[list[bool], int]:
        """Which words are to be translated, and for how many that stays so."""
        clear, settled = understood(words)
        spoken = self._fixed or language
        return [ok and not hesitates(word, spoken) for word, ok in zip(words, clear, strict=True)], settled

    def finish(self) -> list[Source]:
        """The sound is over: all that was open. Blocking."""
        closed = [self.push(window) for window in self._frames.flush()]
        return [*filter(None, closed), self.end(), self._heard.over()]


def _kept(words: Sequence[Word], clear: Sequence[bool]) -> list[Word]:
    return [word for word, ok in zip(words, clear, strict=True) if ok]
