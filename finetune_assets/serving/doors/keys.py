"""Keys: who sends a key is known by it, before anybody reads the body; a wrong key opens nothing at all."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from finetune_assets.serving.doors.callers import LOOPBACK_CALLER, STRANGER, address_of, headers_named
from finetune_assets.serving.doors.keyring import KeyRing
from finetune_assets.serving.doors.rates import Rates
from finetune_assets.serving.doors.refusals import no_key, wrong_key
from finetune_assets.serving.problems import ApiProblem
from finetune_assets.storage.api_keys import Caller

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""What everybody may ask from everywhere: whether the gateway works, for whoever restarts it, and no more."""
WRONG_KEYS = "wrong_keys"
"""What `Rates` counts wrong keys as, by address."""


class Keys:
    """ASGI middleware that finds out who asks.

    Args:
        app: the application behind.
        ring: knows the keys.
        rates: counts wrong keys.
    """

    def __init__(self, app: ASGIApp, *, ring: KeyRing, rates: Rates) -> None:
        self._app = app
        self._ring = ring
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write the caller beside the request and hand it on, or answer 401, 429 or 503."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "there are no websockets here"})
            return
        if scope["type"] == "http":
            try:
                caller = await self._caller(scope)
            except ApiProblem as problem:
                # A body may be on its way that nobody reads; the connection cannot carry another request.
                await problem.response(scope["path"], {"Connection": "close"})(scope, receive, send)
                return
            scope["state"]["caller"] = caller
        await self._app(scope, receive, send)

    async def _caller(self, scope: Scope) -> Caller:
        state = scope.setdefault("state", {})
        state["address"] = address_of(scope)
        sent = headers_named(scope, b"authorization")
        if not sent:
            if state.get("from_here", False):
                return LOOPBACK_CALLER
            if scope["path"] in OPEN_PATHS:
                return STRANGER
            raise no_key()
        caller = await self._ring.caller(_bearer(sent[0])) if len(sent) == 1 else None
        if caller is None:
            self._rates.spend(WRONG_KEYS, state["address"])
            raise wrong_key()
        return caller


def _bearer(header: str) -> str:
    """Return the key in an Authorization header, "" for one of another kind."""
    scheme, _, key = header.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
