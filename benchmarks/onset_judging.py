"""What replies are worth: whether a reply fits its own turn best, by the ranker, and whether it is understood aloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb
from typing import Final

import numpy as np

from dragoman.agent.ports import Recognizer, Synthesizer
from dragoman.audio.resample import resample
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, Samples
from dragoman.benchmarks.onset_turns import HeldOut
from dragoman.benchmarks.scoring import matches, normalizer
from dragoman.models.catalog import Progress
from dragoman.verifier.labels import Ranking

OTHERS: Final = 15
"""Contexts of other turns that a reply is held against at a time."""

_QUIET: Final = np.zeros(INPUT_RATE // 4, np.float32)


class Fit:
    """hits@1 of 16: a reply is held against its own context and those of 15 turns of other conversations. Which they
    are is not left to chance: it is the mean over all that could be drawn, so that the figure varies with turns alone.
    """

    def __init__(self, turns: Sequence[HeldOut], ranking: Ranking) -> None:
        """``turns``: all whose contexts may be drawn."""
        self._ranking = ranking
        self._contexts = ranking.dialogues([turn.context for turn in turns])
        self._own = {turn.name: number for number, turn in enumerate(turns)}
        self._others = {
            turn.name: [i for i, other in enumerate(turns) if other.conversation != turn.conversation] for turn in turns
        }

    def hits(self, replies: Mapping[str, str]) -> dict[str, float]:
        """How likely it is that each reply, by its turn's name, fits its own context better than 15 others. A reply
        without words never does. Turns with too few others are left out.
        """
        names = [name for name in replies if len(self._others.get(name, ())) >= OTHERS]
        if not names:
            return {}
        found = {}
        for name, vector in zip(names, self._ranking.replies([replies[name] for name in names]), strict=True):
            own = float(self._contexts[self._own[name]] @ vector)
            others = self._contexts[self._others[name]] @ vector
            worse = int((others < own).sum())
            found[name] = comb(worse, OTHERS) / comb(len(others), OTHERS) if replies[name].strip() else 0.0
        return found


def seam_ratio(
    spoken: Sequence[tuple[str, Samples]], voice: Synthesizer, recognizer: Recognizer, progress: Progress
) -> float | None:
    """Word error rate of replies (text, sound at 24 kHz) that were spoken in parts, over that of the same texts spoken
    in one piece. None without replies, or where the latter has no errors and the former has some.
    """
    normalize = normalizer("en")
    joined = whole = 0
    for number, (text, pcm) in enumerate(spoken):
        progress("listening to replies", number, len(spoken))
        words = normalize(text)
        joined += matches(words, normalize(_heard(recognizer, pcm)))[1]
        whole += matches(words, normalize(_heard(recognizer, voice.synthesize(text).pcm)))[1]
    progress("listening to replies", 1, 1)
    if not spoken or (joined and not whole):
        return None
    return joined / whole if whole else 1.0


def _heard(recognizer: Recognizer, pcm: Samples) -> str:
    stream = recognizer.open("en")
    stream.accept(np.concatenate((_QUIET, resample(pcm, OUTPUT_RATE, INPUT_RATE), _QUIET)))
    return stream.final().text
