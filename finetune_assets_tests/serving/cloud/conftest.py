"""Google's real clients against the stand-ins of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from finetune_assets.serving.cloud.calls import Patience
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.config import CloudConfig
from finetune_assets_tests.fakes.fixtures import ThreadedGcs, gcs  # noqa: F401
from finetune_assets_tests.fakes.vertex import Vertex, vertex_server

QUICK = Patience(first_s=0.01, longest_s=0.05, deadline_s=20.0, outage_s=10.0, visibility_s=0.01)
CANDIDATE = "ab12" * 16
OTHER = "cd34" * 16


def environ(vertex: Vertex) -> dict[str, str]:
    return {"FINETUNE_VERTEX_ENDPOINT": vertex.url, "FINETUNE_ALLOW_EMULATOR": "1"}


def clients_of(vertex: Vertex, storage: Any = None, **changes: Any) -> CloudClients:
    facts: dict[str, Any] = {"project": "p1", "location": "us-central1", "bucket": "gs://bkt"}
    return CloudClients(CloudConfig(**(facts | changes)), environ(vertex), storage=storage)


@pytest.fixture
def vertex(tmp_path: Path, gcs: ThreadedGcs) -> Iterator[Vertex]:  # noqa: F811
    with vertex_server(tmp_path / "vertex", gcs.url, speed=2000.0) as server:
        yield server


@pytest.fixture
def clients(vertex: Vertex, gcs: ThreadedGcs) -> CloudClients:  # noqa: F811
    return clients_of(vertex, gcs.client())


class Killed(BaseException):
    """What a test raises where a process would have died."""


def dies_at(count: int = 1) -> Callable[[str], object]:
    """Return a note of operations that dies after it was written down `count` times."""
    seen: list[str] = []

    def note(name: str) -> None:
        seen.append(name)
        if len(seen) == count:
            raise Killed(name)

    return note


def posts(vertex: Vertex, word: str) -> int:
    """Return how many requests with this word in their path the stand-in saw that make or change something."""
    return sum(entry["method"] != "GET" and word in entry["path"] for entry in vertex.log())


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError
        time.sleep(0.01)
