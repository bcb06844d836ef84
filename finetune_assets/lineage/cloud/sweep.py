"""Looking after jobs from outside of a run: what crashes left open is mended, and told."""

import os
from collections.abc import Iterator

from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.records.errors import FinetuneError
from finetune_assets.resources.cloud import storage_client
from finetune_assets.storage.database import Database
from finetune_assets.storage.intents import Intent, find_intent, list_intents
from finetune_assets.tuning.backends.protocol import Backend
from finetune_assets.tuning.backends.registry import CLOUD_BACKENDS, backend_of
from finetune_assets.tuning.backends.sweep import Place, SweepReport, place_of_intent, sweep
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.config import CloudConfig


def sweep_task(task: TaskRun, by: str) -> SweepReport:
    """Hold the provider's jobs against our intents, and mend what differs.

    Looked at are the project and location of the task's settings, and those where it has jobs from before it moved.
    """
    report = SweepReport()
    for place, names in _places(task).items():
        clients = _clients_at(task.config.cloud, *place)
        backends = {name: backend_of(name, clients) for name in sorted(names)}
        report.add(sweep(task.database, backends, place=place, by=by))
    return report


def _places(task: TaskRun) -> dict[Place, set[str]]:
    """Return where the task's jobs may be, the present place first, and the backends there."""
    cloud = task.config.cloud
    configured = {str(config.backend) for config in task.config.tuning.by_variant().values() if config.is_cloud}
    places = {(cloud.project, cloud.location): configured}
    for intent in list_intents(task.database, task.task):
        place = place_of_intent(intent)
        if intent.is_open and intent.is_paid and all(place):
            places.setdefault(place, set()).add(intent.backend)
    return places


def _clients_at(cloud: CloudConfig, project: str, location: str) -> CloudClients:
    there = cloud.model_copy(update={"project": project, "location": location})
    return CloudClients(there, os.environ, storage=storage_client(os.environ, project))


def report_lines(report: SweepReport) -> Iterator[str]:
    """Yield what a sweep did and saw, a line each."""
    yield from (f"adopted {key}: {handle}" for key, handle in sorted(report.adopted.items()))
    yield from (f"finished {key}: {state}" for key, state in sorted(report.finished.items()))
    yield from (f"cancelled {handle}: {why}" for handle, why in sorted(report.cancelled.items()))
    yield from (f"nobody claims {job.handle} ({job.provider_state}), which may cost money" for job in report.unclaimed)
    yield from (f"the provider does not know the job of {key} any more" for key in report.lost)
    yield from report.problems


def backend_for(intent: Intent) -> Backend:
    """Return the backend of a job from what its intent wrote down: its host or YAML may be gone.

    Raises:
        FinetuneError: when the job is a local one.
    """
    if intent.backend not in CLOUD_BACKENDS:
        raise FinetuneError(
            "the job runs on this machine",
            where=f"request {intent.request_key}",
            found=intent.backend,
            mend="cancel its run in the UI, or end the process of `finetune run`",
        )
    cloud = CloudConfig(bucket=str(intent.request.get("bucket", "")))
    return backend_of(intent.backend, _clients_at(cloud, *place_of_intent(intent)))


def known_job(db: Database, key: str) -> Intent:
    """Return the job of a request key.

    Raises:
        FinetuneError: when there is none.
    """
    intent = find_intent(db, key)
    if intent is None:
        raise FinetuneError("no such job", found=key, mend="`finetune jobs list` shows the keys")
    return intent
