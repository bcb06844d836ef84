"""The environment's probes: credentials, project, API, bucket, permissions, agents, quota and image.

    check_environment(clients, config, *, http=None, token=None) -> list[ProbeResult]

Nothing is submitted; the only thing written is one small object, which is deleted again. What is wrong comes back as a
finding; a probe that could not look says so and is never ok. Clients are handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import httpx

from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.errors import ApiDisabledError, CloudError, NoCredentialsError, ProjectError
from finetune_assets.tuning.cloud.faults import Action
from finetune_assets.tuning.config import TuningConfig
from finetune_assets.tuning.findings import Finding, errors_of
from finetune_assets.tuning.managed_config import MANAGED
from finetune_assets.tuning.preflight.bucket import probe_agents, probe_bucket, probe_permissions, probe_write
from finetune_assets.tuning.preflight.image import probe_image
from finetune_assets.tuning.preflight.probes import ProbeResult, asked, failed, skipped

_PAGE = 100
_ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED")
_VERTEX = ("credentials", "project", "API")
_BUCKET = ("bucket", "bucket access", "bucket permissions", "service agents")


def check_environment(
    clients: CloudClients,
    config: TuningConfig,
    *,
    http: httpx.Client | None = None,
    token: Callable[[], str] | None = None,
) -> list[ProbeResult]:
    """Look whether a project is ready for a task's jobs.

    Args:
        clients: Google's clients, with a storage client where the task has a bucket.
        config: one variant's settings.
        http: asks the image's registry; None leaves that out.
        token: gives an access token for the registry.

    Returns:
        One result for each probe, in a fixed order.
    """
    results = [*_probe_vertex(clients, config), *_probe_storage(clients, config)]
    if config.backend == "custom_job":
        results.append(probe_image(config.job_settings.image, None if clients.emulator else http, token))
    return results


def is_ready(results: Iterable[ProbeResult]) -> bool:
    """Whether no probe found an error."""
    return not any(errors_of(result.findings) for result in results)


def render(results: Iterable[ProbeResult]) -> list[str]:
    """Return the results as lines for people: one for each probe, its findings below."""
    lines: list[str] = []
    for result in results:
        lines.append(result.line)
        lines += [f"  {finding.line}" for finding in result.findings]
    return lines


def _probe_vertex(clients: CloudClients, config: TuningConfig) -> list[ProbeResult]:
    """List the jobs once: that needs credentials, the project, the API and a permission, in this order."""
    if not clients.project:
        finding = Finding("project", "error", "cloud.project", "no project", "a project id", "set cloud.project")
        unknown = [skipped(name, "there is no project") for name in ("credentials", "API", "jobs")]
        return [unknown[0], ProbeResult("project", "not named", (finding,)), *unknown[1:]]
    action = Action("the jobs cannot be listed", where=clients.parent, project=clients.project)
    try:
        states = asked(action, lambda: _job_states(clients, config))
    except CloudError as problem:
        return _blamed(problem)
    return [*(ProbeResult(name, "") for name in _VERTEX), _quota(states, clients, config)]


def _blamed(problem: CloudError) -> list[ProbeResult]:
    """Return the first three probes and the jobs', with the refusal at the one that it speaks of."""
    order = {NoCredentialsError: 0, ProjectError: 1, ApiDisabledError: 2}
    at = order.get(type(problem), 3)
    names = (*_VERTEX, "jobs")
    fine = [ProbeResult(name, "") for name in names[:at]] if at < len(_VERTEX) or _answered(problem) else []
    before = fine or [skipped(name, "the service gave no answer") for name in names[:at]]
    return [*before, failed(names[at], problem), *(skipped(name, "see above") for name in names[at + 1 :])]


def _answered(problem: CloudError) -> bool:
    """Whether a refusal shows that the service itself was reached: it then has a status code."""
    return problem.found[:3].isdigit() and not problem.found.startswith("5")


def _job_states(clients: CloudClients, config: TuningConfig) -> list[str]:
    """Return the provider's states of all jobs of the backend's kind."""
    if config.backend in MANAGED:
        from google.genai import types

        pages: Iterable[Any] = clients.genai.tunings.list(config=types.ListTuningJobsConfig(page_size=_PAGE))
        return [str(getattr(job.state, "value", job.state)) for job in pages]
    jobs = clients.gapic("JobServiceClient").list_custom_jobs(parent=clients.parent, timeout=30.0)
    return [job.state.name for job in jobs]


def _quota(states: list[str], clients: CloudClients, config: TuningConfig) -> ProbeResult:
    under_way = sum(not state.endswith(_ENDED) for state in states)
    limit = clients.config.concurrent_jobs
    told = f"{under_way} under way, {limit} at once (cloud.concurrent_jobs)"
    if under_way < limit:
        return ProbeResult("jobs", told)
    finding = Finding(
        "quota",
        "warning",
        clients.parent,
        f"{under_way} jobs under way",
        f"{limit} at once; Google's quota is 1 for {'tuning' if config.backend in MANAGED else 'some'} jobs",
        "the next job waits; let them end, or ask for a higher quota and raise cloud.concurrent_jobs",
    )
    return ProbeResult("jobs", told, (finding,))


def _probe_storage(clients: CloudClients, config: TuningConfig) -> list[ProbeResult]:
    cloud = clients.config
    if not cloud.bucket:
        finding = Finding("bucket", "error", "cloud.bucket", "no bucket", "gs://…", "set cloud.bucket")
        return [ProbeResult("bucket", "not named", (finding,)), *(skipped(name, "no bucket") for name in _BUCKET[1:])]
    result, bucket = probe_bucket(clients.storage, cloud)
    if bucket is None:
        return [result, *(skipped(name, "see above") for name in _BUCKET[1:])]
    return [
        result,
        probe_write(bucket, cloud),
        probe_permissions(bucket, cloud),
        probe_agents(bucket, cloud, config),
    ]
