from __future__ import annotations

from pathlib import Path

import pytest

from finetune_assets.resources.cloud import storage_client
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.gcs.errors import NoCredentialsError
from finetune_assets_tests.fakes.fixtures import gcs_server


def test_a_stand_in_is_used_only_where_it_is_allowed(tmp_path: Path) -> None:
    with gcs_server(tmp_path) as server:
        client = storage_client({**server.environ, "GOOGLE_CLOUD_PROJECT": "p9"})
        assert client.project == "p9"
        client.create_bucket("bkt")
        assert server.client().lookup_bucket("bkt") is not None
        with pytest.raises(StorageError, match="STORAGE_EMULATOR_HOST"):
            storage_client({"STORAGE_EMULATOR_HOST": server.url})
    with pytest.raises(StorageError, match=r"storage\.example\.com"):
        storage_client({"STORAGE_EMULATOR_HOST": "https://storage.example.com", "FINETUNE_ALLOW_EMULATOR": "1"})


def test_without_credentials_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    with pytest.raises(NoCredentialsError, match="gcloud auth application-default login"):
        storage_client({}, project="p1")
