"""Reading a text off frames (connectionist temporal classification), beginning with given words, close to earlier ones.

A network that writes all words at once gives each frame's opinion of every symbol; symbol 0 is the blank. Freely read,
the likeliest symbol of each frame counts, symbols that repeat count once, and blanks not at all. To begin with given
symbols, their likeliest alignment with the first frames is found (Viterbi), ending where that and what the rest would
freely say are likeliest together. An earlier text is aligned in the same way, and is followed frame by frame while its
symbol is about as likely as the likeliest (the bias of arXiv 2004.03643, section 3.2, for frames).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.translation.layers import holding
from dragoman.translation.marian import Floats

BLANK: Final = 0
_NEVER: Final = np.float32(-1e9)
_UNKNOWN: Final = np.float32(-12.0)
"""Log-probability of a given symbol that the frames know nothing of."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Symbols, and the frame that each was read off (its first)."""

    symbols: list[int]
    frames: list[int]


def read(
    logp: Floats,
    forced: Sequence[int] = (),
    draft: Sequence[int] = (),
    bias: float = 0.0,
    openers: npt.NDArray[np.bool_] | None = None,
) -> Reading:
    """Read frames [frames, symbols] of log-probabilities.

    ``forced`` is what the text begins with, come what may, -1 being a symbol that is none of theirs; ``draft`` what an
    earlier text said behind it; ``bias`` the share of probability in [0, 1) that is laid on the draft's path;
    ``openers`` [symbols]: which may follow what is forced.
    """
    path = logp.argmax(axis=1)
    rest = np.append(np.cumsum(logp.max(axis=1)[::-1])[::-1], np.float32(0))
    begin, last = 0, BLANK
    frames: list[int] = []
    if forced:
        aligned = _aligned(logp, forced, rest, BLANK)
        if not aligned:  # more symbols than frames
            return Reading(list(forced), [min(i, len(logp) - 1) for i in range(len(forced))])
        begin, last = len(aligned), forced[-1]
        frames = [aligned.index(i) for i in range(len(forced))]
        if openers is not None:
            path = _opened(logp, path, begin, last, openers)
    known = list(draft[: draft.index(-1)] if -1 in draft else draft)
    if known:
        path[begin:] = _followed(logp[begin:], path[begin:], known, rest[begin:], last, bias)
    symbols = list(forced)
    for frame in range(begin, len(logp)):
        symbol = int(path[frame])
        if symbol not in (BLANK, last):
            symbols.append(symbol)
            frames.append(frame)
        last = symbol
    return Reading(symbols, frames)


def _aligned(logp: Floats, given: Sequence[int], rest: Floats, after: int) -> list[int]:
    """For each of the first frames which of the ``given`` symbols it writes, -1 for the blank; the last of them writes
    the last one. Empty: there are too few frames. ``rest`` [frames + 1]: what the frames from each on say freely.
    """
    count, states = len(logp), 2 * len(given)
    symbols = np.full(states, BLANK)
    symbols[1::2] = given
    scores = np.where(symbols < 0, _UNKNOWN, logp[:, symbols])
    skips = np.zeros(states, bool)
    skips[3::2] = symbols[3::2] != symbols[1:-2:2]
    best = np.full(states, _NEVER)
    best[0] = scores[0, 0]
    if given[0] != after:
        best[1] = scores[0, 1]
    ends = np.full(count, _NEVER)
    steps = np.zeros((count, states), np.int8)
    ends[0] = best[-1] + rest[1]
    for t in range(1, count):
        ways = np.full((3, states), _NEVER)
        ways[0], ways[1, 1:] = best, best[:-1]
        ways[2, 2:] = np.where(skips[2:], best[:-2], _NEVER)
        steps[t] = ways.argmax(axis=0)
        best = ways.max(axis=0) + scores[t]
        ends[t] = best[-1] + rest[t + 1]
    end = count - 1 - int(ends[::-1].argmax())  # of equals the last: a symbol is written as long as it lasts
    if ends[end] < _NEVER / 2:
        return []
    state, path = states - 1, []
    for t in range(end, -1, -1):
        path.append(state // 2 if state % 2 else -1)
        state -= int(steps[t, state])
    return path[::-1]


def _opened(
    logp: Floats, path: npt.NDArray[np.intp], begin: int, last: int, openers: npt.NDArray[np.bool_]
) -> npt.NDArray[np.intp]:
    """The path, such that the first symbol behind what is forced begins a word."""
    path = path.copy()
    for frame in range(begin, len(path)):
        if path[frame] not in (BLANK, last) and not openers[path[frame]]:
            allowed = openers.copy()
            allowed[[BLANK, last]] = True
            path[frame] = np.where(allowed, logp[frame], -np.inf).argmax()
        if path[frame] not in (BLANK, last):
            break
        last = int(path[frame])
    return path


def _followed(
    logp: Floats, path: npt.NDArray[np.intp], draft: Sequence[int], rest: Floats, after: int, bias: float
) -> npt.NDArray[np.intp]:
    """The path, along the draft's as long as that holds."""
    aligned = _aligned(logp, draft, rest, after) if len(logp) else []
    if not aligned:
        return path
    own = np.array([BLANK if i < 0 else draft[i] for i in aligned])
    chances = np.exp(logp[: len(own)])
    held = holding(chances, chances[np.arange(len(own)), own], bias)
    return np.concatenate([own[:held], path[held:]])
