"""When endpoints were last asked, read from an answer in the shape of Cloud Monitoring's."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import requests

from finetune_assets.serving.cloud.activity import last_asked
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.config import CloudConfig

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CLIENTS = CloudClients(CloudConfig(project="p1", location="us-central1"), {})


def series(endpoint: str, *points: tuple[str, str]) -> dict[str, Any]:
    rows = [{"interval": {"endTime": f"2026-11-21T{at}:00Z"}, "value": {"int64Value": count}} for at, count in points]
    return {"resource": {"labels": {"endpoint_id": endpoint, "location": "us-central1"}}, "points": rows}


@contextmanager
def monitoring(*answers: tuple[int, Any]) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[min(len(asked), len(answers) - 1)]
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


def ask(base: str) -> dict[str, datetime] | None:
    session = requests.Session()
    session.trust_env = False
    return last_asked(CLIENTS, NOW, 48, session=session, base=base)


def test_the_latest_question_counts_over_all_pages() -> None:
    first = {"timeSeries": [series("router", ("09:00", "3"), ("11:00", "0"))], "nextPageToken": "more"}
    second = {"timeSeries": [series("router", ("10:00", "1")), series("quiet", ("10:00", "0")), series("")]}
    with monitoring((200, first), (200, second)) as (base, asked):
        found = ask(base)
    assert found == {"projects/p1/locations/us-central1/endpoints/router": datetime(2026, 11, 21, 10, tzinfo=UTC)}
    assert len(asked) == 2
    assert "pageToken=more" in asked[1]


@pytest.mark.parametrize("answer", [(403, {"error": {}}), (404, {}), (500, b""), (200, b"<html>")])
def test_what_cannot_be_known_is_not_nobody(answer: tuple[int, Any]) -> None:
    with monitoring(answer) as (base, _):
        assert ask(base) is None


def test_nobody_is_an_answer() -> None:
    with monitoring((200, {})) as (base, _):
        assert ask(base) == {}


def test_no_server_and_a_stand_in_know_nothing() -> None:
    assert ask("http://127.0.0.1:9") is None
    environ = {"FINETUNE_VERTEX_ENDPOINT": "http://127.0.0.1:9", "FINETUNE_ALLOW_EMULATOR": "1"}
    assert last_asked(CloudClients(CloudConfig(project="p1"), environ), NOW, 1) is None
