"""The verifier at run time: what it reads, what it decides, its file, and that it is what was trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from verifier_small import WIDTH, draft

from dragoman.audio.types import DragomanError
from dragoman.verifier.features import SCALARS, features_of
from dragoman.verifier.model import (
    LEAST,
    MOST,
    Checkpoint,
    Dims,
    Verifier,
    load_checkpoint,
    open_verifier,
    save_checkpoint,
)


def checkpoint(seed: int = 1, width: int = WIDTH) -> Checkpoint:
    """Random everything."""
    rng = np.random.default_rng(seed)
    dims = Dims.of(width)
    arrays = {n: (rng.standard_normal(s) / s[-1] ** 0.5).astype(np.float32) for n, s in dims.shapes().items()}
    arrays |= {"middle": np.full(len(SCALARS), 0.3, np.float32), "spread": np.full(len(SCALARS), 1.7, np.float32)}
    return Checkpoint(arrays, dims, "drafter", 1.3, -0.2, 0.6, {"steps": 3})


def test_features_tell_of_each_token() -> None:
    """States have one size whatever the drafter's; the scalars are the drafter's own, and where the token stands."""
    made = draft(2, tokens=4)
    found = features_of(made)
    np.testing.assert_allclose(found.hidden.mean(1), 0, atol=1e-5)
    np.testing.assert_allclose(found.hidden.std(1), 1, atol=1e-3)
    assert found.scalars.shape == (4, len(SCALARS))
    np.testing.assert_array_equal(found.scalars[:, SCALARS.index("logp")], made.logp)
    np.testing.assert_allclose(found.scalars[:, SCALARS.index("place")], [0, 0.125, 0.25, 0.375])
    np.testing.assert_array_equal(found.scalars[:, SCALARS.index("last")], [0, 0, 0, 1])
    np.testing.assert_allclose(features_of(replace(made, hidden=9 * made.hidden)).hidden, found.hidden, atol=1e-3)


@pytest.mark.parametrize("width", [576, 896, 1536, 2048])
def test_a_verifier_is_small(width: int) -> None:
    """Of the size that the paper found right, for any drafter."""
    assert LEAST <= Dims.of(width).parameters <= MOST


def test_a_draft_without_words_is_never_spoken() -> None:
    """It has no features, and no chance."""
    empty = draft(1, tokens=0)
    assert Verifier(checkpoint()).trust(empty) == 0
    with pytest.raises(ValueError, match="without words"):
        features_of(empty)


def test_trust_is_a_calibrated_probability() -> None:
    """It lies between 0 and 1, differs from draft to draft, and follows the scale and the shift of the logit."""
    verifier = Verifier(checkpoint())
    found = [verifier.trust(draft(seed)) for seed in range(20)]
    assert all(0 < p < 1 for p in found)
    assert len(set(found)) == 20
    assert verifier.threshold == 0.6
    logit = verifier.logit(features_of(draft(3)))
    assert found[3] == pytest.approx(1 / (1 + np.exp(-(1.3 * logit - 0.2))))
    assert Verifier(replace(checkpoint(), shift=100.0)).trust(draft(3)) == pytest.approx(1)


def test_states_of_another_width_are_refused() -> None:
    """They are another drafter's."""
    with pytest.raises(ValueError, match="24"):
        Verifier(checkpoint()).trust(draft(1, width=32))


def test_a_verifier_comes_back_and_belongs_to_its_drafter(tmp_path: Path) -> None:
    """All of it, under the same name; for another drafter, or another file, there is one clear line."""
    path, made = tmp_path / "verifier.npz", checkpoint()
    save_checkpoint(path, made)
    loaded = load_checkpoint(path)
    assert loaded.digest() == made.digest()
    assert replace(loaded, arrays={}) == replace(made, arrays={})
    assert replace(made, threshold=0.7).digest() != made.digest()
    assert open_verifier(path, "drafter").trust(draft(3)) == Verifier(made).trust(draft(3))
    with pytest.raises(DragomanError, match="another drafter"):
        open_verifier(path, "another")
    path.write_bytes(b"nothing")
    with pytest.raises(DragomanError, match="not a verifier"):
        load_checkpoint(path)
    arrays = {**made.arrays, "say": np.zeros(3, np.float32)}
    save_checkpoint(path, replace(made, arrays=arrays))
    with pytest.raises(DragomanError, match="other shapes"):
        load_checkpoint(path)


@pytest.mark.train
def test_the_module_that_trains_gives_the_same_numbers() -> None:
    """Alone or beside longer drafts, the logit is that of the run time."""
    torch = pytest.importorskip("torch")
    from dragoman.verifier.network import VerifierNetwork, make_batch

    made = checkpoint()
    network = VerifierNetwork(made.dims, made.arrays["middle"], made.arrays["spread"]).eval()
    with torch.no_grad():
        for name, parameter in network.own.items():
            parameter.copy_(torch.from_numpy(made.arrays[name]))
        features = [features_of(draft(seed, tokens=1 + 3 * seed % 11)) for seed in range(12)]
        together = network(make_batch(features)).numpy()
        alone = np.concatenate([network(make_batch([one])).numpy() for one in features])
    found = [Verifier(made).logit(one) for one in features]
    np.testing.assert_allclose(together, found, atol=1e-5)
    np.testing.assert_allclose(alone, found, atol=1e-5)
    for name, array in network.arrays().items():
        np.testing.assert_array_equal(array, made.arrays[name])
