"""The session's ear: sound in, edges of speech and words out.

Voice activity runs on the event loop (0.1 ms per 32 ms); recognition runs on its worker. Sound is kept just as long
as it may be needed: a short memory before a turn begins, and the open turn's own, which the recognizer bounds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np

from dragoman.agent.engine import inputs as on
from dragoman.agent.ports import (
    HypothesisLike,
    Recognizer,
    RecognizerStream,
    SoundTurnDetector,
    TurnDetector,
    VoiceActivity,
)
from dragoman.agent.workers import Worker
from dragoman.asr.vad import Ended, SpeechEdges, Started
from dragoman.audio.frames import Frames
from dragoman.audio.types import INPUT_RATE, Samples

T = TypeVar("T")

PARTIAL_EVERY = round(0.32 * INPUT_RATE)
"""Samples of new sound after which the open turn's words are shown again."""
_MEMORY = 2 * INPUT_RATE
_LONGEST = 30 * INPUT_RATE
"""Samples that are kept for the next turn while one that was ended by hand waits for its words, and for the second pass
of one that goes on."""
_JUDGED = 8 * INPUT_RATE
"""Samples that a pause is judged by, where that is done by ear."""
_BITE = 2 * INPUT_RATE
"""Samples that are recognized in one go at most."""
_LEAST = round(0.4 * INPUT_RATE)
"""No partial before so much sound: a recognizer invents words in less."""


@dataclass(slots=True)
class _OpenTurn:
    number: int
    stream: RecognizerStream
    pending: list[Samples] = field(default_factory=list)
    fresh: int = 0
    total: int = 0
    unrefined: int = 0
    """Samples since the second pass was begun last."""
    complete: float | None = None
    """How much the end that was heard last sounded like one, where that is judged by ear."""
    wanted: int = 0
    """Revision of the transcript that was asked for; 0 for none."""
    newest: int = 0
    """That of the transcript that was begun last."""
    quick: bool = False
    speaking: bool = True
    stopped: int = 0
    """Where the voice fell silent."""
    fading: bool = False
    """It may just have done so."""
    early: tuple[HypothesisLike, int] | None = None
    """All words if nothing more was said after a moment."""
    whole: bool = False
    """It was ended by hand, and gets no more sound."""


