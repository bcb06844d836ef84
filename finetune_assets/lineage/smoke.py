"""Smoke tests that succeeded: written down by what was tried, so that YAML can demand one before the full job.

What was tried is the task, the variant and every setting that a job needs; the rows are no part of it. How a smoke
test proves itself stands in `smoke_proof.py`.
"""

from typing import Any

from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.records.digests import digest_of
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import write_json_atomic
from finetune_assets.tuning.cloud.model_checks import resolved
from finetune_assets.tuning.findings import Finding

SMOKE = "smoke"
RECORD = "smoke.json"
_KEY_DIGITS = 20
# Of `cloud`, what decides whether a job may run and be asked; budgets, deadlines and polling decide nothing of it.
_PLACE = ("project", "location", "serving_location", "bucket", "service_account", "kms_key", "inference")


def smoke_key(task: TaskRun, variant: str) -> str:
    """Return what a smoke test of a variant is kept under (20 hex digits); the rows are no part of it.

    Args:
        task: the task as the variant sees it.
        variant: its name, "" where there are none.

    Raises:
        ModelDeniedError: for a model that is not in the catalogue.
    """
    config, cloud = resolved(task.config.tuning), task.config.cloud
    tried: dict[str, Any] = {
        "task": task.task,
        "variant": variant,
        "settings": config.identity(),
        "rows": {"format": config.rows_format, "prompt": task.task_type().prompt_manifest()},
    }
    if config.is_cloud:
        tried["place"] = {name: getattr(cloud, name) for name in _PLACE}
        tried["machines"] = config.job_settings.model_dump(mode="json")
        tried["endpoint"] = cloud.endpoint.model_dump(mode="json", include={"machine_type", "accelerator_type"})
    return digest_of(tried)[:_KEY_DIGITS]


def find_smoke(task: TaskRun, variant: str) -> Artifact | None:
    """Return the smoke test of these very settings that succeeded, None where there is none."""
    return task.artifacts.find(SMOKE, smoke_key(task, variant))


def keep_smoke(task: TaskRun, variant: str, facts: dict[str, Any]) -> Artifact:
    """Write down that a smoke test succeeded; one that is there already stays."""
    with task.artifacts.create(SMOKE, smoke_key(task, variant)) as staging:
        write_json_atomic(staging.path / RECORD, facts)
        return staging.commit({"task": task.task, "variant": variant}, outside_digest=[RECORD])


def smoke_finding(task: TaskRun, variant: str) -> tuple[Finding, ...]:
    """Return the error of a full job that `cloud.smoke.required` wants a smoke test before; nothing where all is well.

    Args:
        task: the task as the variant sees it.
        variant: its name, "" where there are none.
    """
    smoke = task.config.cloud.smoke
    if not smoke.required or task.options.smoke or find_smoke(task, variant) is not None:
        return ()
    told = f" of variant {variant}" if variant else ""
    return (
        Finding(
            "smoke",
            "error",
            "cloud.smoke.required",
            f"no smoke test{told} with these settings has succeeded",
            "one that did",
            f"run `finetune run {task.task} --smoke`; it tunes on about {smoke.rows} rows",
        ),
    )
