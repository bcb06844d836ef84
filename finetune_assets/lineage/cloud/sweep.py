"""Looking after jobs and endpoints from outside of a run: what crashes left open is mended, what idles is reported."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from finetune_assets.lineage.cloud.doors import open_clients
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases.manifest import load_manifest
from finetune_assets.releases.registry import Registry
from finetune_assets.resources.cloud import storage_client
from finetune_assets.serving.cloud.endpoint_state import EndpointState, Idle, idle
from finetune_assets.serving.cloud.endpoints import list_endpoints, undeploy
from finetune_assets.storage.database import Database
from finetune_assets.storage.intents import Intent, find_intent
from finetune_assets.tuning.backends.protocol import Backend
from finetune_assets.tuning.backends.registry import CLOUD_BACKENDS, backend_of
from finetune_assets.tuning.backends.sweep import SweepReport, sweep
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.config import CloudConfig


def sweep_task(task: TaskRun, by: str) -> SweepReport:
    """Hold the provider's jobs of a task's project and location against our intents, and mend what differs."""
    clients = open_clients(task)
    names = sorted({config.backend for config in task.config.tuning.by_variant().values() if config.is_cloud})
    return sweep(task.database, {name: backend_of(name, clients) for name in names}, by=by)


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
    project, location = (str(intent.request.get(name, "")) for name in ("project", "location"))
    cloud = CloudConfig(project=project, location=location, bucket=str(intent.request.get("bucket", "")))
    clients = CloudClients(cloud, os.environ, storage=storage_client(os.environ, project))
    return backend_of(intent.backend, clients)


def known_job(db: Database, key: str) -> Intent:
    """Return the job of a request key.

    Raises:
        FinetuneError: when there is none.
    """
    intent = find_intent(db, key)
    if intent is None:
        raise FinetuneError("no such job", found=key, mend="`finetune jobs list` shows the keys")
    return intent


@dataclass(frozen=True)
class IdleEndpoints:
    """What a look at the endpoints found.

    Attributes:
        endpoints: all of the task's.
        idle: those that cost and were not asked.
        undeployed: deployed models that were taken down, by endpoint.
    """

    endpoints: list[EndpointState]
    idle: list[Idle]
    undeployed: dict[str, list[str]]


def look_for_idle(task: TaskRun, last_asked: dict[str, datetime], *, act: bool) -> IdleEndpoints:
    """Find endpoints that cost money and are not asked, and undeploy them where YAML says so.

    What is live is reported and left: undeploying it is a person's decision (`finetune endpoints undeploy`).

    Args:
        task: the task.
        last_asked: when each endpoint was last asked, as far as known.
        act: False only looks.
    """
    machines = task.config.cloud.endpoint
    clients = open_clients(task, task.config.cloud.serves_in)
    endpoints = list_endpoints(clients, task=task.task)
    found = idle(endpoints, last_asked, datetime.now(UTC), machines.idle_hours)
    undeployed: dict[str, list[str]] = {}
    if act and machines.on_idle == "undeploy":
        for item in found:
            # Read anew each time: undeploying takes minutes, in which another release may go live.
            for model in sorted(item.endpoint.ids - {live_model(task)}):
                undeploy(clients, item.endpoint.name, model)
                undeployed.setdefault(item.endpoint.name, []).append(model)
    return IdleEndpoints(endpoints, found, undeployed)


def live_model(task: TaskRun) -> str:
    """Return the id under which the live release is deployed, "" where none is or it runs elsewhere."""
    live = Registry(task.database).live(task.task)
    manifest = load_manifest(task.artifacts, live.artifact_key) if live else None
    return manifest.endpoint.deployed_model_id if manifest and manifest.endpoint else ""
