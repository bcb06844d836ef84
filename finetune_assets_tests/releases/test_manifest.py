from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases.config import ReleaseConfig
from finetune_assets.releases.manifest import (
    AdapterReference,
    BaseReference,
    EndpointReference,
    Probe,
    ReleaseManifest,
    adapter_folder,
    base_folder,
    load_manifest,
    store_manifest,
)
from finetune_assets.storage.artifacts import Artifact, ArtifactStore
from finetune_assets.storage.errors import StorageError


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def keep(store: ArtifactStore, kind: str, key: str) -> Artifact:
    with store.create(kind, key) as staging:
        (staging.path / "weights").write_text("w")
        return staging.commit({})


def manifest(**changes: Any) -> ReleaseManifest:
    facts: dict[str, Any] = {
        "task": "childcare",
        "candidate": "c",
        "task_type": {"name": "classification", "labels": ["ä", "b"]},
        "template_hash": "t",
        "chat_template": "{{ messages }}",
        "base": BaseReference(name="embedded", digest="b", artifact_kind="base", artifact_key="k", folder="/here"),
        "adapter": AdapterReference(key="a", digest="d"),
        "probes": (Probe(fields={"notes": "Anna läuft"}, text='{"domain":"x"}', label_path=("x", "y")),),
    }
    return ReleaseManifest(**(facts | changes))


def test_round_trip(store: ArtifactStore) -> None:
    written = manifest()
    artifact = store_manifest(store, written)
    assert artifact.key == written.key
    assert artifact.kind == "release"
    assert artifact.verify() == []
    assert load_manifest(store, artifact.key) == written
    assert artifact.manifest["base"]["folder"] == "/here"
    assert store_manifest(store, written) == artifact


def test_identity_leaves_out_where_the_base_lay(store: ArtifactStore) -> None:
    here = manifest()
    there = manifest(base=here.base.model_copy(update={"folder": "/there"}))
    assert here.key == there.key
    assert store_manifest(store, here).digest == store_manifest(store, there).digest
    assert manifest(template_hash="other").key != here.key
    assert manifest(probes=(Probe(fields={}, text="x"),)).key != here.key


def test_a_changed_manifest_is_noticed(store: ArtifactStore) -> None:
    artifact = store_manifest(store, manifest())
    path = artifact.file("release.json")
    content = json.loads(path.read_text())
    content["template_hash"] = "forged"
    path.write_text(json.dumps(content))
    with pytest.raises(FinetuneError, match="was changed"):
        load_manifest(store, artifact.key)


@pytest.mark.parametrize("change", [{"format": 2}, {"unknown": 1}, {"probes": []}])
def test_a_manifest_that_cannot_be_read_names_the_field(store: ArtifactStore, change: dict[str, Any]) -> None:
    artifact = store_manifest(store, manifest())
    path = artifact.file("release.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(FinetuneError, match=f"release.json: {next(iter(change))}") as caught:
        load_manifest(store, artifact.key)
    assert "\n" not in str(caught.value)


def test_a_missing_manifest_is_one_line(store: ArtifactStore) -> None:
    with pytest.raises(StorageError, match="release/none is missing"):
        load_manifest(store, "none")


def test_base_and_adapter_are_found_in_the_store(store: ArtifactStore) -> None:
    base, adapter = keep(store, "base", "k"), keep(store, "tuned_adapter", "a")
    assert base_folder(store, manifest()) == base.path
    assert adapter_folder(store, manifest()) == adapter.path
    store.remove("base", "k")
    with pytest.raises(StorageError, match="base/k is missing"):
        base_folder(store, manifest())


def test_a_base_outside_the_store_is_a_folder_that_must_be_there(store: ArtifactStore, tmp_path: Path) -> None:
    outside = BaseReference(name="org/model", digest="b", folder=str(tmp_path))
    assert base_folder(store, manifest(base=outside)) == tmp_path
    for folder in ("", str(tmp_path / "gone")):
        with pytest.raises(FinetuneError, match="base model of the release is gone"):
            base_folder(store, manifest(base=outside.model_copy(update={"folder": folder})))


def test_config_defaults_and_bounds() -> None:
    assert ReleaseConfig().approval == "manual"
    assert ReleaseConfig(approval="automatic", probes=1).probes == 1
    for wrong in ({"approval": "sometimes"}, {"probes": 0}, {"aproval": "manual"}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            ReleaseConfig(**wrong)  # type: ignore[arg-type]
    assert all(field.description for field in ReleaseConfig.model_fields.values())


REMOTE = EndpointReference(
    kind="vertex_endpoint", endpoint="projects/p/locations/l/endpoints/router", project="p", location="l"
)


def test_a_local_release_reads_and_is_named_as_ever() -> None:
    """The parts that came later say nothing in it: its key is the digest of what it always held."""
    from finetune_assets.records.digests import digest_of

    local = manifest()
    assert not {"endpoint", "probe_rule"} & set(local.content())
    before = {
        "format": 1,
        "task": "childcare",
        "candidate": "c",
        "task_type": {"name": "classification", "labels": ["ä", "b"]},
        "template_hash": "t",
        "chat_template": "{{ messages }}",
        "base": {"name": "embedded", "digest": "b", "artifact_kind": "base", "artifact_key": "k"},
        "adapter": {"kind": "tuned_adapter", "key": "a", "digest": "d"},
        "max_new_tokens": 128,
        "report_key": "",
        "report_digest": "",
        "probes": [{"fields": {"notes": "Anna läuft"}, "text": '{"domain":"x"}', "label_path": ["x", "y"]}],
    }
    assert local.key == digest_of(before)[:20]


def test_a_release_in_the_cloud_names_its_endpoint(store: ArtifactStore) -> None:
    remote = manifest(base=None, adapter=None, endpoint=REMOTE, probe_rule="label")
    artifact = store_manifest(store, remote)
    assert load_manifest(store, artifact.key) == remote
    assert "base" not in artifact.manifest
    with pytest.raises(FinetuneError, match=r"weights are in the cloud.*endpoints/router"):
        base_folder(store, remote)
    with pytest.raises(FinetuneError, match="weights are in the cloud"):
        adapter_folder(store, remote)
    asked = REMOTE.config(64)
    assert (asked.kind, asked.model, asked.max_tokens) == ("vertex_endpoint", REMOTE.endpoint, 64)


@pytest.mark.parametrize(
    "change", [{"base": None}, {"adapter": None}, {"base": None, "adapter": None}, {"endpoint": REMOTE}]
)
def test_a_release_has_weights_or_an_endpoint(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="base and adapter, or an endpoint"):
        manifest(**change)
