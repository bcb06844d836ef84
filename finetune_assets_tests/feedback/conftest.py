from __future__ import annotations

from pathlib import Path

import pytest

from finetune_assets.feedback.prediction_store import PredictionStore


@pytest.fixture
def store(tmp_path: Path) -> PredictionStore:
    return PredictionStore(tmp_path / "predictions.db")
