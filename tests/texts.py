"""Texts that several tests have spoken."""

from __future__ import annotations

FOX = "The quick brown fox jumps over the lazy dog in the garden."
STORY = (
    "My neighbour bought an old bicycle at the market last summer.",
    "She repaired the wheels and painted the frame green.",
    "Now she rides it to work when the weather is good.",
    "Her brother thinks that a car would be much faster.",
    "But there are few places to park in the middle of town.",
    "On Sundays they both cycle to the lake and swim.",
    "The water is cold until the end of June.",
    "Afterwards they eat bread and cheese under the trees.",
    "In the evening the whole family meets for supper.",
    "Someone always tells the story of the stolen boat.",
)
