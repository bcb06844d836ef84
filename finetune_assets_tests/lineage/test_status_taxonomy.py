"""A live release names the taxonomy that it was trained on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from finetune_assets.datasets.taxonomies.taxonomy import Taxonomy
from finetune_assets.lineage import status
from finetune_assets.lineage.status import StatusReader
from finetune_assets.releases.manifest import KIND
from finetune_assets.storage.artifacts import ArtifactStore
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.home import Home


def test_the_status_names_the_taxonomy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = Taxonomy.from_json({"labels": ["one", "two"]})
    with ArtifactStore(Home(tmp_path).artifacts).create(KIND, "release") as staging:
        (staging.path / "file").write_text("x")
        staging.commit({"task_type": {"taxonomy": labels.to_json()}})
    release = SimpleNamespace(
        version=1, candidate="c", base_model="b", deployed_at=utc_now(), scores={}, artifact_key="release"
    )
    monkeypatch.setattr(status, "Registry", lambda _database: SimpleNamespace(live=lambda _task: release))
    reader = StatusReader(Home(tmp_path), cast("Any", None), cast("Any", None))
    assert (reader.live("t") or {})["taxonomy"] == labels.digest
    release.artifact_key = ""
    assert (reader.live("t") or {})["taxonomy"] == ""