class Ear:
    """Hears one person. ``told`` is called on the event loop with each input for the engine.

    Words are recognized on ``worker``; where the recognizer has a second pass, that runs on the worker ``second``
    beside it. ``asked`` gives what the agent said last.
    ``by_ear`` judges ends of turns in place of ``detector``; ``late`` takes what the second pass understood of a turn
    that was closed meanwhile.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        vad: VoiceActivity,
        detector: TurnDetector,
        worker: Worker,
        second: Worker,
        told: Callable[[on.Input], None],
        failed: Callable[[Exception], None],
        asked: Callable[[], str] = str,
        by_ear: SoundTurnDetector | None = None,
        late: Callable[[int, str], None] = lambda turn, text: None,
    ) -> None:
        self._recognizer = recognizer
        self._vad = vad
        self._detector = detector
        self._worker = worker
        self._told = told
        self._failed = failed
        self._asked = asked
        self._by_ear = by_ear
        self._late = late
        self._kept = _JUDGED if by_ear else _MEMORY
        self._edges = SpeechEdges()
        self._frames = Frames(vad.hop)
        self._past: deque[Samples] = deque()
        self._past_length = 0
        self._turn: _OpenTurn | None = None
        self._wake = asyncio.Event()
        self._second = second
        self._unrefined: tuple[_OpenTurn, int] | None = None
        self._refine = asyncio.Event()
        self._cut = 0
        """Where a turn ended: what was said before belongs to it."""
        self.free = asyncio.Event()
        """Unset while a turn that was ended by hand waits for its words."""
        self.free.set()
        self.heard = 0
        """Samples heard so far: the conversation's clock."""
        self.language: str | None = None
        """What to recognize; None detects it for each turn."""
        self.spoken: list[str] = []
        """Languages of the turns, as recognized, that of the last one first."""
        self.prefix = round(0.3 * INPUT_RATE)
        """Samples before the detected start that belong to a turn."""

    @property
    def received(self) -> int:
        """Samples received so far, those of the detector's next window included."""
        return self.heard + self._frames.waiting

    @property
    def full(self) -> bool:
        """Whether no more can be kept for the next turn before the one that was ended by hand has its words."""
        return not self.free.is_set() and self.heard - self._cut >= _LONGEST - INPUT_RATE

    def tune(self, threshold: float) -> None:
        """Set how sure the detector must be of a voice, of one that is heard now too."""
        self._edges.tune(threshold, max(0.05, threshold - 0.15))

    def hear(self, pcm: Samples, *, detect: bool) -> None:
        """Take sound at 16 kHz, any length; with ``detect``, tell the engine where speech begins and ends.

        The clock moves in windows of the detector, so any chunking gives the same edges at the same times.
        """
        for window in self._frames.push(pcm):
            self._window(window, detect)

    def _window(self, window: Samples, detect: bool) -> None:
        self.heard += len(window)
        self._past.append(window)
        self._past_length += len(window)
        turn = self._turn
        kept = max(self._kept, self.prefix + INPUT_RATE) if turn is None or not turn.whole else _LONGEST
        while self._past_length - len(self._past[0]) >= kept:
            self._past_length -= len(self._past.popleft())
        if turn is not None and not turn.whole:
            turn.pending.append(window)
            turn.fresh += len(window)
            turn.total += len(window)
            turn.unrefined += len(window)
            if turn.unrefined >= _LONGEST and self._unrefined is None:
                self._redo(turn, 0)  # it may go on for hours: what the second pass has heard, it need not keep
            if turn.speaking and turn.fresh >= PARTIAL_EVERY and turn.total >= _LEAST:
                self._wake.set()
        edge = self._edges.push(self._vad.probability(window))
        if detect and turn is not None and self._edges.fading and turn.total >= _LEAST and not turn.whole:
            turn.fading = True
            self._wake.set()
        if edge is None and turn is not None and turn.speaking and not self._edges.speaking:
            edge = Ended(self.heard)  # it was begun by hand, where nobody spoke
        if not detect or edge is None:
            self._told(on.Tick())
        else:
            speaking = isinstance(edge, Started)
            if turn is not None:
                turn.speaking = speaking
                turn.stopped = edge.at
            self._told(on.SpeechStarted(edge.at) if speaking else on.SpeechStopped(edge.at))

    def open(self, turn: int, at: int) -> None:
        """Begin to recognize ``turn``, with the sound from a little before ``at`` on."""
        self._turn = opened = _OpenTurn(turn, self._recognizer.open(self.language))
        wanted = min(self._past_length, self.heard - self._cut, max(0, self.heard - at + self.prefix))
        if wanted:
            recent = np.concatenate(self._past)[-wanted:]
            opened.pending.append(recent)
            opened.fresh = opened.total = len(recent)

    def cut(self) -> None:
        """The open turn is ended or dropped by hand: what comes from now on is another's."""
        if self._turn is not None and not self._turn.whole:
            self._turn.whole, self._cut = True, self.heard
            self.free.clear()

    def close(self, turn: int) -> None:
        """``turn`` needs no more recognition."""
        if self._turn is not None and self._turn.number == turn:
            self._cut = max(self._cut, self._turn.stopped)
            self._turn = None
            self.free.set()

    def transcribe(self, turn: int, revision: int, quick: bool) -> None:
        """Ask for ``Transcript(turn, revision)`` of all that was heard of the turn; ``quick``: its words alone, neither
        judged by ear nor heard by a second pass.
        """
        if self._turn is not None and self._turn.number == turn:
            self._turn.wanted, self._turn.quick = revision, quick
            self._wake.set()

    async def run(self) -> None:
        """Recognize until cancelled: transcripts that were asked for first, then partials."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            turn = self._turn
            if turn is None:
                continue
            if turn.wanted:
                await self._final(turn)
            elif turn.fading:
                await self._foresee(turn)
            elif turn.speaking and turn.fresh >= PARTIAL_EVERY:
                await self._partial(turn)
            due = turn.wanted or turn.fading or (turn.speaking and turn.fresh >= PARTIAL_EVERY)
            if turn is self._turn and due:
                self._wake.set()

    async def _partial(self, turn: _OpenTurn) -> None:
        heard = await self._decode(turn, turn.stream.partial)
        if heard is not None and turn is self._turn and heard.text:
            self._told(on.Partial(turn.number, heard.text, heard.stable))

    async def _foresee(self, turn: _OpenTurn) -> None:
        """The voice may have fallen silent, which is not sure before the next window: by then its words are known."""
        turn.fading, until = False, self.heard
        heard = await self._decode(turn, turn.stream.ended)
        turn.early = None if heard is None else (heard, until)

    async def _final(self, turn: _OpenTurn) -> None:
        revision = turn.newest = turn.wanted
        turn.wanted = 0
        quick, early, turn.early = turn.quick, turn.early, None
        if early is not None and not turn.speaking and early[1] >= turn.stopped:
            heard: HypothesisLike | None = early[0]
        else:
            heard = await self._decode(turn, turn.stream.ended)  # in a partial a short word ("Stop.") is not there yet
        turn.complete = None
        if self._by_ear is not None and not quick and heard is not None and heard.text:
            recent = np.concatenate(self._past)[-min(turn.total, _JUDGED) :]
            turn.complete = await self._computed(self._worker, partial(self._by_ear.complete, recent))
        if turn is self._turn:
            self._transcribed(turn, revision, heard)
            if not quick and heard is not None and heard.text:
                self._redo(turn, revision)

    def _redo(self, turn: _OpenTurn, revision: int) -> None:
        turn.unrefined = 0
        self._unrefined = turn, revision
        self._refine.set()

    async def refine(self) -> None:
        """Redo finished stretches by the second pass until cancelled."""
        while True:
            await self._refine.wait()
            self._refine.clear()
            if self._unrefined is None:
                continue
            (turn, revision), self._unrefined = self._unrefined, None
            heard = await self._computed(self._second, turn.stream.refined)
            if not revision:
                continue  # nobody asked for its words yet
            if heard is not None and turn is self._turn:
                self._transcribed(turn, revision, heard)
            elif revision == turn.newest and (text := _words(heard)):  # else it is of a part of the turn
                self._late(turn.number, text)

    def _transcribed(self, turn: _OpenTurn, revision: int, heard: HypothesisLike | None) -> None:
        text = _words(heard)
        if heard is not None and text:
            self.spoken = [heard.language, *(each for each in self.spoken if each != heard.language)]
        complete = turn.complete
        if complete is None:
            complete = self._detector.complete(text, self._asked())
        self._told(on.Transcript(turn.number, revision, text, complete))

    async def _decode(self, turn: _OpenTurn, decode: Callable[[], HypothesisLike]) -> HypothesisLike | None:
        sound = np.concatenate(turn.pending) if turn.pending else np.zeros(0, np.float32)
        turn.pending, turn.fresh = [], 0

        def work(pcm: Samples, decode: Callable[[], HypothesisLike]) -> HypothesisLike:
            turn.stream.accept(pcm)
            return decode()

        while len(sound) > _BITE:  # a client may send minutes at once; others are heard in between
            bite, sound = sound[:_BITE], sound[_BITE:]
            heard = await self._computed(self._worker, partial(work, bite, turn.stream.partial))
            if heard is None or turn is not self._turn:
                return None
        return await self._computed(self._worker, partial(work, sound, decode))

    async def _computed(self, worker: Worker, work: Callable[[], T | None]) -> T | None:
        try:
            return await worker.run(work)
        except Exception as error:  # a failed recognition must not end the conversation
            self._failed(error)
            return None


def _words(heard: HypothesisLike | None) -> str:
    """Its text; marks alone are what a recognizer makes of a noise or of music."""
    text = heard.text.strip() if heard is not None else ""
    return text if any(c.isalnum() for c in text) else ""
