"""What the verifier reads and is taught by, in small: drafts, lessons, conversations with a sound, a simple encoder."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from duplex_small import EAR_WIDTH, Array
from duplex_small import conversation as silent

from dragoman.agent.drafter.drafts import Draft
from dragoman.agent.duplex.conversation import Conversation, UserEvent
from dragoman.agent.duplex.frames import FRAME
from dragoman.asr.causal.features import BLOCK
from dragoman.audio.types import INPUT_RATE, Samples, Word

WIDTH = 24


def draft(seed: int, tokens: int = 6, width: int = WIDTH, sure: float = 0.0) -> Draft:
    """A draft of random numbers; ``sure`` is added to one direction of the states, and to the log-probability."""
    rng = np.random.default_rng(seed)
    hidden = rng.standard_normal((tokens, width)).astype(np.float32)
    hidden[:, 0] += sure
    entropy, margin = (rng.gamma(2.0, 0.5, tokens).astype(np.float32) for _ in range(2))
    logp = (-rng.gamma(2.0, 0.4, tokens) + 0.1 * sure).astype(np.float32)
    return Draft("so it is", tuple(range(tokens)), seed % 2 == 0, hidden, entropy, logp, margin)


def conversation(name: str, said: str, reply: str) -> Conversation:
    """As ``duplex_small.conversation``, with a sound wherever the user speaks, and words of its own."""
    made = silent(name)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    pcm = (1e-3 * rng.standard_normal(made.frames * FRAME)).astype(np.float32)
    first, second = made.user
    words = said.split()
    step = (first.end_s - first.start_s) / len(words)
    spoken = tuple(
        Word(word, first.start_s + i * step, first.start_s + (i + 0.9) * step) for i, word in enumerate(words)
    )
    events: list[UserEvent] = [replace(first, words=spoken, text=said, pauses=()), second]
    for event in events:
        for word in event.words:
            a, b = round(word.start * INPUT_RATE), round(word.end * INPUT_RATE)
            tone = 200 + zlib.crc32(word.text.encode()) % 3000
            pcm[a:b] += (0.2 * np.sin(2 * np.pi * tone * np.arange(b - a) / INPUT_RATE)).astype(np.float32)
    agent = (replace(made.agent[0], text=reply), *made.agent[1:])
    return replace(made, split="verifier", pcm=pcm, user=tuple(events), agent=agent)


def hear(pcm: Samples) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
    """Energies in bands, as features of an ear: [frames, BLOCK, EAR_WIDTH]."""
    frames = len(pcm) // FRAME
    parts = pcm[: frames * FRAME].reshape(frames, BLOCK, -1)
    power = np.abs(np.fft.rfft(parts, axis=-1))[..., : EAR_WIDTH * 13].reshape(frames, BLOCK, EAR_WIDTH, 13).mean(-1)
    return np.log(power + 1e-3).astype(np.float16)


class Bags:
    """Texts as bags of words: each word has a direction of its own."""

    width = 64

    def encode(self, texts: Sequence[str]) -> Array:
        out = np.zeros((len(texts), self.width), np.float32)
        for row, text in zip(out, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()):
                row += np.random.default_rng(zlib.crc32(word.encode())).standard_normal(self.width)
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
