"""The duplex model on ONNX Runtime: a step for each frame of each session.

NumPy and ONNX Runtime alone. A session's past has room for ``SINK`` tokens of dialogue, which stay, and ``WINDOW``
frames, of which the oldest are dropped ``ROLL`` at a time; those that stay move up to the positions that the model was
trained with (after StreamingLLM, arXiv 2309.17453). So memory and work are the same for ever.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.agent.duplex.body import Array, Dims
from dragoman.agent.duplex.endpointer import Endpointer, EndpointStream
from dragoman.agent.duplex.past import Past, Reader
from dragoman.agent.duplex.policy import OwnTokens, Policy
from dragoman.agent.duplex.vocabulary import Merges, Vocabulary
from dragoman.agent.duplex.windows import POSITIONS, SINK, WINDOW
from dragoman.models.onnx_session import open_session

FORMAT: Final = 1
"""Raised when what ``graph.write`` writes changes: graphs kept from before are not used then."""

ROLL: Final = 32
"""Frames that are dropped at a time."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a frame is given: the ear's features [8, ear], the voice's prosody [8, PROSODY], whether the agent's voice
    sounds, and the tokens of words that were newly recognized (``Vocabulary.read``).
    """

    features: npt.NDArray[np.floating]
    prosody: npt.NDArray[np.floating]
    sounding: bool = False
    words: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Decided:
    """Of a frame: probabilities [4] of ``FRAME_CONTROLS``, and that the user's turn ends within ``SOON_S``; the
    endpointer's logit that the turn is over, where one listens.
    """

    probabilities: Array
    ends: float
    over: float | None = None


class Stream:
    """One session: its past and its own output. One thread at a time."""

    def __init__(self, past: Past, own: OwnTokens, endpoints: EndpointStream | None = None) -> None:
        self.past = past
        self.sink = past.length
        """Tokens of dialogue at the beginning of the past."""
        self.own = own
        """Tell it what was decided, and what is being said."""
        self.endpoints = endpoints

    @property
    def frames(self) -> int:
        """Frames that are remembered."""
        return self.past.length - self.sink


class DuplexRuntime:
    """The graphs, loaded. Calls release the interpreter lock; several threads may call it for different streams."""

    def __init__(
        self,
        folder: Path,
        *,
        threads: int = 1,
        policy: Policy | None = None,
        endpointer: Endpointer | None = None,
    ) -> None:
        """Load what ``graph.write`` wrote; ``policy``: the thresholds that suit it; ``endpointer``: listens along."""
        self.policy = policy or Policy()
        self.endpointer = endpointer
        with np.load(folder / "tables.npz") as data:
            about = json.loads(data["about"].tobytes())
            self._controls, self._sounding, self._words = (data[name] for name in ("controls", "sounding", "words"))
        self.dims = Dims(**about["dims"])
        self.ear: str = about["ear"]
        self.vocabulary = Vocabulary(Merges.restored(about["merges"]))
        self._tokens: npt.NDArray[np.float16] = np.load(folder / "tokens.npy", mmap_mode="r")
        self._ear, body = (open_session(folder / f"{name}.onnx", threads=threads) for name in ("ear", "body"))
        self._reader = Reader(body, self.dims, POSITIONS, ("decided",))
        half = self.dims.head // 2
        self._frequencies = self.dims.rope_base ** (-np.arange(half) / half)

    # --- the main stream -----------------------------------------------------------------------------------------

    def open(self, dialogue: Sequence[tuple[str, str]] = ()) -> Stream:
        """A session that begins after a dialogue of turns (role, text)."""
        endpoints = None if self.endpointer is None else self.endpointer.open()
        return Stream(self._read_dialogue(dialogue), OwnTokens(self.vocabulary.whole), endpoints)

    def remember(self, stream: Stream, dialogue: Sequence[tuple[str, str]]) -> None:
        """Replace the dialogue that stands before the frames, which stay. Takes as long as some ten frames."""
        past = self._read_dialogue(dialogue)
        stream.past.move(stream.sink, past.length, self._turn(past.length - stream.sink))
        stream.past.keys[:, :, : past.length] = past.keys[:, :, : past.length]
        stream.past.values[:, :, : past.length] = past.values[:, :, : past.length]
        stream.sink = past.length

    def step(self, streams: Sequence[Stream], heard: Sequence[Heard]) -> list[Decided]:
        """A frame of several sessions at once. Tell each ``stream.own`` what was decided before the next."""
        for stream in streams:
            if stream.frames == WINDOW:
                stream.past.move(stream.sink + ROLL, stream.sink, self._turn(-ROLL))
        features = np.stack([h.features for h in heard]).astype(np.float32)
        x = self._ear.run(["speech"], {"features": features})[0]
        for row, stream, h in zip(x, streams, heard, strict=True):
            row += self._embedded(stream.own.previous)
            if h.sounding:
                row += self._sounding
            if len(h.words):
                row += self._tokens[np.asarray(h.words, np.int64)].astype(np.float32).mean(0) * self._words
        _, decided = self._reader.read([stream.past for stream in streams], x[:, None])
        return [
            _decided(logits, None if own is None else own.push(h.features, h.prosody, h.sounding))
            for logits, own, h in zip(decided[:, 0], (stream.endpoints for stream in streams), heard, strict=True)
        ]

    # --- pieces --------------------------------------------------------------------------------------------------

    def _read_dialogue(self, dialogue: Sequence[tuple[str, str]]) -> Past:
        past = self._reader.past()
        tokens = self.vocabulary.context(dialogue, SINK)
        self._reader.read([past], self._tokens[tokens].astype(np.float32)[None])
        return past

    def _embedded(self, token: int) -> Array:
        text = token < self.vocabulary.whole
        found = self._tokens[token] if text else self._controls[token - self.vocabulary.whole]
        return np.asarray(found, np.float32)

    def _turn(self, positions: int) -> npt.NDArray[np.complex64]:
        return np.asarray(np.exp(1j * positions * self._frequencies), np.complex64)


def _decided(logits: Array, over: float | None) -> Decided:
    controls = np.exp(logits[:-1] - logits[:-1].max())
    return Decided(controls / controls.sum(), float(1 / (1 + np.exp(-logits[-1]))), over)
