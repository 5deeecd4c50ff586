"""From scores to probabilities and to a threshold, on drafts that nothing was trained on."""

from __future__ import annotations

from typing import Final

import numpy as np

from dragoman.verifier.figures import Flags, Numbers

_STEPS: Final = 50


def logistic(x: Numbers, good: Flags, penalty: float = 1.0) -> Numbers:
    """Logistic regression of ``good`` [n] on ``x`` [n, k] by Newton's method: weights [k], and the constant last.

    Weights cost ``penalty`` / 2 times their square, so that there is an end even where the classes can be told apart
    completely; standardize ``x`` where it matters.
    """
    known = np.concatenate([x, np.ones((len(x), 1))], 1)
    cost = np.diag([*[penalty] * x.shape[1], 1e-6])
    weights = np.zeros(known.shape[1])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(known @ weights, -30, 30)))
        slope = known.T @ (p - good) + cost @ weights
        step = np.linalg.solve((known * (p * (1 - p))[:, None]).T @ known + cost, slope)
        # A step of full length can overshoot far from the solution.
        weights -= step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-8:
            break
    return weights


def scaling(logits: Numbers, good: Flags) -> tuple[float, float]:
    """Scale (positive) and shift that make logits those of calibrated probabilities (Platt's scaling)."""
    spread = max(1e-6, float(logits.std()))
    slope, shift = logistic(logits[:, None] / spread, good, penalty=0.1)
    # A verifier that ranks drafts the wrong way round says nothing; it must not be turned into one that says much.
    return max(1e-3, float(slope / spread)), float(shift)


def threshold(probabilities: Numbers, good: Flags, precision: float) -> tuple[float, bool]:
    """The lowest threshold from which on so many of the spoken are good, and whether there is one.

    Where there is none, the one with the highest precision that still lets a fifth through.
    """
    order = np.argsort(-probabilities, kind="stable")
    reached = np.cumsum(good[order]) / np.arange(1, len(order) + 1)
    values = probabilities[order]
    # Equal probabilities are spoken together.
    ends = np.append(values[1:] < values[:-1], True)
    enough = np.flatnonzero(ends & (reached >= precision) & (np.arange(1, len(order) + 1) * _FEW >= len(order)))
    if len(enough):
        return float(values[enough[-1]]), True
    allowed = np.flatnonzero(ends & (np.arange(1, len(order) + 1) * _FEW >= len(order)))
    return float(values[allowed[np.argmax(reached[allowed])]]), False


_FEW: Final = 5
