"""Whisper's weights on CTranslate2, in typed pieces: encode, decode, align, detect the language.

Nothing here knows of streams. Everything is blocking, releases the interpreter lock while it computes, and may
be called from several threads: calls share ``threads`` cores and wait for each other.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import punctuation
from typing import Any, Final

import numpy as np
from ctranslate2 import StorageView
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens, merge_punctuations

from dragoman.audio.types import INPUT_RATE, DragomanError, Samples, Word

MAX_SECONDS: Final = 30
"""The longest sound that Whisper takes at once."""

_FILES: Final = ("model.bin", "config.json", "tokenizer.json")
_FRAMES_PER_SECOND: Final = 100
_TIMESTAMP_S: Final = 0.02
_PREPENDED: Final = "\"'“¿([{-"
_APPENDED: Final = "\"'.。,，!！?？:：”)]}、"


@dataclass(frozen=True, slots=True)
class Encoded:
    """The encoder's output for ``seconds`` of sound (the padding after it not counted)."""

    features: StorageView
    seconds: float


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the decoder wrote, and how far it can be believed."""

    text: str
    tokens: tuple[int, ...]
    logprob: float
    """Mean log-probability of the tokens."""
    no_speech: float
    """Probability that the window holds no speech at all."""
    end: float | None
    """Seconds to where the decoder stopped, when it says that speech follows there; None: it took all."""

    @property
    def repetitive(self) -> bool:
        """The text compresses too well for speech: the decoder ran in a loop (Whisper's own test)."""
        data = self.text.encode()
        return len(data) > 2.4 * len(zlib.compress(data))

    @property
    def silent(self) -> bool:
        """The decoder heard no speech and does not believe what it wrote (Whisper's own test)."""
        return not self.text or (self.no_speech > 0.6 and self.logprob < -1.0)

    @property
    def doubtful(self) -> bool:
        """Another attempt may do better."""
        return self.repetitive or (self.logprob < -1.0 and not self.silent)


class Engine:
    """A CTranslate2 Whisper folder, loaded. Raises ``DragomanError`` when it is none."""

    def __init__(self, folder: Path, *, threads: int = 1, compute_type: str = "int8") -> None:
        missing = [name for name in _FILES if not (folder / name).is_file()]
        if missing:
            raise DragomanError(f"{folder}: not a CTranslate2 Whisper model, {', '.join(missing)} missing")
        try:
            self._model = WhisperModel(
                str(folder), device="cpu", compute_type=compute_type, cpu_threads=threads, num_workers=1
            )
        except (RuntimeError, ValueError) as error:
            raise DragomanError(f"{folder}: the Whisper model can't be loaded ({error})") from error
        self.multilingual: bool = self._model.model.is_multilingual
        self.languages: frozenset[str] = frozenset(self._model.supported_languages)
        self._tokenizer = cache(self._make_tokenizer)

    def encode(self, pcm: Samples, window: float = MAX_SECONDS) -> Encoded:
        """Encode up to ``window`` seconds (at most 30) of 16 kHz sound, padded to ``window``."""
        frames = round(window * _FRAMES_PER_SECOND)
        pcm = pcm[: frames * INPUT_RATE // _FRAMES_PER_SECOND]
        mel = self._model.feature_extractor(pcm)[:, :-1]
        padded = np.zeros((mel.shape[0], frames), np.float32)
        padded[:, : mel.shape[1]] = mel[:, :frames]
        return Encoded(self._model.encode(padded), len(pcm) / INPUT_RATE)

    def detect(self, encoded: Encoded, among: Collection[str] = ()) -> tuple[str, float]:
        """The most probable language (of ``among``, if given) and its probability."""
        if not self.multilingual:
            return "en", 1.0
        ranked = [(token[2:-2], p) for token, p in self._model.model.detect_language(encoded.features)[0]]
        allowed = [(code, float(p)) for code, p in ranked if not among or code in among]
        code, p = allowed[0]
        return code, p / (sum(p for _, p in allowed) or 1.0)

    def decode(
        self, encoded: Encoded, language: str, *, timestamps: bool, beam: int = 1, no_repeat: int = 0
    ) -> Decoded:
        """Write down the sound; ``no_repeat``: so many tokens in a row may not occur twice (0: they may)."""
        tokenizer, suppressed = self._tokenizer(language)
        prompt = [*tokenizer.sot_sequence, *([] if timestamps else [tokenizer.no_timestamps])]
        # No one speaks 25 tokens a second: a decoder that loops is stopped early.
        longest = len(prompt) + 16 + int(25 * encoded.seconds)
        result = self._model.model.generate(
            encoded.features,
            [prompt],
            beam_size=beam,
            no_repeat_ngram_size=no_repeat,
            max_length=min(longest, self._model.max_length),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=suppressed,
        )[0]
        tokens = result.sequences_ids[0]
        return Decoded(
            text=tokenizer.decode(tokens).strip(),
            tokens=tuple(token for token in tokens if token < tokenizer.eot),
            logprob=result.scores[0] * len(tokens) / (len(tokens) + 1),
            no_speech=result.no_speech_prob,
            end=_closing(tokens, tokenizer.timestamp_begin),
        )

    def words(self, encoded: Encoded, decoded: Decoded, language: str) -> list[Word]:
        """The words of ``decoded`` in time, by the decoder's attention; seconds from the sound's start."""
        if not decoded.tokens:
            return []
        tokenizer, _ = self._tokenizer(language)
        frames = max(2, round(encoded.seconds * _FRAMES_PER_SECOND))
        [found] = self._model.find_alignment(tokenizer, [list(decoded.tokens)], encoded.features, frames)
        merge_punctuations(found, _PREPENDED, _APPENDED)
        words: list[Word] = []
        for part in found:
            if not (text := part["word"].strip()):
                continue
            end, p = float(part["end"]), float(part["probability"])
            if words and part["word"][0] in punctuation:  # no space before it: "10,250" and "well-known" are a word
                last = words.pop()
                words.append(Word(last.text + text, last.start, end, min(p, last.p or p)))
            else:
                words.append(Word(text, float(part["start"]), end, p))
        return words

    def _make_tokenizer(self, language: str) -> tuple[Any, Sequence[int]]:
        tokenizer = Tokenizer(self._model.hf_tokenizer, self.multilingual, "transcribe", language)
        return tokenizer, list(get_suppressed_tokens(tokenizer, [-1]))


def _closing(tokens: Sequence[int], timestamp_begin: int) -> float | None:
    """Where the next segment begins, if the decoder left it for another pass: its timestamp comes twice.

    One timestamp at the end says that no speech follows (Whisper's convention).
    """
    if len(tokens) < 2 or min(tokens[-2:]) < timestamp_begin:
        return None
    return (tokens[-1] - timestamp_begin) * _TIMESTAMP_S
