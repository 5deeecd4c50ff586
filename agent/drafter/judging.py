"""A language model in the ranker's place: it labels drafts by the rubric that people have. Its answers are kept."""

from __future__ import annotations

import asyncio
import hashlib
import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import aclosing, closing
from pathlib import Path
from typing import Final

from dragoman.agent.ports import Message, Responder
from dragoman.audio.types import DragomanError
from dragoman.verifier.gold import RUBRIC
from dragoman.verifier.labels import VERDICTS, Candidate, Label, Verdict

_TOKENS: Final = 6
_TRIES: Final = 3
_TASK: Final = "You label the beginnings of an agent's spoken replies. Answer with one word: good, generic or bad."


class Judge:
    """Asks a language model about drafts, ``at_once`` of them at a time. On one event loop."""

    def __init__(self, path: Path, responder: Responder, model: str, *, at_once: int = 4) -> None:
        """``path``: where answers are kept, by ``model`` too."""
        self._path, self._responder, self._model = path, responder, model
        self._turn = asyncio.Semaphore(at_once)

    async def label(self, candidates: Sequence[Candidate], told: Callable[[int, int], None]) -> dict[str, Label]:
        """The label of each candidate, by name. ``told`` is given how many of how many are done.

        Raises ``DragomanError`` when the model fails, or answers otherwise than it is asked to.
        """
        try:
            with closing(sqlite3.connect(self._path, timeout=60, isolation_level=None)) as kept:
                kept.execute("CREATE TABLE IF NOT EXISTS verdicts (key TEXT PRIMARY KEY, verdict TEXT)")
                done = 0
                labels: dict[str, Label] = {}

                async def one(candidate: Candidate) -> None:
                    nonlocal done
                    labels[candidate.name] = Label(await self._verdict(candidate, kept), "judge", 0.0, 0.0)
                    done += 1
                    told(done, len(candidates))

                async with asyncio.TaskGroup() as group:
                    for candidate in candidates:
                        group.create_task(one(candidate))
        except sqlite3.Error as error:
            raise DragomanError(f"{self._path}: verdicts can't be kept there ({error}); delete the file") from error
        return {candidate.name: labels[candidate.name] for candidate in candidates}

    async def _verdict(self, candidate: Candidate, kept: sqlite3.Connection) -> Verdict:
        messages = _question(candidate)
        key = hashlib.sha256("\n".join([self._model, *(message.content for message in messages)]).encode()).hexdigest()
        found = kept.execute("SELECT verdict FROM verdicts WHERE key = ?", (key,)).fetchone()
        if found is None:
            async with self._turn:
                verdict = await self._ask(messages)
            kept.execute("INSERT OR IGNORE INTO verdicts VALUES (?, ?)", (key, verdict))
            return verdict
        return next(verdict for verdict in VERDICTS if verdict == found[0])

    async def _ask(self, messages: Sequence[Message]) -> Verdict:
        text = ""
        for _ in range(_TRIES):
            text = ""
            async with aclosing(self._responder.reply(messages, max_tokens=_TOKENS)) as pieces:
                async for piece in pieces:
                    text += piece
            first = re.search(r"\w+", text.lower())
            for verdict in VERDICTS:
                if first is not None and first.group() == verdict:
                    return verdict
        raise DragomanError(f"the judge answers {text!r} where good, generic or bad is asked for: take a larger model")


def _question(candidate: Candidate) -> list[Message]:
    said = "\n".join(f"{'agent' if role == 'assistant' else 'user'}: {text}" for role, text in candidate.dialogue)
    return [
        Message("system", f"{_TASK}\n\n{RUBRIC}"),
        Message("user", f"{said}\n\nThe reply begins: {candidate.text} ...\n\ngood, generic or bad?"),
    ]
