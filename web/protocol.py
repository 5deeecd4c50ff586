"""The Realtime protocol's words: what clients send, what a session's configuration holds.

Reference: the ``openai`` package's ``types/realtime``. What a client asks for and can't have is an error, so that
nobody waits for it. Hints alone (``noise_reduction``, ``tracing``, ``reasoning``) are ignored, and the session's report
says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from dragoman.audio.types import Json
from dragoman.web.events import ProtocolError, explained

MIN_COMMIT_MS = 100
"""A commit of less sound is an error, as in the reference."""
MAX_TEXT_BYTES = 2**15
"""Longest text of an item, where the language model doesn't say what it reads."""
_REFERENCE_VOICES: Final = frozenset(
    ["alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse"]
)
"""Voices that clients name by default; they get the language's own."""


# ---- the session's configuration


class Pcm(BaseModel):
    """16-bit little-endian mono at 24 kHz."""

    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24000] = 24000


class Pcmu(BaseModel):
    """G.711 mu-law, 8 kHz."""

    type: Literal["audio/pcmu"]


class Pcma(BaseModel):
    """G.711 A-law, 8 kHz."""

    type: Literal["audio/pcma"]


AudioFormat: TypeAlias = Annotated[Pcm | Pcmu | Pcma, Field(discriminator="type")]


class ServerVad(BaseModel):
    """Turns end by silence; without ``silence_duration_ms`` the patience adapts to what was said."""

    type: Literal["server_vad"] = "server_vad"
    threshold: float = Field(default=0.5, ge=0.0, le=1.0)
    prefix_padding_ms: int = Field(default=300, ge=0, le=5000)
    silence_duration_ms: int | None = Field(default=None, ge=50, le=10_000)
    create_response: bool = True
    interrupt_response: bool = True


class SemanticVad(BaseModel):
    """Turns end when what was said sounds complete; ``eagerness`` "low" waits twice as long as "medium" ("auto"), and
    "high" half as long.
    """

    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


TurnDetection: TypeAlias = Annotated[ServerVad | SemanticVad, Field(discriminator="type")]


class Transcription(BaseModel):
    """What the client is told of the user's words; ``language`` is ISO 639-1, None: detected."""

    model: str = "dragoman"
    language: str | None = Field(default=None, pattern="^[a-z]{2}$")


class AudioInput(BaseModel):
    """The microphone's side. ``turn_detection`` None: the client commits its turns by hand."""

    format: AudioFormat = Pcm()
    transcription: Transcription | None = Transcription()
    turn_detection: TurnDetection | None = ServerVad()


class Voice(BaseModel):
    """A voice by its id."""

    id: str


class Voiced(BaseModel):
    """Whose voice it is."""

    voice: str | Voice | None = None

    @property
    def voice_name(self) -> str | None:
        """The voice's name, however it was given."""
        return self.voice.id if isinstance(self.voice, Voice) else self.voice

    @property
    def own_voice(self) -> str | None:
        """The same where it is one of this server's."""
        return None if self.voice_name in _REFERENCE_VOICES else self.voice_name


class AudioOutput(Voiced):
    """The speaker's side."""

    format: AudioFormat = Pcm()
    speed: float = Field(default=1.0, ge=0.5, le=1.5)


class Audio(BaseModel):
    """Both sides."""

    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


class SessionConfig(BaseModel):
    """The configuration in force; what ``session.created`` and ``session.updated`` report."""

    type: Literal["realtime", "transcription"] = "realtime"
    model: str = "dragoman"
    instructions: str = ""
    output_modalities: list[Literal["text", "audio"]] = Field(default=["audio"], min_length=1, max_length=1)
    max_output_tokens: Annotated[int, Field(ge=1, le=4096)] | Literal["inf"] = "inf"
    tools: list[dict[str, object]] = Field(default=[], max_length=0)
    tool_choice: Literal["auto", "none"] = "auto"
    audio: Audio = Audio()

    @property
    def speaks(self) -> bool:
        """Whether replies are spoken, not only written."""
        return self.output_modalities == ["audio"]

    def merged(self, changes: Mapping[str, object]) -> SessionConfig:
        """With ``changes`` laid over it: objects merge, lists and null replace. Raises ``ProtocolError``."""
        require_current(changes, "session")
        for path in _UNSUPPORTED:
            wanted: object = changes
            for name in path.split("."):
                wanted = wanted.get(name) if isinstance(wanted, Mapping) else None
            if wanted and wanted != "auto":
                raise ProtocolError(f"{path}: not supported yet, leave it out", param=f"session.{path}")
        try:
            return SessionConfig.model_validate(merge(self.model_dump(), changes))
        except ValidationError as error:
            raise explained(error, "session") from error

    def report(self, session_id: str) -> dict[str, Json]:
        """The ``session`` object that clients read."""
        # What is not set is left out: clients' types often allow no null. For these three null says "off".
        config = cast(dict[str, Json], self.model_dump(mode="json", exclude_none=True))
        heard: dict[str, Json] = {"noise_reduction": None, "transcription": None, "turn_detection": None}
        heard |= self.audio.input.model_dump(mode="json", exclude_none=True)
        if self.type == "transcription":
            return {
                "type": self.type,
                "object": "realtime.transcription_session",
                "id": session_id,
                "audio": {"input": heard},
                "include": None,
            }
        return config | {
            "object": "realtime.session",
            "id": session_id,
            "audio": {"input": heard, "output": self.audio.output.model_dump(mode="json", exclude_none=True)},
            "tracing": None,
            "truncation": "auto",
            "prompt": None,
            "include": None,
        }


