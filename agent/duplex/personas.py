"""Who speaks: many voices out of few, shared out so that no voice is heard in two splits.

The fast voices are shifted in pitch and formants together by playing them at another speed; Kokoro's packs are used
alone or two mixed. A shift, and a pack, belongs to one split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Final, Protocol

import numpy as np

from dragoman.agent.duplex.conversation import SPLITS, Split
from dragoman.audio.resample import resample
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, DragomanError, Samples, Speech, Word
from dragoman.models.catalog import resolve
from dragoman.tts import Voice, open_voice
from dragoman.tts.espeak import espeak
from dragoman.tts.kokoro import KokoroEngine, KokoroModel, Styles


class Speaker(Protocol):
    """A synthetic voice; the same text always gives the same sound."""

    def synthesize(self, text: str, *, rate: float = 1.0, final: bool = True) -> Speech:
        """Speak ``text``; with ``final`` False the tone tells that more will come."""


@dataclass(frozen=True, slots=True)
class Persona:
    """A voice at a pitch and a pace: factors, 1 is the voice's own. ``hums``: it can say "mm-hm"; others spell it."""

    name: str
    speaker: Speaker
    pitch: float = 1.0
    pace: float = 1.0
    hums: bool = False

    def say(self, text: str, *, final: bool = True, slow: float = 1.0) -> tuple[Samples, tuple[Word, ...]]:
        """Sound at 16 kHz and its words; ``slow`` draws it out so many times."""
        rate = min(2.0, max(0.5, self.pace / self.pitch / slow))
        spoken = self.speaker.synthesize(text, rate=rate, final=final)
        pcm = resample(spoken.pcm, round(OUTPUT_RATE * self.pitch), INPUT_RATE)
        words = tuple(Word(w.text, w.start / self.pitch, w.end / self.pitch) for w in spoken.words)
        return pcm, words


Cast = Callable[[Random, Split], tuple[Persona, Persona]]
"""Draws the user's and the agent's voice for a conversation of a split: two different ones."""

_SHIFTS: Final[tuple[tuple[float, Split], ...]] = (
    (0.84, "drafter"),
    (0.88, "test"),
    (0.92, "drafter"),
    (0.96, "verifier"),
    (1.00, "drafter"),
    (1.04, "drafter"),
    (1.08, "test"),
    (1.12, "drafter"),
    (1.16, "verifier"),
)
"""The voices as they are belong to the drafter, who will hear them in use."""

_HUMMING: Final = ("heart",)
_MIXED: Final = 0.5
_WEIGHTS: Final = (0.2, 0.35, 0.5)
_MOST_SLOW: Final = 0.95
"""Of the voices may be Kokoro's: a split that has but one of them needs another to talk with."""
OWN_PACKS: Final = ("jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo")


def casting(packs: Path | None = None, *, kokoro_share: float = 0.1) -> Cast:
    """A cast of the English voices that are here. ``kokoro_share``: how many of the voices are Kokoro's, more of them
    with the folder ``packs`` (``af_bella.bin``): they are slow to make. Raises ``DragomanError``.
    """
    if not 0 <= kokoro_share <= 1:
        raise DragomanError(f"a share of {kokoro_share:g} is not possible: choose one from 0 to 1")
    fast = {"heart": open_voice("en", "heart")}
    # The second voice is there only where espeak-ng and its model are.
    with suppress(DragomanError):
        fast["joe"] = open_voice("en", "joe")
    slow = _kokoro(packs) if kokoro_share else None

    def one(rng: Random, split: Split) -> Persona:
        pace = min(1.45, max(0.75, rng.gauss(1.08, 0.13)))
        if slow is not None and rng.random() < min(kokoro_share, _MOST_SLOW):
            name, voice = slow(rng, split)
            return Persona(name, voice, 1.0, pace)
        return shifted(rng, split, fast, pace)

    def cast(rng: Random, split: Split) -> tuple[Persona, Persona]:
        agent = one(rng, split)
        if split == "drafter" and rng.random() < 0.3:
            agent = Persona("heart", fast["heart"], 1.0, rng.uniform(0.95, 1.1), hums=True)
        while (user := one(rng, split)).name == agent.name:
            pass
        return user, agent

    return cast


def shifted(rng: Random, split: Split, voices: Mapping[str, Speaker], pace: float) -> Persona:
    """One of ``voices`` at a pitch that belongs to ``split``."""
    base = rng.choice(sorted(voices))
    pitch = rng.choice([shift for shift, owner in _SHIFTS if owner == split])
    return Persona(base if pitch == 1 else f"{base}~{pitch:.2f}", voices[base], pitch, pace, hums=base in _HUMMING)


def shared_out(packs: Sequence[str]) -> dict[Split, list[str]]:
    """Packs (``af_bella``) by the split that they belong to; each split gets some of every gender where there are."""
    given: dict[Split, list[str]] = {split: [] for split in SPLITS}
    order: tuple[Split, ...] = ("drafter", "verifier", "test", "drafter", "drafter", "drafter", "drafter")
    kinds = {(pack[0] in "ab", pack[1]) for pack in packs}
    for kind in sorted(kinds):
        alike = sorted(pack for pack in packs if (pack[0] in "ab", pack[1]) == kind)
        for i, pack in enumerate(alike):
            given[order[i % len(order)]].append(pack)
    return given


def packs_in(folder: Path) -> list[str]:
    """The voice packs of a folder, by name. Raises ``DragomanError`` where there are none."""
    if not (found := sorted(file.stem for file in folder.glob("??_*.bin"))):
        raise DragomanError(f"{folder}: no voice packs (af_bella.bin) are there")
    return found


def _kokoro(packs: Path | None) -> Callable[[Random, Split], tuple[str, Voice]]:
    named = packs_in(packs) if packs is not None else OWN_PACKS
    espeak()  # first: its absence is found at once
    model = KokoroModel(resolve("kokoro"))
    given, usual = shared_out(named), shared_out(OWN_PACKS)

    @cache
    def style(name: str) -> Styles:
        return model.styles(name, packs)

    @cache
    def voice(first: str, second: str, weight: float) -> Voice:
        mixed = ((1 - weight) * style(first) + weight * style(second)).astype(np.float32)
        return Voice(KokoroEngine(model, "en", mixed), "en", first)

    def draw(rng: Random, split: Split) -> tuple[str, Voice]:
        own = given[split] or usual[split]  # a pack or two are not enough for all splits
        native = [name for name in own if name[0] in "ab"]
        first = rng.choice(native if native and rng.random() < 0.75 else own)
        second = rng.choice(own)
        if first == second or rng.random() > _MIXED:
            return first, voice(first, first, 0.0)
        weight = rng.choice(_WEIGHTS)
        return f"{first}+{second}@{weight:.2f}", voice(first, second, weight)

    return draw
