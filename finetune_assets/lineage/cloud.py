"""A task's doors to the cloud: Google's clients and the bucket, opened for its settings when they are needed."""

import os
from dataclasses import replace

from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.records.errors import FinetuneError
from finetune_assets.resources.cloud import storage_client
from finetune_assets.storage.gcs.store import GcsStore
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.model_checks import resolved


def open_clients(task: TaskRun, location: str = "") -> CloudClients:
    """Return Google's clients for the task's project.

    Args:
        task: the task.
        location: another place than `cloud.location`, for instance where an endpoint is.
    """
    cloud = task.config.cloud
    return CloudClients(cloud, os.environ, location=location, storage=storage_client(os.environ, cloud.project))


def open_store(task: TaskRun) -> GcsStore:
    """Return the task's place in Cloud Storage.

    Raises:
        FinetuneError: when the task names none.
    """
    cloud = task.config.cloud
    if not cloud.bucket:
        raise FinetuneError("no bucket", where=f"{task.task}: cloud.bucket", mend="name one, such as gs://my-bucket")
    work = task.home.work / "uploads"
    work.mkdir(parents=True, exist_ok=True)
    return GcsStore(storage_client(os.environ, cloud.project), cloud.bucket, work=work)


def resolved_task(task: TaskRun) -> TaskRun:
    """Return the task with every tuning setting spelt out that its model's catalogue entry advises."""
    tuning = resolved(task.config.tuning)
    settings = replace(task.settings, config=task.config.model_copy(update={"tuning": tuning}))
    return replace(task, settings=settings)
