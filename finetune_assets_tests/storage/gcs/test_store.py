from __future__ import annotations

import json
from pathlib import Path

import pytest

from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.gcs.errors import (
    BucketElsewhereError,
    BucketMissingError,
    ContentChangedError,
    NoCredentialsError,
    PermissionMissingError,
    QuotaError,
    UnavailableError,
)
from finetune_assets.storage.gcs.store import GcsStore
from finetune_assets_tests.fakes.fixtures import StandIn
from finetune_assets_tests.storage.gcs.conftest import HASTY, make_artifact


def names(gcs: StandIn) -> list[str]:
    return [blob.name for blob in gcs.client().list_blobs("bkt")]


def test_publish_writes_the_manifest_last_and_once(gcs: StandIn, store: GcsStore, artifact: Artifact) -> None:
    published = store.publish(artifact)
    folder = "runs/one/uploaded_dataset/k1"
    assert names(gcs) == [
        f"{folder}/{name}" for name in ("deep/validation.jsonl", "manifest.json", "times.json", "train.jsonl")
    ]
    writes = [entry for entry in gcs.log() if entry["method"] == "POST" and "/upload/" in entry["path"]]
    assert len(writes) == 4
    assert published.digest == artifact.digest
    assert published.verify() == []
    assert (
        published.uri_of("train.jsonl")
        == f"gs://bkt/{folder}/train.jsonl"
        == store.uri_of("uploaded_dataset", "k1", "train.jsonl")
    )
    assert published.manifest["task"] == "router"
    gcs.forget_log()
    assert store.publish(artifact) == published
    assert not [entry for entry in gcs.log() if entry["method"] != "GET"]


def test_without_a_manifest_there_is_no_artifact(gcs: StandIn, store: GcsStore, artifact: Artifact) -> None:
    gcs.fault({"match": r"POST .*upload", "status": 403, "skip": 3})
    with pytest.raises(PermissionMissingError):
        store.publish(artifact)
    assert len(names(gcs)) == 3
    assert store.find("uploaded_dataset", "k1") is None
    with pytest.raises(StorageError, match=r"artifact uploaded_dataset/k1 is missing at gs://bkt/runs/one"):
        store.open("uploaded_dataset", "k1")
    gcs.clear_faults()
    assert store.publish(artifact).verify() == []


def test_other_content_under_a_key_is_refused(store: GcsStore, artifact: Artifact, tmp_path: Path) -> None:
    store.publish(artifact)
    with pytest.raises(ContentChangedError, match="an artifact of digest"):
        store.publish(make_artifact(tmp_path / "other", text="changed\n"))


def test_files_outside_the_digest_stay_as_the_first_wrote_them(
    gcs: StandIn, store: GcsStore, artifact: Artifact, tmp_path: Path
) -> None:
    gcs.fault({"match": r"POST .*upload", "status": 403, "skip": 3})
    with pytest.raises(PermissionMissingError):
        store.publish(artifact)
    gcs.clear_faults()
    later = make_artifact(tmp_path / "later", times="2")
    published = store.publish(later)
    assert published.verify() == []
    store.download("uploaded_dataset", "k1", tmp_path / "out")
    assert (tmp_path / "out" / "times.json").read_text() == "1"


