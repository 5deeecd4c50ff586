"""How an interpretation is scored: quality, delays of words, revisions, lag.

A target word has no end in the sound: the source word at the same share of its segment stands for it, as in
Arivazhagan et al. 2020 (arXiv 2004.03643). It is final when it and all words before it stay as they are.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean

from dragoman.audio.text import common, core
from dragoman.benchmarks.interpreting import Interpreted, Recording

WIDE = 3
"""An update that takes back more words than this is wide."""


@dataclass
class Tally:
    """Counts over clips; lists hold a value per word, per clip or per update."""

    finals: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    """Seconds from the end of the source word until the word was shown."""
    last: list[float] = field(default_factory=list)
    """The same until it was final."""
    erased: int = 0
    written: int = 0
    updates: int = 0
    wide: int = 0
    midway: list[float] = field(default_factory=list)
    """chrF of each displayed text against the final text's beginning of the same length."""
    laal: list[float] = field(default_factory=list)
    backlog: list[float] = field(default_factory=list)
    """Seconds between the sound that a displayed text was made of and its display."""
    compute: float = 0.0
    seconds: float = 0.0
    costs: list[tuple[int, float]] = field(default_factory=list)
    """Source words and seconds of each translation."""


def add(tally: Tally, recording: Recording, out: Interpreted, reference: str) -> None:
    """Count one clip."""
    final = out.final.split()
    shown = [(display.at, display.text.split()) for display in out.displayed]
    tally.finals.append(out.final)
    tally.references.append(reference)
    for (_, before), (_, after) in pairwise([(0.0, list[str]()), *shown]):
        erased = len(before) - common(before, after)
        tally.updates += 1
        tally.erased += erased
        tally.wide += erased > WIDE
    tally.written += len(final)
    ends = list(_ends(out))
    placed = [_places(words, final) for _, words in shown]
    held = [common(words, final) for _, words in shown]
    settled = [
        shown[max((i + 1 for i, n in enumerate(held) if n <= index), default=0)][0] for index in range(len(ends))
    ]
    for index, end in enumerate(ends):
        tally.first.append(next(at for (at, _), there in zip(shown, placed, strict=True) if index in there) - end)
        tally.last.append(settled[index] - end)
    tally.midway += [_chrf(words, final[: len(words)]) for _, words in shown if words]
    if settled:
        tally.laal.append(laal(settled, recording.seconds, len(reference.split())))
    tally.backlog += [display.at - display.heard for display in out.displayed]
    tally.compute += recording.compute + out.compute
    tally.seconds += recording.seconds
    tally.costs += out.updates


def laal(emitted: Sequence[float], seconds: float, reference_words: int) -> float:
    """Length-adaptive average lagging in seconds (Papi et al. 2022, arXiv 2206.05807).

    ``emitted``: when each target word came for good, of a source that lasts ``seconds``.
    """
    each = seconds / max(len(emitted), reference_words)
    count = next((i + 1 for i, at in enumerate(emitted) if at >= seconds), len(emitted))
    return fmean(at - i * each for i, at in enumerate(emitted[:count]))


def ne(tally: Tally) -> float:
    """Normalized erasure: words taken back per word of the final text."""
    return tally.erased / max(1, tally.written)


def quality(finals: Sequence[str], references: Sequence[str]) -> tuple[float, float]:
    """chrF and BLEU of a corpus, 0 to 100."""
    import sacrebleu

    if not finals:
        return 0.0, 0.0
    chrf = sacrebleu.corpus_chrf(finals, [references])
    return float(chrf.score), float(sacrebleu.corpus_bleu(finals, [references]).score)


def _ends(out: Interpreted) -> Iterator[float]:
    """When the source of each word of the final text was over."""
    sources = {segment.number: segment for segment in out.segments}
    for number, text in sorted(out.texts.items()):
        count = len(text.split())
        source = sources[number].words if number in sources else ()
        for index in range(count if source else 0):
            yield source[-(-(index + 1) * len(source) // count) - 1].end


def _places(words: Sequence[str], final: Sequence[str]) -> set[int]:
    """Which words of the final text a displayed text has, whatever their case and punctuation."""
    a, b = [core(word).lower() for word in words], [core(word).lower() for word in final]
    blocks = difflib.SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
    return {block.b + i for block in blocks for i in range(block.size)}


def _chrf(words: Sequence[str], reference: Sequence[str]) -> float:
    import sacrebleu

    return float(sacrebleu.sentence_chrf(" ".join(words), [" ".join(reference)]).score)
