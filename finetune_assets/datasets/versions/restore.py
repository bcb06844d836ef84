"""Restoring a version: its rows become the head again, as a new version with a longer memory.

A row once in a split stays in it, so the new version remembers the assignments of every version since: a row that was
in the test split of a later version can never come back as a training row.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from finetune_assets.datasets.split_files import ASSIGNMENTS, read_assignments, write_assignments
from finetune_assets.datasets.versions.catalogue import SPLITS_KIND, Catalogue, Version, verified
from finetune_assets.records.digests import digest_of, digest_of_file
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import SPLITS
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.heads import Head, Restore, advance_head
from finetune_assets.storage.leases import lease
from finetune_assets.storage.stages import record_stage

_LEASE_WAIT_S = 30.0
_KEPT = ("task", "inputs_key", "raw", "made_from")


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of a restore.

    Attributes:
        head: the task's head now.
        artifact: its files.
        changed: False when the head had these rows and this memory already.
    """

    head: Head
    artifact: Artifact
    changed: bool


def restore_version(catalogue: Catalogue, number: int, *, by: str) -> Restored:
    """Make the rows of version `number` the head again.

    Args:
        catalogue: the task's versions.
        number: the version to restore.
        by: who asks, kept with the new version.

    Returns:
        The new head.

    Raises:
        FinetuneError: when there is no such version, its files are not as they were made, or versions contradict
            each other about a row's split.
        StorageError: when another run holds the task's dataset, or moved its head.
    """
    with lease(catalogue.database, f"dataset/{catalogue.task}/{catalogue.namespace}", wait_s=_LEASE_WAIT_S) as held:
        head, wanted = catalogue.version(), catalogue.version(number)
        source = wanted.verified()
        raw = catalogue.raw_of(wanted)
        if raw is not None:
            verified(raw, f"raw records of version {number}")
        artifact = _with_longer_memory(catalogue, wanted, source)
        held.check()
        restored = advance_head(
            catalogue.database,
            catalogue.task,
            catalogue.namespace,
            expected_number=head.head.number,
            inputs_key=wanted.head.inputs_key,
            artifact_key=artifact.key,
            digest=artifact.digest,
            restore=Restore(number=number, by=by),
        )
        changed = restored.number != head.head.number
        if changed:
            record_stage(
                catalogue.database,
                task=catalogue.task,
                namespace=catalogue.namespace,
                stage=SPLITS_KIND,
                run_id=f"restore-{restored.number}",
                kind=SPLITS_KIND,
                key=artifact.key,
                digest=artifact.digest,
                reused=False,
            )
        return Restored(restored, artifact, changed)


def remembered(versions: list[Version]) -> dict[bytes, int]:
    """Return the union of all versions' assignments, content key to split number.

    Raises:
        FinetuneError: when two versions hold one row in different splits, which no build ever writes.
    """
    union: dict[bytes, int] = {}
    for version in versions:
        if version.artifact is None:
            continue
        for key, split in read_assignments(version.artifact.file(ASSIGNMENTS)).items():
            if union.setdefault(key, split) != split:
                raise FinetuneError(
                    "versions hold one row in different splits",
                    where=f"{version.head.task} version {version.head.number}, content key {key.hex()[:12]}",
                    found=SPLITS[split],
                    expected=SPLITS[union[key]],
                    mend=f"see `finetune data compare {version.head.task}` for the versions before and after",
                )
    return union


def _with_longer_memory(catalogue: Catalogue, wanted: Version, source: Artifact) -> Artifact:
    """Return an artifact with the version's rows and everybody's assignments; the same one where nothing was added."""
    versions = catalogue.versions()
    # The newest version remembers all before it, unless it was restored by hand; reading each is cheap and sure.
    union = remembered([wanted, *versions])
    if len(union) == len(read_assignments(source.file(ASSIGNMENTS))):
        return source
    with catalogue.artifacts.create(SPLITS_KIND, f"restoring-{wanted.head.number}-{source.key}"[:100]) as draft:
        memory = draft.path / ASSIGNMENTS
        write_assignments(memory, sorted(union.items()))
        key = digest_of({"restored": source.digest, "assignments": digest_of_file(memory)})[:20]
        known = catalogue.artifacts.find(SPLITS_KIND, key)
        if known is not None:
            return known
        with catalogue.artifacts.create(SPLITS_KIND, key) as staging:
            _copy(source, staging.path)
            shutil.copyfile(memory, staging.path / ASSIGNMENTS)
            kept = {name: source.manifest[name] for name in _KEPT if name in source.manifest}
            return staging.commit(
                {**kept, "restored_from": wanted.head.number},
                identity=source.manifest.get("identity"),
                outside_digest=source.manifest.get("outside_digest", []),
            )


def _copy(source: Artifact, target: Path) -> None:
    for name in source.manifest["files"]:
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.file(name), path)
