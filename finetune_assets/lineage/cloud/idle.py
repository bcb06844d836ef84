"""Machines that cost and do nothing: endpoints that nobody asks, and jobs that run for longer than they may."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from finetune_assets.lineage.cloud.doors import open_clients
from finetune_assets.lineage.runtime import TaskRun, adapter_stage
from finetune_assets.releases.manifest import load_manifest
from finetune_assets.releases.registry import Registry
from finetune_assets.serving.cloud.activity import last_asked
from finetune_assets.serving.cloud.endpoint_state import EndpointState, Idle, idle
from finetune_assets.serving.cloud.endpoints import list_endpoints, undeploy
from finetune_assets.tuning.backends.protocol import JobStatus
from finetune_assets.tuning.backends.registry import backend_of
from finetune_assets.tuning.cloud.errors import BudgetError
from finetune_assets.tuning.cloud.machine_hours import hourly_price
from finetune_assets.tuning.cloud.prices import Prices, load_prices
from finetune_assets.tuning.managed_config import CustomJobSettings

UNKNOWN = "not known"
_HOURS_A_DAY = 24.0
# The service ends a job after max_hours; starting and ending take a while.
_GRACE_H = 1.0


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


@dataclass(frozen=True)
class Idling:
    """What idles and costs.

    Attributes:
        endpoints: rows with `endpoint`, `hours`, `usd_a_day` (a number or `not known`), `last_asked`, `undeployed`.
        machines: rows with `job`, `hours`, `max_hours`, `usd_a_day`.
        lines: both for people.
        quiet: what was seen when nothing idles.
        adapter_stages: the assets that the machines train.
    """

    endpoints: list[dict[str, Any]]
    machines: list[dict[str, Any]]
    lines: list[str]
    quiet: str
    adapter_stages: list[str] = field(default_factory=list)


def look_at_machines(task: TaskRun, now: datetime) -> Idling:
    """Look at a task's endpoints and jobs; undeploy what YAML wants undeployed.

    Where Monitoring cannot say when an endpoint was asked, it is told of and left alone: nobody knows is not nobody
    asked.

    Args:
        task: the task.
        now: the present, with a time zone.

    Raises:
        CloudError: when the service cannot be asked.
    """
    clients = open_clients(task, task.config.cloud.serves_in)
    return idling(task, last_asked(clients, now, task.config.cloud.endpoint.idle_hours), now)


def idling(task: TaskRun, asked: Mapping[str, datetime] | None, now: datetime) -> Idling:
    """Return what idles, given when endpoints were asked.

    Args:
        task: the task.
        asked: when each endpoint was asked last; an endpoint that is missing was not asked. None: nobody knows.
        now: the present, with a time zone.
    """
    seen = look_for_idle(task, dict(asked or {}), now, act=asked is not None)
    prices = _prices(task, now.date())
    endpoints = []
    for item in seen.idle:
        when = item.asked.isoformat() if item.asked else "never, as far as known"
        endpoints.append(
            {
                "endpoint": item.endpoint.name,
                "hours": item.hours,
                "usd_a_day": _endpoint_price(item.endpoint, task.config.cloud.serves_in, prices),
                "last_asked": UNKNOWN if asked is None else when,
                "undeployed": ", ".join(seen.undeployed.get(item.endpoint.name, [])),
            }
        )
    machines = _overdue(task, now, prices)
    quiet = f"{len(seen.endpoints)} endpoints, none of them idle; no machine runs for too long"
    return Idling(
        endpoints, machines, [*map(_of_endpoint, endpoints), *map(_of_machine, machines)], quiet, _stages(task)
    )


def look_for_idle(task: TaskRun, asked: Mapping[str, datetime], now: datetime, *, act: bool) -> IdleEndpoints:
    """Find endpoints that cost money and are not asked, and undeploy them where YAML says so.

    What is live is reported and left: undeploying it is a person's decision (`finetune endpoints undeploy`).

    Args:
        task: the task.
        asked: when each endpoint was last asked, as far as known.
        now: the present, with a time zone.
        act: False only looks.
    """
    machines = task.config.cloud.endpoint
    clients = open_clients(task, task.config.cloud.serves_in)
    endpoints = list_endpoints(clients, task=task.task)
    found = idle(endpoints, asked, now, machines.idle_hours)
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


def _prices(task: TaskRun, today: date) -> Prices | None:
    try:
        return load_prices(task.config.cloud.budget, task.folder, today=today)
    except BudgetError:
        return None  # what something costs is then not known; that it idles is told all the same


def _endpoint_price(endpoint: EndpointState, region: str, prices: Prices | None) -> float | str:
    """Return the dollars a day of the replicas that always run, by the machines that are deployed."""
    if prices is None:
        return UNKNOWN
    try:
        hour = sum(
            item.min_replicas * float(prices.of("serving_machine", item.machine_type, region).price)
            for item in endpoint.deployed
            if item.min_replicas
        )
    except BudgetError:
        return UNKNOWN
    return round(hour * _HOURS_A_DAY, 2)


def _overdue(task: TaskRun, now: datetime, prices: Prices | None) -> list[dict[str, Any]]:
    """Return the task's custom jobs that have machines for longer than any of its variants may."""
    settings = [config.job_settings for config in _own_jobs(task).values()]
    if not settings:
        return []
    longest = max(settings, key=lambda job: job.max_hours)
    jobs = backend_of("custom_job", open_clients(task)).owned()
    rows = []
    for job in jobs:
        hours = _hours(job, now)
        if job.labels.get("task") == task.task and not job.has_ended and hours > longest.max_hours + _GRACE_H:
            usd = _machine_price(longest, task.config.cloud.location, prices)
            rows.append({"job": job.handle, "hours": round(hours, 1), "max_hours": longest.max_hours, "usd_a_day": usd})
    return rows


def _own_jobs(task: TaskRun) -> dict[str, Any]:
    return {name: config for name, config in task.config.tuning.by_variant().items() if config.backend == "custom_job"}


def _hours(job: JobStatus, now: datetime) -> float:
    return 0.0 if job.started is None else (now - job.started).total_seconds() / 3600


def _machine_price(job: CustomJobSettings, region: str, prices: Prices | None) -> float | str:
    if prices is None:
        return UNKNOWN
    try:
        price, _ = hourly_price(job, region, prices)
    except BudgetError:
        return UNKNOWN
    return round(price * job.replicas * _HOURS_A_DAY, 2)


def _stages(task: TaskRun) -> list[str]:
    return [adapter_stage(name) for name in _own_jobs(task)]


def _cost(usd: float | str) -> str:
    return f"${usd:,.2f} a day" if isinstance(usd, float) else "price not known"


def _of_endpoint(row: Mapping[str, Any]) -> str:
    done = f"undeployed {row['undeployed']}" if row["undeployed"] else "still deployed"
    asked = "when it was asked is not known" if row["last_asked"] == UNKNOWN else f"last asked: {row['last_asked']}"
    return f"{row['endpoint']} idles for {row['hours']:g} h, {_cost(row['usd_a_day'])}, {done}; {asked}"


def _of_machine(row: Mapping[str, Any]) -> str:
    return f"{row['job']} runs for {row['hours']:g} h, at most {row['max_hours']:g} h, {_cost(row['usd_a_day'])}"
