"""The PyTorch module: it streams what it trains, never changes what it published, and is Whisper when unmasked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ctranslate2
import numpy as np
import pytest

from dragoman.asr.causal.corpus import Clip
from dragoman.asr.causal.mel import log_mel, stock_log_mel
from dragoman.asr.causal.weights import Weights, load_weights
from dragoman.audio.types import Word
from dragoman.models.catalog import resolve

torch = pytest.importorskip("torch")

from dragoman.asr.causal.network import CausalWhisper  # noqa: E402
from dragoman.asr.causal.teacher import Teacher  # noqa: E402

pytestmark = pytest.mark.train

FRAMES = 192


@pytest.fixture(scope="module")
def folder() -> Path:
    return resolve("whisper-tiny.en")


@pytest.fixture(scope="module")
def weights(folder: Path) -> Weights:
    return load_weights(folder)


@pytest.fixture(scope="module")
def network(weights: Weights) -> CausalWhisper:
    """With changes that are not zero, so that the tests see them."""
    torch.manual_seed(0)
    network = CausalWhisper(weights, rank=4)
    for name, parameter in network.lora.items():
        if name.endswith("up"):
            torch.nn.init.normal_(parameter, std=0.02)
    return network.requires_grad_(False)


@pytest.fixture(scope="module")
def mel(speechlike: np.ndarray) -> np.ndarray:
    return log_mel(speechlike, 2 * FRAMES + 1)


@pytest.fixture(scope="module")
def speechlike() -> np.ndarray:
    rng = np.random.default_rng(3)
    line = np.arange(5 * 16_000) / 16_000
    tone = np.sin(2 * np.pi * (120 + 30 * np.sin(4 * line)) * line) * (1 + np.sin(2 * np.pi * 3 * line))
    return (0.1 * tone + 0.01 * rng.standard_normal(len(line))).astype(np.float32)


@pytest.mark.parametrize(("block", "ahead"), [(8, 0), (16, 0), (32, 0), (8, 1), (16, 1), (32, 1)])
def test_steps_equal_one_masked_pass(network: CausalWhisper, mel: np.ndarray, block: int, ahead: int) -> None:
    """After any steps, what is known is what one pass over all that arrived gives."""
    sound = torch.from_numpy(mel)[None]
    rng = np.random.default_rng(block + ahead)
    state, front, at, settled = network.empty(), None, 0, torch.zeros(1, 0, network.dims.width)
    while at < FRAMES:
        grain = block if not ahead else 8  # with sound ahead, a step may end inside a block
        count = min(grain * int(rng.integers(1, 4)), FRAMES - at)
        x, front = network.front(sound[:, 2 * at : 2 * (at + count) + 1], at, front)
        features, done, state = network.layers(x, state, block=block, ahead=ahead)
        at += count
        known = torch.cat([settled, features], 1)
        settled = torch.cat([settled, features[:, :done]], 1)
        whole = network.encode(sound[:, : 2 * at + 1], block=block, ahead=ahead)
        assert (known - whole).abs().max() <= 1e-4 * whole.abs().max()
    assert settled.shape[1] == FRAMES - ahead * block * network.dims.encoder_layers or ahead


def test_the_future_never_changes_published_features(network: CausalWhisper, mel: np.ndarray) -> None:
    """Without blocks ahead, other sound after a chunk leaves its features bit-equal."""
    sound = torch.from_numpy(mel)[None]
    other = sound.clone()
    other[:, 2 * 96 + 1 :] = torch.rand_like(other[:, 2 * 96 + 1 :])

    def published(mel: torch.Tensor) -> torch.Tensor:
        state, front, out = network.empty(), None, []
        for at in range(0, FRAMES, 8):
            x, front = network.front(mel[:, 2 * at : 2 * at + 17], at, front)
            features, _, state = network.layers(x, state, block=8, ahead=0)
            out.append(features)
        return torch.cat(out, 1)

    first, second = published(sound), published(other)
    assert torch.equal(first[:, :96], second[:, :96])
    assert not torch.equal(first[:, 96:], second[:, 96:])


def test_unmasked_without_changes_it_is_whisper(folder: Path, weights: Weights, speechlike: np.ndarray) -> None:
    """The stock model's encoder gives the same features."""
    mel = stock_log_mel(speechlike)
    stock = ctranslate2.models.Whisper(str(folder), compute_type="float32", intra_threads=1)
    wanted = np.array(stock.encode(ctranslate2.StorageView.from_array(np.ascontiguousarray(mel.T[None]))))
    sound = torch.from_numpy(np.concatenate([mel, np.zeros((1, 80), np.float32)]))[None]
    with torch.no_grad():
        found = CausalWhisper(weights).encode(sound, block=8, ahead=None).numpy()
    # To rounding: two libraries sum in different orders, and the largest features are large.
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()
    assert np.abs(found - wanted).mean() < 1e-5


