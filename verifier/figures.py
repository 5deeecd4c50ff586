"""Figures of a judge: how well it ranks, whether its probabilities are right, what it lets through; and agreement."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]

BINS: Final = 10
"""Groups of equal size in which probabilities are compared with what was true."""


def auroc(scores: Numbers, good: Flags) -> float | None:
    """Area under the ROC curve: how often a good one scores above a bad one, ties half. None where one is missing."""
    positive, negative = int(good.sum()), int((~good).sum())
    if not positive or not negative:
        return None
    values, places = np.unique(scores, return_inverse=True)
    counts = np.bincount(places, minlength=len(values))
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return float((ranks[places][good].sum() - positive * (positive + 1) / 2) / (positive * negative))


def calibration_error(probabilities: Numbers, good: Flags) -> float | None:
    """Expected calibration error, over ``BINS`` groups of equal size. None without any."""
    if not len(probabilities):
        return None
    order = np.argsort(probabilities, kind="stable")
    groups = [group for group in np.array_split(order, BINS) if len(group)]
    wrong = [len(group) * abs(probabilities[group].mean() - good[group].mean()) for group in groups]
    return float(sum(wrong) / len(order))


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a threshold lets through: share of all that is spoken, share of the spoken that is bad (None: nothing is),
    and the 95 % interval of the latter.
    """

    rate: float
    bad: float | None
    interval: tuple[float, float] | None


def spoken_at(probabilities: Numbers, good: Flags, threshold: float) -> Spoken:
    """What a threshold lets through."""
    through = probabilities >= threshold
    count, bad = int(through.sum()), int((through & ~good).sum())
    rate = count / len(through) if len(through) else 0.0
    return Spoken(rate, bad / count if count else None, wilson(bad, count) if count else None)


def wilson(found: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    z, share = 1.96, found / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * float(np.sqrt(share * (1 - share) / of + z * z / (4 * of * of)))
    return max(0.0, middle - half), min(1.0, middle + half)


def kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Cohen's kappa of two raters of the same things; None where there are none, or chance alone agrees.

    Lists of different length are a ``ValueError``.
    """
    pairs = list(zip(first, second, strict=True))
    if not pairs:
        return None
    agreed = sum(a == b for a, b in pairs) / len(pairs)
    chance = (
        sum(sum(a == kind for a in first) * sum(b == kind for b in second) for kind in {*first, *second})
        / len(pairs) ** 2
    )
    return None if chance == 1 else (agreed - chance) / (1 - chance)
