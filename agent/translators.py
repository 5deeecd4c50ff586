"""From what a person writes after ``--translator`` to a translator, for a pair of languages or for any into one."""

from __future__ import annotations

from dragoman import translation
from dragoman.agent.llm.translator import LlmTranslator
from dragoman.audio.types import DragomanError
from dragoman.models.catalog import Progress
from dragoman.translation.languages import ALL_PAIRS, LANGUAGES
from dragoman.translation.steering import Steering, Translation, Translator, steered


def open_translator(
    source: str | None, target: str, name: str = "auto", progress: Progress | None = None
) -> Translator:
    """Load a translator. ``source`` None: whatever will be spoken.

    ``name``: as for ``translation.open_translator``, or the address of an OpenAI-compatible server
    (``http://host:port[#model]``), or ``llm:`` and the name or file of an embedded language model. Blocking. Raises
    ``DragomanError``.
    """
    if unknown := {code for code in (source, target) if code is not None} - LANGUAGES.keys():
        raise DragomanError(f"no translator knows the language {min(unknown)!r}: there are {', '.join(LANGUAGES)}")
    if name.startswith(("http://", "https://", "llm:")):
        return LlmTranslator(name.removeprefix("llm:"), progress)
    if source is None:
        return OnDemand(name)
    return translation.open_translator(source, target, name)


def require_pair(source: str | None, target: str, name: str = "auto") -> None:
    """Raises ``DragomanError`` for a pair that ``open_translator`` can't do; "auto" loads nothing."""
    if not name.startswith(("http://", "https://", "llm:")):
        translation.require_pair(source, target, name)


def told_apart(target: str, name: str = "auto") -> tuple[str, ...]:
    """Where any language may be spoken, those that a recognizer is to choose from: what can be translated, and the
    target itself. A short word is soon taken for another, and that would be held. None: any.
    """
    known = translation.sources(target, name)
    return (*known, target) if known else ()


class OnDemand:
    """Implements ``Translator`` and ``Steerable``: opens what a pair needs when it is needed.

    What is in the target language already passes as it is.
    """

    pairs: frozenset[tuple[str, str]] = ALL_PAIRS

    def __init__(self, name: str = "auto") -> None:
        self._name = name
        self._opened: dict[tuple[str, str], Translator] = {}

    def translate(self, text: str, source: str, target: str) -> str:
        """Translate one segment. Raises ``DragomanError`` for a pair that nothing here can do."""
        return self.steered(text, source, target, Steering()).text

    def steered(self, text: str, source: str, target: str, steering: Steering) -> Translation:
        """Translate one segment as asked."""
        if source == target:
            line = " ".join(text.split())
            return Translation(line, tuple(range(len(line.split()))))
        if (source, target) not in self._opened:
            self._opened[source, target] = translation.open_translator(source, target, self._name)
        return steered(self._opened[source, target], text, source, target, steering)
