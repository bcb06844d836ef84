"""RequestCounter: every answer is counted and timed, the refusals of the layers below included."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finetune_assets.serving.metrics import GatewayMetrics


class RequestCounter:
    """ASGI middleware that counts every answer, the refusals of the layers below included.

    Args:
        app: the application behind.
        metrics: where to count.
    """

    def __init__(self, app: ASGIApp, *, metrics: GatewayMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on and note its status and time."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        state = scope.setdefault("state", {})

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Names that a client made up must not become labels, so both come from what was matched.
                task = state.get("task", "")
                route = getattr(scope.get("route"), "path", "")
                self._metrics.requests.labels(task, route, str(message["status"])).inc()
                self._metrics.latency.labels(task, route).observe(time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, counted)
