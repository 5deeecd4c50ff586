"""The causal recognizer behind the streaming ports: words while the speaker speaks.

Sound is fed to a segment while someone speaks, with a margin before; silence is skipped. A segment ends at a pause,
a shorter one the longer it is; when its 30 s are full without one, its stable words are closed, and a new segment hears
again what follows them. So the past is bounded, and a stream may go on for hours.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from dragoman.asr.causal.adapter import Adapter, adapted
from dragoman.asr.causal.decoding import Transcript
from dragoman.asr.causal.runtime import FORMAT, CausalModel
from dragoman.asr.causal.segment import Segment
from dragoman.asr.causal.tokens import Tokens
from dragoman.asr.causal.weights import load_weights
from dragoman.asr.inbox import Inbox
from dragoman.asr.vad import WINDOW, SileroVad, SpeechEdges
from dragoman.asr.whisper import Hypothesis
from dragoman.audio.frames import Frames
from dragoman.audio.levels import dbfs
from dragoman.audio.types import INPUT_RATE, DragomanError, Samples, Word
from dragoman.models.built import built

_BEFORE: Final = 14  # windows of 32 ms before the speech that belong to it
_AFTER: Final = 30  # windows of silence that are still heard: the decoder needs some to end a sentence
_PAUSE: Final = 60
_BREATH: Final = 8  # windows of silence at which a segment may end
_LONG: Final = 12 * INPUT_RATE
_LONGER: Final = 20 * INPUT_RATE
_QUIETEST: Final = -40.0  # dBFS
_RAISED: Final = -30.0
_KEEP: Final = 8 * INPUT_RATE
"""Samples of a full segment that the next one hears again at most."""
_FASTEST: Final = 6.0  # words a second, and
_AT_ONCE: Final = 3  # words besides


class _Offline(Protocol):
    """A recognizer for the second pass."""

    def open(self, language: str | None = None) -> _OfflineStream:
        """A stream for one turn."""


class _OfflineStream(Protocol):
    def accept(self, pcm: Samples) -> None:
        """Take more sound."""

    def final(self) -> Hypothesis:
        """The best text."""


class CausalRecognizer:
    """Shared by all sessions; calls may come from several threads and take turns inside ONNX Runtime."""

    def __init__(
        self,
        model: CausalModel,
        tokens: Tokens,
        languages: Sequence[str] = ("en",),
        *,
        second: _Offline | None = None,
        beam: int = 1,
    ) -> None:
        """``second`` is the offline recognizer that redoes a turn's final text; ``beam`` 1 is greedy."""
        self.model, self.tokens = model, tokens
        self.languages = tuple(languages)
        self.second = second
        self.beam = beam

    def open(self, language: str | None = None) -> CausalStream:
        """An ear for a new turn. Raises ``DragomanError`` for a language that it was not trained for."""
        if language is not None and language not in self.languages:
            raise DragomanError(f"the causal recognizer knows {', '.join(self.languages)}, not {language!r}")
        return CausalStream(self, language or (self.languages[0] if len(self.languages) == 1 else None))

    def warm(self) -> None:
        """Run everything once. Blocking."""
        segment = self.segment(self.languages[0])
        segment.feed(np.zeros(INPUT_RATE, np.float32))
        segment.advance()

    def segment(self, language: str) -> Segment:
        """A new stretch of sound."""
        return Segment(self.model, Transcript(self.model, self.tokens, language, width=self.beam))

    def detect(self, cross: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> tuple[str, float]:
        """The most probable of the languages, and its probability among them."""
        start = self.tokens.prompt(self.languages[0])[0]
        row = self.model.decode([start], np.zeros((0, cross.shape[1]), np.float32), cross).logits[0]
        scores = np.array([row[self.tokens.language(code)] for code in self.languages])
        p = np.exp(scores - scores.max())
        return self.languages[int(p.argmax())], float(p.max() / p.sum())


@dataclass(frozen=True, slots=True)
class _Place:
    """From ``sample`` of the segment on, sound stands ``shift`` samples later in the stream."""

    sample: int
    shift: int


class CausalStream:
    """One speaker's ear for one turn. ``accept`` may run beside one ``partial`` or ``final`` at a time."""

    def __init__(self, recognizer: CausalRecognizer, language: str | None) -> None:
        self._recognizer = recognizer
        self._fixed = language
        self._language = language or ""
        self._inbox, self._frames = Inbox(), Frames(WINDOW)
        self._vad, self._edges = SileroVad(), SpeechEdges()
        self._past: deque[Samples] = deque(maxlen=_BEFORE)
        self._spoken_until = 0.0
        self._gain = np.float32(1.0)
        self._quiet = 0  # windows since the last speech
        self._segment: Segment | None = None
        self._places: list[_Place] = []
        self._closed: list[Word] = []
        self._second = recognizer.second.open(language) if recognizer.second else None
        self._accepted = 0

    def accept(self, pcm: Samples) -> None:
        """Take more sound, 16 kHz mono, any length. Does no work: it is heard by the next decode."""
        self._inbox.put(pcm)
        if self._second is not None:
            self._second.accept(pcm)
            self._accepted += len(pcm)

    def partial(self) -> Hypothesis:
        """Hear what was accepted. The text's first ``stable`` words will not change any more."""
        self._hear()
        return self._hypothesis(self._segment.transcript if self._segment else None, ended=False)

    def ended(self) -> Hypothesis:
        """All that was said if the sound ends here, the last word included. More may follow."""
        self._hear()
        return self._hypothesis(self._segment.ended() if self._segment else None, ended=True)

    def refined(self) -> Hypothesis | None:
        """All that was said by the second pass, if there is one. May run beside the other methods.

        None where it has more words than anybody says in such a time: of a word alone offline models make whole
        sentences now and then ("See you next time, see you next time").
        """
        if self._second is None:
            return None
        heard, seconds = self._second.final(), self._accepted / INPUT_RATE
        return None if len(heard.text.split()) > _AT_ONCE + _FASTEST * seconds else heard

    def final(self) -> Hypothesis:
        """All that was said, by the second pass where there is one."""
        return self.refined() or self.ended()

    def _hypothesis(self, transcript: Transcript | None, *, ended: bool) -> Hypothesis:
        words, stable = transcript.words() if transcript else ([], 0)
        every = [*self._closed, *map(self._placed, words)]
        # The decoder gives the silence after it to the last word.
        until = self._spoken_until
        every = [Word(w.text, min(w.start, until), min(w.end, until), w.p) for w in every]
        stable = len(every) if ended else len(self._closed) + stable
        return Hypothesis(" ".join(word.text for word in every), tuple(every), stable, self._language)

    def _hear(self) -> None:
        while self._inbox:
            for window in self._frames.push(self._inbox.take()):
                self._window(window)
            if self._segment is not None:
                self._segment.advance()
                self._spoken(self._segment)

    def _window(self, window: Samples) -> None:
        """Feed a window to the segment while someone speaks and a little after; keep the last ones otherwise."""
        self._edges.push(self._vad.probability(window))
        if self._edges.speaking:
            if self._segment is None:
                self._segment = self._recognizer.segment(self._language or self._recognizer.languages[0])
                self._places = []
                self._gain = _gain([*self._past, window])
            self._quiet = 0
            self._spoken_until = self._edges.position / INPUT_RATE
            self._feed([*self._past, window])
            self._past.clear()
        else:
            self._quiet += 1
            if self._segment is not None and self._paused(self._segment):
                self._close(self._segment)
            if self._segment is not None and self._quiet <= _AFTER:
                self._feed([window], voiced=False)
            else:
                self._past.append(window)

    def _paused(self, segment: Segment) -> bool:
        """Whether the segment ends at this pause: the longer it is, the shorter a pause it takes."""
        return segment.samples > _LONG and self._quiet >= (_PAUSE if segment.samples < _LONGER else _BREATH)

    def _close(self, segment: Segment) -> None:
        segment.advance()
        self._closed += map(self._placed, segment.ended().words()[0])
        self._segment = None

    def _feed(self, windows: list[Samples], *, voiced: bool = True) -> None:
        segment = self._segment
        assert segment is not None
        if segment.full:
            segment = self._roll(segment)
        pcm = np.concatenate(windows) * self._gain
        shift = self._edges.position - len(pcm) - segment.samples
        if not self._places or self._places[-1].shift != shift:
            self._places.append(_Place(segment.samples, shift))
        segment.feed(pcm, voiced=voiced)

    def _roll(self, segment: Segment) -> Segment:
        """No pause came: close the stable words, and hear again what follows them."""
        segment.advance()
        words, stable = segment.transcript.words()
        recent = max(0, segment.samples - INPUT_RATE)
        cut = stable or len(words)
        at = min(recent, int(words[cut - 1].end * INPUT_RATE)) if stable else recent
        at = max(at, segment.samples - _KEEP)
        self._closed += map(self._placed, words[:cut])
        new = segment.restarted(at, segment.transcript.after(cut))
        kept = [_Place(max(0, place.sample - at), place.shift + at) for place in self._places]
        self._places = [p for p, q in zip(kept, [*kept[1:], None], strict=True) if q is None or q.sample > 0]
        self._segment = new
        return new

    def _placed(self, word: Word) -> Word:
        """A word in the stream's time."""
        starts = [place.sample for place in self._places]

        def moved(seconds: float) -> float:
            index = max(0, bisect_right(starts, int(seconds * INPUT_RATE)) - 1)
            return seconds + self._places[index].shift / INPUT_RATE

        start = moved(word.start)
        return Word(word.text, start, max(start, moved(max(word.start, word.end - 0.01)) + 0.01), word.p)

    def _spoken(self, segment: Segment) -> None:
        """The turn's language: fixed, or detected until it is sure, and then held."""
        if self._fixed is not None or segment.frames < 50:
            return
        language, sure = self._recognizer.detect(segment.cross)
        if language != self._language:
            recognizer = self._recognizer
            segment.transcript = Transcript(recognizer.model, recognizer.tokens, language, width=recognizer.beam)
            segment.reread()
            self._language = language
        if sure > 0.8 or segment.frames > 200:
            self._fixed = language


def _gain(windows: Sequence[Samples]) -> np.float32:
    """What brings a voice that is quieter than any of the training's up to their level; by its loudest window."""
    level = max(dbfs(window) for window in windows)
    return np.float32(10 ** ((_RAISED - level) / 20) if level < _QUIETEST else 1.0)


def open_causal(
    folder: Path,
    adapter: Adapter,
    cache: Path,
    languages: Sequence[str],
    *,
    second: _Offline | None = None,
    threads: int = 1,
    quantized: bool = True,
) -> CausalRecognizer:
    """Load it: the stock weights in ``folder`` with an adapter that was trained for them. The graphs are built once,
    into ``cache``. Takes some seconds, the first time some more.
    """
    graphs = cache / f"{adapter.digest()}-{FORMAT}-{'int8' if quantized else 'float'}"

    def write(into: Path) -> None:
        from dragoman.asr.causal import graph  # what builds graphs loads slowly, and is needed once

        graph.write(adapted(load_weights(folder), adapter), into, quantized=quantized)

    built(graphs, "building the causal ear", write)
    model = CausalModel(graphs, threads=threads)
    return CausalRecognizer(model, Tokens(folder, model.dims.vocabulary), languages, second=second)
