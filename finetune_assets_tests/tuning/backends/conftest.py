from __future__ import annotations

from collections.abc import Iterator

import pytest

from finetune_assets.storage.database import Database
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets_tests.fakes.fixtures import ThreadedGcs, gcs  # noqa: F401
from finetune_assets_tests.fakes.vertex import Vertex
from finetune_assets_tests.fakes.vertex_fixtures import gemini_rows, open_rows, put_rows, vertex  # noqa: F401
from finetune_assets_tests.tuning.backends.jobs import clients_for

TRAIN = "datasets/d/train.jsonl"
VALIDATION = "datasets/d/validation.jsonl"


@pytest.fixture
def clients(gcs: ThreadedGcs, vertex: Vertex) -> Iterator[CloudClients]:  # noqa: F811
    """Real clients; the bucket holds a Gemini dataset."""
    put_rows(gcs, TRAIN, gemini_rows(20))
    put_rows(gcs, VALIDATION, gemini_rows(4, "other"))
    yield from closing(clients_for(vertex.url, storage=gcs.client()))


@pytest.fixture
def open_clients(gcs: ThreadedGcs, vertex: Vertex) -> Iterator[CloudClients]:  # noqa: F811
    """Real clients; the bucket holds an open model's dataset."""
    put_rows(gcs, TRAIN, open_rows(40))
    put_rows(gcs, VALIDATION, open_rows(4))
    yield from closing(clients_for(vertex.url, storage=gcs.client()))


def closing(made: CloudClients) -> Iterator[CloudClients]:
    yield made
    made.genai.close()
    made.storage.close()


@pytest.fixture
def database(db: Database) -> Database:
    """As the platform's: once on SQLite, once on PostgreSQL."""
    return db
