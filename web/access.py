"""Who may connect: keys, and which pages a browser may come from."""

from __future__ import annotations

import hmac
from typing import Final
from urllib.parse import unquote, urlsplit

from starlette.requests import HTTPConnection

_KEY_PROTOCOL: Final = "openai-insecure-api-key."
_LOOPBACK: Final = frozenset(["localhost", "127.0.0.1", "::1"])


class Access:
    """The server's door. Without a ``key`` every program on the network may enter, but no foreign web page.

    ``local``: the server listens on this machine only, so that the name it is asked for must be this machine's
    (a page elsewhere could make its own name point here).
    """

    def __init__(self, key: str | None, *, local: bool) -> None:
        self._key = key
        self._local = local

    def refusal(self, request: HTTPConnection, *, offered: list[str] | None = None) -> str | None:
        """Why ``request`` may not enter; None: it may. ``offered`` are a WebSocket's subprotocols."""
        if self._key is not None:
            if any(hmac.compare_digest(given.encode(), self._key.encode()) for given in _keys(request, offered)):
                return None
            return "a key is needed: send it as 'Authorization: Bearer KEY'"
        origin = request.headers.get("origin")
        try:
            host = urlsplit("//" + request.headers.get("host", ""))
            page = host if origin is None else urlsplit(origin)
        except ValueError as error:
            return f"the Host or Origin header can't be read: {error}"
        if self._local and host.hostname not in _LOOPBACK:
            return f"this server is for this machine only, not for {host.hostname!r}; set a key to open it"
        if page.netloc != host.netloc:
            return f"pages from {origin} may not connect; set a key to let them"
        return None


def _keys(request: HTTPConnection, offered: list[str] | None) -> list[str]:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    keys = [token.strip()] if kind.lower() == "bearer" else []
    named = [name.removeprefix(_KEY_PROTOCOL) for name in offered or [] if name.startswith(_KEY_PROTOCOL)]
    return keys + named + [unquote(name) for name in named]  # a browser can't name a subprotocol "a/b=" as it is
