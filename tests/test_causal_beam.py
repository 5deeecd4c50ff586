"""Beam search for what follows the stable text."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dragoman.asr.causal.beam import search
from dragoman.asr.causal.runtime import Scored

END, WORD = 0, 5


def row(chances: dict[int, float]) -> npt.NDArray[np.float32]:
    """Logits of eight tokens; those that are not named are improbable."""
    logits = np.full(8, -20.0, np.float32)
    for token, p in chances.items():
        logits[token] = np.log(p)
    return logits


def test_a_path_that_repeats_itself_goes_on_no_further() -> None:
    """However sure each repetition is, and so the mean of the path."""

    def score(numbers: list[int], past: npt.NDArray[np.float32]) -> list[Scored]:
        new, attention = np.zeros((1, 2), np.float32), np.zeros((1, 3), np.float32)
        return [Scored(row({WORD: 0.95, END: 0.05})[None], new, attention) for _ in numbers]

    def found(most: int) -> tuple[int, ...]:
        path = search(
            score,
            (row({WORD: 0.6, 3: 0.3, END: 0.1}), np.zeros(3, np.float32)),
            bias=np.zeros(8, np.float32),
            end=END,
            width=2,
            limit=50,
            loops=lambda numbers: numbers[-most:] == (WORD,) * most,
        )
        assert len(path.attention) == len(path.numbers) + 1
        return path.numbers

    assert found(4) == (WORD,) * 4
    assert len(found(60)) == 50
