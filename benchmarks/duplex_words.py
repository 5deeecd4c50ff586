"""What a session knows of an open turn by its words: in each pause the ear's, read by the drafter."""

from __future__ import annotations

import math
import time
from typing import Final

from dragoman.agent.drafter.endings import Endings
from dragoman.agent.drafter.runtime import DrafterRuntime, Reading
from dragoman.agent.duplex.frames import first_decided
from dragoman.agent.duplex.history import dialogue_before
from dragoman.agent.ports import Recognizer, RecognizerStream
from dragoman.asr.vad import WINDOW, Started
from dragoman.audio.types import INPUT_RATE
from dragoman.benchmarks.world import World

_BEFORE: Final = round(0.3 * INPUT_RATE)
_PARTIAL: Final = round(0.32 * INPUT_RATE)


class TurnWords:
    """Listens in a world as a session's ear does, behind what the voice detector said. Its own processor time
    counts: nothing is known before it was computed.
    """

    def __init__(
        self,
        world: World,
        recognizer: Recognizer,
        drafter: DrafterRuntime,
        endings: Endings,
    ) -> None:
        self._world, self._activity = world, world.activity
        self._recognizer, self._drafter, self._endings = recognizer, drafter, endings
        self._stream: RecognizerStream | None = None
        self._reading: Reading | None = None
        self._window = self._fed = 0
        self._since_s = 0.0
        self._whole: float | None = None
        self._news: tuple[float, float, float] | None = None
        """The same with the moments from which it was known and from which a voice is known to go on, until it was
        asked for in between."""

    def whole(self, now: float) -> float | None:
        """Logit that the turn is whole, as it is known at a moment; None while a voice speaks or nothing is known."""
        for window in self._activity.since(self._window, int(now * INPUT_RATE)):
            self._hear(window)
            self._window = window + 1
        return self._whole if now >= self._since_s else None

    def read(self, now: float, earliest: float) -> tuple[float, float] | None:
        """Logit that the turn is whole and the first moment from ``earliest`` on at which it was known, once; None: it
        is still to come, or a voice had gone on by then.
        """
        self.whole(now)
        if self._news is None:
            return None
        whole, since, until = self._news
        at = max(since, earliest)
        if at > now and until > now:
            return None
        self._news = None
        return (whole, at) if at < until else None

    def begun(self) -> None:
        """A reply is begun: the turn is over, and what the user says then is another."""
        self._stream = self._whole = self._news = None

    def _hear(self, window: int) -> None:
        until = (window + 1) * WINDOW
        edge = self._activity.edges.get(window)
        if isinstance(edge, Started):
            self._whole = None
            if self._news is not None:
                self._news = (*self._news[:2], min(self._news[2], until / INPUT_RATE))
            if self._stream is None:
                self._stream, self._fed = self._recognizer.open("en"), max(0, edge.at - _BEFORE)
                frame = first_decided(edge.at / INPUT_RATE)
                self._reading = self._drafter.open(dialogue_before(self._world.conversation, frame))
        if self._stream is None or self._reading is None:
            return
        if edge is not None and not isinstance(edge, Started):
            # A session's ear writes down all words at the first silent window, and the second one makes sure.
            began = time.process_time()
            self._feed(until - WINDOW)
            text = self._stream.ended().text.strip()
            heard_s = time.process_time()
            if text:
                self._drafter.read(self._reading, text)
                word = self._drafter.last_word(self._reading)
                self._whole = None if word is None else self._endings.whole(word)
                foreseen_s = (until - WINDOW) / INPUT_RATE + heard_s - began
                self._since_s = max(until / INPUT_RATE, foreseen_s) + time.process_time() - heard_s
                self._news = None if self._whole is None else (self._whole, self._since_s, math.inf)
        elif until - self._fed >= _PARTIAL:
            self._feed(until)
            if text := self._stream.partial().text.strip():
                self._drafter.read(self._reading, text)

    def _feed(self, until: int) -> None:
        assert self._stream is not None
        self._stream.accept(self._world.microphone.pcm[self._fed : until])
        self._fed = until
