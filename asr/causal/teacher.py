"""What the offline model makes of each training clip, computed once and kept on disk. Needs the ``train`` extra."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from dragoman.asr.causal.corpus import Clip
from dragoman.asr.causal.examples import TextEncoder
from dragoman.asr.causal.mel import stock_log_mel
from dragoman.asr.causal.network import CausalWhisper, precision
from dragoman.audio.writing import replacing

_TOP: Final = 20

_WINDOW_S: Final = 15.0
"""The offline model hears at least so much, silence included: with 30 s it errs no less and takes twice the time."""
_SILENCE_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Lesson:
    """The offline encoder's features [frames, d] of a clip, and for each position of its text (the end included) the
    most probable tokens and their log-probabilities [n, top].
    """

    features: npt.NDArray[np.float16]
    tokens: npt.NDArray[np.int32]
    logp: npt.NDArray[np.float16]


class Teacher:
    """The stock model with its full mask. The first lesson of a clip takes half a second."""

    def __init__(
        self,
        network: CausalWhisper,
        encoder: TextEncoder,
        prompt: list[int],
        folder: Path,
        device: torch.device,
    ) -> None:
        self._network = network
        self._encoder = encoder
        self._prompt = prompt
        self._folder = folder
        self._device = device
        folder.mkdir(parents=True, exist_ok=True)

    def lesson(self, name: str, clip: Clip) -> Lesson:
        """The lesson of a clip, kept by its ``name`` until another clip is called so: data may be made anew."""
        path, of = self._folder / f"{name}.npz", zlib.crc32(clip.text.encode(), zlib.crc32(clip.pcm.tobytes()))
        if path.is_file():
            with np.load(path) as data:
                if data.get("of") == of:
                    return Lesson(data["features"], data["tokens"], data["logp"])
        lesson = self._compute(clip)
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez(file, features=lesson.features, tokens=lesson.tokens, logp=lesson.logp, of=of)
        return lesson

    @torch.no_grad()
    def _compute(self, clip: Clip) -> Lesson:
        mel = stock_log_mel(clip.pcm)[: 100 * math.ceil(max(_WINDOW_S, clip.seconds + _SILENCE_S))]
        mel = np.concatenate([mel, mel[-1:]])
        tokens = [*self._prompt, *(t for word in clip.words for t in self._encoder.encode(" " + word.text))][:440]
        adapted, self._network.adapted = self._network.adapted, False
        try:
            sound = torch.from_numpy(mel)[None].to(self._device)
            with precision(self._device):
                features = self._network.encode(sound, block=8, ahead=None)
                logits, _ = self._network.decode(
                    torch.tensor([tokens], device=self._device), self._network.cross(features)
                )
        finally:
            self._network.adapted = adapted
        said = logits[0, len(self._prompt) - 1 :].float().log_softmax(-1).topk(_TOP)
        frames = min(features.shape[1], int(clip.seconds * 50) + 32)
        return Lesson(
            features[0, :frames].float().cpu().numpy().astype(np.float16),
            said.indices.cpu().numpy().astype(np.int32),
            said.values.cpu().numpy().astype(np.float16),
        )
