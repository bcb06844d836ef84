"""The guard in front of the webserver lets the UI work and keeps foreign web pages out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from finetune_assets.cli.ui import Guard


@pytest.fixture
def client() -> TestClient:
    async def graphql(request: Any) -> PlainTextResponse:
        return PlainTextResponse("answered")

    async def subscribe(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("open")
        await websocket.close()

    app = Starlette(
        routes=[Route("/graphql", graphql, methods=["GET", "POST"]), WebSocketRoute("/graphql-ws", subscribe)]
    )
    return TestClient(Guard(app), base_url="http://127.0.0.1:3000")


ALLOWED: list[Callable[[TestClient], Any]] = [
    lambda client: client.get("/graphql?query={runs{id}}"),
    lambda client: client.post("/graphql", json={"query": "mutation { x }"}),
    lambda client: client.post("/graphql", headers={"Origin": "http://127.0.0.1:3000"}, json={}),
    lambda client: client.get("/graphql", headers={"Host": "localhost:3000"}),
    lambda client: client.get("/graphql", headers={"Host": "[::1]:3000"}),
]
REFUSED: list[Callable[[TestClient], Any]] = [
    lambda client: client.get("/graphql?query=mutation%7Bx%7D"),
    lambda client: client.get("/graphql?query=query%20q%20%7Bx%7D%20MUTATION%20m%20%7Bx%7D"),
    lambda client: client.post("/graphql", headers={"Origin": "http://evil.example"}, json={}),
    lambda client: client.post("/graphql", headers={"Origin": "null"}, json={}),
    lambda client: client.post("/graphql", headers={"Origin": "http://127.0.0.1:4000"}, json={}),
    lambda client: client.get("/graphql", headers={"Host": "evil.example:3000"}),
    lambda client: client.get("/graphql", headers={"Host": "127.0.0.1.evil.example"}),
]


@pytest.mark.parametrize("send", ALLOWED)
def test_the_ui_works(client: TestClient, send: Callable[[TestClient], Any]) -> None:
    response = send(client)
    assert (response.status_code, response.text) == (200, "answered")


@pytest.mark.parametrize("send", REFUSED)
def test_a_foreign_page_is_refused(client: TestClient, send: Callable[[TestClient], Any]) -> None:
    response = send(client)
    assert response.status_code == 403
    assert response.text.startswith("refused: ")


def test_websockets_are_guarded_too(client: TestClient) -> None:
    with client.websocket_connect("ws://127.0.0.1:3000/graphql-ws") as socket:
        assert socket.receive_text() == "open"
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("ws://127.0.0.1:3000/graphql-ws", headers={"Origin": "http://evil.example"}),
    ):
        pass
