"""uploaded_dataset: the rendered rows a tuning backend reads, in the object store, named by content and verified.

They lie in the home's own store and, where `cloud.bucket` names one, in Cloud Storage too. The test split never leaves:
a backend has no use for it, and a copy is a leak waiting.
"""

import shutil
from typing import Any

import dagster as dg

from finetune_assets.datasets.rendered import rendered_files
from finetune_assets.lineage import show
from finetune_assets.lineage.checks import Check, Evidence, build_checks
from finetune_assets.lineage.cloud.doors import open_store
from finetune_assets.lineage.runtime import TaskRun, asset_key, materialized, open_task
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.lineage.validated_splits import STAGE as SPLITS
from finetune_assets.records.digests import digest_of
from finetune_assets.resources.platform import Platform, RunOptions
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.gcs.store import RemoteArtifact

STAGE = "uploaded_dataset"
CODE_VERSION = "1"
UPLOADED_SPLITS = ("train", "validation")
_BROWSER = "https://console.cloud.google.com/storage/browser/"


def build_asset(spec: TaskSpec) -> dg.AssetsDefinition:
    """Return the asset of one task."""

    @dg.asset(
        key=asset_key(spec.name, STAGE),
        deps=[asset_key(spec.name, SPLITS)],
        group_name=spec.name,
        description="Training and validation rows in the object store, named by their content.",
        kinds={"gcs"} if spec.config.cloud.bucket else {"file"},
        owners=spec.config.owners,
        code_version=CODE_VERSION,
    )
    def uploaded_dataset(
        context: dg.AssetExecutionContext, platform: Platform, options: RunOptions
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        task = open_task(context, spec, platform, options)
        artifact, reused = upload(task)
        remote = publish(task, artifact)
        task.record(STAGE, artifact, reused=reused)
        return materialized(artifact, reused=reused, namespace=task.namespace, metadata=describe(artifact, remote))

    return uploaded_dataset


def upload(task: TaskRun) -> tuple[Artifact, bool]:
    """Copy the rendered rows of the splits, or take over an equal copy."""
    splits = task.result(SPLITS)
    names = [name for split in UPLOADED_SPLITS for name in rendered_files(task.config.dataset.render, split)]
    content = {name: splits.manifest["files"][name]["sha256"] for name in names}
    key = digest_of({"files": content, "code": CODE_VERSION})[:20]
    known = task.artifacts.find(STAGE, key)
    if known:
        return known, True
    with task.artifacts.create(STAGE, key) as staging:
        for name in names:
            target = staging.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(splits.file(name), target)
        return staging.commit({"task": task.task, "expected": content}), False


def publish(task: TaskRun, artifact: Artifact) -> RemoteArtifact | None:
    """Bring the rows to the bucket that YAML names, once; None where it names none.

    Beside them stands an index of the dataset's versions for people who look into the bucket.
    """
    if not task.config.cloud.bucket:
        return None
    store = open_store(task)
    remote = store.publish(artifact)
    if not task.is_experiment:
        store.index(f"{task.task}/{artifact.digest[:12]}", remote)
    return remote


def describe(artifact: Artifact, remote: RemoteArtifact | None = None) -> dict[str, Any]:
    """Return the metadata that a person wants to see."""
    files = artifact.manifest["files"]
    rows = [
        {
            "file": name,
            "bytes": facts["bytes"],
            "sha256": facts["sha256"][:12],
        }
        for name, facts in sorted(files.items())
    ]
    place = str(remote.uri) if remote else artifact.path.as_uri()
    browser = {"in_the_console": dg.MetadataValue.url(_BROWSER + place.removeprefix("gs://"))} if remote else {}
    return {
        "dagster/uri": place,  # the UI shows it nowhere in the table of metadata
        "place": place,
        **browser,
        "bytes": sum(facts["bytes"] for facts in files.values()),
        "files": show.table(rows),
    }


def _checksum_matches(task: TaskRun, artifact: Artifact) -> Evidence:
    problems = artifact.verify()
    splits = task.result(SPLITS)
    for name, expected in artifact.manifest["expected"].items():
        if artifact.manifest["files"][name]["sha256"] != expected:
            problems.append(f"{name}: changed between the splits and the upload")
        if splits.manifest["files"][name]["sha256"] != expected:
            problems.append(f"{name}: not the file of the validated splits")
    where = ""
    if task.config.cloud.bucket:
        remote = open_store(task).open(STAGE, artifact.key)
        problems += [f"{remote.uri}: {problem}" for problem in remote.verify()]
        where = " here and in Cloud Storage"
    return Evidence(
        passed=not problems,
        summary=f"{len(artifact.manifest['expected'])} files read back and compared{where}, {len(problems)} differ",
        numbers={"files_that_differ": len(problems)},
        rows=[{"problem": problem} for problem in problems],
    )


def build_asset_checks(spec: TaskSpec) -> dg.AssetChecksDefinition:
    """Return the checks of one task's uploaded dataset."""
    return build_checks(
        spec, STAGE, [Check("checksum_matches", "Every uploaded file reads back as it was made.", _checksum_matches)]
    )
