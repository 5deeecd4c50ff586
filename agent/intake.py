"""What a session is given to hear, in order."""

from __future__ import annotations

import asyncio
from typing import Final, TypeAlias

from dragoman.agent.engine import inputs as on
from dragoman.audio.types import Samples

Given: TypeAlias = Samples | on.Commit | on.Clear

_MOST_WAITING: Final = 64


class Intake:
    """Who puts something in waits while the session is behind, and for nobody once it is over."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[tuple[Given, bool]] = asyncio.Queue(_MOST_WAITING)
        self._over = False

    async def put(self, given: Given, detect: bool) -> None:
        """Give sound, or end or drop what was given before; ``detect``: voices in it are detected."""
        if not self._over:
            await self._waiting.put((given, detect))

    async def get(self) -> tuple[Given, bool]:
        """The next that was put in; waits for it."""
        return await self._waiting.get()

    def end(self) -> None:
        """What waits, and what is still given, is nobody's."""
        self._over = True
        while not self._waiting.empty():
            self._waiting.get_nowait()