_UNSUPPORTED: Final = (
    *("tools", "prompt", "include", "truncation", "audio.input.turn_detection.idle_timeout_ms"),
    *(f"audio.input.transcription.{name}" for name in ("prompt", "keywords", "languages")),
)
"""Settings of the reference that would change what the client gets."""
_BETA_NAMES: Final = {
    "modalities": "output_modalities",
    "voice": "audio.output.voice",
    "speed": "audio.output.speed",
    "output_audio_format": "audio.output.format",
    "input_audio_format": "audio.input.format",
    "input_audio_transcription": "audio.input.transcription",
    "input_audio_noise_reduction": "audio.input.noise_reduction",
    "turn_detection": "audio.input.turn_detection",
    "max_response_output_tokens": "max_output_tokens",
}
_NULLABLE = {"turn_detection", "transcription", "silence_duration_ms", "language", "voice", "noise_reduction"}
"""Where null means something; elsewhere it leaves the value as it is."""


def require_current(settings: Mapping[str, object], where: str) -> None:
    """Raises ``ProtocolError`` for what only the protocol's beta knows: who asks by its name would wait for it."""
    for name in settings:
        if name in _BETA_NAMES:
            param = f"{where}.{name}"
            message = f"{param} was the beta's name for {where}.{_BETA_NAMES[name]}: use that"
            raise ProtocolError(message, code="unknown_parameter", param=param)


def merge(base: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    """``changes`` laid over ``base``: objects of the same type merge, everything else replaces."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        if isinstance(value, Mapping):
            old = old if isinstance(old, dict) else {}
            same = value.get("type", old.get("type")) == old.get("type")
            merged[key] = merge(old if same else {}, value)
        elif value is not None or key in _NULLABLE:
            merged[key] = value
    return merged


# ---- what clients send


class _Event(BaseModel):
    event_id: str | None = None


class SessionUpdate(_Event):
    """Change the configuration."""

    type: Literal["session.update"]
    session: dict[str, object]


class Append(_Event):
    """More sound, base64."""

    type: Literal["input_audio_buffer.append"]
    audio: str


class Commit(_Event):
    """The sound so far is a turn."""

    type: Literal["input_audio_buffer.commit"]


class Clear(_Event):
    """Forget the open turn's sound."""

    type: Literal["input_audio_buffer.clear"]


class ContentPart(BaseModel):
    """A part of a message."""

    type: Literal["input_text", "input_audio", "output_text", "output_audio", "text"]
    text: str | None = None
    audio: str | None = None
    transcript: str | None = None


class MessageItem(BaseModel):
    """A message that the client puts into the conversation."""

    type: Literal["message"]
    role: Literal["user", "assistant", "system"]
    content: list[ContentPart] = Field(min_length=1)
    id: str | None = Field(default=None, min_length=1, max_length=64)


class ItemCreate(_Event):
    """Add an item after ``previous_item_id`` ("root": first; None: last)."""

    type: Literal["conversation.item.create"]
    item: MessageItem
    previous_item_id: str | None = None


class ItemRetrieve(_Event):
    """Send an item again."""

    type: Literal["conversation.item.retrieve"]
    item_id: str


class ItemDelete(_Event):
    """Forget an item."""

    type: Literal["conversation.item.delete"]
    item_id: str


class ItemTruncate(_Event):
    """Of an answer, only so much was heard."""

    type: Literal["conversation.item.truncate"]
    item_id: str
    content_index: int = 0
    audio_end_ms: int = Field(ge=0)


class ResponseOutput(Voiced):
    """How one response is to sound."""

    format: AudioFormat | None = None


class ResponseAudio(BaseModel):
    """The speaker's side of one response."""

    output: ResponseOutput = ResponseOutput()


class ResponseParams(BaseModel):
    """How one response differs from the session's."""

    model_config = ConfigDict(extra="allow")

    audio: ResponseAudio | None = None
    conversation: str = "auto"
    input: list[object] | None = None
    instructions: str | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=4096)] | Literal["inf"] | None = None
    metadata: dict[str, str] | None = None
    output_modalities: list[Literal["text", "audio"]] | None = None
    prompt: object = None
    tool_choice: Literal["auto", "none"] | None = None
    tools: list[object] | None = None


class ResponseCreate(_Event):
    """Ask for a response."""

    type: Literal["response.create"]
    response: ResponseParams | None = None


class ResponseCancel(_Event):
    """Stop a response."""

    type: Literal["response.cancel"]
    response_id: str | None = None


ClientEvent: TypeAlias = (
    SessionUpdate
    | Append
    | Commit
    | Clear
    | ItemCreate
    | ItemRetrieve
    | ItemDelete
    | ItemTruncate
    | ResponseCreate
    | ResponseCancel
)

_client_event: TypeAdapter[ClientEvent] = TypeAdapter(Annotated[ClientEvent, Field(discriminator="type")])


def parse(text: str | bytes) -> ClientEvent:
    """Read a client's event. Raises ``ProtocolError`` that says what is wrong with it."""
    try:
        return _client_event.validate_json(text)
    except ValidationError as error:
        raise explained(error, "", text) from error
