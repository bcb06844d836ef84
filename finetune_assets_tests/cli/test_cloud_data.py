"""Data in Cloud Storage through the command line: sources are read from there, datasets and adapters fetched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from finetune_assets.lineage.raw_observations import describe
from finetune_assets.storage.artifacts import Artifact, ArtifactStore
from finetune_assets.storage.database import Database
from finetune_assets.storage.gcs.store import GcsStore
from finetune_assets.storage.home import Home
from finetune_assets.storage.stages import find_stage, record_stage
from finetune_assets_tests.cli.conftest import Finetune, build, rows_of
from finetune_assets_tests.fakes.fixtures import StandIn, gcs_server

TASK = "tools"


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with gcs_server(tmp_path / "gcs") as server:
        server.bucket("bkt")
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        yield server


def newest(home: Path, stage: str) -> Artifact:
    found = find_stage(Database.open(Home(home).database_url), TASK, "main", stage, "")
    assert found is not None
    return ArtifactStore(Home(home).artifacts).open(found.kind, found.key)


def read_from_bucket(tools: Path, server: StandIn) -> None:
    """Move the task's rows to the bucket."""
    rows = tools / "data" / "rows.jsonl"
    server.client().bucket("bkt").blob("in/rows.jsonl").upload_from_filename(str(rows))
    path = tools / "defs.yaml"
    config = yaml.safe_load(path.read_text())
    config["attributes"]["dataset"]["source"]["path"] = "gs://bkt/in/*.jsonl"
    path.write_text(yaml.safe_dump(config))


def test_a_source_in_a_bucket_gives_the_same_version(
    finetune: Finetune, tools: Path, bucket: StandIn, platform_home: Path
) -> None:
    build(TASK)
    local = newest(platform_home, "raw_observations")
    (first,) = finetune("data", "versions", TASK, "--json").json()
    read_from_bucket(tools, bucket)
    build(TASK)
    versions = finetune("data", "versions", TASK, "--json").json()
    assert [version["digest"] for version in versions] == [first["digest"]]
    assert newest(platform_home, "raw_observations").digest == local.digest


def test_records_from_a_bucket_know_their_object_and_generation(
    finetune: Finetune, tools: Path, bucket: StandIn, platform_home: Path
) -> None:
    read_from_bucket(tools, bucket)
    build(TASK)
    raw = newest(platform_home, "raw_observations")
    generation = bucket.client().bucket("bkt").get_blob("in/rows.jsonl").generation
    origins = json.loads(raw.file("origins.json").read_text())
    assert origins["rows.jsonl"]["uri"] == "gs://bkt/in/rows.jsonl"
    assert origins["rows.jsonl"]["generation"] == generation
    assert "fetched_from" in describe(raw)
    record = rows_of(tools)[0]["id"]
    (found, *_) = finetune("data", "show", TASK, record, "--json").json()
    assert found["source"]["uri"] == f"gs://bkt/in/rows.jsonl#{generation}"
    repaired = finetune("data", "repair", TASK, "--ids")
    assert (repaired.code, "files on this machine" in repaired.error) == (1, True)


def test_a_download_from_a_bucket_is_what_was_published(
    finetune: Finetune, tools: Path, bucket: StandIn, platform_home: Path, tmp_path: Path
) -> None:
    build(TASK, uploaded=True)
    artifact = newest(platform_home, "uploaded_dataset")
    missing = finetune("data", "download", TASK, "--from", "gs://bkt/p", "--out", tmp_path / "out")
    assert (missing.code, "is missing at gs://bkt/p/uploaded_dataset/" in missing.error) == (1, True)
    remote = GcsStore(bucket.client(), "gs://bkt/p").publish(artifact)
    for place in ("gs://bkt/p", "gs://bkt/p/", str(remote.uri)):
        out = tmp_path / str(abs(len(place)))
        receipt = finetune("data", "download", TASK, "--from", place, "--out", out, "--json").json()
        assert (receipt["digest"], receipt["from"]) == (artifact.digest, str(remote.uri))
        for item in receipt["files"]:
            assert (out / item["name"]).read_bytes() == artifact.file(item["name"]).read_bytes()
    assert finetune("data", "download", TASK, "--from", "gs://bkt/p", "--out", out).code == 0
    (out / "chat/train.jsonl").write_text("mine")
    said = finetune("data", "download", TASK, "--from", "gs://bkt/p", "--out", out)
    assert (said.code, "in the way" in said.error) == (1, True)


def test_an_adapter_is_downloaded_from_here_and_from_a_bucket(
    finetune: Finetune, tools: Path, bucket: StandIn, platform_home: Path, tmp_path: Path
) -> None:
    finetune("data", "versions", TASK)
    said = finetune("data", "download", TASK, "--adapter", "--out", tmp_path / "out")
    assert (said.code, "there is no tuned adapter yet" in said.error) == (1, True)
    home = Home(platform_home).ensure()
    with ArtifactStore(home.artifacts).create("tuned_adapter", "abc") as staging:
        (staging.path / "adapter_model.safetensors").write_bytes(b"weights" * 1000)
        artifact = staging.commit({})
    record_stage(
        Database.open(home.database_url),
        task=TASK,
        namespace="main",
        stage="tuned_adapter_large",
        run_id="r",
        kind=artifact.kind,
        key=artifact.key,
        digest=artifact.digest,
        reused=False,
    )
    GcsStore(bucket.client(), "gs://bkt/p").publish(artifact)
    options = ("data", "download", TASK, "--variant", "large", "--json")
    assert finetune(*options, "--out", tmp_path / "one").json()["digest"] == artifact.digest
    assert finetune(*options, "--out", tmp_path / "two", "--from", "gs://bkt/p").json()["digest"] == artifact.digest
    place = "gs://bkt/p/tuned_adapter/abc"
    third = finetune("data", "download", TASK, "--adapter", "--from", place, "--out", tmp_path / "three", "--json")
    assert third.json()["from"] == place
    for folder in ("one", "two", "three"):
        assert (tmp_path / folder / "adapter_model.safetensors").read_bytes() == b"weights" * 1000
