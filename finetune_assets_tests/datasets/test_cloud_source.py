from __future__ import annotations

import json
from pathlib import Path

import pytest

from finetune_assets.datasets.reading.cloud_source import fetch_source, is_remote
from finetune_assets.datasets.reading.config import SourceConfig
from finetune_assets.datasets.reading.ingest import ingest, source_identity
from finetune_assets.records.errors import FinetuneError
from finetune_assets_tests.fakes.fixtures import StandIn, gcs  # noqa: F401

FILES = {
    "a.jsonl": '{"id": "1", "text": "one"}\n{"id": "2"\n',
    "sub/b.csv": "id,text\n3,three\n",
    "readme.md": "# no data\n",
}


@pytest.fixture
def both(gcs: StandIn, tmp_path: Path) -> Path:  # noqa: F811
    for name, text in FILES.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        gcs.client().bucket("bkt").blob(f"in/data/{name}").upload_from_string(text.encode())
    return tmp_path


def records(config: SourceConfig, folder: Path, out: Path) -> tuple[str, str]:
    out.mkdir()
    ingest(config, folder, {"text": ("text",)}, out)
    return (out / "records.jsonl").read_text(), (out / "quarantine.jsonl").read_text()


@pytest.mark.parametrize(
    "more",
    [
        {"path": "data"},
        {"path": "data/a.jsonl"},
        {"path": "data/**/*.csv"},
        {"path": "data/*.jsonl"},
        {"path": "data", "include": ["*.csv"]},
        {"path": "data", "exclude": ["sub/*"]},
    ],
)
def test_the_same_files_give_the_same_records_from_a_bucket(gcs: StandIn, both: Path, more: dict) -> None:  # noqa: F811
    local = SourceConfig.model_validate(more)
    remote = SourceConfig.model_validate({**more, "path": f"gs://bkt/in/{more['path']}"})
    assert (is_remote(local), is_remote(remote)) == (False, True)
    fetched = fetch_source(remote, gcs.client(), both / "cache")
    assert records(fetched.config, both, both / "one") == records(local, both, both / "two")
    mine, theirs = source_identity(fetched.config, both), source_identity(local, both)
    assert mine["files"] == theirs["files"]
    origins = fetched.origins()
    for line in (both / "one" / "records.jsonl").read_text().splitlines():
        place = origins[json.loads(line)["source"]["file"]]
        assert place["uri"].startswith("gs://bkt/in/data/")
        assert place["generation"] > 0


def test_who_needs_local_files_says_so(tmp_path: Path) -> None:
    with pytest.raises(FinetuneError, match="this needs the source's files on this machine"):
        source_identity(SourceConfig(path="gs://bkt/x"), tmp_path)
