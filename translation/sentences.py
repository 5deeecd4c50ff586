"""Text cut at its sentences: for translators that read one at a time."""

from __future__ import annotations

from dragoman.audio.text import ends_sentence


def sentences(text: str) -> list[str]:
    """The sentences in order; joined by spaces they are the text's words. Empty text has none."""
    found: list[list[str]] = [[]]
    for word in text.split():
        previous = found[-1][-1] if found[-1] else ""
        found[-1].append(word)
        if ends_sentence(word, previous):
            found.append([])
    return [" ".join(words) for words in found if words]
