"""The causal recognizer on ONNX Runtime: encoder steps with kept state, batched over streams, and decoder steps.

NumPy and ONNX Runtime alone. What a stream keeps (``EncoderState``) is bounded by Whisper's 30 s of positions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.asr.causal.mel import Mel
from dragoman.asr.causal.weights import Array, Dims
from dragoman.models.onnx_session import open_session

FORMAT: Final = 5
"""Raised when what ``graph.write`` writes changes: graphs kept from before are not used then."""

_HIDDEN: Final = np.float32(-1e9)
_ROOM: Final = 256  # frames by which buffers grow
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class EncoderState:
    """One stream's past. Steps give a new one; the old stays valid until the new one has made a step itself.

    ``kv[i]`` is a buffer [room, 2d] whose first ``settled[i]`` rows count; ``tails[i]`` [t, d] are settled inputs of
    layer i whose outputs are not.
    """

    arrived: int
    mel: Mel
    conv: Array
    kv: tuple[Array, ...]
    settled: tuple[int, ...]
    tails: tuple[Array, ...]


@dataclass(frozen=True, slots=True)
class Features:
    """Outputs [n, d] of the frames from ``start`` on; the first ``settled`` of them will not change."""

    values: Array
    start: int
    settled: int


@dataclass(frozen=True, slots=True)
class Scored:
    """What the decoder says after each token: logits [n, vocabulary], its keys and values [n, .], attention [n, s]."""

    logits: Array
    new: Array
    attention: Array


class CausalModel:
    """The four graphs, loaded. Calls release the interpreter lock and may come from several threads."""

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        """Load what ``graph.write`` wrote."""
        with np.load(folder / "positions.npz") as data:
            self.dims = Dims(**json.loads(data["dims"].tobytes()))
            self._sound_positions: Array = data["sound"]
            self._text_positions: Array = data["text"]
        self._front, self._encoder, self._cross, self._decoder = (
            open_session(folder / f"{name}.onnx", threads=threads) for name in ("front", "encoder", "cross", "decoder")
        )

    def fresh(self) -> EncoderState:
        """The state before the first sound."""
        d, layers = self.dims.width, self.dims.encoder_layers
        return EncoderState(
            0,
            np.zeros((1, self.dims.mels), np.float32),
            np.zeros((d, 1), np.float32),
            tuple(np.zeros((_ROOM, 2 * d), np.float32) for _ in range(layers)),
            (0,) * layers,
            tuple(np.zeros((0, d), np.float32) for _ in range(layers)),
        )

    def encode(
        self, states: Sequence[EncoderState], mels: Sequence[Mel], *, block: int, ahead: int
    ) -> list[tuple[Features, EncoderState]]:
        """One step of several streams at once: each ``mels[b]`` holds 2n + 1 frames, the last only looked at, the next
        call's first. All streams step by the same n; a step may end inside a block of the mask.
        """
        count = (len(mels[0]) - 1) // 2
        xs, states = self._step_front(states, mels, count)
        known = [np.arange(state.arrived, state.arrived + count) for state in states]
        before = [state.settled for state in states]
        feed: dict[str, Array] = {"x": xs}
        rows = count
        tracks: list[list[Positions]] = []
        for layer in range(self.dims.encoder_layers):
            settled = [state.settled[layer] for state in states]
            longest = max(settled)
            tail = max(len(state.tails[layer]) + len(k) for state, k in zip(states, known, strict=True)) - rows
            keys = [
                np.concatenate([_padded(np.arange(s), longest, left=False), _padded(k, rows)])
                for s, k in zip(settled, known, strict=True)
            ]
            known = [
                np.concatenate([np.arange(k[0] - len(state.tails[layer]), k[0]), k])
                for state, k in zip(states, known, strict=True)
            ]
            rows += tail
            queries = [_spread(state.tails[layer], k, tail, rows) for state, k in zip(states, known, strict=True)]
            feed[f"tail_{layer}"] = np.stack([values for values, _ in queries])
            feed[f"kv_{layer}"] = self._cached(states, layer, longest)
            feed[f"mask_{layer}"] = _mask([q for _, q in queries], keys, block, ahead)
            tracks.append([q for _, q in queries])
        names = [
            "features",
            *(f"{kind}_{i}" for kind in ("new", "queries") for i in range(self.dims.encoder_layers)),
        ]
        out = dict(zip(names, self._encoder.run(names, feed), strict=True))
        return [self._advanced(b, state, before[b], out, tracks, count, block, ahead) for b, state in enumerate(states)]

    def cross(self, features: Array) -> Array:
        """Keys and values of features [n, d] for the decoder: [n, .]."""
        found: Array = self._cross.run(["cross"], {"features": features[None]})[0][0]
        return found

    def decode(self, tokens: Sequence[int], past: Array, cross: Array) -> Scored:
        """Score ``tokens`` that follow ``past`` [p, .], hearing ``cross`` [s, .]."""
        return self.decode_paths([tokens], past[None], cross)[0]

    def decode_paths(self, paths: Sequence[Sequence[int]], past: Array, cross: Array) -> list[Scored]:
        """Score several paths of one length at once, each behind its own ``past[i]`` [p, .], over the same sound."""
        n, p = len(paths[0]), past.shape[1]
        mask = np.triu(np.full((n, p + n), _HIDDEN, np.float32), k=p + 1)
        logits, new, attention = self._decoder.run(
            ["logits", "new", "attention"],
            {
                "tokens": np.asarray(paths, np.int64),
                "positions": self._text_positions[p : p + n],
                "past": past,
                "cross": cross[None],
                "self_mask": mask[None, None],
                "cross_mask": np.zeros((1, 1, 1, len(cross)), np.float32),
            },
        )
        return [Scored(*one) for one in zip(logits, new, attention, strict=True)]

    def _step_front(
        self, states: Sequence[EncoderState], mels: Sequence[Mel], count: int
    ) -> tuple[Array, list[EncoderState]]:
        """The convolutions; streams at different positions are told apart by adding the positions afterwards."""
        x, conv = self._front.run(
            ["x", "conv_out"],
            {
                "mel": np.stack([np.concatenate([s.mel, mel]) for s, mel in zip(states, mels, strict=True)]),
                "conv": np.stack([s.conv for s in states]),
                "positions": np.zeros((count, self.dims.width), np.float32),
            },
        )
        for b, state in enumerate(states):
            x[b] += self._sound_positions[state.arrived : state.arrived + count]
        moved = [
            replace(state, mel=mel[-2:-1], conv=conv[b])
            for b, (state, mel) in enumerate(zip(states, mels, strict=True))
        ]
        return x, moved

    @staticmethod
    def _cached(states: Sequence[EncoderState], layer: int, longest: int) -> Array:
        if len(states) == 1:
            return states[0].kv[layer][None, :longest]
        out = np.zeros((len(states), longest, states[0].kv[layer].shape[1]), np.float32)
        for row, state in zip(out, states, strict=True):
            row[: state.settled[layer]] = state.kv[layer][: state.settled[layer]]
        return out

    def _advanced(
        self,
        b: int,
        state: EncoderState,
        before: tuple[int, ...],
        out: dict[str, Array],
        tracks: list[list[Positions]],
        count: int,
        block: int,
        ahead: int,
    ) -> tuple[Features, EncoderState]:
        arrived = state.arrived + count
        done = arrived
        kv, settled, tails = [], [], []
        for layer, track in enumerate(tracks):
            queries = out[f"queries_{layer}"][b][track[b] >= 0]
            first = arrived - len(queries)
            new = out[f"new_{layer}"][b][-(arrived - before[layer]) :]
            kv.append(_appended(state.kv[layer], before[layer], new[: done - before[layer]]))
            settled.append(done)
            after = max(first, (done // block - ahead) * block)
            tails.append(queries[after - first : done - first].copy())
            done = after
        values = out["features"][b][tracks[-1][b] >= 0]
        start = arrived - len(values)
        kept = replace(state, arrived=arrived, kv=tuple(kv), settled=tuple(settled), tails=tuple(tails))
        return Features(values, start, done - start), kept


def _padded(positions: Positions, size: int, *, left: bool = True) -> Positions:
    """With -1 for rows that are not there."""
    room = (size - len(positions), 0) if left else (0, size - len(positions))
    return np.pad(positions, room, constant_values=-1)


def _spread(tail: Array, known: Positions, room: int, rows: int) -> tuple[Array, Positions]:
    """A stream's tail in ``room`` rows, and the positions of all ``rows`` (the tail's and, after them, the inputs')."""
    values = np.zeros((room, tail.shape[1]), np.float32)
    if len(tail):
        values[room - len(tail) :] = tail
    inputs = _padded(known[len(tail) :], rows - room)
    return values, np.concatenate([_padded(known[: len(tail)], room), inputs])


def _mask(queries: Sequence[Positions], keys: Sequence[Positions], block: int, ahead: int) -> Array:
    q, k = np.stack(queries)[:, None, :, None], np.stack(keys)[:, None, None, :]
    seen = (k >= 0) & (k // block <= np.maximum(q, 0) // block + ahead)
    return np.where(seen, np.float32(0), _HIDDEN)


def _appended(buffer: Array, used: int, rows: Array) -> Array:
    """The buffer with rows written behind the used ones; a larger copy when they don't fit."""
    needed = used + len(rows)
    if needed > len(buffer):
        larger = np.zeros((-(-needed // _ROOM) * _ROOM, buffer.shape[1]), np.float32)
        larger[:used] = buffer[:used]
        buffer = larger
    buffer[used:needed] = rows
    return buffer
