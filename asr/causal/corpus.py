"""Spoken clips for training, made by voices and kept in shards.

A clip is one speaker, up to 28 s: sentences with pauses between them and silence around, with the end of each word.
A shard is a ``.npz`` of some clips; it is made from its number and a seed alone, so a stopped run goes on where it
was, and two machines can share the work.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from dragoman.audio.reading import ANEW, expecting
from dragoman.audio.resample import resample
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, Samples, Speech, Word
from dragoman.audio.writing import replacing

CLIPS_PER_SHARD: Final = 40
LONGEST_S: Final = 28.0

_PITCH: Final = 0.13
"""Largest share by which a voice is shifted up or down, pitch and formants together."""


class Speaker(Protocol):
    """A synthetic voice."""

    def synthesize(self, text: str, *, rate: float = 1.0) -> Speech:
        """Speak ``text``; the words' times count from the first sample."""


Cast = Callable[[Random, str], tuple[str, Speaker]]
"""Draws a speaker of a language: its name for the record, and the voice."""

Script = Callable[[Random, str], str]
"""Draws a sentence of a language."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Sound at 16 kHz and what is said in it, word by word, in seconds from its start."""

    pcm: Samples
    words: tuple[Word, ...]
    language: str
    speaker: str = ""
    heard: bool = False
    """It is as a microphone heard it already: nothing needs to be done to the voice."""

    @property
    def text(self) -> str:
        """Everything that is said."""
        return " ".join(word.text for word in self.words)

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.pcm) / INPUT_RATE


def make_clip(rng: Random, language: str, cast: Cast, script: Script) -> Clip:
    """Speak one clip. Its length, pauses, pace and pitch are drawn from ``rng``."""
    name, speaker = cast(rng, language)
    pitch = 1.0 + rng.uniform(-_PITCH, _PITCH)
    rate = min(1.5, max(0.7, rng.gauss(1.08, 0.14))) / pitch
    wanted = rng.choice((2.0, 4.0, 6.0, 8.0, 8.0, 11.0, 11.0, 15.0, 24.0))
    now = rng.uniform(0.05, 0.7)
    sounds: list[tuple[float, Samples]] = []
    words: list[Word] = []
    while True:
        spoken = speaker.synthesize(script(rng, language), rate=min(2.0, max(0.5, rate)))
        pcm = resample(spoken.pcm, round(OUTPUT_RATE * pitch), INPUT_RATE)
        seconds = len(pcm) / INPUT_RATE
        if seconds < 0.15:
            continue
        if words and now + seconds > LONGEST_S - 1.0:
            break
        pcm = pcm[: int((LONGEST_S - 1.0 - now) * INPUT_RATE)]
        last = now + len(pcm) / INPUT_RATE
        timed = [Word(w.text, w.start / pitch + now, w.end / pitch + now) for w in spoken.words]
        words += [w for w in timed if w.end <= last + 0.05]
        sounds.append((now, pcm))
        now = last
        if now > wanted:
            break
        now += rng.choice((rng.uniform(0.15, 0.6), rng.uniform(0.4, 1.0), rng.uniform(1.0, 2.5)))
    total = int((sounds[-1][0] + len(sounds[-1][1]) / INPUT_RATE + rng.uniform(0.4, 1.0)) * INPUT_RATE)
    out = np.zeros(total, np.float32)
    for at, pcm in sounds:
        start = int(at * INPUT_RATE)
        out[start : start + len(pcm)] += pcm[: total - start]
    return Clip(out, tuple(words), language, name)


def shard_path(folder: Path, language: str, seed: int, number: int) -> Path:
    """Where a shard lies."""
    return folder / f"{language}-{seed}-{number:05}.npz"


def make_shard(folder: Path, language: str, seed: int, number: int, cast: Cast, script: Script) -> Path:
    """Make a shard unless it is there; it appears whole or not at all. Gives its path. Takes minutes."""
    path = shard_path(folder, language, seed, number)
    if not path.is_file():
        rng = Random(f"{language}/{seed}/{number}")
        save_clips(path, [make_clip(rng, language, cast, script) for _ in range(CLIPS_PER_SHARD)])
    return path


def save_clips(path: Path, clips: Sequence[Clip]) -> None:
    """Write clips as one shard: 16-bit sound and a JSON index."""
    index = [
        {
            "samples": len(clip.pcm),
            "language": clip.language,
            "speaker": clip.speaker,
            "heard": clip.heard,
            "words": [asdict(word) for word in clip.words],
        }
        for clip in clips
    ]
    pcm = np.concatenate([clip.pcm for clip in clips]) if clips else np.zeros(0, np.float32)
    write_shard(path, pcm, index)


def write_shard(path: Path, pcm: Samples, index: Sequence[Mapping[str, object]], **beside: Samples) -> None:
    """Write sound as 16 bits with a JSON index; ``beside``: more sound by its name. The file appears whole or not at
    all.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez_compressed(
            file,
            allow_pickle=False,
            pcm=_as_16_bits(pcm),
            index=np.frombuffer(json.dumps(index).encode(), np.uint8),
            **{name: _as_16_bits(sound) for name, sound in beside.items()},
        )


def _as_16_bits(pcm: Samples) -> npt.NDArray[np.int16]:
    return np.round(np.clip(pcm, -1, 1) * 32767).astype(np.int16)


def from_16_bits(pcm: npt.NDArray[np.int16]) -> Samples:
    """Sound as it was before ``write_shard``."""
    return np.divide(pcm, 32767, dtype=np.float32)


def load_clips(path: Path) -> Iterator[Clip]:
    """The clips of a shard. Raises ``DragomanError``."""
    with expecting("a shard of training clips", path, ANEW):
        with path.open("rb") as file, np.load(file) as data:
            pcm = data["pcm"]
            index = json.loads(data["index"].tobytes())
        at = 0
        for entry in index:
            sound = from_16_bits(pcm[at : at + entry["samples"]])
            at += entry["samples"]
            words = tuple(Word(**word) for word in entry["words"])
            yield Clip(sound, words, entry["language"], entry["speaker"], entry.get("heard", False))


def shards(folder: Path, languages: Sequence[str] = ()) -> list[Path]:
    """The shards that a folder holds, of some languages or of all."""
    found = sorted(path for path in folder.glob("*-*-*.npz"))
    return [path for path in found if not languages or path.name.split("-")[0] in languages]
