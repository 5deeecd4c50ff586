"""The duplex model on ONNX Runtime: a step for each frame of each session, and drafts on the side.

NumPy and ONNX Runtime alone. A session's past has room for ``SINK`` tokens of dialogue, which stay, and ``WINDOW``
frames, of which the oldest are dropped ``ROLL`` at a time; those that stay move up to the positions that the model was
trained with (after StreamingLLM, arXiv 2309.17453). So memory and work are the same for ever.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from dragoman.agent.duplex.body import Dims
from dragoman.agent.duplex.drafts import Array, Draft
from dragoman.agent.duplex.frames import Control
from dragoman.agent.duplex.graph import GRAPHS, POSITIONS
from dragoman.agent.duplex.policy import OwnTokens, Policy
from dragoman.agent.duplex.vocabulary import Merges, Vocabulary
from dragoman.agent.duplex.windows import DRAFT, SINK, WINDOW

ROLL: Final = 32
"""Frames that are dropped at a time."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a frame is given: the ear's features [8, ear], whether the agent's voice sounds, and the tokens of words
    that were newly recognized (``Vocabulary.read``).
    """

    features: npt.NDArray[np.floating]
    sounding: bool = False
    words: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Decided:
    """Of a frame: probabilities [4] of ``FRAME_CONTROLS``, and that the user's turn ends within ``SOON_S``."""

    probabilities: Array
    ends: float


class _Bound:
    """The body's inputs and outputs in memory that stays where it is: what is new is written into the past itself.

    ``keys`` and ``values`` [layers, B, kv_heads, POSITIONS, head], ``shape`` of the inputs [B, n, d].
    """

    def __init__(self, body: ort.InferenceSession, shape: tuple[int, ...], keys: Array, values: Array) -> None:
        self.x = np.zeros(shape, np.float32)
        self._last, self._longest = np.zeros(shape[0], np.int32), np.zeros((), np.int32)
        self._body, self._kept = body, (keys, values)  # the binding knows addresses alone
        self._binding = body.io_binding()
        for name, array in (("x", self.x), ("last", self._last), ("longest", self._longest)):
            self._binding.bind_cpu_input(name, array)
        for i, pair in enumerate(zip(keys, values, strict=True)):
            for kind, array in zip(("keys", "values"), pair, strict=True):
                place = "cpu", 0, np.float32, array.shape, array.ctypes.data
                self._binding.bind_input(f"past_{kind}_{i}", *place)
                self._binding.bind_output(f"{kind}_{i}", *place)
        self._binding.bind_output("hidden")
        self._binding.bind_output("decided")

    def run(self, lengths: Sequence[int], x: Array) -> tuple[Array, Array]:
        """Read ``x`` behind pasts of these lengths: hidden states and what is decided."""
        self.x[...] = x
        self._last[...] = np.asarray(lengths) + x.shape[1] - 1
        self._longest[...] = self._last.max() + 1
        self._body.run_with_iobinding(self._binding)
        # The next run writes into the same memory.
        hidden, decided = (np.array(value.numpy()) for value in self._binding.get_outputs()[-2:])
        return hidden, decided


class Past:
    """Keys, rotated, and values of ``length`` inputs, in room for more: each [layers, kv_heads, POSITIONS, head]."""

    def __init__(self, dims: Dims) -> None:
        self.keys = np.zeros((dims.layers, dims.kv_heads, POSITIONS, dims.head), np.float32)
        self.values = np.zeros_like(self.keys)
        self.length = 0
        self.bound: _Bound | None = None

    def copy(self) -> Past:
        """A past of its own."""
        out = object.__new__(Past)
        out.keys, out.values, out.length, out.bound = self.keys.copy(), self.values.copy(), self.length, None
        return out

    def move(self, first: int, to: int, turn: npt.NDArray[np.complex64]) -> None:
        """Move all from ``first`` on to ``to``; ``turn`` [head / 2] is the rotation of so many positions."""
        keys, values = self.keys[:, :, first : self.length], self.values[:, :, first : self.length].copy()
        half = keys.shape[-1] // 2
        turned = (keys[..., :half] + 1j * keys[..., half:]) * turn
        self.length += to - first
        span = np.s_[:, :, to : self.length]
        self.keys[span][..., :half], self.keys[span][..., half:] = turned.real, turned.imag
        self.values[span] = values