def test_a_padded_batch_equals_its_rows(network: CausalWhisper, mel: np.ndarray) -> None:
    """Clips of several lengths in one batch don't see each other's padding."""
    short = 64
    sound = torch.from_numpy(np.stack([mel, np.concatenate([mel[: 2 * short + 1], mel[2 * short + 1 :] * 0])]))
    valid = torch.arange(FRAMES)[None] < torch.tensor([[FRAMES], [short]])
    both = network.encode(sound, block=16, ahead=1, valid=valid)
    alone = network.encode(sound[1:, : 2 * short + 1], block=16, ahead=1)
    assert (both[1, :short] - alone[0]).abs().max() <= 1e-4 * alone.abs().max()


def test_cached_decoding_equals_one_pass(network: CausalWhisper, mel: np.ndarray) -> None:
    """Tokens scored behind kept keys and values get the logits of a whole pass."""
    cross = network.cross(network.encode(torch.from_numpy(mel)[None], block=16, ahead=1))
    tokens = torch.tensor([[50257, 50362, 843, 523, 616, 5891]])
    whole, _ = network.decode(tokens, cross)
    first, past = network.decode(tokens[:, :3], cross)
    rest, _ = network.decode(tokens[:, 3:], cross, past)
    assert (torch.cat([first, rest], 1) - whole).abs().max() < 1e-3


def test_sound_and_state_are_on_the_networks_device(weights: Weights) -> None:
    """``meta`` stands for an accelerator: it takes no tensor of the CPU's beside its own, as a GPU takes none."""
    device = torch.device("meta")
    network = CausalWhisper(weights, rank=4).place(device)
    sound = torch.zeros(2, 2 * FRAMES + 1, 80, device=device)
    with torch.no_grad(), network.merged():
        features = network.encode(sound, block=32, ahead=1)
        logits, _ = network.decode(torch.zeros(2, 5, dtype=torch.long, device=device), network.cross(features))
    assert features.shape == (2, FRAMES, weights.dims.width)
    assert logits.device == device
    assert logits.shape == (2, 5, weights.dims.vocabulary)


def test_a_lesson_is_kept_until_another_clip_has_its_name(
    network: CausalWhisper, speechlike: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards of one seed have the same names, whoever speaks in them."""
    teacher = Teacher(network, Tokens(), [50257, 50362], tmp_path, torch.device("cpu"))
    hello = Clip(speechlike, (Word("Hello", 0.2, 0.5),), "en")
    first = teacher.lesson("en-1-00000-0", hello)
    compute, computed = teacher._compute, list[str]()
    monkeypatch.setattr(teacher, "_compute", lambda clip: computed.append(clip.text) or compute(clip))
    np.testing.assert_array_equal(teacher.lesson("en-1-00000-0", hello).features, first.features)
    assert computed == []
    corrected = teacher.lesson("en-1-00000-0", replace(hello, words=(Word("Hello,", 0.2, 0.5), Word("you", 0.6, 0.9))))
    assert len(corrected.tokens) == 3
    other = teacher.lesson("en-1-00000-0", replace(hello, pcm=speechlike[:16_000]))
    assert len(other.features) < len(first.features)
    assert computed == ["Hello, you", "Hello"]


class Tokens:
    """A token for each word."""

    def encode(self, text: str) -> list[int]:
        return [1000 + len(word) for word in text.split()]
