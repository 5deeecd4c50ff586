"""One response as the client sees it, from ``response.created`` to ``response.done``, in the reference's order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from dragoman.audio.types import OUTPUT_RATE, Json, Samples, Word
from dragoman.web.codec import Encoder, Format
from dragoman.web.events import ServerEvent, event
from dragoman.web.items import Item

Outcome: TypeAlias = Literal["completed", "incomplete", "cancelled", "failed"]
Reason: TypeAlias = Literal["turn_detected", "client_cancelled", "max_output_tokens"]

_AUDIO_TOKENS_PER_SECOND = 20
"""The reference's unit for spoken answers, so that clients' meters make sense. Text is counted in words."""


@dataclass(slots=True)
class Response:
    """What has been sent of a response. Until ``begin`` it is only promised."""

    id: str
    item: Item
    form: Format
    speaks: bool
    conversation: str
    input_words: int = 0
    voice: str | None = None
    metadata: dict[str, str] | None = None
    max_output_tokens: int | str = "inf"
    status: Outcome | Literal["in_progress"] = "in_progress"
    begun: bool = False
    written: str = ""
    details: dict[str, Json] | None = None
    previous: str | None = None
    _encoder: Encoder = field(init=False)

    def __post_init__(self) -> None:
        self._encoder = Encoder(self.form)

    def create(self) -> list[ServerEvent]:
        """It is promised."""
        return [event("response.created", response=self.json())]

    def begin(self, previous: str | None) -> list[ServerEvent]:
        """Its item is there, and empty; ``previous`` is the item before it."""
        self.begun = True
        self.previous = previous
        self.item.status = "in_progress"
        empty = self.item.json(empty=True)
        return [
            event("response.output_item.added", response_id=self.id, output_index=0, item=empty),
            event("conversation.item.added", previous_item_id=previous, item=empty),
            self._event("response.content_part.added", part=self._part("")),
        ]

    def text(self, text: str) -> list[ServerEvent]:
        """More of its text."""
        if not text:
            return []
        self.written += text
        kind = "output_audio_transcript" if self.speaks else "output_text"
        return [self._event(f"response.{kind}.delta", delta=text)]

    def audio(self, pcm: Samples, words: Sequence[Word]) -> list[ServerEvent]:
        """More of its sound; ``words`` are timed from the item's first sample."""
        self.item.seconds += len(pcm) / OUTPUT_RATE
        self.item.words.extend(words)
        return self._audio(self._encoder.encode(pcm))

    def end(self, outcome: Outcome, text: str, *, reason: Reason | None = None, message: str = "") -> list[ServerEvent]:
        """It is over; ``text`` is what the conversation keeps of it."""
        self.status = outcome
        if outcome != "completed":
            self.details = {"type": outcome}
            if reason is not None:
                self.details["reason"] = reason
            if outcome == "failed":
                self.details["error"] = {"type": "server_error", "code": None, "message": message}
        if not self.begun:
            return [event("response.done", response=self.json())]
        self.item.text = text
        self.item.status = "completed" if outcome == "completed" else "incomplete"
        events = self._audio(self._encoder.flush()) if outcome in ("completed", "incomplete") else []
        if self.speaks:
            events.append(self._event("response.output_audio.done"))
            events.append(self._event("response.output_audio_transcript.done", transcript=self.written))
        else:
            events.append(self._event("response.output_text.done", text=self.written))
        item = self.item.json()
        return [
            *events,
            self._event("response.content_part.done", part=self._part(self.written)),
            event("conversation.item.done", previous_item_id=self.previous, item=item),
            event("response.output_item.done", response_id=self.id, output_index=0, item=item),
            event("response.done", response=self.json()),
        ]

    def json(self) -> dict[str, Json]:
        """The ``response`` object."""
        over = self.status != "in_progress"
        output: list[Json] = [self.item.json()] if over and self.begun else []
        sound: dict[str, Json] = {"format": self.form.model_dump(mode="json"), "voice": self.voice}
        return {
            "id": self.id,
            "object": "realtime.response",
            "status": self.status,
            "status_details": self.details,
            "output": output,
            "conversation_id": self.conversation,
            "output_modalities": ["audio" if self.speaks else "text"],
            "max_output_tokens": self.max_output_tokens,
            "audio": {"output": sound} if self.speaks else None,
            "usage": self._usage() if over else None,
            "metadata": dict(self.metadata) if self.metadata is not None else None,
        }

    def _usage(self) -> dict[str, Json]:
        words = len(self.written.split())
        sound = math.ceil(self.item.seconds * _AUDIO_TOKENS_PER_SECOND)
        details: dict[str, Json] = {
            "cached_tokens": 0,
            "text_tokens": self.input_words,
            "audio_tokens": 0,
            "image_tokens": 0,
            "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
        }
        return {
            "total_tokens": self.input_words + words + sound,
            "input_tokens": self.input_words,
            "output_tokens": words + sound,
            "input_token_details": details,
            "output_token_details": {"text_tokens": words, "audio_tokens": sound},
        }

    def _audio(self, pieces: list[str]) -> list[ServerEvent]:
        return [self._event("response.output_audio.delta", delta=piece) for piece in pieces]

    def _part(self, text: str) -> dict[str, Json]:
        return {"type": "audio", "transcript": text} if self.speaks else {"type": "text", "text": text}

    def _event(self, type_: str, **fields: Json) -> ServerEvent:
        place: dict[str, Json] = {
            "response_id": self.id,
            "item_id": self.item.id,
            "output_index": 0,
            "content_index": 0,
        }
        return event(type_, **place, **fields)
