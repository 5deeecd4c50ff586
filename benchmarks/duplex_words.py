"""What a session knows of an open turn by its words: in each pause the ear's, read by the drafter."""

from __future__ import annotations

import time
from typing import Final

from dragoman.agent.drafter.endings import Endings
from dragoman.agent.drafter.runtime import DrafterRuntime, Reading
from dragoman.agent.duplex.ends import Ends, few
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
        ends: Ends,
    ) -> None:
        self._world, self._activity, self._ends = world, world.activity, ends
        self._recognizer, self._drafter, self._endings = recognizer, drafter, endings
        self._stream: RecognizerStream | None = None
        self._reading: Reading | None = None
        self._window = self._fed = 0
        self._opinions: list[tuple[float, float]] = []
        """Of the words of this silence: logit that the turn is whole, and the moment at which it is known."""
        self._told = 0
        """How many of them ``read`` has given."""
        self.few = False
        """Whether the words that were read last are few."""

    def whole(self, now: float) -> float | None:
        """Logit that the turn is whole, as it is known at a moment; None while a voice speaks or nothing is known."""
        for window in self._activity.since(self._window, int(now * INPUT_RATE)):
            self._hear(window)
            self._window = window + 1
        return next((whole for whole, known in reversed(self._opinions) if now >= known), None)

    def read(self, now: float) -> tuple[float, float] | None:
        """What is newly known, and the moment at which it was: logit that the turn is whole."""
        self.whole(now)
        if self._told == len(self._opinions) or self._opinions[self._told][1] > now:
            return None
        self._told += 1
        return self._opinions[self._told - 1]

    def begun(self) -> None:
        """A reply is begun: the turn is over, and what the user says then is another."""
        self._stream = None
        self._forget()

    def _hear(self, window: int) -> None:
        until = (window + 1) * WINDOW
        edge = self._activity.edges.get(window)
        if isinstance(edge, Started):
            self._forget()
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
            heard_s = (until - WINDOW) / INPUT_RATE + time.process_time() - began
            self._read(text, max(until / INPUT_RATE, heard_s))
            # The second pass has a worker of its own.
            began = time.process_time()
            again = self._stream.refined()
            if self._opinions and again is not None:
                self._read(again.text.strip(), max(self._opinions[0][1], heard_s + time.process_time() - began))
        elif until - self._fed >= _PARTIAL:
            self._feed(until)
            if text := self._stream.partial().text.strip():
                self._drafter.read(self._reading, text)

    def _read(self, text: str, heard_s: float) -> None:
        """What the words tell that are known since a moment, with what others told before."""
        assert self._reading is not None
        began = time.process_time()
        if not text:
            return
        self._drafter.read(self._reading, text)
        if (word := self._drafter.last_word(self._reading)) is None:
            return
        whole = self._endings.whole(word)
        if self._opinions:
            whole = self._ends.together(self._opinions[0][0], whole)
        self.few = few(text)
        self._opinions.append((whole, heard_s + time.process_time() - began))

    def _forget(self) -> None:
        self._opinions, self._told = [], 0

    def _feed(self, until: int) -> None:
        assert self._stream is not None
        self._stream.accept(self._world.microphone.pcm[self._fed : until])
        self._fed = until
