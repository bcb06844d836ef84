"""What every test may use: a home of its own, no telemetry, and the real data where somebody has it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from finetune_assets.storage.database import Database
from finetune_assets_tests.storage.databases import DATABASES, fresh_url

# Machines are slow at times, which says nothing about the code. Without a seed of its own a run tries the same examples
# as the one before; `make soak` tries new ones, and many more.
settings.register_profile("usual", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("soak", settings.get_profile("usual"), derandomize=False, max_examples=2_000)
settings.load_profile("soak" if "FINETUNE_SOAK" in os.environ else "usual")

os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a case of bytes after its argument: packed bytes hold the time, and workers must collect the same names."""
    return argname if isinstance(val, bytes | bytearray) else None


@pytest.fixture
def real_data() -> Path:
    """The folder of real data that FINETUNE_REAL_DATA names; the test is skipped where there is none."""
    folder = os.environ.get("FINETUNE_REAL_DATA", "")
    if not folder:
        pytest.skip("FINETUNE_REAL_DATA is not set: the real data is not in this repository")
    return Path(folder)


@pytest.fixture
def platform_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home for this test alone; DAGSTER_HOME points into it."""
    home = tmp_path / "home"
    monkeypatch.setenv("FINETUNE_HOME", str(home))
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    (home / "dagster").mkdir(parents=True)
    return home


@pytest.fixture(params=DATABASES)
def db_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database for this test alone, its schema current: once on SQLite, once on PostgreSQL."""
    with fresh_url(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def db(db_url: str) -> Iterator[Database]:
    """That database, opened."""
    database = Database.open(db_url)
    yield database
    database.close()
