"""Bringing an uploaded dataset or an adapter to a folder, from this machine or from a bucket, each file compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from finetune_assets.datasets.versions.catalogue import verified
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.artifacts import ArtifactStore
from finetune_assets.storage.database import Database
from finetune_assets.storage.files import explain_unwritable, hash_file, write_json_atomic
from finetune_assets.storage.gcs.store import GcsStore
from finetune_assets.storage.namespaces import MAIN
from finetune_assets.storage.stages import find_stage

STAGE = "uploaded_dataset"
ADAPTER = "tuned_adapter"
RECEIPT = "manifest.json"


def download_dataset(
    database: Database, artifacts: ArtifactStore, task: str, out: Path, *, stage: str = STAGE
) -> dict[str, Any]:
    """Copy the task's uploaded dataset, or what another stage made, into `out`.

    Args:
        database: knows which upload is the newest.
        artifacts: the object store.
        task: the task.
        out: a folder; it is made, and must not hold other files under the dataset's names.
        stage: the asset whose newest artifact is meant.

    Returns:
        JSON: `digest`, `out`, and `files` with name, bytes and sha256. The same is written to `out/manifest.json`.

    Raises:
        FinetuneError: when there is nothing yet, what there is is damaged, or a file of the same name and
            other content is in the way.
        StorageError: when `out` cannot be written.
    """
    found = find_stage(database, task, MAIN, stage, "")
    artifact = artifacts.find(found.kind, found.key) if found else None
    if artifact is None:
        raise _nothing_yet(task, stage)
    verified(artifact, f"{stage} of {task}")
    listed: dict[str, dict[str, Any]] = artifact.manifest["files"]
    receipt = _receipt(task, artifact.manifest)
    _require_own_receipt(out / RECEIPT, receipt)
    for name, facts in sorted(listed.items()):
        _copy(artifact.file(name), out / name, facts["sha256"])
    write_json_atomic(out / RECEIPT, receipt)
    return {**receipt, "out": str(out)}


def download_from_bucket(
    client: Any, database: Database, task: str, uri: str, out: Path, *, stage: str = STAGE
) -> dict[str, Any]:
    """Fetch what a stage made from Cloud Storage into `out`, verified by crc32c and SHA-256.

    After a break the next call goes on where this one stopped; `out` appears when everything is there.

    Args:
        client: a `google.cloud.storage.Client`.
        database: knows which artifact is the newest; not asked when `uri` names one.
        task: the task.
        uri: the prefix of the store, or the folder of one artifact (`gs://bucket/prefix/<kind>/<key>`).
        out: a folder that does not exist, is empty, or holds this very artifact.
        stage: the asset whose artifact is meant.

    Returns:
        JSON as of `download_dataset`, with `from`.

    Raises:
        FinetuneError: when the task's newest artifact is not known here.
        StorageError: when there is no such artifact, or `out` holds something else; or an error of Cloud Storage.
    """
    prefix, kind, key = _place(database, task, uri, stage)
    store = GcsStore(client, prefix)
    manifest = store.download(kind, key, out)
    return {**_receipt(task, manifest), "out": str(out), "from": store.uri_of(kind, key)}


def _place(database: Database, task: str, uri: str, stage: str) -> tuple[str, str, str]:
    """Return the store's prefix, and the artifact's kind and key."""
    kinds = {stage, ADAPTER} if stage.startswith(ADAPTER) else {stage}
    parts = uri.rstrip("/").split("/")
    if len(parts) > 4 and parts[-2] in kinds:
        return "/".join(parts[:-2]), parts[-2], parts[-1]
    found = find_stage(database, task, MAIN, stage, "")
    if found is None:
        raise _nothing_yet(task, stage, f"or name the artifact: {uri.rstrip('/')}/{stage}/KEY")
    return uri, found.kind, found.key


def _nothing_yet(task: str, stage: str, more: str = "") -> FinetuneError:
    return FinetuneError(
        f"there is no {stage.replace('_', ' ')} yet",
        where=task,
        mend=f"run `finetune run {task} --until {stage}` first{', ' if more else ''}{more}",
    )


def _receipt(task: str, manifest: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": task,
        "digest": manifest["digest"],
        "files": [{"name": name, **facts} for name, facts in sorted(manifest["files"].items())],
    }


def _require_own_receipt(path: Path, receipt: dict[str, Any]) -> None:
    """Refuse to write over a receipt of something else."""
    if not path.exists():
        return
    try:
        same = json.loads(path.read_bytes()) == receipt
    except (OSError, ValueError):
        same = False
    if not same:
        raise _in_the_way(path, f"the receipt of dataset {receipt['digest'][:12]}")


def _in_the_way(path: Path, expected: str) -> FinetuneError:
    return FinetuneError(
        "a file of the same name is in the way",
        where=str(path),
        found="other content",
        expected=expected,
        mend="name another folder with --out, or move the file away",
    )


def _copy(source: Path, target: Path, sha256: str) -> None:
    with explain_unwritable(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            if hash_file(target)[0] == sha256:
                return
            raise _in_the_way(target, f"sha256 {sha256[:12]}")
        part = target.with_name(f".{target.name}.part")
        shutil.copyfile(source, part)
    if hash_file(part, sync=True)[0] != sha256:
        part.unlink()
        raise FinetuneError(
            "the copy differs from what was uploaded", where=str(target), mend="check the disk and download again"
        )
    part.rename(target)
