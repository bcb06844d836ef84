"""Model Garden: deploying tuned open weights from Cloud Storage in one call, which chooses the container itself.

Each call makes a new model and a new endpoint, takes no id and no labels, and is marked experimental (agentplatform
2.7.0). A deployment is known again by the display name of its endpoint. For a release with a traffic split use
`model_registry` and `deployments`: a second version of one model at one endpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from finetune_assets.serving.cloud.calls import UNCLEAR, Patience, late, once, read
from finetune_assets.serving.cloud.endpoint_state import EndpointState, state_of
from finetune_assets.serving.cloud.operations import NoteOperation, forget
from finetune_assets.tuning.cloud.clients import REQUEST_TIMEOUT_S, CloudClients, knowing_it_is_experimental
from finetune_assets.tuning.cloud.config import EndpointMachines
from finetune_assets.tuning.cloud.errors import AmbiguousError, JobFailedError, MissingError, RejectedError

_LOOKS_AFTER_SILENCE = 5
_SHOWN_DIGITS = 12


def garden_name(task: str, candidate: str) -> str:
    """Return the display name under which a candidate's own endpoint is known."""
    return f"{task}-{candidate[:_SHOWN_DIGITS]}"


def list_deploy_options(clients: CloudClients, weights_uri: str, *, patience: Patience | None = None) -> str:
    """Return the machines that Model Garden recommends for weights, as text for people; nothing is deployed.

    Args:
        clients: Google's clients at the place that would serve.
        weights_uri: gs:// folder of the weights.
        patience: how often.

    Raises:
        RejectedError: when there are no weights, or no machines for them.
    """
    garden = _garden(clients)

    def ask() -> str:
        try:
            return str(garden.list_custom_model_deploy_options(src=weights_uri))
        except ValueError as error:
            raise RejectedError(
                "no machines are recommended for these weights",
                where=weights_uri,
                found=str(error),
                mend="check the folder, or name machine and accelerator in cloud.endpoint",
            ) from error

    return read("deploy options cannot be read", weights_uri, ask, patience or Patience())


def find_deployed(clients: CloudClients, name: str, *, patience: Patience | None = None) -> EndpointState | None:
    """Return the endpoint that Model Garden made under a display name, the oldest of several; None for none."""
    client = clients.gapic("EndpointServiceClient")
    request = {"parent": clients.parent, "filter": f'display_name="{name}"', "page_size": 100}
    found = read(
        "endpoints cannot be listed",
        clients.parent,
        lambda: [state_of(item) for item in client.list_endpoints(request, timeout=60.0)],
        patience or Patience(),
    )
    ours = [item for item in found if item.display_name == name]
    return min(ours, key=lambda item: (item.created is None, item.created, item.name), default=None)


def deploy_weights(
    clients: CloudClients,
    weights_uri: str,
    *,
    name: str,
    machines: EndpointMachines,
    operation: str = "",
    on_operation: NoteOperation = forget,
    patience: Patience | None = None,
) -> EndpointState:
    """Deploy weights to an endpoint of their own; the one that is there already is returned.

    Args:
        clients: Google's clients at the place that serves.
        weights_uri: gs:// folder with safetensors, configuration and tokenizer.
        name: the display name, see `garden_name`.
        machines: machine and accelerator; replicas as well.
        operation: an operation that an earlier call was told, to attach to.
        on_operation: told the operation's name before it is waited for.
        patience: how long and how often.

    Returns:
        The endpoint.

    Raises:
        AmbiguousError: when the answer was lost and nothing shows: a second request could pay for two endpoints, so
            that it is left to the next run, which looks again first.
        JobFailedError: when the deployment failed.
        CloudError: when the service refuses.
    """
    patience = patience or Patience()
    garden = _garden(clients)
    if operation:
        _settled(garden, operation, patience)
    there = find_deployed(clients, name, patience=patience)
    if there is not None and there.deployed:
        return there
    if there is None:
        try:
            operation = once(
                "the weights were not deployed",
                weights_uri,
                lambda: str(garden.deploy_custom_model(src=weights_uri, config=_config(name, machines)).name),
            )
            on_operation(operation)
            _wait(garden, operation, patience)
        except UNCLEAR as error:
            return _found_late(clients, name, patience, error)
    return _shown(clients, name, patience)


def _settled(garden: Any, operation: str, patience: Patience) -> None:
    try:
        _wait(garden, operation, patience)
    except (MissingError, JobFailedError):
        return


def _wait(garden: Any, operation: str, patience: Patience) -> None:
    turns = patience.turns()
    while True:
        found = read(
            "an operation cannot be looked at",
            operation,
            lambda: garden.get_deploy_publisher_model_operation(operation_name=operation),
            patience,
        )
        if found.done:
            break
        turns.rest(late("an operation is not done in time", operation, "it is under way"))
    if found.error:
        raise JobFailedError(
            "the weights were not deployed",
            where=operation,
            found=str(found.error.get("message", found.error)),
            mend="mend what it names; quotas of accelerators are asked for in the console",
        )


def _found_late(clients: CloudClients, name: str, patience: Patience, error: Exception) -> EndpointState:
    if not isinstance(error, AmbiguousError):
        raise error
    for _ in range(_LOOKS_AFTER_SILENCE):
        patience.sleep(patience.visibility_s)
        if find_deployed(clients, name, patience=patience) is not None:
            return _shown(clients, name, patience)
    raise error


def _shown(clients: CloudClients, name: str, patience: Patience) -> EndpointState:
    turns = patience.turns()
    while True:
        found = find_deployed(clients, name, patience=patience)
        if found is not None and found.deployed:
            return found
        turns.rest(late("an endpoint of Model Garden does not show its model", name, "no deployed model"))


def _config(name: str, machines: EndpointMachines) -> dict[str, Any]:
    accelerated = bool(machines.accelerator_type and machines.accelerator_count)
    return {
        "machine_type": machines.machine_type,
        "accelerator_type": machines.accelerator_type if accelerated else None,
        "accelerator_count": machines.accelerator_count if accelerated else None,
        "min_replica_count": machines.min_replicas,
        "max_replica_count": machines.max_replicas,
        "endpoint_display_name": name,
        "model_display_name": name,
        "wait_for_completion": False,
    }


def _garden(clients: CloudClients) -> Any:
    import agentplatform
    from google.genai import types
    from google.oauth2.credentials import Credentials

    options: dict[str, Any] = {"timeout": round(REQUEST_TIMEOUT_S * 1000)}
    if clients.emulator:
        options["base_url"] = clients.emulator
    credentials = Credentials(token="stand-in") if clients.emulator else None  # type: ignore[no-untyped-call]  # noqa: S106
    make: Callable[..., Any] = agentplatform.Client
    client = make(
        project=clients.project,
        location=clients.location,
        credentials=credentials,
        http_options=types.HttpOptions(**options),
    )
    with knowing_it_is_experimental():
        return client.model_garden