class Stream:
    """One session: its past and its own output. One thread at a time."""

    def __init__(self, past: Past, own: OwnTokens) -> None:
        self.past = past
        self.sink = past.length
        """Tokens of dialogue at the beginning of the past."""
        self.own = own
        """Tell it what was decided, and what is being said."""

    @property
    def frames(self) -> int:
        """Frames that are remembered."""
        return self.past.length - self.sink


@dataclass(slots=True)
class Fork:
    """A draft under way, on a past of its own."""

    past: Past
    last: int
    """The token that is read next."""
    tokens: list[int] = field(default_factory=list)
    rows: list[tuple[Array, float, float, float]] = field(default_factory=list)
    ended: bool = False

    @property
    def open(self) -> bool:
        """Whether more words may come."""
        return not self.ended and self.past.length < POSITIONS and len(self.tokens) < DRAFT - 1


class DuplexRuntime:
    """The graphs, loaded. Calls release the interpreter lock; several threads may call it for different streams."""

    def __init__(self, folder: Path, *, threads: int = 1, policy: Policy | None = None) -> None:
        """Load what ``graph.write`` wrote; ``policy``: the thresholds that suit it."""
        self.policy = policy or Policy()
        with np.load(folder / "tables.npz") as data:
            about = json.loads(data["about"].tobytes())
            self._controls, self._sounding, self._words = (data[name] for name in ("controls", "sounding", "words"))
            kept = tuple(map(int, data["kept"]))
        self.dims = Dims(**about["dims"])
        self.ear: str = about["ear"]
        self.vocabulary = Vocabulary(_merges(about["merges"]), kept)
        self._tokens: npt.NDArray[np.float16] = np.load(folder / "tokens.npy", mmap_mode="r")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._ear, self._body, self._drafts = (
            ort.InferenceSession(str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"])
            for name in GRAPHS
        )
        half = self.dims.head // 2
        self._frequencies = self.dims.rope_base ** (-np.arange(half) / half)

    # --- the main stream -----------------------------------------------------------------------------------------

    def open(self, dialogue: Sequence[tuple[str, str]] = ()) -> Stream:
        """A session that begins after a dialogue of turns (role, text)."""
        return Stream(self._read_dialogue(dialogue), OwnTokens(self.vocabulary.whole))

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
        _, decided = self._read([stream.past for stream in streams], x[:, None])
        return [_decided(logits) for logits in decided[:, 0]]

    # --- drafts --------------------------------------------------------------------------------------------------

    def fork(self, stream: Stream, control: Control = Control.BOS) -> Fork:
        """Begin a draft at this moment, decided or only foreseen. The stream goes on as if there were none."""
        return Fork(stream.past.copy(), self.vocabulary.control(control))

    def extend(self, forks: Sequence[Fork]) -> None:
        """One more token for each fork that is open."""
        forks = [fork for fork in forks if fork.open]
        if not forks:
            return
        x = np.stack([self._embedded(fork.last) for fork in forks])
        hidden, _ = self._read([fork.past for fork in forks], x[:, None])
        logits = self._drafts.run(["logits"], {"hidden": hidden[:, 0]})[0]
        logp = logits - logits.max(-1, keepdims=True)
        logp -= np.log(np.exp(logp).sum(-1, keepdims=True))
        entropy = -(np.exp(logp) * logp).sum(-1)
        for fork, state, row, spread in zip(forks, hidden[:, 0], logp, entropy, strict=True):
            second, best = np.argpartition(row, -2)[-2:]
            token = self.vocabulary.token(int(best))
            fork.last, fork.ended = token, token == self.vocabulary.control(Control.EOS)
            if not fork.ended:
                fork.tokens.append(token)
                fork.rows.append((state, float(spread), float(row[best]), float(row[best] - row[second])))

    def draft(self, forks: Sequence[Fork], words: int = 5) -> list[Draft]:
        """The first words of each fork, decoded together, or all that there are."""
        while waiting := [fork for fork in forks if fork.open and self._begun(fork) <= words]:
            self.extend(waiting)
        return [self.drafted(fork, words) for fork in forks]

    def drafted(self, fork: Fork, words: int = 5) -> Draft:
        """What a fork has so far: whole words, so many at most."""
        starts = [i for i, token in enumerate(fork.tokens) if i == 0 or self.vocabulary.begins_word(token)]
        known = len(fork.tokens) if fork.ended or not starts else starts[-1]
        count = min(starts[words], known) if len(starts) > words else known
        hidden, *scalars = zip(*fork.rows[:count], strict=True) if count else ((), (), (), ())
        return Draft(
            self.vocabulary.text(fork.tokens[:count]),
            tuple(fork.tokens[:count]),
            fork.ended and count == len(fork.tokens),
            np.asarray(hidden, np.float32).reshape(count, self.dims.width),
            *(np.asarray(values, np.float32) for values in scalars),
        )

    def _begun(self, fork: Fork) -> int:
        return sum(i == 0 or self.vocabulary.begins_word(token) for i, token in enumerate(fork.tokens))

    # --- pieces --------------------------------------------------------------------------------------------------

    def _read_dialogue(self, dialogue: Sequence[tuple[str, str]]) -> Past:
        past = Past(self.dims)
        tokens = self.vocabulary.context(dialogue, SINK)
        self._read([past], self._tokens[tokens].astype(np.float32)[None])
        return past

    def _embedded(self, token: int) -> Array:
        text = token < self.vocabulary.whole
        found = self._tokens[token] if text else self._controls[token - self.vocabulary.whole]
        return np.asarray(found, np.float32)

    def _read(self, pasts: Sequence[Past], x: Array) -> tuple[Array, Array]:
        """Read inputs [B, n, d], each behind its past, which keeps them: hidden states and what is decided."""
        n = x.shape[1]
        if len(pasts) == 1:
            [past] = pasts
            if past.bound is None or past.bound.x.shape != x.shape:
                past.bound = _Bound(self._body, x.shape, past.keys[:, None], past.values[:, None])
            found = past.bound.run([past.length], x)
            past.length += n
            return found
        # One layer of all pasts must lie together.
        keys, values = (np.stack([getattr(past, kind) for past in pasts], 1) for kind in ("keys", "values"))
        found = _Bound(self._body, x.shape, keys, values).run([past.length for past in pasts], x)
        for b, past in enumerate(pasts):
            new = np.s_[:, :, past.length : past.length + n]
            past.keys[new], past.values[new] = keys[:, b][new], values[:, b][new]
            past.length += n
        return found

    def _turn(self, positions: int) -> npt.NDArray[np.complex64]:
        return np.asarray(np.exp(1j * positions * self._frequencies), np.complex64)


class RuntimeStreams:
    """Streams that step together, as a rehearsal wants them."""

    def __init__(self, runtime: DuplexRuntime, dialogues: Sequence[Sequence[tuple[str, str]]]) -> None:
        self.runtime = runtime
        self.streams = [runtime.open(dialogue) for dialogue in dialogues]

    def step(
        self,
        features: npt.NDArray[np.floating],
        previous: npt.NDArray[np.int64],
        sounding: npt.NDArray[np.bool_],
        words: npt.NDArray[np.int64],
    ) -> tuple[Array, Array]:
        """As ``rehearsal.Model`` has it."""
        for stream, token in zip(self.streams, previous, strict=True):
            stream.own.previous = int(token)
        heard = [
            Heard(f, bool(s), [int(token) for token in w if token >= 0])
            for f, s, w in zip(features, sounding, words, strict=True)
        ]
        decided = self.runtime.step(self.streams, heard)
        return np.stack([d.probabilities for d in decided]), np.array([d.ends for d in decided], np.float32)


def _merges(about: dict[str, Any]) -> Merges:
    pairs = tuple((left, right) for left, right in about["pairs"])
    return Merges(tuple(about["tokens"]), pairs, about["split"], about["begin"])


def _decided(logits: Array) -> Decided:
    controls = np.exp(logits[:-1] - logits[:-1].max())
    return Decided(controls / controls.sum(), float(1 / (1 + np.exp(-logits[-1]))))
