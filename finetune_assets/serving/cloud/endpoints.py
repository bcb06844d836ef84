"""Endpoints of one's own: one for each task, and its traffic split over what is deployed to it.

An endpoint's id is made from its task's name, so that a step that is repeated finds what it made. After every change
the endpoint is read again: an operation that failed may have left the traffic as it was, and others may have a hand
in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from finetune_assets.serving.cloud import operations, traffic
from finetune_assets.serving.cloud.calls import UNCLEAR, Patience, late, once, read
from finetune_assets.serving.cloud.endpoint_state import EndpointState, state_of
from finetune_assets.tuning.backends.protocol import OWNER, OWNER_LABEL
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.errors import CloudError, JobFailedError, MissingError, RejectedError

TASK_LABEL = "task"
_LONGEST_ID = 63


def endpoint_id_of(task: str) -> str:
    """Return the id of a task's endpoint: at most 63 of a-z, 0-9 and -, beginning with a letter."""
    plain = re.sub(r"[^a-z0-9]+", "-", task.lower()).strip("-")
    return (plain if plain[:1].isalpha() else f"task-{plain}")[:_LONGEST_ID].rstrip("-")


def endpoint_name(clients: CloudClients, task: str) -> str:
    """Return the resource name of a task's endpoint."""
    return f"{clients.parent}/endpoints/{endpoint_id_of(task)}"


def ensure_endpoint(
    clients: CloudClients,
    task: str,
    *,
    labels: Mapping[str, str] | None = None,
    dedicated: bool = False,
    patience: Patience | None = None,
) -> EndpointState:
    """Return a task's endpoint, made when it is not there. An endpoint alone costs nothing.

    Args:
        clients: Google's clients at the place that serves.
        task: the task.
        labels: further labels.
        dedicated: give it a host of its own (Google's own hosts only).
        patience: how long and how often.

    Raises:
        RejectedError: when there is an endpoint of that id that is not ours or another task's.
        CloudError: when the service refuses.
    """
    patience = patience or Patience()
    name = endpoint_name(clients, task)
    client = clients.gapic("EndpointServiceClient")
    wanted = {**clients.config.labels, **(labels or {}), OWNER_LABEL: OWNER, TASK_LABEL: endpoint_id_of(task)}
    request = {
        "parent": clients.parent,
        "endpoint_id": endpoint_id_of(task),
        "endpoint": {"display_name": task, "labels": wanted, "dedicated_endpoint_enabled": dedicated},
    }
    turns = patience.turns()
    while True:
        found = find(clients, name, patience=patience)
        if found is not None:
            return _ours(found, task)
        problem: CloudError = late("an endpoint does not show", name, "nothing")
        try:
            made = once("the endpoint was not made", name, lambda: client.create_endpoint(request, timeout=60.0))
            operations.wait(client, made.operation.name, patience)
            found = find(clients, name, patience=patience)
            if found is not None:
                return _ours(found, task)
        except UNCLEAR as error:
            problem = error
        turns.rest(problem, least_s=patience.visibility_s)


def _ours(endpoint: EndpointState, task: str) -> EndpointState:
    owner, of = endpoint.labels.get(OWNER_LABEL, ""), endpoint.labels.get(TASK_LABEL, "")
    if owner == OWNER and of == endpoint_id_of(task):
        return endpoint
    raise RejectedError(
        "an endpoint of this name belongs to somebody else",
        where=endpoint.name,
        found=f"labels {OWNER_LABEL}={owner or 'none'}, {TASK_LABEL}={of or 'none'}",
        expected=f"{OWNER_LABEL}={OWNER}, {TASK_LABEL}={endpoint_id_of(task)}",
        mend="rename the task, or delete that endpoint if nobody needs it",
    )


def shares(endpoint: EndpointState) -> dict[str, int]:
    """Return the percent of each model that is deployed, 0 where the split leaves it out."""
    return {item.id: item.traffic for item in endpoint.deployed}


def shift(
    clients: CloudClients, endpoint: str, split: Mapping[str, int], *, patience: Patience | None = None
) -> EndpointState:
    """Set an endpoint's traffic; whom the split leaves out gets none.

    Args:
        clients: Google's clients at the endpoint's place.
        endpoint: the endpoint's resource name.
        split: percent by deployed id; they sum to 100.
        patience: how long and how often.

    Returns:
        The endpoint as read afterwards.

    Raises:
        RejectedError: when the split names somebody who is not there, or does not sum to 100.
        MissingError: when there is no such endpoint.
    """
    patience = patience or Patience()
    client = clients.gapic("EndpointServiceClient")
    turns = patience.turns()
    while True:
        seen = show(clients, endpoint, patience=patience)
        wanted = traffic.checked(split, seen.ids, endpoint)
        if wanted == shares(seen):
            return seen
        request = {
            "endpoint": {"name": endpoint, "display_name": seen.display_name, "traffic_split": wanted},
            "update_mask": {"paths": ["traffic_split"]},
        }
        problem: CloudError = late("the traffic is not as it was set", endpoint, str(dict(seen.traffic)))
        try:
            once(
                "the traffic was not shifted",
                endpoint,
                lambda: client.update_endpoint(request, timeout=60.0),  # noqa: B023
            )
        except UNCLEAR as error:
            problem = error
        after = show(clients, endpoint, patience=patience)
        if wanted == shares(after):
            return after
        turns.rest(problem, least_s=patience.visibility_s)


