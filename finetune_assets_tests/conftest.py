"""What every test may use: a home of its own, no telemetry, and the real data where somebody has it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")


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
