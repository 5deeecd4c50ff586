"""Re-translation: at each change the whole open segment is translated again, and what is shown is revised.

Sans-I/O: what was heard goes in, requests for a translator come out, its answers go in, updates come out. There is one
request at a time, and it is made of the newest state: states that came while a translation ran are skipped, so that
updates that come faster than translations make captions coarser, never later. Segments that are closed are never
skipped: each gets its final text.

Revisions are kept few in four ways. A translator that can be steered is drawn towards what was shown. The last words of
a translation, which change most, are held back while the segment is open: a fixed number (mask-k), or those which
would be others if the speaker went on as predicted (``dragoman.translation.prediction``). Words that were shown and are
confirmed stay, even if they are among the last. And words on which several translations of growing text agree, made of
source words that will not change, are committed: every later translation begins with them. Speech is made of these.

Sources: Arivazhagan et al. 2019, "Re-translation strategies for long form, simultaneous, spoken language translation"
(arXiv 1912.03393: mask-k, bias); 2020, "Re-translation versus streaming for simultaneous translation" (arXiv
2004.03643); agreement of successive translations: Liu et al. 2020 (arXiv 2005.11185); attention as a measure of what a
word is made from: Papi et al. 2023 (arXiv 2305.11408).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from dragoman.audio.text import common
from dragoman.translation.alignment import continuation
from dragoman.translation.segmenter import Segment, Source
from dragoman.translation.steering import Steering, Translation


@dataclass(frozen=True, slots=True)
class Stability:
    """How much is shown how early, and how firmly it stands."""

    bias: float = 0.2
    """See ``Steering.bias``."""
    hold_back: int = 6
    """Words at the end of an open segment's translation that are not shown (k of mask-k)."""
    agreement: int = 2
    """So many translations in a row, each of more words, must begin alike before a beginning is committed."""
    behind: int = 5
    """Source words at the end of what was heard from which nothing is committed."""
    foresee: int = 0
    """So many next words of the source are predicted, and what the translation with them does not confirm is held back
    instead of the last ``hold_back`` words; 0: nothing is predicted."""
    revise: bool = True
    """False: only what is committed is shown, so that nothing is ever taken back."""


@dataclass(frozen=True, slots=True)
class Update:
    """What a segment's translation says now, in place of all that its earlier updates said."""

    segment: int
    revision: int
    """Counts the segment's updates from 1."""
    stable_text: str
    """Will not change any more; the stable text of later updates begins with it."""
    unstable_text: str
    """May still be revised."""
    source_words_covered: int
    """Leading source words that the text says."""
    final: bool
    """The segment's last update. Where it says nothing the segment turned out to be none: the next one has its number,
    and counts from 1."""

    @property
    def text(self) -> str:
        """All of it."""
        return " ".join(filter(None, (self.stable_text, self.unstable_text)))


@dataclass(frozen=True, slots=True)
class Request:
    """A translation that is wanted now."""

    segment: int
    text: str
    steering: Steering
    words: int
    """Of the source text."""
    certain: int
    """How many of them will not change."""
    final: bool
    foresee: int = 0
    """How many words that may follow are to be predicted."""


@dataclass(slots=True)
class _Piece:
    """A segment on its way."""

    source: Segment
    revision: int = 0
    asked: str | None = None
    """The text of the last request."""
    stable: list[str] = field(default_factory=list)
    made: list[int] = field(default_factory=list)
    """The source word of each of these."""
    given: int = 0
    """So many of these the segment before it says: it was cut behind what was committed already."""
    shown: list[str] = field(default_factory=list)
    """``stable`` included."""
    told: tuple[str, str] = "", ""
    """What the last update said."""
    past: deque[tuple[int, list[str]]] = field(default_factory=deque)
    """Source words and translation of the last requests."""

    def beyond(self, source_words: int) -> list[str]:
        """The last words of what is committed, as far as they say what comes behind so many source words."""
        said = next((i for i in range(len(self.made), 0, -1) if self.made[i - 1] < source_words), 0)
        return self.stable[said:]


