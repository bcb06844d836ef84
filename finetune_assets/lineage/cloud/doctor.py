"""`finetune doctor TASK`: is a task's project ready, are its files, and what would be submitted at what price.

Everything is looked at, whatever was wrong before; what could not be looked at says so. Nothing is submitted, and no
intent is written.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, fields

import httpx

from finetune_assets.lineage.cloud.doors import resolved_task
from finetune_assets.lineage.cloud.plan import checked_rows, files_of
from finetune_assets.lineage.machine_checks import Look, State
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.smoke import find_smoke
from finetune_assets.lineage.uploaded_dataset import STAGE as UPLOADED
from finetune_assets.lineage.uploaded_dataset import upload
from finetune_assets.records.errors import FinetuneError
from finetune_assets.resources.cloud import storage_client
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.errors import StorageError
from finetune_assets.tuning.cloud.catalogue import find_model, lookup
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.model_checks import check_mode
from finetune_assets.tuning.config import TuningConfig
from finetune_assets.tuning.findings import Finding
from finetune_assets.tuning.preflight.environment import check_environment
from finetune_assets.tuning.preflight.probes import ProbeResult

# A person waits for the answer; a run has more patience.
REQUEST_S = 20.0
_FINE = {"credentials": "taken", "project": "it is there", "API": "enabled"}


@dataclass(frozen=True)
class LookedTask(TaskRun):
    """A task that is only looked at: rows that were split and not uploaded yet are looked at as they would be."""

    def result(self, stage: str) -> Artifact:
        """Return the stage's artifact; of rows that were not uploaded, the copy that would be."""
        try:
            return super().result(stage)
        except FinetuneError:
            if stage != UPLOADED:
                raise
            return upload(self)[0]


def looked_at(task: TaskRun) -> LookedTask:
    """Return a task that is only looked at; see `comparing.open_here`."""
    return LookedTask(**{field.name: getattr(task, field.name) for field in fields(task)})


def check_task(task: TaskRun) -> Iterator[Look]:
    """Look at a task's project, settings and files.

    Args:
        task: the task; see `looked_at`.
    """
    variants = {name: config for name, config in task.config.tuning.by_variant().items() if config.is_cloud}
    if not variants:
        yield Look("cloud", "ok", "the task is tuned on this machine")
        return
    yield from _environment(task, variants)
    for name, config in variants.items():
        yield from _settings(task, name, config)
        yield from _files_or_why(task, name)


def _environment(task: TaskRun, variants: dict[str, TuningConfig]) -> Iterator[Look]:
    """Look at the project once for each backend and image."""
    seen: set[tuple[str, str]] = set()
    for config in variants.values():
        key = (config.backend, config.job_settings.image if config.backend == "custom_job" else "")
        if key in seen:
            continue
        seen.add(key)
        prefix = f"{config.backend}: " if len(variants) > 1 else ""
        try:
            results = _probe(task, config)
        except (FinetuneError, StorageError) as problem:
            yield _refused(f"{prefix}credentials", problem)
            yield Look(f"{prefix}project and bucket", "not checked", "the service cannot be asked")
            continue
        for result in results:
            yield from _looks(result, prefix)


def _probe(task: TaskRun, config: TuningConfig) -> list[ProbeResult]:
    cloud = task.config.cloud
    clients = CloudClients(cloud, os.environ, storage=storage_client(os.environ, cloud.project), timeout_s=REQUEST_S)
    with httpx.Client() as http:
        return check_environment(clients, config, http=http, token=_access_token)


def _access_token() -> str:
    import google.auth
    from google.auth.transport.requests import Request

    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    credentials.refresh(Request())  # type: ignore[no-untyped-call]
    return str(credentials.token)


def _looks(result: ProbeResult, prefix: str) -> Iterator[Look]:
    if not result.findings:
        told = result.told or (_FINE.get(result.name, "") if result.checked else "")
        yield Look(f"{prefix}{result.name}", "ok" if result.checked else "not checked", told)
    for finding in result.findings:
        yield _found(finding, f"{prefix}{result.name}")


def _settings(task: TaskRun, variant: str, config: TuningConfig) -> Iterator[Look]:
    """Look whether the model offers what YAML wants of it, and whether a smoke test has shown that it works."""
    findings = check_mode(config, task.config.cloud)
    for finding in findings:
        yield _found(finding, f"{_named(variant)}settings")
    if not findings:
        entry = lookup(config.base_model)
        yield Look(f"{_named(variant)}settings", "ok", entry.title if entry else config.base_model)
    if not any(finding.severity == "error" for finding in findings):
        yield _smoke(task, variant)


def _smoke(task: TaskRun, variant: str) -> Look:
    name, command = f"{_named(variant)}smoke test", f"run `finetune run {task.task} --smoke`"
    if find_smoke(task.for_variant(variant), variant) is not None:
        return Look(name, "ok", "these settings were tried on a few rows")
    state: State = "warning" if task.config.cloud.smoke.required else "ok"
    wanted = "one that succeeded (cloud.smoke.required)" if state == "warning" else ""
    return Look(name, state, "these settings were not tried on a few rows yet", wanted, command)


def _files(whole: TaskRun, variant: str) -> Iterator[Look]:
    """Hold the newest rows against the model's rules."""
    name = f"{_named(variant)}dataset"
    task = resolved_task(whole.for_variant(variant))
    report = checked_rows(task)
    if report is None:
        yield Look(name, "ok", f"{files_of(task)[0].stat().st_size:,} bytes of training rows")
        return
    for finding in report.findings:
        yield _found(finding, name)
    if not report.findings:
        told = ", ".join(f"{facts.rows:,} {facts.name} rows" for facts in report.files)
        yield Look(name, "ok", f"{told}; every rule of {find_model(report.model).title} holds")


def _files_or_why(task: TaskRun, variant: str) -> list[Look]:
    """Return what is found of the newest rows; where there are none yet, what makes them."""
    name = f"{_named(variant)}dataset"
    try:
        task.result(UPLOADED)
    except FinetuneError:
        return [Look(name, "not checked", "there are no rows yet", "", how_to_get_rows(task))]
    try:
        return list(_files(task, variant))
    except (FinetuneError, StorageError) as problem:
        return [_refused(name, problem)]


def how_to_get_rows(task: TaskRun) -> str:
    """Return what makes a task's rows without a cloud."""
    return f"`finetune run {task.task} --until validated_splits` makes them, and costs nothing"


def _found(finding: Finding, name: str) -> Look:
    dated = f" (as of {finding.as_of})" if finding.limit and finding.as_of else ""
    return Look(
        f"{name} {finding.rule}",
        finding.severity,
        f"{finding.found} at {finding.place}",
        f"{finding.limit}{dated}",
        finding.mend,
    )


def _refused(name: str, problem: FinetuneError | StorageError) -> Look:
    found = ": ".join(part for part in (problem.what, problem.found) if part)
    return Look(name, "error", found, problem.expected, problem.mend)


def _named(variant: str) -> str:
    return f"{variant}: " if variant else ""
