"""Tuning by this project's own trainer on machines of Vertex AI: job file and base go to the bucket, weights come back.

The adapter is an artifact like a locally trained one, with the same manifest, checks and gates.
"""

import tempfile
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import ValidationError

from finetune_assets.lineage.bases import EMBEDDED_STAGE, Base, find_base
from finetune_assets.lineage.cloud.doors import open_clients, open_store
from finetune_assets.lineage.cloud.jobs import finish, settle, submit
from finetune_assets.lineage.cloud.plan import plan_job
from finetune_assets.lineage.cloud.siblings import ended_together
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.tuning_request import keep_adapter, request_of, tuned_once
from finetune_assets.lineage.uploaded_dataset import STAGE as UPLOADED
from finetune_assets.records.digests import digest_of_file
from finetune_assets.records.errors import FinetuneError
from finetune_assets.resources.job_messages import job_messages
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.gcs.calls import GcsUri
from finetune_assets.storage.gcs.downloads import Downloader
from finetune_assets.storage.gcs.objects import StoredObject, read_bytes
from finetune_assets.storage.gcs.store import GcsStore
from finetune_assets.tuning.backends.registry import backend_of
from finetune_assets.tuning.cloud.errors import RejectedError
from finetune_assets.tuning.container_job import (
    BASE_FILES,
    JOB_FILE,
    RESULT_MANIFEST,
    ContainerJob,
    ContainerResult,
    HubBase,
    PipesPlace,
    RemoteFile,
    StoredBase,
)
from finetune_assets.tuning.request import TuningRequest

JOB_KIND = "container_job"
MESSAGES = "pipes"
BASES = "base"
# The container speaks to whichever run listens; what a run would tell it is not needed.
_NO_RUN: dict[str, Any] = {
    "asset_keys": None,
    "code_version_by_asset_key": None,
    "provenance_by_asset_key": None,
    "partition_key": None,
    "partition_key_range": None,
    "partition_time_window": None,
    "run_id": "",
    "job_name": None,
    "retry_number": 0,
    "extras": {},
}
_COMMIT_DIGITS = 40


def tune_in_container(task: TaskRun, context: dg.AssetExecutionContext, variant: str) -> tuple[Artifact, bool]:
    """Train the adapter of the task's request on rented machines, or take over the one that it gave before."""
    base = find_base(task)
    request = request_of(task, base)

    def make() -> Artifact:
        store, backend = open_store(task), backend_of(task.config.tuning.backend, open_clients(task))
        plan = plan_job(task, request, store, variant)
        for line in plan.lines():
            context.log.info(line)
        if not plan.is_submitted:
            refuse_missing_image(task)
        plan.require()
        messages = f"{store.root.name}/{MESSAGES}/{plan.job.run_key}".lstrip("/")
        order = order_of(task, base, request, store, plan.job.output_uri, messages)
        placed = store.put_once(f"{JOB_KIND}/{order.sha256[:20]}/{JOB_FILE}", order.to_json().encode())
        job = plan.with_container(str(placed.uri), order.sha256)
        with ended_together(task, context, request.request_key):
            status = submit(task, context, backend, job, plan.reservation)
            with job_messages(context, store.client, store.root.bucket, messages):
                status, result = finish(task, context, backend, job, status)
        settle(task, job, tokens=result.billable_tokens, cost=plan.actual_micros(result, status))
        managed = {
            "backend": "custom_job",
            "job": status.handle,
            "link": status.link,
            "weights_uri": result.weights_uri,
        }
        with tempfile.TemporaryDirectory(dir=task.home.work) as folder:
            fetch_result(store, result.weights_uri, Path(folder), request.request_key)
            return keep_adapter(task, base, request, Path(folder), {"trained_by": managed})

    return tuned_once(task, request, make)


