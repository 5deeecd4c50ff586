"""Piper's voices: one ONNX file each, with its table of symbols beside it. Any that speaks a known language.

Model card
    Graph: VITS, as Piper exports it. Found here: ``en_US-joe-medium``, a male American English voice, CC0, tuned by
    its makers from the voice "lessac" on recordings of Nabu Casa's voice datasets. Phonemes by espeak-ng. Piper's own
    program is not used.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

from dragoman.audio.reading import expecting
from dragoman.audio.resample import resample
from dragoman.audio.types import OUTPUT_RATE, DragomanError, Samples
from dragoman.tts.graphs import session_with_output
from dragoman.tts.pronunciation import ESPEAK_VOICES, Pronunciation
from dragoman.tts.voice import Durations, Voice

_PAD, _BEGIN, _END = "_", "^", "$"
_CHANNELS: Final = 192
_FRAMES: Final = 8192
"""Most noise that a graph of Piper's asks for: over a minute."""
_RESERVED: Final = frozenset((_PAD, _BEGIN, _END))


class PiperEngine:
    """One voice. ``language`` is that of its table."""

    longest = 300

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        """Load ``NAME.onnx`` with ``NAME.onnx.json``. Raises ``DragomanError``."""
        with expecting("a Piper voice with its table beside it", path):
            table = json.loads(path.with_name(path.name + ".json").read_text(encoding="utf-8"))
            self._ids = {str(symbol): int(ids[0]) for symbol, ids in table["phoneme_id_map"].items()}
            self._rate = int(table["audio"]["sample_rate"])
            inference = table["inference"]
            self._scales = tuple(float(inference[name]) for name in ("noise_scale", "length_scale", "noise_w"))
            self.language = str(table["espeak"]["voice"]).split("-")[0]
            speakers = int(table.get("num_speakers", 1))
        if self.language not in ESPEAK_VOICES or speakers > 1:
            raise DragomanError(
                f"{path.name} can't be used: a voice of one speaker of {', '.join(ESPEAK_VOICES)} is needed"
            )
        self._session = _session(path, threads)
        self._pronunciation = Pronunciation(self.language, lambda ipa: ipa.replace("^", "").replace("-", ""))
        self.onward = self._pronunciation.onward

    @property
    def symbols(self) -> frozenset[str]:
        """The phonemes and marks that the voice knows."""
        return frozenset(self._ids) - _RESERVED

    def pronounce(self, words: Sequence[str]) -> list[str]:
        """Phonemes per word of a sentence."""
        return self._pronunciation.words(words)

    def render(self, symbols: str, rate: float) -> tuple[Samples, Durations]:
        """Sound and durations, see ``Engine``."""
        pad = self._ids[_PAD]
        ids = [self._ids[_BEGIN], pad, *(i for c in symbols for i in (self._ids[c], pad)), self._ids[_END]]
        noise, length, width = self._scales
        audio, durations = self._session.run(
            None,
            {
                "input": np.asarray([ids], np.int64),
                "input_lengths": np.asarray([len(ids)], np.int64),
                "scales": np.asarray([noise, length / rate, width], np.float32),
            },
        )
        lasting = np.asarray(durations, np.float32).ravel()
        # Each symbol with the pad after it; the end stands alone.
        shares = np.append(lasting[:-1].reshape(-1, 2).sum(axis=1), lasting[-1]).astype(np.float32)
        return resample(np.asarray(audio, np.float32).ravel(), self._rate, OUTPUT_RATE), shares


def open_piper(path: Path, *, threads: int = 1) -> Voice:
    """A Piper voice by its file, loaded: takes a second or two."""
    engine = PiperEngine(path, threads=threads)
    return Voice(engine, engine.language, path.stem)


def _session(path: Path, threads: int) -> ort.InferenceSession:
    """VITS rounds the length of each symbol up, once."""
    try:
        model = onnx.load(str(path))
    except Exception as error:  # its errors have no common base
        raise DragomanError(f"{path.name} is not a voice that can be read ({error})") from error
    lengths = [name for node in model.graph.node if node.op_type == "Ceil" for name in node.output]
    if len(lengths) != 1:
        raise DragomanError(f"{path.name} is not a voice whose durations can be read")
    _fix_noise(model.graph)
    return session_with_output(model, lengths[0], threads=threads)


def _fix_noise(graph: onnx.GraphProto) -> None:
    """Where the graph draws noise, it takes the beginning of a fixed one: the same text gives the same sound."""
    noise = np.random.default_rng(0).standard_normal((1, _CHANNELS, _FRAMES)).astype(np.float32)
    graph.initializer.append(numpy_helper.from_array(noise, "fixed_noise"))
    graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.int64), "fixed_noise_starts"))
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type == "RandomNormalLike":
            shape = f"{node.output[0]}_shape"
            nodes.append(helper.make_node("Shape", [node.input[0]], [shape]))
            node = helper.make_node("Slice", ["fixed_noise", "fixed_noise_starts", shape], list(node.output))
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
