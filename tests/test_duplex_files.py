"""What the duplex model is made of, as it lies on disk: bodies, adapters, examples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from duplex_small import EAR_WIDTH, adapter, body, conversation
from gguf import GGUFWriter

from dragoman.agent.duplex.adapter import adapted, load_adapter, save_adapter
from dragoman.agent.duplex.body import Body, load_body
from dragoman.agent.duplex.examples import Examples
from dragoman.agent.duplex.features import features_path
from dragoman.agent.duplex.frames import FRAME
from dragoman.agent.duplex.prosody import PROSODY
from dragoman.agent.duplex.store import save_conversations, shard_path
from dragoman.asr.causal.features import BLOCK
from dragoman.audio.types import DragomanError
from dragoman.models.store import silent


def test_an_adapter_comes_back(tmp_path: Path) -> None:
    """To half precision, and under the same name; another ear or body is refused."""
    small = body()
    made = adapter(small)
    save_adapter(tmp_path / "adapter.npz", made)
    loaded = load_adapter(tmp_path / "adapter.npz")
    assert loaded.digest() == made.digest()
    assert loaded.kept == made.kept
    np.testing.assert_allclose(
        adapted(small, loaded).arrays["1.ffn.in"], adapted(small, made).arrays["1.ffn.in"], atol=2e-3
    )
    loaded.check("ear", small.sha256)
    with pytest.raises(DragomanError, match="another ear"):
        loaded.check("other", small.sha256)
    with pytest.raises(DragomanError, match="another language model"):
        adapted(replace(small, sha256="ffff"), loaded)
    (tmp_path / "adapter.npz").write_bytes(b"nothing")
    with pytest.raises(DragomanError, match="not an adapter"):
        load_adapter(tmp_path / "adapter.npz")
    large = replace(made, own={**made.own, "in": np.zeros((6000, 6000), np.float32)})
    with pytest.raises(DragomanError, match="smaller rank"):
        save_adapter(tmp_path / "large.npz", large)


def write_gguf(path: Path, of: Body) -> None:
    """As llama.cpp's converter writes it: neighbouring rows of queries and keys are turned together."""
    writer = GGUFWriter(path, "llama")
    dims, heads = of.dims, of.dims.heads * of.dims.head
    writer.add_embedding_length(dims.width)
    writer.add_block_count(dims.layers)
    writer.add_head_count(dims.heads)
    writer.add_head_count_kv(dims.kv_heads)
    writer.add_key_length(dims.head)
    writer.add_feed_forward_length(dims.inner)
    writer.add_rope_freq_base(dims.rope_base)
    writer.add_layer_norm_rms_eps(dims.epsilon)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(list(of.merges.tokens))
    writer.add_token_merges([" ".join(pair) for pair in of.merges.pairs])
    writer.add_bos_token_id(of.merges.begin)
    writer.add_tensor("token_embd.weight", of.arrays["tokens"])
    writer.add_tensor("output_norm.weight", of.arrays["norm"])

    def paired(weight: np.ndarray, count: int) -> np.ndarray:
        halves = weight.reshape(count, 2, dims.head // 2, -1)
        return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))

    for i in range(dims.layers):
        q, k, v = np.split(of.arrays[f"{i}.attn.qkv"], [heads, heads + dims.kv_heads * dims.head])
        gate, up = np.split(of.arrays[f"{i}.ffn.in"], 2)
        named = {
            "attn_q": paired(q, dims.heads),
            "attn_k": paired(k, dims.kv_heads),
            "attn_v": v,
            "attn_output": of.arrays[f"{i}.attn.out"],
            "ffn_gate": gate,
            "ffn_up": up,
            "ffn_down": of.arrays[f"{i}.ffn.out"],
            "attn_norm": of.arrays[f"{i}.attn.norm"],
            "ffn_norm": of.arrays[f"{i}.ffn.norm"],
        }
        for name, array in named.items():
            writer.add_tensor(f"blk.{i}.{name}.weight", array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_body_comes_out_of_its_file(tmp_path: Path) -> None:
    """Every weight in its place, the sizes, the tokenizer; and it can be shortened."""
    small = body()
    write_gguf(tmp_path / "small.gguf", small)
    loaded = load_body(tmp_path / "small.gguf")
    assert loaded.dims == replace(small.dims, epsilon=loaded.dims.epsilon)
    assert loaded.dims.epsilon == pytest.approx(small.dims.epsilon)
    assert set(loaded.arrays) == {name for name in small.arrays if not name.endswith("bias")}
    for name, array in loaded.arrays.items():
        np.testing.assert_array_equal(array, small.arrays[name])
    assert loaded.merges == replace(small.merges, split="smollm")
    assert set(loaded.shortened(1).arrays) == {name for name in loaded.arrays if name[0] not in "12"}
    with pytest.raises(DragomanError, match="3 layers, not 4"):
        loaded.shortened(4)


def test_examples_are_what_this_ear_hears(tmp_path: Path) -> None:
    """Conversations come with the features of one ear; without them, or with another's, one line says what to run."""
    with pytest.raises(DragomanError, match="dragoman data duplex"):
        Examples(tmp_path, "ear").load(silent)
    made = replace(conversation(), pcm=np.zeros(60 * FRAME, np.float32))
    shard = shard_path(tmp_path, "drafter", 1, 0)
    save_conversations(shard, [made, replace(made, id="two")])
    with pytest.raises(DragomanError, match="no features"):
        Examples(tmp_path, "ear").load(silent)
    features = np.random.default_rng(1).standard_normal((120, BLOCK, EAR_WIDTH)).astype(np.float16)
    prosody = np.random.default_rng(2).standard_normal((120, BLOCK, PROSODY)).astype(np.float16)
    kept = {"features": features, "frames": [60, 60], "ear": np.frombuffer(b"ear", np.uint8)}
    np.savez(features_path(shard), **kept)
    with pytest.raises(DragomanError, match=r"knows prosody.*dragoman data duplex"):
        Examples(tmp_path, "ear").load(silent)
    np.savez(features_path(shard), **kept, prosody=prosody)
    one, two = Examples(tmp_path, "ear").load(silent)
    assert (one.conversation, two.conversation.id) == (made, "two")
    np.testing.assert_array_equal(two.features, features[60:])
    np.testing.assert_array_equal(two.prosody, prosody[60:])
    with pytest.raises(DragomanError, match="another ear"):
        Examples(tmp_path, "other").load(silent)


def test_a_file_that_is_no_language_model_is_an_error(tmp_path: Path) -> None:
    """One line says so."""
    (tmp_path / "x.gguf").write_bytes(b"GGUF but not really")
    with pytest.raises(DragomanError, match="not a language model"):
        load_body(tmp_path / "x.gguf")
    with pytest.raises(DragomanError, match="can be read"):
        load_body(tmp_path / "missing.gguf")
