"""The words of ``/v1/realtime/translations``: what clients send, what a session's configuration holds.

Reference: the ``openai`` package's ``types/realtime/realtime_translation_*``. A session is given sound without end and
sends what was said, its translation and its speech; it has no turns, and only appends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from dragoman.audio.types import DragomanError, Json
from dragoman.web.events import ProtocolError, explained
from dragoman.web.protocol import merge

FRAME_MS: Final = 200
"""``elapsed_ms`` counts in these."""


class NoiseReduction(BaseModel):
    """Taken and not used: the recognizer is trained with noise."""

    type: Literal["near_field", "far_field"]
    strength: float = Field(default=1.0, ge=0.0)


class InputTranscription(BaseModel):
    """What was said is sent too."""

    model: str = "dragoman"


class TranslationInput(BaseModel):
    """The speaker's side."""

    noise_reduction: NoiseReduction | None = None
    transcription: InputTranscription | None = None


class TranslationOutput(BaseModel):
    """The listener's side; ``language`` is ISO 639-1, a region behind it does not count."""

    language: str = Field(pattern="^[a-z]{2}(-[A-Za-z]{2,4})?$")


class TranslationAudio(BaseModel):
    """Both sides."""

    input: TranslationInput = TranslationInput()
    output: TranslationOutput


class TranslationConfig(BaseModel):
    """The configuration in force."""

    model: str = "dragoman"
    audio: TranslationAudio
    _require: Callable[[str], None] | None = None

    def requiring(self, require: Callable[[str], None]) -> TranslationConfig:
        """The same, for a session whose targets ``require`` lets pass; it raises ``DragomanError`` for others."""
        self._require = require
        return self

    @property
    def target(self) -> str:
        """The language to translate into."""
        return self.audio.output.language[:2]

    def merged(self, changes: Mapping[str, object]) -> TranslationConfig:
        """With ``changes`` laid over it: objects merge, null replaces. Raises ``ProtocolError``."""
        for fixed in ("type", "model"):
            if changes.get(fixed) not in (None, {"type": "translation", "model": self.model}[fixed]):
                raise ProtocolError(f"the {fixed} of a session can't be changed", param=f"session.{fixed}")
        try:
            config = TranslationConfig.model_validate(merge(self.model_dump(), changes))
            if self._require is not None and config.target != self.target:
                self._require(config.target)
        except ValidationError as error:
            raise explained(error, "session") from error
        except DragomanError as error:
            raise ProtocolError(str(error), param="session.audio.output.language") from error
        config._require = self._require
        return config

    def report(self, session_id: str, expires_at: int) -> dict[str, Json]:
        """The ``session`` object that clients read."""
        audio: dict[str, Json] = self.audio.model_dump(mode="json")
        return {
            "type": "translation",
            "id": session_id,
            "model": self.model,
            "expires_at": expires_at,
            "audio": audio,
        }


class _Event(BaseModel):
    event_id: str | None = None


class TranslationUpdate(_Event):
    """Change the configuration."""

    type: Literal["session.update"]
    session: dict[str, object]


class TranslationAppend(_Event):
    """More sound: PCM16 at 24 kHz, mono, base64."""

    type: Literal["session.input_audio_buffer.append"]
    audio: str


class TranslationClose(_Event):
    """Send what is left, and end."""

    type: Literal["session.close"]


TranslationClientEvent: TypeAlias = TranslationUpdate | TranslationAppend | TranslationClose

_client_event: TypeAdapter[TranslationClientEvent] = TypeAdapter(
    Annotated[TranslationClientEvent, Field(discriminator="type")]
)


def parse(text: str | bytes) -> TranslationClientEvent:
    """Read a client's event. Raises ``ProtocolError`` that says what is wrong with it."""
    try:
        return _client_event.validate_json(text)
    except ValidationError as error:
        raise explained(error, "", text) from error