def order_of(
    task: TaskRun, base: Base, request: TuningRequest, store: GcsStore, output: str, messages: str
) -> ContainerJob:
    """Return the container's job file; the base's files are in the bucket, or at the hub, when this returns.

    It names no run, so that the same job gives the same bytes whichever run submits it.
    """
    uploaded = task.result(UPLOADED)

    def remote(name: str) -> RemoteFile:
        uri = store.uri_of(UPLOADED, uploaded.key, name)
        return RemoteFile(uri=uri, sha256=uploaded.manifest["files"][name]["sha256"])

    return ContainerJob(
        request=request,
        train=remote("chat/train.jsonl"),
        validation=remote("chat/validation.jsonl") if request.validation_digest else None,
        base=_base_of(task, base, store),
        chat_template=base.chat_template,
        output=output,
        pipes=PipesPlace(context={"data": _NO_RUN}, messages={"bucket": store.root.bucket, "key_prefix": messages}),
    )


def _base_of(task: TaskRun, base: Base, store: GcsStore) -> StoredBase | HubBase:
    config = task.config.tuning
    if config.is_embedded:
        artifact = task.artifacts.open(EMBEDDED_STAGE, base.folder.name)
        store.publish(artifact)
        files = {
            name: facts["sha256"]
            for name, facts in artifact.manifest["files"].items()
            if Path(name).suffix in BASE_FILES and name not in ("manifest.json",)
        }
        return StoredBase(uri=store.uri_of(EMBEDDED_STAGE, artifact.key), files=files)
    files = {
        path.relative_to(base.folder).as_posix(): digest_of_file(path)
        for path in sorted(base.folder.rglob("*"))
        if path.is_file() and path.suffix in BASE_FILES
    }
    commit = base.folder.name
    if len(commit) == _COMMIT_DIGITS:  # the folder of a hub's snapshot is named by its commit
        return HubBase(id=config.base_model, revision=commit, files=files)
    for name in files:
        store.put_once(f"{BASES}/{base.digest[:20]}/{name}", base.folder / name)
    return StoredBase(uri=f"{store.root}/{BASES}/{base.digest[:20]}", files=files)


def fetch_result(store: GcsStore, weights_uri: str, folder: Path, request_key: str) -> ContainerResult:
    """Bring the trainer's result here, every file held against its manifest.

    Raises:
        RejectedError: when there is no complete result, or it is another request's.
        CloudStorageError: when it cannot be read or was changed.
    """
    place = GcsUri.parse(weights_uri.rstrip("/"))
    found = read_bytes(store.client, place.child(RESULT_MANIFEST), store.patience)
    result = _manifest(found[0] if found else b"", f"{place}/{RESULT_MANIFEST}")
    if result.request_key != request_key:
        raise RejectedError(
            "the job's result is another request's",
            where=str(place),
            found=result.request_key,
            expected=request_key,
            mend="use the image of this version, and an output folder of the job's own",
        )
    downloader = Downloader(store.client, store.patience)
    for name, file in sorted(result.files.items()):
        wanted = StoredObject(place.child(name), file.generation, file.bytes, file.crc32c, file.sha256)
        downloader.fetch(wanted, folder / name)
    return result


def _manifest(data: bytes, where: str) -> ContainerResult:
    try:
        return ContainerResult.model_validate_json(data)
    except ValidationError as error:
        raise RejectedError(
            "the job left no complete result",
            where=where,
            found="nothing" if not data else str(error.errors(include_input=False)[0]["msg"]),
            mend="look at the job's log; the image must be this project's own",
        ) from error


def trained_where(artifact: Artifact) -> dict[str, Any]:
    """Return where an adapter was trained, for the asset's metadata; nothing for a local one."""
    trained: dict[str, Any] = artifact.manifest.get("trained_by", {})
    if not trained:
        return {}
    return {"job": dg.MetadataValue.url(trained["link"]) if trained["link"] else trained["job"]}


def refuse_missing_image(task: TaskRun) -> None:
    """Refuse a custom job without an image, which only a person can build and push.

    Raises:
        FinetuneError: naming the setting.
    """
    if not task.config.tuning.job_settings.image:
        raise FinetuneError(
            "no image for the trainer",
            where=f"{task.task}: tuning.custom_job.image",
            expected="this project's image in Artifact Registry, …@sha256:…",
            mend="build and push it: see deploy/gcp.md",
        )
