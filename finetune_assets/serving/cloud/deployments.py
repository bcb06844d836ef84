"""Deploying a candidate to an endpoint, at most once: its id there is made from the candidate.

A deployment takes 10 to 60 minutes and goes on without us. A second request of the same id is refused while the first
is under way, so that nothing is lost by asking again; whether it worked is read from the endpoint.
"""

from __future__ import annotations

from typing import Any

from finetune_assets.records.digests import digest_of
from finetune_assets.serving.cloud import operations, traffic
from finetune_assets.serving.cloud.calls import UNCLEAR, Patience, late, once
from finetune_assets.serving.cloud.endpoint_state import EndpointState
from finetune_assets.serving.cloud.endpoints import shares, show
from finetune_assets.serving.cloud.operations import NoteOperation, forget
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.config import EndpointMachines
from finetune_assets.tuning.cloud.errors import CloudError, RejectedError

_DEPLOYED_DIGITS = 9


def deployed_id(candidate: str) -> str:
    """Return the id under which a candidate is deployed: 9 digits of a digest, the first not 0."""
    number = int(digest_of({"deployed": candidate}), 16)
    lowest = 10 ** (_DEPLOYED_DIGITS - 1)
    return str(lowest + number % (9 * lowest))


def deploy(
    clients: CloudClients,
    endpoint: str,
    *,
    model: str,
    candidate: str,
    display_name: str,
    machines: EndpointMachines,
    percent: int,
    service_account: str = "",
    operation: str = "",
    on_operation: NoteOperation = forget,
    patience: Patience | None = None,
) -> EndpointState:
    """Deploy a candidate's registered version, at most once; what is there already is left as it is.

    Args:
        clients: Google's clients at the endpoint's place.
        endpoint: the endpoint's resource name.
        model: the version, `projects/…/models/ID@VERSION`.
        candidate: the candidate's id; it decides the deployed model's.
        display_name: what the console shows.
        machines: machine, accelerator and replicas.
        percent: traffic of the newcomer; the others keep their proportions. The first one at an endpoint gets all.
        service_account: identity of the container, "" for the service's own.
        operation: an operation that an earlier call was told, to attach to.
        on_operation: told the operation's name before it is waited for; a deployment takes 10 to 60 minutes.
        patience: how long and how often.

    Returns:
        The endpoint with the candidate at it, and whatever traffic it was given: `shift` changes it.

    Raises:
        JobFailedError: when the deployment failed; nothing of it is left then.
        CloudError: when the service refuses: quota, no such model or machine.
    """
    patience = patience or Patience()
    client = clients.gapic("EndpointServiceClient")
    if operation:
        operations.settle(client, operation, patience)
    ours = deployed_id(candidate)
    turns = patience.turns()
    while True:
        seen = show(clients, endpoint, patience=patience)
        if ours in seen.ids:
            return seen
        request = {
            "endpoint": endpoint,
            "deployed_model": {
                "id": ours,
                "model": model,
                "display_name": display_name,
                "dedicated_resources": _resources(machines),
                "service_account": service_account,
            },
            "traffic_split": traffic.with_newcomer(shares(seen), percent),
        }
        problem = _asked_to_deploy(client, endpoint, request, on_operation, patience)
        if problem is None:
            seen = show(clients, endpoint, patience=patience)
            if ours in seen.ids:
                return seen
            problem = late("a deployed model does not show", endpoint, f"{len(seen.ids)} others")
        turns.rest(problem, least_s=patience.visibility_s)


def _asked_to_deploy(
    client: Any, endpoint: str, request: dict[str, Any], on_operation: NoteOperation, patience: Patience
) -> CloudError | None:
    """Ask once and wait; return the problem when nobody knows what came of it."""
    try:
        # A second request of the same id gets 409, also while the first is still under way.
        made = once("the model was not deployed", endpoint, lambda: client.deploy_model(request, timeout=60.0))
        on_operation(made.operation.name)
        operations.wait(client, made.operation.name, patience)
    except UNCLEAR as error:
        return error
    return None


def _resources(machines: EndpointMachines) -> Any:
    from google.cloud import aiplatform_v1

    return aiplatform_v1.DedicatedResources(
        machine_spec=machine_spec(machines),
        min_replica_count=machines.min_replicas,
        max_replica_count=machines.max_replicas,
    )


def machine_spec(machines: EndpointMachines) -> dict[str, Any]:
    """Return the machine of one replica.

    Raises:
        RejectedError: when there is no such accelerator.
    """
    from google.cloud import aiplatform_v1

    machine: dict[str, Any] = {"machine_type": machines.machine_type}
    if not machines.accelerator_type or not machines.accelerator_count:
        return machine
    kinds = aiplatform_v1.AcceleratorType
    if machines.accelerator_type not in kinds.__members__:
        raise RejectedError(
            "there is no such accelerator",
            where="cloud.endpoint.accelerator_type",
            found=machines.accelerator_type,
            expected=", ".join(name for name in kinds.__members__ if name.startswith("NVIDIA")),
            mend="correct the name, or leave it empty for a machine without one",
        )
    kind = kinds[machines.accelerator_type]
    return {**machine, "accelerator_type": kind, "accelerator_count": machines.accelerator_count}
