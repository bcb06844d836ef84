"""BodyLimit: a request body that is too large or too slow is refused before anybody reads it."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finetune_assets.serving.problems import ApiProblem


class BodyLimit:
    """ASGI middleware that bounds the size and the time of a body.

    Args:
        app: the application behind.
        max_bytes: largest body.
        timeout_s: seconds for the whole body to arrive.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, timeout_s: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body up to the limits, then hand the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                body = await self._read(_declared_length(scope), receive)
        except TimeoutError:
            problem = ApiProblem(
                408, "body_too_slow", "The request body did not arrive in time.", "Send the body at once."
            )
            await problem.response(scope["path"], {"Connection": "close"})(scope, receive, send)
        except ApiProblem as problem:
            # The rest of the body is still on its way; the connection cannot carry another request.
            await problem.response(scope["path"], {"Connection": "close"})(scope, receive, send)
        else:
            if body is not None:
                await self._app(scope, _replay(body, receive), send)

    async def _read(self, declared: int | None, receive: Receive) -> bytes | None:
        """Return the whole body, None when the client left before its end."""
        if declared is not None and declared > self._max_bytes:
            raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._max_bytes:
                raise self._too_large()
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)

    def _too_large(self) -> ApiProblem:
        return ApiProblem(
            413,
            "body_too_large",
            f"The request body is larger than {self._max_bytes:,} bytes.",
            "Send one shorter text in each request.",
        )


def _declared_length(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body once, then what the server says next."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed
