"""Managed tuning: a provider trains and keeps the model; here it is asked for, watched and written down.

The artifact holds what the provider said of job, data and model, and what identifies the model. Its weights stay where
the provider keeps them.
"""

from dataclasses import asdict
from typing import Any

import dagster as dg

from finetune_assets.evaluation.report.charts import loss_png
from finetune_assets.lineage.bases import Base, find_base
from finetune_assets.lineage.cloud.doors import open_clients, open_store, resolved_task
from finetune_assets.lineage.cloud.jobs import finish, settle, submit
from finetune_assets.lineage.cloud.plan import Plan, plan_job
from finetune_assets.lineage.cloud.siblings import ended_together, submit_siblings
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.tuning_request import ADAPTER, LOSS_CHART, request_of, tuned_once
from finetune_assets.records.digests import digest_of
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import read_json, write_atomic, write_json_atomic
from finetune_assets.storage.gcs.calls import GcsUri
from finetune_assets.storage.gcs.objects import list_objects
from finetune_assets.storage.gcs.store import GcsStore
from finetune_assets.tuning.backends.protocol import JobResult, JobStatus
from finetune_assets.tuning.backends.registry import backend_of
from finetune_assets.tuning.request import TuningRequest

RECORD = "training.json"
RESULT = "job.json"
PLAN = "plan.json"


def tune_managed(whole: TaskRun, context: dg.AssetExecutionContext, variant: str) -> tuple[Artifact, bool]:
    """Have a provider tune a model, or take over the one that the same request gave before.

    Args:
        whole: the task with all its variants.
        context: the asset's context.
        variant: the variant to tune, "" where there are none.
    """
    task = resolved_task(whole.for_variant(variant))
    base = find_base(task)
    request = request_of(task, base)

    def make() -> Artifact:
        store, backend = open_store(task), backend_of(task.config.tuning.backend, open_clients(task))
        plan = plan_job(task, request, store, variant)
        for line in plan.lines():
            context.log.info(line)
        plan.require()
        with ended_together(task, context, request.request_key):
            status = submit(task, context, backend, plan.job, plan.reservation)
            submit_siblings(whole, context, variant)
            status, result = finish(task, context, backend, plan.job, status)
        settle(task, plan.job, tokens=result.billable_tokens, cost=plan.actual_micros(result, status))
        return _keep(task, base, request, store, plan, status, result)

    return tuned_once(task, request, make)


def _keep(
    task: TaskRun,
    base: Base,
    request: TuningRequest,
    store: GcsStore,
    plan: Plan,
    status: JobStatus,
    result: JobResult,
) -> Artifact:
    job = plan.job
    digest = model_digest(store, result)
    with task.artifacts.create(ADAPTER, request.request_key) as staging:
        write_json_atomic(staging.path / RECORD, _record(status, result))
        write_json_atomic(staging.path / RESULT, asdict(result))
        write_json_atomic(staging.path / PLAN, plan.to_json())
        losses = [(point.get("epoch", point.get("step", 0.0)), point["train_loss"]) for point in result.losses]
        if losses:
            write_atomic(staging.path / LOSS_CHART, loss_png(losses))
        return staging.commit(
            {
                "task": task.task,
                "request": request.model_dump(mode="json"),
                "base": {"name": base.name, "digest": base.digest},
                "adapter_digest": digest,
                "template_hash": request.template_hash,
                "managed": {
                    "backend": task.config.tuning.backend,
                    "job": status.handle,
                    "link": status.link,
                    "run_key": job.run_key,
                    "model": result.model,
                    "endpoint": result.endpoint,
                    "weights_uri": result.weights_uri,
                    "project": job.cloud.project,
                    # With `global` the provider picks the region, and its names carry the one it picked.
                    "location": location_of(result.model or result.endpoint or status.handle),
                },
            },
            identity={"adapter": digest},
            outside_digest=[path.name for path in staging.path.iterdir()],
        )


def model_digest(store: GcsStore, result: JobResult) -> str:
    """Return what identifies the tuned model: the provider's name for it, and its weights where they can be seen."""
    weights = []
    if result.weights_uri:
        folder = GcsUri.parse(result.weights_uri)
        found = list_objects(store.client, folder, store.patience)
        weights = sorted([str(item.uri), item.crc32c, item.size] for item in found)
    return digest_of({"job": result.handle, "model": result.model, "weights": weights})


def kept_model_problems(task: TaskRun, adapter: Artifact) -> list[str]:
    """Return what differs between the model that the provider keeps and the one that was judged; a line each."""
    result = JobResult(**{**read_json(adapter.file(RESULT)), "checkpoints": (), "losses": ()})
    if model_digest(open_store(task), result) != adapter.manifest["adapter_digest"]:
        return ["the weights in the bucket are not those that the job left"]
    status = backend_of(adapter.manifest["managed"]["backend"], open_clients(task)).status(result.handle)
    return [] if status.state == "succeeded" else [f"the provider says {status.provider_state} of its job"]


def location_of(name: str) -> str:
    """Return the location in a resource name `projects/P/locations/L/…`."""
    parts = name.split("/")
    return parts[parts.index("locations") + 1] if "locations" in parts else ""


def _record(status: JobStatus, result: JobResult) -> dict[str, Any]:
    """Return what a person wants to know of the training, under the names that local training uses too."""
    took = (status.ended - status.started).total_seconds() if status.ended and status.started else None
    return {
        "loss": [[point.get("step", point.get("epoch", 0.0)), point["train_loss"]] for point in result.losses],
        "losses": [dict(point) for point in result.losses],
        "duration_s": took,
        "steps": result.statistics.get("steps"),
        "rows": result.statistics.get("rows"),
        "truncated_rows": result.statistics.get("truncated", 0),
        "dropped_rows": len(result.statistics.get("dropped", [])),
        "billable_tokens": result.billable_tokens,
        "checkpoints": [asdict(point) for point in result.checkpoints],
        "statistics": dict(result.statistics),
    }
