"""Origins: a web page of another origin neither asks nor reads, and the gateway answers under its own names only.

A page can send to loopback what it likes and, where it makes its own name resolve to 127.0.0.1 (DNS rebinding), read
the answer. Its requests bear its name as Host, its origin as Origin, or `cross-site` as Sec-Fetch-Site.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from finetune_assets.serving.doors.callers import comes_from_here, is_address, is_loopback, single
from finetune_assets.serving.doors.refusals import foreign_host, foreign_origin
from finetune_assets.serving.problems import ApiProblem

_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?")
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<host>[^/@?#]+)")
_PORTS = {"http": "80", "https": "443"}
_OWN_SITES = ("", "same-origin", "none")
"""Sec-Fetch-Site of a program (""), of the gateway's own page, and of what a person typed."""


class Origins:
    """ASGI middleware that refuses foreign names and foreign pages.

    Args:
        app: the application behind.
        hosts: names that the gateway answers to besides those of loopback, without ports, in lower case.
        origins: origins of pages that may ask, such as https://labels.example.
        addresses: answer to every IP address too. A browser takes a page's name for Host, so an address there is never
            the work of DNS rebinding; probes of a container's platform have nothing else to say.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Collection[str] = (), origins: Collection[str] = (), addresses: bool = False
    ) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._addresses = addresses
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note whether the request comes from this machine and hand it on, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        host = single(scope, b"host") or ""
        name = host_name(host)
        refusal = self._refusal(scope, host, name)
        if refusal is None:
            scope.setdefault("state", {})["from_here"] = comes_from_here(scope, name)
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.code})
        else:
            await refusal.response(scope["path"])(scope, receive, send)

    def _refusal(self, scope: Scope, host: str, name: str) -> ApiProblem | None:
        if not self._is_ours(name):
            return foreign_host()
        origin, site = single(scope, b"origin"), single(scope, b"sec-fetch-site")
        if origin is None or site is None:
            return foreign_origin()
        if origin in self._origins:
            return None
        if site not in _OWN_SITES or (origin and not same_origin(origin, host)):
            return foreign_origin()
        return None

    def _is_ours(self, name: str) -> bool:
        if is_loopback(name) or name in self._hosts:
            return True
        return self._addresses and is_address(name)


def host_name(host: str) -> str:
    """Return the name in a Host header in lower case, without its port; "" for none that can be read."""
    match = _HOST.fullmatch(host)
    return (match["six"] or match["name"]).lower() if match else ""


def same_origin(origin: str, host: str) -> bool:
    """Return whether an Origin header names the server that a Host header names.

    The scheme is not compared: behind a proxy that ends TLS, the server does not know it.
    """
    found, asked = _ORIGIN.fullmatch(origin.lower()), _HOST.fullmatch(host.lower())
    if found is None or asked is None:
        return False
    there = _HOST.fullmatch(found["host"])
    if there is None:
        return False
    standard = _PORTS[found["scheme"]]
    same_name = (there["six"] or there["name"]) == (asked["six"] or asked["name"])
    return same_name and (there["port"] or standard) == (asked["port"] or standard)
