"""Figures of judges, calibration and thresholds: by hand, and on data whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from dragoman.verifier.calibration import logistic, scaling, threshold
from dragoman.verifier.figures import auroc, calibration_error, kappa, spoken_at, wilson


def test_auroc_counts_pairs() -> None:
    """Right pairs count one, ties half; without good or without bad ones there is none."""
    scores, good = np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False])
    assert auroc(scores, good) == pytest.approx(3.5 / 4)
    assert auroc(-scores, good) == pytest.approx(0.5 / 4)
    assert auroc(scores, np.ones(4, np.bool_)) is None


def test_right_probabilities_have_no_calibration_error() -> None:
    """Probabilities that are right cost nothing; those that are too sure cost what they are off by."""
    rng = np.random.default_rng(1)
    p = rng.uniform(0, 1, 20_000)
    good = rng.uniform(0, 1, len(p)) < p
    assert calibration_error(p, good) == pytest.approx(0, abs=0.02)
    assert calibration_error(np.full(len(p), 0.9), good) == pytest.approx(0.4, abs=0.02)
    assert calibration_error(np.zeros(0), np.zeros(0, np.bool_)) is None


def test_what_a_threshold_lets_through() -> None:
    """Share spoken, share of it that is bad, and an interval that holds it."""
    found = spoken_at(np.array([0.9, 0.8, 0.7, 0.2]), np.array([True, False, True, False]), 0.5)
    assert (found.rate, found.bad) == (0.75, pytest.approx(1 / 3))
    assert found.interval is not None
    assert found.interval[0] < 1 / 3 < found.interval[1]
    assert spoken_at(np.array([0.1]), np.array([True]), 0.5).bad is None


def test_wilsons_interval() -> None:
    """Known values: none of 100, and half of 100."""
    assert wilson(0, 100) == (pytest.approx(0, abs=1e-9), pytest.approx(0.0370, abs=1e-3))
    assert wilson(50, 100) == (pytest.approx(0.4038, abs=1e-3), pytest.approx(0.5962, abs=1e-3))


def test_kappa_is_agreement_beyond_chance() -> None:
    """The textbook's example: 20 and 15 of 50 agreed, kappa 0.4; and the two ends."""
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert kappa(first, second) == pytest.approx(0.4)
    assert kappa(first, first) == 1
    assert kappa(["yes"], ["yes"]) is None
    assert kappa([], []) is None
    with pytest.raises(ValueError, match="argument"):
        kappa(["yes"], [])


def test_logistic_regression_finds_what_made_the_data() -> None:
    """Weights and constant come back; classes that can be told apart completely do not break it."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((20_000, 2))
    good = rng.uniform(0, 1, len(x)) < 1 / (1 + np.exp(-(1.5 * x[:, 0] - 0.5 * x[:, 1] + 0.3)))
    np.testing.assert_allclose(logistic(x, good), [1.5, -0.5, 0.3], atol=0.08)
    apart = logistic(x[:, :1], x[:, 0] > 0)
    assert np.isfinite(apart).all()
    assert apart[0] > 1


def test_scaling_makes_probabilities_right() -> None:
    """Logits that are twice too sure and shifted are put right; those that are the wrong way round say nothing."""
    rng = np.random.default_rng(3)
    true = rng.standard_normal(20_000)
    good = rng.uniform(0, 1, len(true)) < 1 / (1 + np.exp(-true))
    scale, shift = scaling(2 * true + 1, good)
    assert (scale, shift) == (pytest.approx(0.5, abs=0.03), pytest.approx(-0.5, abs=0.05))
    assert scaling(-true, good)[0] == pytest.approx(1e-3)


def test_the_threshold_keeps_as_much_as_the_precision_allows() -> None:
    """The lowest that is precise enough; equal probabilities are kept or dropped together; else the best there is."""
    p = np.array([0.9, 0.8, 0.7, 0.6, 0.6, 0.3])
    good = np.array([True, True, True, True, False, False])
    assert threshold(p, good, 0.99) == (0.7, True)
    assert threshold(p, good, 0.8) == (0.6, True)
    assert threshold(p, good, 0.5) == (0.3, True)
    assert threshold(p[::-1].copy(), good, 0.99) == (0.3, False)
