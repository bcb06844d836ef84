"""A bucket on loopback, and a store in it with little patience."""

from __future__ import annotations

from pathlib import Path

import pytest

from finetune_assets.storage.artifacts import Artifact, ArtifactStore
from finetune_assets.storage.gcs.calls import Patience
from finetune_assets.storage.gcs.store import GcsStore
from finetune_assets_tests.fakes.fixtures import StandIn, gcs  # noqa: F401

QUICK = Patience(deadline_s=20, initial_s=0.01, maximum_s=0.1, timeout_s=20)
HASTY = Patience(deadline_s=0.3, initial_s=0.01, maximum_s=0.05, timeout_s=5)


@pytest.fixture
def store(gcs: StandIn, tmp_path: Path) -> GcsStore:  # noqa: F811
    return GcsStore(gcs.client(), "gs://bkt/runs/one", work=tmp_path / "work", patience=QUICK)


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return make_artifact(tmp_path / "local")


def make_artifact(root: Path, *, key: str = "k1", text: str = "rows\n", times: str = "1") -> Artifact:
    with ArtifactStore(root).create("uploaded_dataset", key) as staging:
        (staging.path / "train.jsonl").write_text(text)
        (staging.path / "deep").mkdir()
        (staging.path / "deep" / "validation.jsonl").write_text("other\n")
        (staging.path / "times.json").write_text(times)
        return staging.commit({"task": "router", "seconds": times}, outside_digest=["times.json"])
