"""A cloud task's sensors: jobs that a crash left open are mended, and what idles and costs is told.

Neither starts a run, and neither spends anything. What they did and saw stands in the tick's reason, in the log, and as
an observation of the asset that it is about.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from finetune_assets.lineage import show
from finetune_assets.lineage.runtime import TaskRun, adapter_stage, asset_key
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.records.digests import digest_of
from finetune_assets.records.errors import FinetuneError
from finetune_assets.resources.platform import Platform
from finetune_assets.storage.errors import StorageError

if TYPE_CHECKING:
    from finetune_assets.lineage.cloud.idle import Idling

SWEEP_EVERY_SECONDS = 300
IDLE_EVERY_SECONDS = 3600
ENDPOINT_STAGE = "deployed_endpoint"
QUIET = "every job at the provider is known here, and every job here is known there"


def build_cloud_sensors(spec: TaskSpec) -> list[dg.SensorDefinition]:
    """Return the sensors of a task of which a variant is tuned in the cloud; none for a local task."""
    if not any(config.is_cloud for config in spec.config.tuning.by_variant().values()):
        return []

    @dg.sensor(
        name=f"{spec.name}_job_sweep",
        minimum_interval_seconds=SWEEP_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Adopts jobs whose submitter died, writes down what ended, cancels duplicates, and tells of jobs "
        "that nobody claims. It submits nothing.",
    )
    def job_sweep(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult:
        try:
            return sweep_result(_open(spec, platform), context)
        except (FinetuneError, StorageError) as problem:
            return dg.SensorResult(skip_reason=f"the jobs could not be looked at: {problem}", cursor=context.cursor)

    @dg.sensor(
        name=f"{spec.name}_idle_endpoints",
        minimum_interval_seconds=IDLE_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells of endpoints that nobody asks and of machines that run for too long, with what they cost; "
        "undeploys where `cloud.endpoint.on_idle` says so, never what is live.",
    )
    def idle_endpoints(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult:
        from finetune_assets.lineage.cloud.idle import look_at_machines

        try:
            return idle_result(look_at_machines(_open(spec, platform), datetime.now(UTC)), spec.name, context)
        except (FinetuneError, StorageError) as problem:
            return dg.SensorResult(skip_reason=f"the endpoints could not be looked at: {problem}")

    return [job_sweep, idle_endpoints]


def _open(spec: TaskSpec, platform: Platform) -> TaskRun:
    from finetune_assets.lineage.comparing import open_here

    return open_here(spec, platform.home())


def sweep_result(task: TaskRun, context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Hold the provider's jobs against ours, mend what differs, and tell it; the same news is observed once.

    Args:
        task: the task.
        context: the tick's context; its cursor is a digest of the last news.
    """
    from finetune_assets.lineage.cloud.sweep import report_lines, sweep_task

    report = sweep_task(task, by="sensor")
    # Another task's sensor speaks of that task's jobs.
    report.unclaimed = [job for job in report.unclaimed if job.labels.get("task", task.task) == task.task]
    lines = list(report_lines(report))
    for line in lines:
        context.log.warning(line)
    news = digest_of(lines) if lines else ""
    events: list[dg.AssetObservation] = []
    if lines and news != context.cursor:
        unclaimed: list[dict[str, Any]] = [
            {"job": job.handle, "state": job.provider_state, "link": job.link} for job in report.unclaimed
        ]
        metadata: dict[str, Any] = {"jobs": show.markdown("\n".join(f"- {line}" for line in lines))}
        metadata["unclaimed_jobs"] = len(unclaimed)
        if unclaimed:
            metadata["unclaimed"] = show.table(unclaimed)
        events = list(_of_adapters(task, metadata))
    return dg.SensorResult(skip_reason="; ".join(lines) or QUIET, cursor=news, asset_events=events)


def idle_result(found: "Idling", task: str, context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Tell what idles and costs.

    Args:
        found: what was seen and done.
        task: the task's name.
        context: the tick's context.
    """
    events: list[dg.AssetObservation] = []
    if found.endpoints:
        metadata: dict[str, Any] = {
            "idle_endpoints": len(found.endpoints),
            "idle_hours": max(item["hours"] for item in found.endpoints),
            "idle_usd_a_day": _sum_of(found.endpoints),
            "endpoints": show.table(found.endpoints),
        }
        events.append(dg.AssetObservation(asset_key(task, ENDPOINT_STAGE), metadata=metadata))
    if found.machines:
        jobs: dict[str, Any] = {"overdue_jobs": len(found.machines), "machines": show.table(found.machines)}
        events += [dg.AssetObservation(asset_key(task, stage), metadata=jobs) for stage in found.adapter_stages]
    for line in found.lines:
        context.log.warning(line)
    return dg.SensorResult(skip_reason="; ".join(found.lines) or found.quiet, asset_events=events)


def _sum_of(rows: list[dict[str, Any]]) -> float | str:
    """Return the dollars a day of all; a price that is not known is not taken for nothing."""
    known = [row["usd_a_day"] for row in rows if isinstance(row["usd_a_day"], float)]
    return round(sum(known), 2) if len(known) == len(rows) else "not known"


def _of_adapters(task: TaskRun, metadata: Mapping[str, Any]) -> Iterator[dg.AssetObservation]:
    for variant, config in task.config.tuning.by_variant().items():
        if config.is_cloud:
            yield dg.AssetObservation(asset_key(task.task, adapter_stage(variant)), metadata=dict(metadata))