def undeploy(
    clients: CloudClients, endpoint: str, deployed: str, *, patience: Patience | None = None
) -> EndpointState | None:
    """Take a model from an endpoint: its traffic goes to the others first. What is not there is fine.

    Returns:
        The endpoint as read afterwards, None when there is none.
    """
    patience = patience or Patience()
    client = clients.gapic("EndpointServiceClient")
    turns = patience.turns()
    while True:
        seen = find(clients, endpoint, patience=patience)
        if seen is None or deployed not in seen.ids:
            return seen
        rest = traffic.without(shares(seen), deployed)
        if rest and shares(seen)[deployed]:
            seen = shift(clients, endpoint, rest, patience=patience)
        request = {"endpoint": endpoint, "deployed_model_id": deployed}
        problem: CloudError = late("a model is still deployed", endpoint, deployed)
        try:
            made = once("the model was not undeployed", endpoint, lambda: client.undeploy_model(request, timeout=60.0))  # noqa: B023
            operations.wait(client, made.operation.name, patience)
        except (*UNCLEAR, JobFailedError, MissingError) as error:
            problem = error
        except RejectedError as error:
            # It may have gone meanwhile; whether it has, the next look tells.
            if deployed in show(clients, endpoint, patience=patience).ids:
                raise
            problem = error
        after = find(clients, endpoint, patience=patience)
        if after is None or deployed not in after.ids:
            return after
        turns.rest(problem, least_s=patience.visibility_s)


def claim(clients: CloudClients, endpoint: str, task: str, *, patience: Patience | None = None) -> EndpointState:
    """Label an endpoint as a task's, so that it is listed and looked after; one that others made has no labels.

    Returns:
        The endpoint as read afterwards.
    """
    from google.cloud import aiplatform_v1

    patience = patience or Patience()
    client = clients.gapic("EndpointServiceClient")
    seen = show(clients, endpoint, patience=patience)
    wanted = {**clients.config.labels, **seen.labels, OWNER_LABEL: OWNER, TASK_LABEL: endpoint_id_of(task)}
    change = aiplatform_v1.Endpoint(name=endpoint, display_name=seen.display_name, labels=wanted)
    read(
        "an endpoint was not labelled",
        endpoint,
        lambda: client.update_endpoint(endpoint=change, update_mask={"paths": ["labels"]}, timeout=60.0),
        patience,
    )
    return show(clients, endpoint, patience=patience)


def roll_back(
    clients: CloudClients, endpoint: str, *, to: str, away: str = "", patience: Patience | None = None
) -> EndpointState:
    """Give all traffic to a deployed model, and only then take another away.

    Args:
        clients: Google's clients at the endpoint's place.
        endpoint: the endpoint's resource name.
        to: deployed id that shall answer.
        away: deployed id to undeploy afterwards, "" for none.
        patience: how long and how often.
    """
    seen = shift(clients, endpoint, {to: traffic.WHOLE}, patience=patience)
    if not away or away == to:
        return seen
    return undeploy(clients, endpoint, away, patience=patience) or seen


def delete(clients: CloudClients, endpoint: str, *, patience: Patience | None = None) -> None:
    """Delete an endpoint with everything at it. One that is not there is fine."""
    patience = patience or Patience()
    client = clients.gapic("EndpointServiceClient")
    seen = find(clients, endpoint, patience=patience)
    for item in sorted(seen.deployed, key=lambda item: item.traffic) if seen else ():
        undeploy(clients, endpoint, item.id, patience=patience)
    ask: Callable[[], str] = lambda: str(  # noqa: E731
        client.delete_endpoint({"name": endpoint}, timeout=60.0).operation.name
    )
    operations.delete(client, "the endpoint was not deleted", endpoint, ask, patience)


def find(clients: CloudClients, endpoint: str, *, patience: Patience | None = None) -> EndpointState | None:
    """Return an endpoint as it is now, None when there is none."""
    try:
        return show(clients, endpoint, patience=patience)
    except MissingError:
        return None


def show(clients: CloudClients, endpoint: str, *, patience: Patience | None = None) -> EndpointState:
    """Return an endpoint as it is now.

    Raises:
        MissingError: when there is none of that name.
    """
    client = clients.gapic("EndpointServiceClient")
    return read(
        "an endpoint cannot be read",
        endpoint,
        lambda: state_of(client.get_endpoint({"name": endpoint}, timeout=60.0)),
        patience or Patience(),
    )


def list_endpoints(clients: CloudClients, *, task: str = "", patience: Patience | None = None) -> list[EndpointState]:
    """Return this program's endpoints in a location, as they are now, by name.

    Args:
        clients: Google's clients; their location is the one that is looked at.
        task: only this task's; "" for all.
        patience: how long and how often.
    """
    client = clients.gapic("EndpointServiceClient")
    request = {"parent": clients.parent, "filter": f'labels.{OWNER_LABEL}="{OWNER}"', "page_size": 100}
    found = read(
        "endpoints cannot be listed",
        clients.parent,
        lambda: [state_of(item) for item in client.list_endpoints(request, timeout=60.0)],
        patience or Patience(),
    )
    ours = [item for item in found if item.labels.get(OWNER_LABEL) == OWNER]
    return sorted(
        (item for item in ours if not task or item.labels.get(TASK_LABEL) == endpoint_id_of(task)),
        key=lambda item: item.name,
    )
