from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from finetune_assets.storage.database import Database


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'finetune.db'}"


@pytest.fixture
def sqlite(url: str) -> Iterator[Database]:
    database = Database.open(url)
    yield database
    database.close()
