"""How a streamed text is scored against what was said: error rates, delays of words, revisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np

from dragoman.audio.types import Word

SETTLED_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Shown:
    """A text on the virtual clock: shown at ``at`` seconds, after sound up to ``heard``."""

    at: float
    heard: float
    text: str


@dataclass(frozen=True, slots=True)
class Heard:
    """What one system made of one clip."""

    file: str
    seconds: float
    compute: float
    shown: tuple[Shown, ...]
    final: str
    final_s: float
    """Compute of the final text."""


@dataclass
class Score:
    """Counts over clips; the lists hold seconds."""

    words: int = 0
    wrong: list[tuple[int, int]] = field(default_factory=list)
    """(errors, words) of each clip's final text."""
    settled: list[tuple[int, int]] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)
    erased: int = 0
    written: int = 0


def normalizer(lang: str) -> Callable[[str], list[str]]:
    """Text to words, as Whisper's makers normalize it for a language."""
    from whisper_normalizer.basic import BasicTextNormalizer
    from whisper_normalizer.english import EnglishTextNormalizer

    normalize = EnglishTextNormalizer() if lang == "en" else BasicTextNormalizer()
    return lambda text: str(normalize(text)).split()


def matches(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[dict[int, int], int, int]:
    """Which words of the reference stand where in the hypothesis; how many are wrong; how many were put in."""
    import jiwer

    if not reference or not hypothesis:
        return {}, max(len(reference), len(hypothesis)), len(hypothesis)
    out = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    equal = {
        chunk.ref_start_idx + i: chunk.hyp_start_idx + i
        for chunk in out.alignments[0]
        if chunk.type == "equal"
        for i in range(chunk.ref_end_idx - chunk.ref_start_idx)
    }
    return equal, out.substitutions + out.deletions + out.insertions, out.insertions


def add(score: Score, normalize: Callable[[str], list[str]], transcript: str, ends: Sequence[Word], one: Heard) -> None:
    """Count one clip: ``ends`` are words in time, as an aligner heard them."""
    reference = normalize(transcript)
    final = normalize(one.final)
    equal, wrong, inserted = matches(reference, final)
    score.words += len(reference)
    score.wrong.append((wrong, len(reference)))
    times = reference_ends(normalize, reference, ends)
    texts = [(shown.at, normalize(shown.text)) for shown in one.shown]
    standing = [matches(reference, words)[0] for _, words in texts]
    # A word is right at one second when the text that stood then has it.
    missing = 0
    for index, end in times.items():
        at = max((i for i, (when, _) in enumerate(texts) if when <= end + SETTLED_S), default=-1)
        missing += at < 0 or index not in standing[at]
    score.settled.append((missing + inserted, len(times)) if times else (0, 0))
    for index in equal.keys() & times.keys():
        there = [index in places for places in standing]
        last = max((i + 1 for i, right in enumerate(there) if not right), default=0)
        score.first.append(texts[there.index(True)][0] - times[index])
        score.last.append(texts[last][0] - times[index])
    raw = [shown.text.split() for shown in one.shown]
    for a, b in pairwise(raw):
        common = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
        score.erased += len(a) - common
    score.written += len(raw[-1])


def reference_ends(
    normalize: Callable[[str], list[str]], reference: Sequence[str], ends: Sequence[Word]
) -> dict[int, float]:
    """When each word of the reference is over; words that the aligner misheard lie between their neighbours."""
    heard = [(text, word.end) for word in ends for text in normalize(word.text)]
    equal, _, _ = matches(reference, [text for text, _ in heard])
    if not equal:
        return {}
    known = sorted(equal)
    times = np.interp(range(len(reference)), known, [heard[equal[index]][1] for index in known])
    return dict(enumerate(map(float, times)))


def rate(pairs: Sequence[tuple[int, int]]) -> float:
    """Errors per word, of (errors, words) of clips."""
    return sum(wrong for wrong, _ in pairs) / max(1, sum(words for _, words in pairs))


def interval(pairs: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """95 % by bootstrap over clips."""
    rng = np.random.default_rng(0)
    rates = [rate([pairs[i] for i in rng.integers(len(pairs), size=len(pairs))]) for _ in range(1000)]
    low, high = np.percentile(rates, [2.5, 97.5])
    return float(low), float(high)


def percentile(values: Sequence[float], share: float) -> float | None:
    """None where there are no values."""
    return float(np.percentile(values, share)) if values else None
