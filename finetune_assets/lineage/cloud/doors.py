"""A task's doors to the cloud: Google's clients and the bucket, opened for its settings when they are needed."""

import os
from dataclasses import replace

from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.records.errors import FinetuneError
from finetune_assets.resources.cloud import storage_client
from finetune_assets.serving.cloud.calls import Patience
from finetune_assets.storage.gcs.store import GcsStore
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.model_checks import resolved

_HOUR_S = 3600.0


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


def patience_of(task: TaskRun, *, first_s: float = 2.0, deadline_h: float = 2.0) -> Patience:
    """Return how often what serves is looked at, and for how long, by the task's `cloud.polling`.

    Args:
        task: the task.
        first_s: seconds before the second look, where `cloud.polling` does not say fewer: an endpoint is there at once.
        deadline_h: hours for the whole: a deployment takes up to one, a batch of questions may wait for a day.
    """
    polling = task.config.cloud.polling
    return Patience(
        first_s=min(first_s, polling.first_s),
        longest_s=polling.longest_s,
        deadline_s=deadline_h * _HOUR_S,
        outage_s=polling.outage_h * _HOUR_S,
        visibility_s=polling.visibility_s,
    )


def resolved_task(task: TaskRun) -> TaskRun:
    """Return the task with every tuning setting spelt out that its model's catalogue entry advises."""
    tuning = resolved(task.config.tuning)
    settings = replace(task.settings, config=task.config.model_copy(update={"tuning": tuning}))
    return replace(task, settings=settings)
