"""The fast path of one session: who takes turns, what is said at once, where there are models for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from dragoman.agent.engine import inputs as on
from dragoman.agent.memory import Memory
from dragoman.agent.openings import Dialogue, Opener, Prefix, TurnDrafter
from dragoman.agent.parts import Parts
from dragoman.agent.settings import SessionSettings
from dragoman.agent.turn_taking import Standing, TurnTaker
from dragoman.audio.types import Samples

_HUM = "Mm-hm."


class FastPath:
    """Hears all sound of the session while ``run`` runs. Where it fails, the slow path does without.

    ``floor`` tells where the conversation stands, ``told`` takes inputs for the engine, ``changed`` is called when it
    begins or ceases to take turns, ``failed`` with what the user is to be told.
    """

    def __init__(
        self,
        parts: Parts,
        settings: Callable[[], SessionSettings],
        floor: Callable[[], Standing],
        told: Callable[[on.Input], None],
        changed: Callable[[], None],
        failed: Callable[[str], None],
    ) -> None:
        self._parts, self._settings, self._floor = parts, settings, floor
        self._told, self._changed, self._failed = told, changed, failed
        self._taker: TurnTaker | None = None
        self._drafter: TurnDrafter | None = None
        self._opener: Opener | None = None
        self.hum: Samples | None = None
        """The sound of a sign of attention, where one is to be given."""

    @property
    def turns(self) -> TurnTaker | None:
        """The model of turn-taking, where it understands the user and is wanted."""
        settings, model = self._settings(), self._parts.turn_model
        wanted = settings.turn_detection and settings.silence_ms is None
        return self._taker if wanted and model is not None and model.language == settings.language else None

    @property
    def _drafts(self) -> Opener | None:
        """What drafts the first words of replies, where they are wanted."""
        settings, drafter = self._settings(), self._parts.drafter
        wanted = settings.create_response and settings.speak
        return self._opener if wanted and drafter is not None and drafter.language == settings.language else None

    def read_ahead(self, tasks: asyncio.TaskGroup, dialogue: Dialogue, text: str) -> None:
        """The user's turn so far, which is read while it goes on (``Opener.hear``)."""
        if (opener := self._drafts) is not None:
            opener.hear(tasks, dialogue, text)

    def draft(self, tasks: asyncio.TaskGroup | None, turn: int, dialogue: Dialogue, text: str) -> None:
        """A turn may be over: draft the beginning of the answer (``Opener.begin``)."""
        if (opener := self._drafts) is not None and tasks is not None:
            opener.begin(tasks, turn, dialogue, text, self._settings().speed)

    def take(self, draft: int | None) -> Prefix | None:
        """What is said now of what is held, whatever is wanted meanwhile; None: nothing."""
        return None if draft is None or self._opener is None else self._opener.take(draft)

    def drop(self, draft: int) -> None:
        """It will not be said."""
        if self._opener is not None:
            self._opener.drop(draft)

    def stop_drafting(self) -> None:
        """No draft is wanted any more; those that are held stay."""
        if self._opener is not None:
            self._opener.stop()

    def said(self, role: str, text: str) -> None:
        """Somebody was heard to say it: the model of turn-taking remembers."""
        if self.turns is not None:
            self.turns.said(role, text)

    def hear(self, event: on.Input) -> None:
        """What the ear tells the engine: the model of turn-taking hears of voices and words."""
        turns = self.turns
        if turns is None:
            return
        match event:
            case on.SpeechStarted(at) | on.SpeechStopped(at):
                turns.voice(isinstance(event, on.SpeechStarted), at)
            case on.Partial(turn, text, stable) if text:
                turns.read(turn, text, stable)
            case on.Transcript(turn, _, text) if text:
                turns.read(turn, text, len(text.split()))
                turns.pause(text)

    async def run(self, memory: Memory) -> None:
        """Listen until cancelled; at once over where there is no model of turn-taking."""
        self._draft()
        model, settings = self._parts.turn_model, self._settings()
        if model is None:
            return
        try:
            stream = await model.open(memory.dialogue())
            self._taker = TurnTaker(stream, self._floor, self._told, self._reader(memory))
            self._changed()
            if settings.attentive and settings.speak and not settings.half_duplex:  # else it is deaf meanwhile
                voice = await self._parts.voice(model.language, settings.voice)
                self.hum = (await self._parts.speaking.run(voice.synthesize, _HUM)).pcm
            await self._taker.run()
        except* Exception as failed:  # silence still ends turns
            self._taker = None
            self._changed()
            self._failed(f"the model of turn-taking failed: {failed.exceptions[0]}")

    def close(self) -> None:
        """Draft no more."""
        if self._opener is not None:
            self._opener.close()

    def _reader(self, memory: Memory) -> Callable[[str], Awaitable[float | None]] | None:
        """What tells of a turn's words whether it is whole, where that is known."""
        drafter = self._drafter
        if drafter is None or not drafter.tells_ends:
            return None
        return lambda text: drafter.whole(memory.dialogue(), text)

    def _draft(self) -> None:
        parts, drafter = self._parts, self._parts.drafter
        if drafter is not None and parts.judge is not None:
            self._drafter = drafter.open()
            self._opener = Opener(
                self._drafter,
                parts.judge,
                lambda: parts.voice(drafter.language, self._settings().voice),
                parts.speaking,
                self._told,
                lambda error: self._failed(f"the first words could not be drafted: {error}"),
            )
