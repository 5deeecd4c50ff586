"""Beam search for what follows the stable text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dragoman.asr.causal.runtime import Scored
from dragoman.asr.causal.weights import Array


@dataclass(frozen=True)
class Path:
    """A way to go on: its tokens with their log-probabilities, and what the decoder kept of them.

    ``rows`` [n, .] are the keys and values of the tokens, ``attention`` [n + 1, frames] the rows that led to each token
    and to the end.
    """

    numbers: tuple[int, ...]
    logps: tuple[float, ...]
    rows: Array
    attention: Array

    def score(self, end: float) -> float:
        """Mean log-probability with that of the end of text, as Whisper ranks its beams."""
        return (sum(self.logps) + end) / (len(self.logps) + 1)


def search(
    score: Callable[[list[int], Array], list[Scored]],
    first: tuple[Array, Array],
    *,
    bias: Array,
    end: int,
    width: int,
    limit: int,
    loops: Callable[[tuple[int, ...]], bool],
) -> Path:
    """The best path of at most ``limit`` tokens. ``first`` is the masked logits row to begin with and its attention;
    ``score(numbers, rows)`` scores the last token of each path behind the rows [paths, n, .] kept before it. A path
    that ``loops`` goes on no further: ranked by their mean, sure repetitions would win.
    """
    row, attention = first
    live = [(Path((), (), np.zeros((0, 0), np.float32), attention[None]), row)]
    ended: list[tuple[float, Path]] = []
    while live:
        grown: list[tuple[float, Path, int, float]] = []
        for path, logits in live:
            logp = logits - logits.max()
            logp = logp - np.log(np.exp(logp).sum())
            if len(path.numbers) >= limit or not np.isneginf(logp[end]):
                ended.append((path.score(float(logp[end])), path))
            if len(path.numbers) >= limit or loops(path.numbers):
                continue
            for number in np.argpartition(-logp, width + 1)[: width + 1]:
                if int(number) != end:
                    value = float(logp[number])
                    grown.append((sum(path.logps) + value, path, int(number), value))
        best = max(ended, key=lambda pair: pair[0], default=None)
        grown = sorted(grown, key=lambda item: -item[0])[:width]
        # A path only loses by going on; one more sure token can't lift a mean above its best so far.
        if best is not None:
            grown = [item for item in grown if item[0] / (len(item[1].numbers) + 2) > best[0]]
        if not grown:
            break
        numbers = [number for _, _, number, _ in grown]
        scored = score(numbers, np.stack([path.rows for _, path, _, _ in grown]))
        live = []
        for (_, path, number, value), one in zip(grown, scored, strict=True):
            rows = np.concatenate([path.rows, one.new]) if path.rows.size else one.new
            heard = np.concatenate([path.attention, one.attention])
            live.append((Path((*path.numbers, number), (*path.logps, value), rows, heard), one.logits[0] + bias))
    return max(ended, key=lambda pair: pair[0])[1]
