"""`finetune ui`: `dg dev -w workspace.yaml` with a guard in front of the webserver.

Dagster's webserver has no users and takes mutations over GET and from any origin, so any web page open in the same
browser could launch a run. The guard refuses GET mutations and requests whose Host or Origin is not this server.
"""

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from finetune_assets.records.errors import FinetuneError

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_WEBSERVER_MODULE = "dagster_webserver"
_GUARDED_MODULE = "finetune_assets.cli.guarded_webserver"


class Guard:
    """ASGI middleware that refuses what a foreign web page could send.

    Args:
        app: the webserver.
        hosts: host names that the server answers to, without ports.
    """

    def __init__(self, app: App, hosts: frozenset[str] = LOOPBACK) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(
        self, scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Pass the request on, or answer 403 with the reason."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        refusal = self.refusal(scope)
        if not refusal:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal})
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": refusal.encode()})

    def refusal(self, scope: Scope) -> str:
        """Return why a request is refused, or ""."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if _host_name(headers.get("host", "")) not in self._hosts:
            return "refused: the Host header is not this server; open it by 127.0.0.1 or localhost"
        origin = headers.get("origin")
        if origin and not _same_origin(origin, headers["host"]):
            return "refused: the request comes from another web page"
        if scope["type"] == "http" and scope["method"] in {"GET", "HEAD"} and _holds_mutation(scope):
            return "refused: mutations are taken by POST only"
        return ""


def _host_name(host: str) -> str:
    return (urlsplit(f"//{host}").hostname or "").lower()


def _same_origin(origin: str, host: str) -> bool:
    return urlsplit(origin).netloc.lower() == host.lower()


def _holds_mutation(scope: Scope) -> bool:
    if not scope["path"].rstrip("/").endswith("graphql"):
        return False
    queries = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("query", [])
    return any("mutation" in query.lower() for query in queries)


def serve_ui(host: str, port: int) -> None:
    """Run `dg dev -w workspace.yaml` in this process, its webserver started behind the guard.

    Raises:
        FinetuneError: when the port is taken, workspace.yaml is missing, or this Dagster starts its webserver in
            another way than the guard knows.
    """
    import dagster._cli.dev as dev

    workspace = Path(__file__).resolve().parents[2] / "workspace.yaml"
    if not workspace.is_file():
        raise FinetuneError(
            "workspace.yaml is missing", where=str(workspace), mend="run from a checkout of the project"
        )
    _refuse_taken_port(host, port)
    if not hasattr(dev, "open_ipc_subprocess"):
        raise FinetuneError(
            "this Dagster starts its webserver in an unknown way",
            expected="dagster 1.13",
            mend="install the versions of constraints.txt, or run `dg dev -w workspace.yaml` without the guard",
        )
    start = dev.open_ipc_subprocess

    def start_guarded(parts: list[str], **options: Any) -> Any:
        if parts[1:3] == ["-m", _WEBSERVER_MODULE]:
            parts = [parts[0], "-m", _GUARDED_MODULE, *parts[3:]]
        return start(parts, **options)

    dev.open_ipc_subprocess = start_guarded
    from dagster_dg_cli.cli import cli

    cli(["dev", "-w", str(workspace), "--host", host, "--port", str(port)], standalone_mode=True)
    sys.exit(0)


def _refuse_taken_port(host: str, port: int) -> None:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise FinetuneError(
                "port cannot be had",
                where=f"{host}:{port}",
                found=error.strerror or str(error),
                mend=f"stop what listens there, or take another: `finetune ui --port {port + 1}`",
            ) from None
