from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from finetune_assets.feedback.prediction_store import PredictionStore
from finetune_assets.storage.database import Database
from finetune_assets_tests.storage.databases import DATABASES, fresh_url


@pytest.fixture(params=DATABASES)
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with fresh_url(request.param, tmp_path) as url:
        database = Database.open(url)
        yield database
        database.close()


@pytest.fixture
def store(tmp_path: Path) -> PredictionStore:
    return PredictionStore(tmp_path / "predictions.db")
