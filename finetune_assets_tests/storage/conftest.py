from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from finetune_assets.storage.database import Database
from finetune_assets_tests.storage.databases import DATABASES, fresh_url


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'finetune.db'}"


@pytest.fixture
def sqlite(url: str) -> Iterator[Database]:
    database = Database.open(url)
    yield database
    database.close()


@pytest.fixture(params=DATABASES)
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with fresh_url(request.param, tmp_path) as url:
        database = Database.open(url)
        yield database
        database.close()
