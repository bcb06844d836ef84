"""The sensor that asks for runs: thin, for what it decides is decided by `feedback/triggers` and kept in the log.

Nothing spends money by itself unless YAML asks for it: only a task with a section `triggers:` has the sensor, and it
watches from the start only where that says `enabled: true`.
"""

from datetime import UTC, datetime

import dagster as dg

from finetune_assets.lineage.automation import job_name
from finetune_assets.lineage.instance import NAMESPACE_TAG, TASK_TAG
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.records.errors import FinetuneError
from finetune_assets.resources.platform import Platform
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.namespaces import MAIN

LOCAL_EVERY_SECONDS = 60
CLOUD_EVERY_SECONDS = 300
"""A cloud task's tick reads its rows to say what a run would cost."""
NO_TRIGGERS = "the task has no section `triggers:`, so that only a person asks for a run"


def sensor_name(task: str) -> str:
    """Return the name of a task's sensor."""
    return f"{task}_error_threshold"


def build_trigger_sensors(spec: TaskSpec) -> list[dg.SensorDefinition]:
    """Return the sensor of a task with a section `triggers:`; none without."""
    policy = spec.config.triggers
    if policy is None:
        return []
    status = dg.DefaultSensorStatus.RUNNING if policy.enabled else dg.DefaultSensorStatus.STOPPED
    in_cloud = any(config.is_cloud for config in spec.config.tuning.by_variant().values())

    @dg.sensor(
        name=sensor_name(spec.name),
        job_name=job_name(spec.name),
        minimum_interval_seconds=CLOUD_EVERY_SECONDS if in_cloud else LOCAL_EVERY_SECONDS,
        default_status=status,
        description="Asks for a run when the rules of `triggers:` hold and no veto stands; else says what is missing.",
    )
    def error_threshold(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult:
        try:
            return trigger_result(spec, context, platform, datetime.now(UTC))
        except (FinetuneError, StorageError) as problem:
            return dg.SensorResult(skip_reason=f"the evidence cannot be looked at: {problem}", cursor=context.cursor)

    return [error_threshold]


def trigger_result(
    spec: TaskSpec, context: dg.SensorEvaluationContext, platform: Platform, now: datetime
) -> dg.SensorResult:
    """Decide once, and ask for the run that was decided on.

    Args:
        spec: the task.
        context: the tick's context.
        platform: where the platform keeps its things.
        now: the present moment; aware.
    """
    from finetune_assets.lineage.comparing import open_here
    from finetune_assets.lineage.trigger_runs import decide_now, settle_ended

    task = open_here(spec, platform.home())
    if task.config.triggers is None:
        return dg.SensorResult(skip_reason=NO_TRIGGERS, cursor=context.cursor)
    for line in settle_ended(context.instance, task, by=sensor_name(spec.name)):
        context.log.info(line)
    decided = decide_now(context.instance, task, context.cursor, now)
    if not decided.asks:
        return dg.SensorResult(skip_reason=decided.sentence, cursor=decided.cursor)
    tags = {**decided.decision.tags(), TASK_TAG: spec.name, NAMESPACE_TAG: MAIN}
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=decided.decision.key, tags=tags)], cursor=decided.cursor)
