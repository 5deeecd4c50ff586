"""Our own small translators: ``nar`` writes all words at once, ``ar-6-6`` and ``ar-12-1`` word by word.

They were trained on what the embedded translator says (``dragoman train translation``), and use its vocabulary,
embeddings and shortlist. Their files are found in the user's folder of adapters or among the shipped ones; the card of
each (``adapters/*.md``) tells its data, steps and figures. Licence of what was trained here from Mozilla's weights:
Mozilla Public License 2.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from dragoman.audio.types import DragomanError
from dragoman.models.adapters import find_adapter
from dragoman.translation.bergamot import PAIRS, Sequential, draft_of, read_base, written
from dragoman.translation.checkpoint import load_checkpoint
from dragoman.translation.ctc import read
from dragoman.translation.directed import DirectedTranslator, Direction
from dragoman.translation.parallel import Frames, Parallel
from dragoman.translation.steering import Steering, Translation
from dragoman.translation.student import Student
from dragoman.translation.together import Together
from dragoman.translation.vocabulary import Vocabulary

SHIPPED: Final = Path(__file__).parent / "adapters"
KINDS: Final = ("nar", "ar-6-6", "ar-12-1")


class LearnedTranslator(DirectedTranslator):
    """One kind, in the directions that were trained. Of the kind ``nar`` what several threads ask for at once is
    computed at once."""

    def __init__(self, kind: str) -> None:
        """Raises ``DragomanError`` where there is no such translator."""
        if kind not in KINDS:
            raise DragomanError(f"there is no translator {kind!r}: there are {', '.join(KINDS)}")
        pairs = frozenset(pair for pair in PAIRS if find(kind, *pair))
        if not pairs:
            raise DragomanError(f"{kind} is not trained: run `dragoman train translation --kind {kind}`")
        super().__init__(pairs, partial(open_direction, kind))
        self.kind = kind


def find(kind: str, source: str, target: str) -> Path | None:
    """The file of a translator, if there is one."""
    return find_adapter(f"{kind}-{source}-{target}.npz", SHIPPED)


def open_direction(kind: str, source: str, target: str, path: Path | None = None) -> Direction:
    """Load one direction; ``path`` is its file, if not the one that is found. Raises ``DragomanError``."""
    path = path or find(kind, source, target)
    if path is None:
        raise DragomanError(f"the translator {kind} can't translate from {source} to {target}")
    base = read_base(source, target)
    weights = load_checkpoint(path).whole(base.weights, base.sha256)
    if kind == "nar":
        return AllAtOnce(Parallel(weights, base.shortlist), base.vocabulary)
    return Sequential(Student(weights, base.shortlist), base.vocabulary)


class AllAtOnce:
    """A network that writes all words at once, with its vocabulary."""

    def __init__(self, network: Parallel, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._network = Together[Sequence[int], Frames](network)

    def translate(self, line: str, steering: Steering) -> Translation:
        """One sentence, with something to translate in it, as asked."""
        vocabulary = self._vocabulary
        tokens, forced = vocabulary.tokens(line), vocabulary.tokens(steering.prefix)
        found = self._network(tokens)
        reading = read(
            found.logp,
            _places(found, forced),
            _places(found, draft_of(steering, vocabulary)),
            steering.bias,
            vocabulary.openers[found.candidates],
        )
        said = [*forced, *(int(found.candidates[symbol]) for symbol in reading.symbols[len(forced) :])]
        return written(vocabulary, tokens, said, [int(found.sources[frame]) for frame in reading.frames])


def _places(found: Frames, tokens: Sequence[int]) -> list[int]:
    """Where the tokens stand among the candidates; -1 for one that is not there."""
    places = np.minimum(np.searchsorted(found.candidates, tokens), len(found.candidates) - 1)
    return [int(i) if found.candidates[i] == token else -1 for i, token in zip(places, tokens, strict=True)]
