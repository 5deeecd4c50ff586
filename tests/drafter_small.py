"""A drafter in small: a body of random weights that says a lot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from duplex_small import adapter as duplex_adapter
from duplex_small import body as plain_body

from dragoman.agent.drafter import graph
from dragoman.agent.drafter.runtime import DrafterRuntime
from dragoman.agent.duplex.adapter import Adapter
from dragoman.agent.duplex.body import Body


def body() -> Body:
    """Words are rare among its tokens: it says more of them."""
    small = plain_body()
    begins = [token.startswith("\u0120") for token in small.merges.tokens]
    tokens = np.where(np.array(begins)[:, None], 4 * small.arrays["tokens"], small.arrays["tokens"])
    return replace(small, arrays={**small.arrays, "tokens": tokens.astype(np.float32)})


def adapter(end: float = -9.0) -> Adapter:
    """Changes to all matrices; the lower ``end``, the longer it writes."""
    small = plain_body()
    state = np.random.default_rng(5).standard_normal(small.dims.width) / small.dims.width**0.5
    own = {"end": (0.3 * state).astype(np.float32), "end_bias": np.full(1, end, np.float32)}
    kept = tuple(small.merges.chosen(["yes good yes"], small.dims.vocabulary - 2))
    return replace(duplex_adapter(small), own=own, kept=kept, ear="", ear_width=0)


def runtime(folder: Path, *, quantized: bool = False, end: float = -9.0) -> DrafterRuntime:
    """Its graphs, built and loaded."""
    graph.write(body(), adapter(end), folder, quantized=quantized)
    return DrafterRuntime(folder)
