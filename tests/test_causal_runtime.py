"""The exported graphs and what feeds them: the same numbers in any packets, alone or in a batch; adapters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.asr.causal import graph
from dragoman.asr.causal.adapter import Adapter, adapted, load_adapter, save_adapter
from dragoman.asr.causal.features import FeatureStream
from dragoman.asr.causal.mel import MelStream, log_mel
from dragoman.asr.causal.runtime import CausalModel, EncoderState
from dragoman.asr.causal.weights import Weights, load_weights
from dragoman.audio.types import DragomanError
from dragoman.models.catalog import resolve

RNG = np.random.default_rng(5)
SOUND = (0.1 * RNG.standard_normal(4 * 16_000) * np.linspace(0, 1, 4 * 16_000)).astype(np.float32)


@pytest.fixture(scope="module")
def weights() -> Weights:
    return load_weights(resolve("whisper-tiny.en"))


@pytest.fixture(scope="module")
def model(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> CausalModel:
    folder = tmp_path_factory.mktemp("graphs")
    graph.write(weights, folder, quantized=False)
    return CausalModel(folder)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 5000), min_size=1, max_size=30))
def test_the_spectrum_does_not_depend_on_the_packets(sizes: list[int]) -> None:
    """However the sound is cut, the frames are the same."""
    stream, frames, at = MelStream(), [], 0
    for size in sizes:
        frames.append(stream.push(SOUND[at : at + size]))
        at += size
    found = np.concatenate(frames)
    np.testing.assert_allclose(found, log_mel(SOUND[:at], len(found)), atol=1e-5)


def steps(model: CausalModel, mel: np.ndarray, sizes: list[int], block: int, ahead: int) -> np.ndarray:
    state, at = model.fresh(), 0
    settled = np.zeros((0, model.dims.width), np.float32)
    for size in sizes:
        [(features, state)] = model.encode([state], [mel[2 * at : 2 * (at + size) + 1]], block=block, ahead=ahead)
        assert features.start == len(settled)
        at += size
        known = np.concatenate([settled, features.values])
        settled = np.concatenate([settled, features.values[: features.settled]])
    return known


@pytest.mark.train
@pytest.mark.parametrize(("block", "ahead"), [(8, 0), (16, 0), (16, 1), (32, 1), (64, 1)])
def test_the_export_equals_the_module(model: CausalModel, weights: Weights, block: int, ahead: int) -> None:
    """Streaming through ONNX gives the features and the logits of one masked pass in PyTorch."""
    torch = pytest.importorskip("torch")
    from dragoman.asr.causal.network import CausalWhisper

    mel = log_mel(SOUND, 2 * 160 + 1)
    known = steps(model, mel, [32, 64, 32, 32], block, ahead)
    network = CausalWhisper(weights).requires_grad_(False)
    features = network.encode(torch.from_numpy(mel)[None], block=block, ahead=ahead)
    assert np.abs(known - features[0].numpy()).max() <= 1e-4 * float(features.abs().max())
    tokens = [50257, 50362, 843, 523]
    scored = model.decode(tokens, np.zeros((0, model.dims.width * 8), np.float32), model.cross(known))
    logits, _ = network.decode(torch.tensor([tokens]), network.cross(features))
    assert np.abs(scored.logits - logits[0].numpy()).max() < 1e-3
    assert scored.attention.sum(axis=1) == pytest.approx(np.ones(4), abs=1e-4)


def test_streams_in_a_batch_equal_streams_alone(model: CausalModel) -> None:
    """Three streams at different places step together and get what each would get alone."""
    mel = log_mel(SOUND, 401)

    def advanced(count: int) -> EncoderState:
        state = model.fresh()
        for i in range(count):
            [(_, state)] = model.encode([state], [mel[32 * i : 32 * i + 33]], block=16, ahead=1)
        return state

    places = (0, 1, 6)
    mels = [mel[32 * place : 32 * place + 33] for place in places]
    together = model.encode([advanced(place) for place in places], mels, block=16, ahead=1)
    for place, part, (features, state) in zip(places, mels, together, strict=True):
        [(wanted, alone)] = model.encode([advanced(place)], [part], block=16, ahead=1)
        assert (features.start, features.settled) == (wanted.start, wanted.settled)
        np.testing.assert_allclose(features.values, wanted.values, atol=1e-4)
        assert state.settled == alone.settled
        for first, second in zip(state.tails, alone.tails, strict=True):
            np.testing.assert_allclose(first, second, atol=1e-4)


def test_eight_bits_stay_near(model: CausalModel, weights: Weights, tmp_path: Path) -> None:
    """The quantized graphs give features and next tokens close to the exact ones."""
    graph.write(weights, tmp_path, quantized=True)
    small = CausalModel(tmp_path)
    mel = log_mel(SOUND, 2 * 160 + 1)
    exact, near = (steps(m, mel, [96, 64], 16, 1) for m in (model, small))
    assert np.corrcoef(exact.ravel(), near.ravel())[0, 1] > 0.98
    assert (tmp_path / "decoder.onnx").stat().st_size < 90_000_000


def published(model: CausalModel, pcm: np.ndarray, seed: int) -> np.ndarray:
    stream, rng, out, at = FeatureStream(model), np.random.default_rng(seed), [], 0
    while at < len(pcm):
        size = int(rng.integers(1, 7000))
        out.append(stream.push(pcm[at : at + size]))
        at += size
    return np.concatenate(out)


def test_published_features_never_change(model: CausalModel) -> None:
    """Other packets give the same features; another future leaves every bit."""
    other = SOUND.copy()
    other[40_000:] = 0.3
    first, second, third = published(model, SOUND, 1), published(model, SOUND, 2), published(model, other, 1)
    whole = (40_000 - 200) // 2560 * 8
    # To rounding in float32: packets of other sizes are summed in another order, and more so on some processors.
    np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(first[:whole], third[:whole])
    assert np.abs(first[whole + 8 :] - third[whole + 8 :]).max() > 0.01


def test_features_go_on_past_thirty_seconds(model: CausalModel) -> None:
    """Forty seconds give every block once, and a bounded state."""
    pcm = np.tile(SOUND, 10)
    stream = FeatureStream(model)
    features = stream.push(pcm)
    assert len(features) == (len(pcm) - 200) // 2560 * 8
    assert np.isfinite(features).all()


def test_an_adapter_comes_back_as_it_was_saved(weights: Weights, tmp_path: Path) -> None:
    """Saved, loaded and added, its change is in the weights, and nothing else is."""
    name = "encoder.0.attn.q.weight"
    up = np.full((384, 2), 0.5, np.float32)
    down = np.full((2, 384), 0.25, np.float32)
    save_adapter(tmp_path / "a.npz", Adapter({name: (up, down)}, weights.sha256, {"steps": 3}))
    loaded = load_adapter(tmp_path / "a.npz")
    assert loaded.card == {"steps": 3}
    changed = adapted(weights, loaded)
    np.testing.assert_allclose(changed.arrays[name], weights.arrays[name] + 0.25, atol=1e-6)
    assert all(np.array_equal(changed.arrays[n], a) for n, a in weights.arrays.items() if n != name)


def test_a_scaled_adapter_makes_a_part_of_the_changes(weights: Weights) -> None:
    """Half the changes stand half way between the stock and the adapted weights; none are the stock."""
    name = "encoder.0.attn.q.weight"
    rng = np.random.default_rng(3)
    pair = (rng.normal(size=(384, 2)).astype(np.float32), rng.normal(size=(2, 384)).astype(np.float32))
    adapter = Adapter({name: pair}, weights.sha256, {"steps": 1})
    stock, full = weights.arrays[name], adapted(weights, adapter).arrays[name]
    np.testing.assert_allclose(adapted(weights, adapter.scaled(0.5)).arrays[name], (stock + full) / 2, atol=1e-5)
    np.testing.assert_array_equal(adapted(weights, adapter.scaled(0.0)).arrays[name], stock)
    assert adapter.scaled(0.5).digest() != adapter.digest()
    assert adapter.scaled(0.5).card == adapter.card


def test_an_adapter_of_other_weights_is_refused(weights: Weights) -> None:
    """The error names the mismatch."""
    with pytest.raises(DragomanError, match="belongs to other weights"):
        adapted(weights, Adapter({}, "0" * 64, {}))


def test_a_folder_that_is_no_model_is_an_error(tmp_path: Path) -> None:
    """One clear line."""
    with pytest.raises(DragomanError, match="not a CTranslate2 Whisper model"):
        load_weights(tmp_path)


def test_an_older_state_stays_valid(model: CausalModel) -> None:
    """A step from a kept state gives the same twice: a turn's end can be tried out and taken back."""
    mel = log_mel(SOUND, 401)
    [(_, state)] = model.encode([model.fresh()], [mel[:129]], block=16, ahead=1)
    [(first, _)] = model.encode([state], [mel[128:161]], block=16, ahead=1)
    [(_, _)] = model.encode([replace(state)], [np.zeros((33, 80), np.float32)], block=16, ahead=1)
    [(again, _)] = model.encode([state], [mel[128:161]], block=16, ahead=1)
    np.testing.assert_array_equal(first.values, again.values)
