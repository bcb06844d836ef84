"""Bringing an uploaded dataset to a folder, each file compared with its digest."""

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
from finetune_assets.storage.namespaces import MAIN
from finetune_assets.storage.stages import find_stage

STAGE = "uploaded_dataset"
RECEIPT = "manifest.json"


def download_dataset(database: Database, artifacts: ArtifactStore, task: str, out: Path) -> dict[str, Any]:
    """Copy the task's uploaded dataset into `out`.

    Args:
        database: knows which upload is the newest.
        artifacts: the object store.
        task: the task.
        out: a folder; it is made, and must not hold other files under the dataset's names.

    Returns:
        JSON: `digest`, `out`, and `files` with name, bytes and sha256. The same is written to `out/manifest.json`.

    Raises:
        FinetuneError: when nothing was uploaded yet, what was uploaded is damaged, or a file of the same name and
            other content is in the way.
        StorageError: when `out` cannot be written.
    """
    found = find_stage(database, task, MAIN, STAGE, "")
    artifact = artifacts.find(found.kind, found.key) if found else None
    if artifact is None:
        raise FinetuneError(
            "nothing was uploaded yet", where=task, mend=f"run `finetune run {task} --until {STAGE}` first"
        )
    verified(artifact, f"uploaded dataset of {task}")
    listed: dict[str, dict[str, Any]] = artifact.manifest["files"]
    receipt = {
        "task": task,
        "digest": artifact.digest,
        "files": [{"name": name, **facts} for name, facts in sorted(listed.items())],
    }
    _require_own_receipt(out / RECEIPT, receipt)
    for name, facts in sorted(listed.items()):
        _copy(artifact.file(name), out / name, facts["sha256"])
    write_json_atomic(out / RECEIPT, receipt)
    return {**receipt, "out": str(out)}


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
