"""Models that think in writing before they answer: nobody wants to hear that, or to wait for it.

They are asked not to. What they write all the same, between tags before the answer, is left out. Some are given the
opening tag with the prompt, and write the closing one alone.
"""

from __future__ import annotations

import re
from typing import Final

from dragoman.audio.types import DragomanError

NO_THOUGHTS: Final = "<think>\n\n</think>\n\n"
"""What stands before a reply of Qwen3 and its kin where thinking is turned off, by their own templates."""

_NAMES: Final = ("think", "thinking", "thought", "reasoning")
_TAGS: Final = tuple(f"<{name}>" for name in _NAMES)
_OPENING: Final = re.compile(rf"\s*<({'|'.join(_NAMES)})>")
_OPENED: Final = re.compile(rf"<({'|'.join(_NAMES)})>\s*$")
_LONGEST: Final = max(map(len, _TAGS)) + 1


class Thoughts:
    """Takes the thoughts out of one reply, piece by piece."""

    def __init__(self, prompt: str = "") -> None:
        """``prompt``: how it ends, where that is known."""
        opened = _OPENED.search(prompt)
        self._opened = f"</{opened[1]}>" if opened else ""
        """The tag that ends the thought that the prompt begins."""
        self.seen = False
        """Whether there were any; a server that sends them beside the text may say so here."""
        self._answered = False
        self._closing = ""
        """The tag that ends the thought in hand."""
        # What has come while it may still be a tag, or is thought; None once all passes as it comes.
        self._held: str | None = ""

    def feed(self, piece: str) -> str:
        """What of the answer can be said now; may be empty."""
        if self._held is None:
            return piece
        if self._opened and not self.seen:  # else the server tells it apart
            self.seen, self._closing = True, self._opened
        self._opened = ""
        self._held += piece
        while True:
            if self._closing:
                _, found, after = self._held.partition(self._closing)
                if not found:
                    self._held = self._held[-_LONGEST:]
                    return ""
                self._held, self._closing = after.lstrip(), ""
            if opening := _OPENING.match(self._held):
                self.seen, self._closing = True, f"</{opening[1]}>"
                self._held = self._held[opening.end() :]
            else:
                break
        if self.seen:
            self._held = self._held.lstrip()
        if any(tag.startswith(self._held.lstrip()) for tag in _TAGS):
            return ""
        return self._passed()

    def close(self) -> str:
        """What was held back, where the reply ends. Raises ``DragomanError`` where all of it was thought."""
        text = "" if self._closing else self._passed()
        if self.seen and not self._answered:
            raise DragomanError(
                "the language model thought, and came to no answer in the words that it may have: turn its thinking "
                "off where it is served, or choose one that does not think"
            )
        return text

    def _passed(self) -> str:
        text, self._held = self._held or "", None
        self._answered = self._answered or bool(text.strip())
        return text
