"""What the server tells: its events, and the errors among them."""

from __future__ import annotations

from typing import Final, TypeAlias

from pydantic import BaseModel, ValidationError

from dragoman.audio.types import Json

ServerEvent: TypeAlias = dict[str, Json]
"""An event for the client, ready for JSON."""


class ProtocolError(Exception):
    """A client's event that can't be done; becomes an ``error`` event, and the session goes on."""

    def __init__(
        self, message: str, *, code: str = "invalid_value", param: str | None = None, cause: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
        self.cause = cause
        """The event's own id, where it can't be read otherwise."""


def event(type_: str, **fields: Json) -> ServerEvent:
    """A server event; its ``event_id`` is added when it leaves."""
    return {"type": type_, **fields}


def error_event(
    message: str,
    *,
    kind: str = "invalid_request_error",
    code: str | None = None,
    param: str | None = None,
    cause: str | None = None,
) -> ServerEvent:
    """An ``error`` event; ``cause`` is the ``event_id`` of the client's event that led to it."""
    return event("error", error={"type": kind, "code": code, "message": message, "param": param, "event_id": cause})


class _Identified(BaseModel):
    event_id: str


_BRANCHES: Final = frozenset(
    "server_vad semantic_vad audio/pcm audio/pcmu audio/pcma constrained-int literal['inf'] str Voice".split()
)
"""Where a value may be one of several things, an error's place names which of them was tried; the event has no such."""


def explained(error: ValidationError, prefix: str, given: str | bytes = "") -> ProtocolError:
    """What is wrong, as the client is told; ``prefix`` is where it stands in the event. What is wrong with all that was
    ``given`` is told with its id, if it has one.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    where = [str(part) for part in first["loc"] if part not in _BRANCHES]
    param = ".".join([prefix, *where] if prefix else where[1:]) or None
    code = {
        "json_invalid": "invalid_json",
        "union_tag_invalid": "unknown_event",
        "missing": "missing_parameter",
    }
    place = f" ({param})" if param else ""
    kind = first["type"] if first["type"] != "union_tag_invalid" or not where else ""  # a tag inside names no event
    try:
        cause = _Identified.model_validate_json(given).event_id
    except ValidationError:
        cause = None
    return ProtocolError(f"{first['msg']}{place}", code=code.get(kind, "invalid_value"), param=param, cause=cause)
