"""What a body has read: its keys and values, in memory that stays where it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from dragoman.agent.duplex.body import Array, Dims


class _Bound:
    """The body's inputs and outputs in memory that stays where it is: what is new is written into the past itself.

    ``keys`` and ``values`` [layers, B, kv_heads, room, head], ``shape`` of the inputs [B, n, d].
    """

    def __init__(
        self, body: ort.InferenceSession, heads: Sequence[str], shape: tuple[int, ...], keys: Array, values: Array
    ) -> None:
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
        self._outputs = 1 + len(heads)
        for name in ("hidden", *heads):
            self._binding.bind_output(name)

    def run(self, lengths: Sequence[int], x: Array) -> list[Array]:
        """Read ``x`` behind pasts of these lengths: hidden states, and what the heads make of them."""
        self.x[...] = x
        self._last[...] = np.asarray(lengths) + x.shape[1] - 1
        self._longest[...] = self._last.max() + 1
        self._body.run_with_iobinding(self._binding)
        # The next run writes into the same memory.
        return [np.array(value.numpy()) for value in self._binding.get_outputs()[-self._outputs :]]


class Past:
    """Keys, rotated, and values of ``length`` inputs, with ``room`` for more: each [layers, kv_heads, room, head]."""

    def __init__(self, dims: Dims, room: int) -> None:
        self.keys = np.zeros((dims.layers, dims.kv_heads, room, dims.head), np.float32)
        self.values = np.zeros_like(self.keys)
        self.length = 0
        self.bound: _Bound | None = None

    @property
    def room(self) -> int:
        """Inputs that it can hold."""
        return int(self.keys.shape[2])

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


class Reader:
    """A body that is loaded. Calls release the interpreter lock."""

    def __init__(self, body: ort.InferenceSession, dims: Dims, room: int, heads: Sequence[str] = ()) -> None:
        """``room``: positions of the graph; ``heads``: its outputs beside the hidden states."""
        self.dims = dims
        self._body, self._room, self._heads = body, room, tuple(heads)

    def past(self) -> Past:
        """An empty one."""
        return Past(self.dims, self._room)

    def read(self, pasts: Sequence[Past], x: Array) -> list[Array]:
        """Read inputs [B, n, d], each behind its past, which keeps them: hidden states [B, n, d], and of each head."""
        n = x.shape[1]
        if len(pasts) == 1:
            [past] = pasts
            if past.bound is None or past.bound.x.shape != x.shape:
                past.bound = _Bound(self._body, self._heads, x.shape, past.keys[:, None], past.values[:, None])
            found = past.bound.run([past.length], x)
            past.length += n
            return found
        # One layer of all pasts must lie together.
        keys, values = (np.stack([getattr(past, kind) for past in pasts], 1) for kind in ("keys", "values"))
        found = _Bound(self._body, self._heads, x.shape, keys, values).run([past.length for past in pasts], x)
        for b, past in enumerate(pasts):
            new = np.s_[:, :, past.length : past.length + n]
            past.keys[new], past.values[new] = keys[:, b][new], values[:, b][new]
            past.length += n
        return found
