"""Request ids: every request has one, taken from `X-Request-Id` or made, and every answer names it."""

from __future__ import annotations

import re
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-Id"
PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"
_HEADER_BYTES = HEADER.lower().encode()
_USABLE = re.compile(PATTERN)


class RequestIds:
    """ASGI middleware that gives each request its id, as `request.state.request_id` and as the answer's header.

    An id that a client sends is kept when it has up to 128 letters, digits and `._:-`; any other is replaced.

    Args:
        app: the application behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Name the request and hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given(scope) or uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", []), (_HEADER_BYTES, request_id.encode())]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, named)


def _given(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == _HEADER_BYTES:
            text: str = value.decode("latin-1")
            return text if _USABLE.fullmatch(text) else ""
    return ""
