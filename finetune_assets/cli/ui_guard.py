"""The guard in front of Dagster's webserver: refuses what a web page of another origin could send.

Such a page can send GETs (an image, a script), forms, and POSTs that need no preflight; it can open websockets, show
the UI in a frame, and read everything where it makes its own name resolve to 127.0.0.1 (DNS rebinding). The browser
says so by Host, Origin and Sec-Fetch-Site; programs send neither of the last two.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from finetune_assets.serving.doors.origins import host_name, same_origin

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

_OWN_SITES = ("", "same-origin", "none")
"""Sec-Fetch-Site of a program (""), of the UI itself, and of what a person typed."""
_READING = ("GET", "HEAD")
_JSON = "application/json"
_NO_FRAMES = (b"x-frame-options", b"SAMEORIGIN")
_HEADERS_READ = ("host", "origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "content-type")


class Guard:
    """ASGI middleware that refuses what a foreign web page could send.

    Args:
        app: the webserver.
        hosts: host names that the server answers to, without ports.
    """

    def __init__(self, app: App, hosts: frozenset[str] = LOOPBACK) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403 with the reason."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        refusal = self.refusal(scope)
        if not refusal:
            await self._app(scope, receive, _unframed(send) if scope["type"] == "http" else send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal})
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": refusal.encode()})

    def refusal(self, scope: Scope) -> str:
        """Return why a request is refused, or ""."""
        headers = _read(scope)
        if headers is None:
            return "refused: a header that may come once came twice"
        if host_name(headers["host"] or "") not in self._hosts:
            return "refused: the Host header is not this server; open it by 127.0.0.1 or localhost"
        if not _comes_from_us(scope, headers):
            return "refused: the request comes from another web page"
        if scope["type"] == "http" and _is_graphql(scope):
            return _graphql_refusal(scope, headers["content-type"] or "")
        return ""


def _read(scope: Scope) -> dict[str, str | None] | None:
    """Return the headers that are judged, None for a missing one; None in all when one came twice."""
    found: dict[str, str | None] = dict.fromkeys(_HEADERS_READ)
    for raw, value in scope["headers"]:
        name = raw.decode("latin-1").lower()
        if name in found:
            if found[name] is not None:
                return None
            found[name] = value.decode("latin-1")
    return found


def _comes_from_us(scope: Scope, headers: dict[str, str | None]) -> bool:
    origin, site = headers["origin"], headers["sec-fetch-site"] or ""
    if origin is not None and not same_origin(origin, headers["host"] or ""):
        return False
    return site in _OWN_SITES or _follows_link(scope, headers)


def _follows_link(scope: Scope, headers: dict[str, str | None]) -> bool:
    """Return whether a person followed a link from elsewhere to a page of the UI, which changes nothing."""
    shown = (headers["sec-fetch-mode"], headers["sec-fetch-dest"]) == ("navigate", "document")
    return shown and scope["type"] == "http" and scope["method"] in _READING and not _is_graphql(scope)


def _is_graphql(scope: Scope) -> bool:
    return "graphql" in str(scope["path"]).lower().rstrip("/").rsplit("/", 1)[-1]


def _graphql_refusal(scope: Scope, content_type: str) -> str:
    if scope["method"] in _READING:
        queries = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("query", [])
        mutates = any("mutation" in query.lower() for query in queries)
        return "refused: mutations are taken by POST only" if mutates else ""
    # For any other type the webserver takes the query from the address, and a page may send such a POST unasked; it
    # looks for application/json anywhere in the header, also where the browser sees a plain text.
    if content_type.partition(";")[0].strip().lower() != _JSON:
        return f"refused: GraphQL is taken as {_JSON} only"
    return ""


def _unframed(send: Send) -> Send:
    """Return a `send` whose answers no page of another origin may show in a frame, where a click could be stolen."""

    async def sent(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), _NO_FRAMES]}
        await send(message)

    return sent
