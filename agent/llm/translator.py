"""A language model as a translator, between any two languages: embedded, or behind an OpenAI-compatible server."""

from __future__ import annotations

import asyncio
import threading
from typing import Final

from dragoman.agent.llm.opening import open_responder
from dragoman.agent.ports import Message, Responder
from dragoman.audio.types import DragomanError
from dragoman.models.catalog import Progress
from dragoman.translation.languages import ALL_PAIRS, LANGUAGES
from dragoman.translation.steering import Steering, Translation

_PROMPT: Final = (
    "You are an interpreter. Translate what the user says from {source} into {target}. It may be an unfinished "
    "sentence: then the translation is as unfinished, and nothing is added. Write the translation alone."
)
_TOKENS_PER_WORD: Final = 5


class LlmTranslator:
    """Implements ``Translator`` and ``Steerable``: what is committed, the model goes on from as its own words.

    Safe to call from several threads; it has an event loop on a thread of its own. ``close`` it.
    """

    pairs: frozenset[tuple[str, str]] = ALL_PAIRS

    def __init__(self, spec: str, progress: Progress | None = None) -> None:
        """``spec`` as for the language model of a conversation: a name, a file, or ``http://host:port#model``.

        Blocking. Raises ``DragomanError``.
        """
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="dragoman-llm-translator", daemon=True)
        self._thread.start()
        try:
            opened = asyncio.run_coroutine_threadsafe(open_responder(spec, progress), self._loop)
            self._responder: Responder = opened.result()
        except BaseException:
            self._stop()
            raise

    def translate(self, text: str, source: str, target: str) -> str:
        """Translate one segment."""
        return self.steered(text, source, target, Steering()).text

    def steered(self, text: str, source: str, target: str, steering: Steering) -> Translation:
        """Translate one segment; only ``prefix`` is heeded. What is in the target language already passes as it is."""
        line = " ".join(text.split())
        if source == target:
            return Translation(line, tuple(range(len(line.split()))))
        if (source, target) not in self.pairs:
            raise DragomanError(f"this translator can't translate from {source} to {target}")
        if not any(c.isalnum() for c in line):
            return Translation(line)
        prompt = _PROMPT.format(source=LANGUAGES[source].name, target=LANGUAGES[target].name)
        messages = [Message("system", prompt), Message("user", line)]
        most = 32 + _TOKENS_PER_WORD * len(line.split())
        written = asyncio.run_coroutine_threadsafe(self._written(messages, steering.prefix, most), self._loop)
        rest = written.result()
        return Translation(" ".join(f"{steering.prefix}{rest}".split()))

    def close(self) -> None:
        """Free the model and the thread."""
        asyncio.run_coroutine_threadsafe(self._responder.aclose(), self._loop).result()
        self._stop()

    async def _written(self, messages: list[Message], prefix: str, most: int) -> str:
        return "".join([piece async for piece in self._responder.reply(messages, prefix=prefix, max_tokens=most)])

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
