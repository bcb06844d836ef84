"""Jobs and sensors: what runs together, and what runs by itself.

Nothing here spends money by itself. Automation makes endpoints whose release was approved, and sweeps dead runs.
"""

from typing import Any

import dagster as dg

from finetune_assets.lineage.instance import TASK_TAG, sweep_dead_runs
from finetune_assets.lineage.runtime import STAGES, asset_key, assets_of
from finetune_assets.lineage.task_config import TaskSpec

SWEEP_EVERY_SECONDS = 60


def job_name(task: str) -> str:
    """Return the name of the job that makes a task's chain."""
    return f"retrain_{task}"


def chain_of(spec: TaskSpec) -> list[str]:
    """Return the stages that the task's job makes.

    With manual approval it stops at the report.
    """
    if spec.config.release.approval == "manual":
        return [stage for stage in STAGES if stage not in {"release_approval", "deployed_endpoint"}]
    return list(STAGES)


def build_job(spec: TaskSpec, shared: list[dg.AssetKey]) -> Any:
    """Return the job that makes the task's chain from the raw records on."""
    chain = chain_of(spec)
    assets = [name for stage in chain for name in assets_of(spec.config, stage)]
    keys = [*shared, *(asset_key(spec.name, name) for name in assets)]
    return dg.define_asset_job(
        job_name(spec.name),
        selection=dg.AssetSelection.assets(*keys),
        description=f"From raw records to {chain[-1].replace('_', ' ')}: {spec.name}.",
        tags={TASK_TAG: spec.name},
    )


def endpoint_condition(task: str) -> dg.AutomationCondition:  # type: ignore[type-arg]
    """Return when an endpoint is made without a click: newly approved, and every gate upstream held.

    A new report alone is no reason: it may be an experiment's, or wait for a person.
    """
    approval = dg.AssetSelection.assets(asset_key(task, "release_approval"))
    approved = dg.AutomationCondition.eager().allow(approval)
    return approved & dg.AutomationCondition.all_deps_blocking_checks_passed()


def build_platform_sensors() -> list[dg.SensorDefinition]:
    """Return the sensors that belong to no single task."""

    @dg.sensor(
        name="dead_run_sweep",
        minimum_interval_seconds=SWEEP_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports runs of the command line as failed whose process has gone.",
    )
    def dead_run_sweep(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        swept = sweep_dead_runs(context.instance)
        return dg.SkipReason(f"reported as dead: {', '.join(swept)}" if swept else "every unfinished run is alive")

    release_ready = dg.AutomationConditionSensorDefinition(
        name="release_ready",
        target=dg.AssetSelection.all(),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=30,
        description="Makes the endpoint of a release that was approved.",
    )
    return [dead_run_sweep, release_ready]
