"""Where one text goes on in another that begins almost like it: shared by whoever must keep words already given out."""

from __future__ import annotations

from collections.abc import Sequence

from dragoman.audio.text import core


def continuation(given: Sequence[str], whole: Sequence[str]) -> int:
    """How many leading words of ``whole`` say what ``given`` says; the rest continues it.

    The prefix of ``whole`` with the least edit distance to ``given``, words being the same whatever their case and
    punctuation; of equals the one nearest to its length. Time and memory grow with the product of the lengths.
    """
    a = [core(word).lower() for word in given]
    b = [core(word).lower() for word in whole]
    row = list(range(len(b) + 1))
    for i, word in enumerate(a, 1):
        above, row = row, [i]
        for j, other in enumerate(b, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (word != other)))
    return min(range(len(b) + 1), key=lambda j: (row[j], abs(j - len(a))))
