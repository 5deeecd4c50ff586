"""Small translators with random weights, for tests."""

from __future__ import annotations

import numpy as np

from dragoman.translation.marian import Floats, Shortlist, Weights

WIDTH, HEADS, WORDS, INNER = 16, 4, 40, 24

_LINEAR = {"self": "qkvo", "context": "qkvo"}


def small(encoder: int, decoder: int, *, parallel: bool, seed: int = 1) -> Weights:
    """Arrays by Marian's names; as a network that writes all words at once, or word by word."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, Floats] = {}

    def matrix(name: str, rows: int, columns: int) -> None:
        arrays[name] = rng.normal(0, rows**-0.5, (rows, columns)).astype(np.float32)

    def normed(name: str) -> None:
        arrays[f"{name}_ln_scale"] = rng.uniform(0.8, 1.2, (1, WIDTH)).astype(np.float32)
        arrays[f"{name}_ln_bias"] = rng.normal(0, 0.1, (1, WIDTH)).astype(np.float32)

    def attention(name: str) -> None:
        for part in _LINEAR[name.rpartition("_")[2]]:
            matrix(f"{name}_W{part}", WIDTH, WIDTH)
            arrays[f"{name}_b{part}"] = rng.normal(0, 0.1, (1, WIDTH)).astype(np.float32)
        normed(f"{name}_Wo")

    def forward(name: str) -> None:
        for part, rows, columns in (("1", WIDTH, INNER), ("2", INNER, WIDTH)):
            matrix(f"{name}_W{part}", rows, columns)
            arrays[f"{name}_b{part}"] = rng.normal(0, 0.1, (1, columns)).astype(np.float32)
        normed(f"{name}_ffn")

    matrix("Wemb", WORDS, WIDTH)
    arrays["decoder_ff_logit_out_b"] = rng.normal(0, 0.1, (1, WORDS)).astype(np.float32)
    for layer in range(1, encoder + 1):
        attention(f"encoder_l{layer}_self")
        forward(f"encoder_l{layer}_ffn")
    for layer in range(1, decoder + 1):
        name = f"decoder_l{layer}"
        if parallel:
            attention(f"{name}_self")
        else:
            matrix(f"{name}_rnn_W", WIDTH, WIDTH)
            matrix(f"{name}_rnn_Wf", WIDTH, WIDTH)
            arrays[f"{name}_rnn_bf"] = rng.normal(0, 0.1, (1, WIDTH)).astype(np.float32)
            normed(f"{name}_rnn_ffn")
        attention(f"{name}_context")
        forward(f"{name}_ffn")
    if parallel:
        matrix("up_W", WIDTH, 2 * WIDTH)
        arrays["up_b"] = np.zeros((1, 2 * WIDTH), np.float32)
        matrix("blank_W", 1, WIDTH)
        arrays["blank_b"] = np.zeros((1, 1), np.float32)
    settings = {
        "transformer-heads": str(HEADS),
        "enc-depth": str(encoder),
        "dec-depth": str(decoder),
        "transformer-decoder-autoreg": "rnn",
        "dec-cell": "ssru",
    }
    return Weights(arrays, settings)


def shortlist(each: int = 6, frequent: int = 4, seed: int = 2) -> Shortlist:
    """Some target tokens for each source token."""
    targets = np.random.default_rng(seed).integers(1, WORDS, each * WORDS).astype(np.uint32)
    return Shortlist(frequent, np.arange(0, each * WORDS + 1, each, dtype=np.uint64), targets)
