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

from finetune_assets.cli.ui_guard import Guard


@pytest.fixture
def client() -> TestClient:
    async def graphql(request: Any) -> PlainTextResponse:
        return PlainTextResponse("answered")

    async def subscribe(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("open")
        await websocket.close()

    app = Starlette(
        routes=[
            WebSocketRoute("/graphql-ws", subscribe),
            Route("/{path:path}", graphql, methods=["GET", "POST"]),
        ]
    )
    return TestClient(Guard(app), base_url="http://127.0.0.1:3000")


FETCHED = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
TYPED = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
MUTATION = "query=mutation%7Bx%7D"
ALLOWED: list[Callable[[TestClient], Any]] = [
    lambda client: client.get("/graphql?query={runs{id}}"),
    lambda client: client.post("/graphql", json={"query": "mutation { x }"}),
    lambda client: client.post("/graphql", headers={"Origin": "http://127.0.0.1:3000"}, json={}),
    lambda client: client.get("/graphql", headers={"Host": "localhost:3000"}),
    lambda client: client.get("/graphql", headers={"Host": "[::1]:3000"}),
    lambda client: client.post("/graphql", headers={"Content-Type": "Application/JSON; charset=utf-8"}, content="{}"),
    lambda client: client.get("/runs", headers=FETCHED | {"Sec-Fetch-Site": "same-origin"}),
    lambda client: client.get("/runs", headers=TYPED),
    lambda client: client.get("/runs", headers=TYPED | {"Sec-Fetch-Site": "cross-site"}),  # a link in a message
    lambda client: client.post("/report_asset_check/a?passed=true"),  # a program that reports from outside
]
REFUSED: list[Callable[[TestClient], Any]] = [
    lambda client: client.get("/graphql?query=mutation%7Bx%7D"),
    lambda client: client.get("/graphql?query=query%20q%20%7Bx%7D%20MUTATION%20m%20%7Bx%7D"),
    lambda client: client.post("/graphql", headers={"Origin": "http://evil.example"}, json={}),
    lambda client: client.post("/graphql", headers={"Origin": "null"}, json={}),
    lambda client: client.post("/graphql", headers={"Origin": "http://127.0.0.1:4000"}, json={}),
    lambda client: client.get("/graphql", headers={"Host": "evil.example:3000"}),
    lambda client: client.get("/graphql", headers={"Host": "127.0.0.1.evil.example"}),
    lambda client: client.get("/graphql", headers={"Host": "evil@127.0.0.1:3000"}),
    lambda client: client.get("/graphql", headers={"Host": "127.0.0.1:3000#evil.example"}),
    lambda client: client.get("/graphql", headers=[("Host", "127.0.0.1:3000"), ("Host", "evil.example")]),
    # No Origin comes with these, so only Sec-Fetch-Site tells.
    *[
        lambda client, site=site, path=path: client.get(path, headers=FETCHED | {"Sec-Fetch-Site": site})
        for site in ("cross-site", "same-site", "something-new")
        for path in ("/runs", "/graphql?query={runs{id}}", "/logs/a/b/out", "/download_debug/1")
    ],
    lambda client: client.get("/runs", headers=TYPED | {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}),
    lambda client: client.get("/graphql?query={x}", headers=TYPED | {"Sec-Fetch-Site": "cross-site"}),
    lambda client: client.post("/report_asset_check/a", headers={"Sec-Fetch-Site": "cross-site"}),
    lambda client: client.post("/report_asset_check/a", headers={"Origin": "http://localhost:3001"}),
    lambda client: client.post("/report_asset_check/a", headers={"Origin": ""}),
    lambda client: client.post("/runs", headers=TYPED | {"Sec-Fetch-Site": "cross-site"}),
    lambda client: client.post(
        "/graphql", headers=[("Origin", "http://127.0.0.1:3000"), ("Origin", "http://evil.example")], json={}
    ),
    # POSTs that a browser sends unasked, the query in the address or as a plain text.
    lambda client: client.post(f"/graphql?{MUTATION}"),
    lambda client: client.post(f"/graphql?{MUTATION}", data={"a": "b"}),
    lambda client: client.post(f"/graphql?{MUTATION}", files={"a": b"b"}),
    lambda client: client.post("/graphql", headers={"Content-Type": "text/plain; application/json"}, content="{}"),
    lambda client: client.post("/graphql", headers={"Content-Type": "application/graphql"}, content="mutation{x}"),
    lambda client: client.get(f"/%67raphql?{MUTATION}"),
    lambda client: client.get(f"/graphql/?{MUTATION}&extensions=%7B%7D"),
    lambda client: client.get("/graphql?query=%6dutation%7Bx%7D"),
    lambda client: client.get("/graphql?query={x}&query=mutation{x}"),
    lambda client: client.head(f"/graphql?{MUTATION}"),
]


@pytest.mark.parametrize("send", ALLOWED)
def test_the_ui_works(client: TestClient, send: Callable[[TestClient], Any]) -> None:
    response = send(client)
    assert (response.status_code, response.text) == (200, "answered")


@pytest.mark.parametrize("send", REFUSED)
def test_a_foreign_page_is_refused(client: TestClient, send: Callable[[TestClient], Any]) -> None:
    response = send(client)
    assert response.status_code == 403
    assert response.text.startswith("refused: ") or response.request.method == "HEAD"


def test_no_foreign_page_may_show_the_ui_in_a_frame(client: TestClient) -> None:
    assert client.get("/runs").headers["x-frame-options"] == "SAMEORIGIN"


def test_websockets_are_guarded_too(client: TestClient) -> None:
    with client.websocket_connect("ws://127.0.0.1:3000/graphql-ws") as socket:
        assert socket.receive_text() == "open"
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "same-site"}, {"Host": "evil.example"}):
        with (
            pytest.raises(WebSocketDisconnect),
            client.websocket_connect("ws://127.0.0.1:3000/graphql-ws", headers=headers),
        ):
            pass