class Retranslator:
    """The engine for one speaker and one target language. Holds the open segments and those that wait; one thread."""

    def __init__(self, stability: Stability | None = None) -> None:
        self.stability = stability or Stability()
        self._pieces: dict[int, _Piece] = {}

    @property
    def idle(self) -> bool:
        """Whether nothing is to be translated."""
        return self._next() is None

    def heard(self, source: Source) -> list[Update]:
        """The newest state of what was said. Gives updates for segments that turned out to be none."""
        for segment in (*source.closed, *source.open):
            self._pieces.setdefault(segment.number, _Piece(segment)).source = segment
        open_ = {segment.number for segment in source.open}
        gone = [n for n, piece in self._pieces.items() if not piece.source.closed and n not in open_]
        updates = []
        for number in gone:
            piece = self._pieces.pop(number)
            if piece.shown:
                updates.append(Update(number, piece.revision + 1, "", "", 0, True))
        return updates

    def request(self) -> Request | None:
        """What to translate next, of the newest state; None: nothing. Answer it with ``translated`` before the next."""
        piece = self._next()
        if piece is None:
            return None
        source = piece.source
        piece.asked = source.text
        words = len(source.words)
        certain = words if source.certain is None else source.certain
        steering = Steering(" ".join(piece.stable), " ".join(piece.shown), self.stability.bias)
        foresee = 0 if source.closed else self.stability.foresee
        return Request(source.number, source.text, steering, words, certain, source.closed, foresee)

    def translated(
        self, request: Request, translation: Translation, foreseen: Translation | None = None
    ) -> Update | None:
        """Take the answer to a request; None where nothing changes for the viewer.

        ``foreseen``: the translation of its text with what was predicted to follow.
        """
        piece = self._pieces.get(request.segment)
        if piece is None:
            return None
        words, sources = _grafted(piece.stable, translation, request.words)
        if request.final:
            del self._pieces[request.segment]
            following, beyond = self._pieces.get(request.segment + 1), piece.beyond(request.words)
            if following is not None and beyond:
                following.stable, following.made, following.given = beyond, [0] * len(beyond), len(beyond)
                following.asked = None  # what is shown of it says that too
            return Update(request.segment, piece.revision + 1, " ".join(words[piece.given :]), "", request.words, True)
        stable = self._committed(piece, request, words, sources)
        confirmed = common(words, piece.shown)
        settled = len(words) - self.stability.hold_back
        if foreseen is not None:
            settled = common(words, _grafted(piece.stable, foreseen, request.words)[0])
        count = max(settled, confirmed) if self.stability.revise else 0
        shown = words[: max(count, len(stable))]
        piece.made += sources[len(piece.made) : len(stable)]
        piece.stable, piece.shown = stable, shown
        told = " ".join(stable[piece.given :]), " ".join(shown[len(stable) :])
        if told == piece.told:
            return None
        piece.revision, piece.told = piece.revision + 1, told
        covered = max(sources[: len(shown)], default=-1) + 1
        return Update(request.segment, piece.revision, *told, covered, False)

    def _next(self) -> _Piece | None:
        """Final texts first, in order; then what changed."""
        waiting = (piece for _, piece in sorted(self._pieces.items()))
        return next((p for p in waiting if p.source.closed or p.source.text != p.asked), None)

    def _committed(self, piece: _Piece, request: Request, words: list[str], sources: Sequence[int]) -> list[str]:
        """The words that every later translation of the segment begins with."""
        if not piece.past or piece.past[-1][0] < request.words:
            piece.past.append((request.words, words))
        else:
            piece.past[-1] = request.words, words
        while len(piece.past) > self.stability.agreement:
            piece.past.popleft()
        # What is committed is said at once, so it comes in order: of a segment that may be one, after those before it.
        if len(piece.past) < self.stability.agreement or request.segment != min(self._pieces):
            return piece.stable
        agreed = min(common(words, earlier) for _, earlier in piece.past)
        safe = min(request.certain, request.words - self.stability.behind)
        sure = next((i for i, made in enumerate(sources) if made >= safe), len(sources))
        count = min(agreed, sure, len(words) - 1)  # the last word may still get a comma
        return words[: max(count, len(piece.stable))]


def _grafted(stable: Sequence[str], translation: Translation, source_words: int) -> tuple[list[str], list[int]]:
    """The words of a translation, and the source word of each, made to begin with what is committed."""
    words = translation.text.split()
    each = source_words / max(1, len(words))
    sources = list(translation.sources) or [int(i * each) for i in range(len(words))]
    if words[: len(stable)] == list(stable):
        return words, sources
    at = continuation(stable, words)
    before = sources[at - 1] if at else 0
    return [*stable, *words[at:]], [*(min(before, i) for i in range(len(stable))), *sources[at:]]
