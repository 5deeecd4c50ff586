"""What the agent answers: the slow language model's own words, asked once and kept on disk.

The fast path learns to begin as the slow path would, so that a draft and its continuation are of one voice. An answer
is known by the model and everything that the model read: whoever asks the same again, in this run or another, gets
the same answer for nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from dragoman.agent.duplex.scripts import Exchange, Script
from dragoman.agent.llm.prompts import system_prompt
from dragoman.agent.ports import Message, Responder, Role
from dragoman.audio.types import DragomanError
from dragoman.tts.speakable import speakable

MOST_WORDS: Final = 12
"""Words of an answer that are kept."""

LEAST_INTERRUPTED: Final = 5
"""A shorter answer is over before anybody can interrupt it."""

_TOKENS: Final = 40


@dataclass(frozen=True, slots=True)
class Answer:
    """The first words of an answer, as a voice can say them; empty without any. ``complete``: it has no more."""

    text: str
    complete: bool


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A script with its answers, one for each exchange. ``interrupted[i]``: after how many of its words answer ``i`` is
    interrupted by exchange ``i + 1``, or None.
    """

    script: Script
    answers: tuple[Answer, ...]
    interrupted: tuple[int | None, ...]

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The user's turns that were answered."""
        return self.script.exchanges[: len(self.answers)]


class Answers:
    """Asks a language model for the answers of ``at_once`` dialogues at a time, and remembers. On one event loop."""

    def __init__(self, path: Path, responder: Responder, model: str, *, at_once: int = 4) -> None:
        """``path``: where answers are kept, by ``model`` too. Raises ``DragomanError`` when they can't be read."""
        self.asked = 0
        """How many answers the model wrote: the others were known."""
        self._responder = responder
        self._model = model
        self._turn = asyncio.Semaphore(at_once)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._kept = sqlite3.connect(path, timeout=60, isolation_level=None)
            self._kept.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, text TEXT, complete INTEGER)")
        except sqlite3.Error as error:
            raise DragomanError(f"{path}: the answers kept there can't be read ({error}); delete the file") from error

    def close(self) -> None:
        """Close the file."""
        self._kept.close()

    async def answer(self, messages: Sequence[Message]) -> Answer:
        """The answer to a history. Raises ``DragomanError`` when the model fails."""
        key = self._key(messages)
        if (known := self._find(key)) is not None:
            return known
        self.asked += 1
        made = await _ask(self._responder, messages)
        self._kept.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", (key, made.text, made.complete))
        # Another process may have asked at the same time: the first answer stands.
        return self._find(key) or made

    async def hold(self, script: Script, language: str = "en") -> Dialogue:
        """Answer a script turn by turn; what an interruption cut off is no part of the history.

        It ends early where the model has nothing to say. Raises ``DragomanError`` when the model fails.
        """
        # Not more dialogues at a time than the model keeps caches for: each goes on where its cache ends.
        async with self._turn:
            return await _held(script, language, lambda history, exchange: self.answer(history))

    def _find(self, key: str) -> Answer | None:
        row = self._kept.execute("SELECT text, complete FROM answers WHERE key = ?", (key,)).fetchone()
        return None if row is None else Answer(str(row[0]), bool(row[1]))

    def _key(self, messages: Sequence[Message]) -> str:
        read = [self._model, MOST_WORDS, [[message.role, message.content] for message in messages]]
        return hashlib.sha256(json.dumps(read).encode()).hexdigest()


class Holder(Protocol):
    """Makes dialogues of scripts. ``asked``: how many answers were written for it."""

    asked: int

    async def hold(self, script: Script, language: str = "en") -> Dialogue:
        """A script with its answers."""


class PeoplesAnswers:
    """No language model: what people answered to each other. In no time, and another voice than the slow path's: for
    turn-taking alone, where it matters little what is answered.
    """

    asked = 0

    async def hold(self, script: Script, language: str = "en") -> Dialogue:
        """As ``Answers.hold``."""
        return await _held(script, language, self._answer)

    async def _answer(self, history: Sequence[Message], exchange: Exchange) -> Answer:
        words = speakable(exchange.reply).split()
        return Answer(" ".join(words[:MOST_WORDS]), len(words) <= MOST_WORDS)


async def _held(
    script: Script, language: str, answered: Callable[[Sequence[Message], Exchange], Awaitable[Answer]]
) -> Dialogue:
    history = [Message("system", system_prompt(language))]
    history += [Message(_role(role), text) for role, text in script.context]
    given: list[Answer] = []
    interrupted: list[int | None] = []
    for exchange, after in zip(script.exchanges, (*script.exchanges[1:], None), strict=True):
        history.append(Message("user", exchange.text))
        answer = await answered(history, exchange)
        if not any(letter.isalnum() for letter in answer.text):
            break
        words = answer.text.split()
        heard = None
        if after is not None and after.breaks_in is not None and len(words) >= LEAST_INTERRUPTED:
            heard = min(max(2, round(after.breaks_in * len(words))), len(words) - 2)
        given.append(answer)
        interrupted.append(heard)
        history.append(Message("assistant", " ".join(words[:heard])))
    if interrupted:
        interrupted[-1] = None
    return Dialogue(script, tuple(given), tuple(interrupted))


async def _ask(responder: Responder, messages: Sequence[Message]) -> Answer:
    text, complete = "", True
    async with aclosing(responder.reply(messages, max_tokens=_TOKENS)) as pieces:
        async for piece in pieces:
            text += piece
            # The word after the last one has begun, so that the last one is whole.
            if len(speakable(text).split()) > MOST_WORDS:
                complete = False
                break
    return Answer(" ".join(speakable(text).split()[:MOST_WORDS]), complete)


def _role(role: str) -> Role:
    return "assistant" if role == "assistant" else "user"
