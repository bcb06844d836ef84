"""What an endpoint is seen to be: who is deployed, with which share of the traffic. Read anew, never remembered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

_HOUR_S = 3600.0


@dataclass(frozen=True)
class Deployed:
    """A model at an endpoint.

    Attributes:
        id: its id at the endpoint, 1 to 10 digits.
        model: the registered model, without its version.
        version: the model's version.
        display_name: what the console shows.
        traffic: percent of the questions that it gets.
        machine_type: machine of one replica, "" where the service keeps it.
        accelerator_type: accelerator of a replica, "" for none.
        accelerator_count: accelerators of a replica.
        min_replicas: replicas that always run, and are paid for.
        max_replicas: replicas at the most.
        created: when it was deployed.
    """

    id: str
    model: str
    version: str = ""
    display_name: str = ""
    traffic: int = 0
    machine_type: str = ""
    accelerator_type: str = ""
    accelerator_count: int = 0
    min_replicas: int = 0
    max_replicas: int = 0
    created: datetime | None = None


@dataclass(frozen=True)
class EndpointState:
    """An endpoint as the service shows it now.

    Attributes:
        name: `projects/P/locations/L/endpoints/ID`.
        display_name: what the console shows.
        labels: its labels.
        traffic: percent by deployed id, as the service has it.
        deployed: who is there, by id.
        created: when it was made.
        dedicated_dns: the host of its own, "" when it shares the region's.
    """

    name: str
    display_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    traffic: Mapping[str, int] = field(default_factory=dict)
    deployed: tuple[Deployed, ...] = ()
    created: datetime | None = None
    dedicated_dns: str = ""

    @property
    def ids(self) -> frozenset[str]:
        """The ids of the deployed models."""
        return frozenset(item.id for item in self.deployed)

    @property
    def costs(self) -> bool:
        """True when machines run, asked or not."""
        return any(item.min_replicas > 0 for item in self.deployed)

    def find(self, deployed_id: str) -> Deployed | None:
        """Return one deployed model, None when it is not there."""
        return next((item for item in self.deployed if item.id == deployed_id), None)


@dataclass(frozen=True)
class Idle:
    """An endpoint that costs and that nobody asks.

    Attributes:
        endpoint: the endpoint.
        hours: hours since the last question, or since the last deployment where nobody ever asked.
        asked: when it was last asked, None for never as far as known.
    """

    endpoint: EndpointState
    hours: float
    asked: datetime | None


def idle(endpoints: list[EndpointState], last_asked: Mapping[str, datetime], now: datetime, hours: float) -> list[Idle]:
    """Return the endpoints whose machines run though nobody has asked for some time, the longest first.

    Args:
        endpoints: as seen now.
        last_asked: by endpoint name; what is missing was never asked as far as known.
        now: the present, with a time zone.
        hours: how long without a question counts as idle.
    """
    found = []
    for endpoint in endpoints:
        if not endpoint.costs:
            continue
        asked = last_asked.get(endpoint.name)
        # A model that was deployed a minute ago has had no chance to be asked.
        starts = [item.created for item in endpoint.deployed if item.created is not None]
        since = max([*starts, *([asked] if asked else [])], default=endpoint.created or now)
        if now - since >= timedelta(hours=hours):
            found.append(Idle(endpoint, round((now - since).total_seconds() / _HOUR_S, 2), asked))
    return sorted(found, key=lambda item: (-item.hours, item.endpoint.name))


def state_of(endpoint: Any) -> EndpointState:
    """Read an `aiplatform_v1.Endpoint`."""
    traffic = {str(key): int(share) for key, share in endpoint.traffic_split.items()}
    return EndpointState(
        name=str(endpoint.name),
        display_name=str(endpoint.display_name),
        labels=dict(endpoint.labels),
        traffic=dict(sorted(traffic.items())),
        deployed=tuple(
            sorted((_deployed(item, traffic) for item in endpoint.deployed_models), key=lambda item: item.id)
        ),
        created=_when(endpoint.create_time),
        dedicated_dns=str(endpoint.dedicated_endpoint_dns or ""),
    )


def _deployed(item: Any, traffic: Mapping[str, int]) -> Deployed:
    resources = item.dedicated_resources
    machine = resources.machine_spec if resources else None
    model, _, version = str(item.model).partition("@")
    accelerator = machine.accelerator_type.name if machine and machine.accelerator_count else ""
    return Deployed(
        id=str(item.id),
        model=model,
        version=str(item.model_version_id) or version,
        display_name=str(item.display_name),
        traffic=traffic.get(str(item.id), 0),
        machine_type=str(machine.machine_type) if machine else "",
        accelerator_type=accelerator,
        accelerator_count=int(machine.accelerator_count) if machine else 0,
        min_replicas=int(resources.min_replica_count) if resources else 0,
        max_replicas=int(resources.max_replica_count) if resources else 0,
        created=_when(item.create_time),
    )


def _when(stamp: Any) -> datetime | None:
    # proto-plus gives a datetime, and None for a stamp that was never set.
    return stamp if isinstance(stamp, datetime) and stamp.timestamp() > 0 else None
