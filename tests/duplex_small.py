"""A duplex model in small: a body of random weights, and conversations of noise with their truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tokenizers import pre_tokenizers

from dragoman.agent.duplex.adapter import Adapter
from dragoman.agent.duplex.body import LINEARS, Array, Body, Dims
from dragoman.agent.duplex.conversation import AgentUtterance, Conversation, Pause, UserEvent
from dragoman.agent.duplex.endpointer import STRIDE, Endpointer
from dragoman.agent.duplex.examples import Example
from dragoman.agent.duplex.frames import FRAME, Control
from dragoman.agent.duplex.policy import FRAME_CONTROLS
from dragoman.agent.duplex.prosody import PROSODY
from dragoman.agent.duplex.vocabulary import Merges
from dragoman.asr.causal.features import BLOCK
from dragoman.audio.types import Word

EAR_WIDTH = 12
DIMS = Dims(width=32, layers=3, heads=4, kv_heads=2, head=16, inner=48, vocabulary=0, rope_base=10_000.0, epsilon=1e-5)


def merges() -> Merges:
    """Bytes, and a few pairs of them."""
    space = "\u0120"
    pairs = [(space, "y"), (space + "y", "e"), (space + "ye", "s"), ("o", "o"), (space, "g"), (space + "g", "oo")]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    return Merges(("<s>", *alphabet, *(a + b for a, b in pairs)), tuple(pairs), "gpt-2", 0)


def body(seed: int = 1) -> Body:
    """Random weights, scaled so that the states neither fade nor explode."""
    rng = np.random.default_rng(seed)
    texts = merges()
    dims = Dims(**{**{name: getattr(DIMS, name) for name in Dims.__slots__}, "vocabulary": len(texts.tokens)})

    def matrix(out: int, inner: int) -> Array:
        return (rng.standard_normal((out, inner)) / inner**0.5).astype(np.float32)

    d, heads = dims.width, (dims.heads + 2 * dims.kv_heads) * dims.head
    # The run time keeps the table in half precision, as it comes.
    arrays = {
        "tokens": matrix(dims.vocabulary, d).astype(np.float16).astype(np.float32),
        "norm": np.ones(d, np.float32),
    }
    for i in range(dims.layers):
        arrays[f"{i}.attn.norm"] = (1 + 0.1 * rng.standard_normal(d)).astype(np.float32)
        arrays[f"{i}.ffn.norm"] = (1 + 0.1 * rng.standard_normal(d)).astype(np.float32)
        arrays[f"{i}.attn.qkv"] = matrix(heads, d)
        arrays[f"{i}.attn.qkv.bias"] = (0.1 * rng.standard_normal(heads)).astype(np.float32)
        arrays[f"{i}.attn.out"] = matrix(d, dims.heads * dims.head)
        arrays[f"{i}.ffn.in"] = matrix(2 * dims.inner, d)
        arrays[f"{i}.ffn.out"] = matrix(d, dims.inner)
    return Body(arrays, dims, texts, "b0d9")


def conversation(name: str = "one", frames: int = 60) -> Conversation:
    """The user speaks from 0.5 to 3 s with a pause at 1.5 s, and is answered; then interrupts at 6 s, and is answered
    again.
    """
    first = UserEvent(
        "turn", 0.5, 3.0, (Word("is", 0.5, 1.2), Word("it", 2.2, 3.0)), "Is it?", pauses=(Pause(1.2, 2.2, "phrase"),)
    )
    second = UserEvent("interruption", 6.0, 7.0, (Word("no", 6.0, 7.0),), "No.")
    return Conversation(
        name,
        "drafter",
        "en",
        np.broadcast_to(np.float32(0), frames * FRAME),
        (("user", "Hello."), ("assistant", "Yes?")),
        (first, second),
        (
            AgentUtterance("reply", "yes good yes", 19, 3.4, 6.4, stop_frame=38, heard=2),
            AgentUtterance("reply", "good", 44, 7.4, 8.2),
        ),
        "u",
        "a",
    )


def example(seed: int, frames: int = 60) -> Example:
    """A conversation, and features that tell when the user speaks."""
    made = replace(conversation(str(seed), frames), context=(("user", f"Hello{seed * '.'}"), ("assistant", "Yes?")))
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((frames, BLOCK, EAR_WIDTH))
    features[..., 0] += 4 * made.user_speaking()[:, None]
    prosody = rng.standard_normal((frames, BLOCK, PROSODY))
    return Example(made, features.astype(np.float16), prosody.astype(np.float16))


def adapter(of: Body, seed: int = 2, ear_width: int = EAR_WIDTH) -> Adapter:
    """Random everything: changes to all matrices of the body, tables, heads."""
    rng = np.random.default_rng(seed)
    d, inside = of.dims.width, 24

    def matrix(*shape: int) -> Array:
        return (rng.standard_normal(shape) / shape[-1] ** 0.5).astype(np.float32)

    own = {
        "in": matrix(inside, BLOCK * ear_width),
        "in_bias": matrix(inside),
        "out": matrix(d, inside),
        "out_bias": matrix(d),
        "controls": matrix(len(Control), d),
        "sounding": matrix(d),
        "words": matrix(d),
        "frames": matrix(len(FRAME_CONTROLS) + 1, d),
        "frames_bias": matrix(len(FRAME_CONTROLS) + 1),
    }
    changes = {
        f"{i}.{kind}": (
            0.3 * matrix(of.arrays[f"{i}.{kind}"].shape[0], 2),
            matrix(2, of.arrays[f"{i}.{kind}"].shape[1]),
        )
        for i in range(of.dims.layers)
        for kind in LINEARS
    }
    return Adapter(own, changes, (), "ear", ear_width, of.sha256, of.dims.layers, {})


def endpointer(seed: int = 1, ear_width: int = EAR_WIDTH, width: int = 8) -> Endpointer:
    """Random weights."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "in": (width, ear_width),
        "tone": (width, STRIDE * PROSODY),
        "sounding": (width,),
        "mix": (width, width, 5),
        "gates_x": (3 * width, width),
        "gates_h": (3 * width, width),
        "judge": (width, 2 * width),
        "over": (width,),
        "over_bias": (),
    }
    shapes |= {f"{name}_bias": shapes[name][:1] for name in ("in", "mix", "gates_x", "gates_h", "judge")}
    weights = {name: np.asarray(0.5 * rng.standard_normal((1, *shape)), np.float16) for name, shape in shapes.items()}
    return Endpointer({name: array.astype(np.float32) for name, array in weights.items()}, "ear", {"steps": 1})
