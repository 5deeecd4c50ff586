"""The duplex model as sessions use it: one for all, a stream for each; frames that wait are computed together."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from dragoman.agent.duplex.features import Ear, EarStream
from dragoman.agent.duplex.frames import Control
from dragoman.agent.duplex.history import WORDS
from dragoman.agent.duplex.runtime import Decided, DuplexRuntime, Heard, Stream
from dragoman.agent.workers import Worker
from dragoman.asr.causal.mel import AHEAD
from dragoman.audio.types import Samples


@dataclass(slots=True)
class _Frame:
    """A frame that waits, and then what came of it."""

    stream: FrameStream
    pcm: Samples
    sounding: bool
    words: Sequence[int]
    decided: Decided | None = None
    error: Exception | None = None

    def heard(self) -> Heard | None:
        """See ``FrameStream.hear``; what goes wrong with this frame is no other's."""
        try:
            return self.stream.hear(self.pcm, self.sounding, self.words)
        except Exception as error:
            self.error = error
            return None


class LiveDuplex:
    """The duplex model and its ear on a thread of their own, shared by all sessions."""

    language = "en"
    """What the ear understands."""

    def __init__(self, runtime: DuplexRuntime, ear: Ear, worker: Worker | None = None) -> None:
        self.runtime = runtime
        self.ear = ear
        self.policy = runtime.policy
        self._worker = worker or Worker("turns")
        self._waiting: deque[_Frame] = deque()

    async def open(self, dialogue: Sequence[tuple[str, str]] = ()) -> FrameStream:
        """A stream for a session that begins after a dialogue of turns (role, text)."""
        return FrameStream(self, await self._worker.run(self.runtime.open, dialogue))

    def close(self) -> None:
        """Free the thread."""
        self._worker.close()

    async def decide(self, frame: _Frame) -> Decided | None:
        """What is decided at a frame; None while the ear has not heard enough. What waits is computed together."""
        self._waiting.append(frame)
        await self._worker.run(self._serve)
        if frame.error is not None:
            raise frame.error
        return frame.decided

    async def remember(self, stream: Stream, dialogue: Sequence[tuple[str, str]]) -> None:
        """Replace the dialogue that stands before a stream's frames."""
        await self._worker.run(self.runtime.remember, stream, dialogue)

    def _serve(self) -> None:
        """On the thread. A call finds what came before it, so none is left: others may have served it already."""
        frames = [self._waiting.popleft() for _ in range(len(self._waiting))]
        heard = [(frame, one) for frame in frames if (one := frame.heard()) is not None]
        if not heard:
            return
        try:
            every = self.runtime.step([frame.stream.state for frame, _ in heard], [one for _, one in heard])
        except Exception as error:
            for frame, _ in heard:
                frame.error = error
            return
        for (frame, _), decided in zip(heard, every, strict=True):
            frame.decided = decided


class FrameStream:
    """One session's frames. They are given in order, each when the one before it has been decided and told."""

    ahead = AHEAD
    """Samples that the ear hears after a frame before it is done with it."""

    def __init__(self, path: LiveDuplex, state: Stream) -> None:
        self.state = state
        self.policy = path.policy
        self._path = path
        self._ear = EarStream(path.ear)
        self._words: deque[int] = deque()

    @property
    def frames(self) -> int:
        """Frames that are remembered."""
        return self.state.frames

    def hear(self, pcm: Samples, sounding: bool, words: Sequence[int]) -> Heard | None:
        """What some sound completes; None: no frame."""
        features, prosody = self._ear.push(pcm)
        return Heard(features[-1], prosody[-1], sounding, words) if len(features) else None

    async def frame(self, pcm: Samples, *, sounding: bool) -> Decided | None:
        """Hear what completes the next frame, 160 ms, and ``ahead`` samples more at the very first; ``sounding``: the
        agent's voice is audible. None when it completes none.
        """
        words = [self._words.popleft() for _ in range(min(len(self._words), WORDS))]
        return await self._path.decide(_Frame(self, pcm, sounding, words))

    def read(self, words: Sequence[str]) -> None:
        """Words that were recognized since the last frame."""
        for word in words:
            self._words += self._path.runtime.vocabulary.heard(word)

    def tell(self, control: Control) -> None:
        """What is done at the frame that was heard last."""
        self.state.own.decided(control)

    def say(self, text: str, *, complete: bool) -> None:
        """The first words of the reply that is begun."""
        vocabulary = self._path.runtime.vocabulary
        end = [vocabulary.control(Control.EOS)] if complete else []
        self.state.own.say([*vocabulary.write(text), *end])

    async def remember(self, dialogue: Sequence[tuple[str, str]]) -> None:
        """The dialogue before the frames that are remembered."""
        await self._path.remember(self.state, dialogue)