def test_a_manifest_of_another_process_is_taken_over(
    gcs: StandIn, store: GcsStore, artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_artifact(tmp_path / "other", times="2")
    real = GcsStore.find
    seen: list[int] = []

    def nothing_at_first(self: GcsStore, kind: str, key: str):
        seen.append(1)
        if len(seen) == 1:
            GcsStore(gcs.client(), "gs://bkt/runs/one").publish(other)
            return None
        return real(self, kind, key)

    monkeypatch.setattr(GcsStore, "find", nothing_at_first)
    published = store.publish(artifact)
    assert published.manifest["seconds"] == "2"
    assert published.verify() == []


def test_a_changed_local_file_is_not_published(store: GcsStore, artifact: Artifact) -> None:
    artifact.file("train.jsonl").write_text("tampered\n")
    with pytest.raises(ContentChangedError, match=r"train\.jsonl.*Mend: make it again"):
        store.publish(artifact)
    assert store.find("uploaded_dataset", "k1") is None


def test_verify_tells_what_differs(gcs: StandIn, store: GcsStore, artifact: Artifact) -> None:
    published = store.publish(artifact)
    bucket = gcs.client().bucket("bkt")
    bucket.blob("runs/one/uploaded_dataset/k1/train.jsonl").upload_from_string("other")
    bucket.blob("runs/one/uploaded_dataset/k1/extra").upload_from_string("x")
    bucket.blob("runs/one/uploaded_dataset/k1/times.json").delete()
    problems = published.verify()
    assert [problem.split(" ")[0] for problem in problems] == ["times.json:", "extra:"] + ["train.jsonl:"] * 2
    with pytest.raises(ContentChangedError, match="replaced"):
        store.download("uploaded_dataset", "k1", Path(str(artifact.path) + "-out"))


def test_download_is_byte_equal_atomic_and_idempotent(store: GcsStore, artifact: Artifact, tmp_path: Path) -> None:
    store.publish(artifact)
    out = tmp_path / "out"
    out.mkdir()
    manifest = store.download("uploaded_dataset", "k1", out)
    for name in artifact.manifest["files"]:
        assert (out / name).read_bytes() == artifact.file(name).read_bytes()
    assert json.loads((out / "manifest.json").read_text()) == manifest
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []
    assert Artifact(out, "uploaded_dataset", "k1", manifest).verify() == []
    store.download("uploaded_dataset", "k1", out)
    (out / "train.jsonl").write_text("mine")
    with pytest.raises(StorageError, match="the folder is in the way"):
        store.download("uploaded_dataset", "k1", out)


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/passwd", "a\\..\\b", "a/./b", ""])
def test_a_manifest_cannot_lead_out_of_the_folder(
    gcs: StandIn, store: GcsStore, artifact: Artifact, tmp_path: Path, name: str
) -> None:
    published = store.publish(artifact)
    manifest = json.loads(json.dumps(published.manifest))
    manifest["files"][name] = manifest["files"].pop("train.jsonl")
    blob = gcs.client().bucket("bkt").blob("runs/one/uploaded_dataset/k1/manifest.json")
    blob.upload_from_string(json.dumps(manifest))
    with pytest.raises(StorageError, match="leaves its folder"):
        store.download("uploaded_dataset", "k1", tmp_path / "out")


@pytest.mark.parametrize(
    "text", ["not json", "[]", '{"files": {}}', '{"files": {"a": {}}, "digest": "x"}', '{"files": 3, "digest": 1}']
)
def test_a_damaged_manifest_is_told(gcs: StandIn, store: GcsStore, text: str) -> None:
    gcs.client().bucket("bkt").blob("runs/one/uploaded_dataset/k1/manifest.json").upload_from_string(text)
    with pytest.raises(StorageError, match="manifest is damaged"):
        store.find("uploaded_dataset", "k1")


def test_the_index_is_for_people_and_append_only(gcs: StandIn, store: GcsStore, artifact: Artifact) -> None:
    published = store.publish(artifact)
    uri = store.index("router/000001", published)
    assert uri == store.index("router/000001", published)
    assert uri == f"gs://bkt/runs/one/index/router/000001-{artifact.digest[:12]}.json"
    text = json.loads(gcs.client().bucket("bkt").blob(uri.removeprefix("gs://bkt/")).download_as_text())
    assert text["artifact"] == "gs://bkt/runs/one/uploaded_dataset/k1"
    with pytest.raises(StorageError, match="label"):
        store.index("../x", published)


def test_a_missing_bucket_is_told(gcs: StandIn, artifact: Artifact) -> None:
    store = GcsStore(gcs.client(), "gs://nobody/x", patience=HASTY)
    for call in (lambda: store.publish(artifact), lambda: store.find("a", "b"), store.check_bucket):
        with pytest.raises(BucketMissingError, match=r"bucket nobody does not exist.*gcloud storage buckets create"):
            call()
    with pytest.raises(StorageError, match="not a place in Cloud Storage"):
        GcsStore(gcs.client(), "s3://nobody/x")


@pytest.mark.parametrize(
    ("permission", "role"),
    [("storage.objects.create", "roles/storage.objectCreator"), ("storage.objects.get", "roles/storage.objectViewer")],
)
def test_a_missing_permission_names_the_grant(
    gcs: StandIn, store: GcsStore, artifact: Artifact, permission: str, role: str
) -> None:
    gcs.deny(permission, principal="runner@p1.iam.gserviceaccount.com")
    with pytest.raises(PermissionMissingError) as caught:
        store.publish(artifact)
    assert caught.value.permission == permission
    assert caught.value.principal == "runner@p1.iam.gserviceaccount.com"
    assert caught.value.mend == (
        "gcloud storage buckets add-iam-policy-binding gs://bkt "
        f"--member=serviceAccount:runner@p1.iam.gserviceaccount.com --role={role}"
    )
    assert store.missing_permissions(["storage.objects.list", permission]) == [permission]


def test_quota_and_outage_end_in_their_own_errors(gcs: StandIn, artifact: Artifact) -> None:
    store = GcsStore(gcs.client(), "gs://bkt/x", patience=HASTY)
    gcs.fault({"match": "upload", "status": 429})
    with pytest.raises(QuotaError, match="takes no more requests"):
        store.publish(artifact)
    assert len([entry for entry in gcs.log() if entry.get("status") == 429]) > 3
    gcs.clear_faults()
    gcs.fault({"match": "upload", "cut": "before"})
    with pytest.raises(UnavailableError):
        store.publish(artifact)
    gcs.clear_faults()
    assert store.publish(artifact).verify() == []


def test_no_credentials_are_told(gcs: StandIn, store: GcsStore, artifact: Artifact) -> None:
    gcs.deny(unauthenticated=True)
    with pytest.raises(NoCredentialsError, match="gcloud auth application-default login"):
        store.publish(artifact)


def test_the_region_is_compared(store: GcsStore) -> None:
    assert store.check_bucket("us-central1") == "US-CENTRAL1"
    with pytest.raises(BucketElsewhereError, match="found US-CENTRAL1; expected EUROPE-WEST4"):
        store.check_bucket("europe-west4")


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 429},
        {"status": 500, "after_commit": True},
        {"cut": "before"},
        {"cut": "after_commit"},
        {"cut": "mid_body"},
    ],
)
def test_storms_at_one_half_do_not_change_what_arrives(
    gcs: StandIn, store: GcsStore, artifact: Artifact, tmp_path: Path, fault: dict
) -> None:
    gcs.fault({"match": "storage", "probability": 0.5, "seed": 7, **fault})
    published = store.publish(artifact)
    store.download("uploaded_dataset", "k1", tmp_path / "out")
    assert published.verify() == []
    for name in artifact.manifest["files"]:
        assert (tmp_path / "out" / name).read_bytes() == artifact.file(name).read_bytes()
    assert len(names(gcs)) == 4
