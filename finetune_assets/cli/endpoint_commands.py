"""`finetune endpoints`: endpoints of one's own at Vertex AI; they cost money as long as something is deployed there."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from finetune_assets.cli.common import AsJson, TaskName, find_task, home_folder, out, print_json
from finetune_assets.records.errors import FinetuneError

if TYPE_CHECKING:
    from finetune_assets.lineage.runtime import TaskRun
    from finetune_assets.serving.cloud.endpoint_state import EndpointState
    from finetune_assets.tuning.cloud.clients import CloudClients

endpoints = typer.Typer(name="endpoints", no_args_is_help=True, help="Endpoints: list, show, undeploy, delete.")

Yes = Annotated[bool, typer.Option("--yes", help="Do it though it is what answers now.")]
_NAME = typer.Argument(help="The endpoint's id or resource name.", show_default=False)


def _open(task: str) -> "tuple[TaskRun, CloudClients]":
    from finetune_assets.lineage.cloud.doors import open_clients
    from finetune_assets.lineage.comparing import open_here

    run = open_here(find_task(task), home_folder())
    if not run.config.cloud.project:
        raise FinetuneError("the task has no project", where=f"{task}: cloud.project", mend="set it in its defs.yaml")
    return run, open_clients(run, run.config.cloud.serves_in)


def _name(clients: "CloudClients", given: str) -> str:
    return given if given.startswith("projects/") else f"{clients.parent}/endpoints/{given}"


def _facts(state: "EndpointState") -> dict[str, Any]:
    return {
        "name": state.name,
        "display_name": state.display_name,
        "created": state.created.isoformat() if state.created else None,
        "costs": state.costs,
        "traffic": dict(state.traffic),
        "deployed": [
            {"id": item.id, "traffic": item.traffic, "min_replicas": item.min_replicas} for item in state.deployed
        ],
        "labels": dict(state.labels),
    }


@endpoints.command("list")
def list_all(task: TaskName, as_json: AsJson = False) -> None:
    """List the task's endpoints as they are now."""
    from finetune_assets.serving.cloud.endpoints import list_endpoints

    _, clients = _open(task)
    found = list_endpoints(clients, task=task)
    if as_json:
        print_json([_facts(state) for state in found])
        return
    table = Table("endpoint", "deployed", "traffic", "machines run")
    for state in found:
        split = ", ".join(f"{name}: {share} %" for name, share in state.traffic.items())
        table.add_row(state.name.rsplit("/", 1)[-1], str(len(state.deployed)), split, "yes" if state.costs else "no")
    out.print(table if found else f"{task} has no endpoint of its own in {clients.location}")


@endpoints.command()
def show(task: TaskName, endpoint: Annotated[str, _NAME], as_json: AsJson = False) -> None:
    """Show one endpoint: who is deployed there, and who answers how much."""
    from finetune_assets.serving.cloud.endpoints import show as look

    _, clients = _open(task)
    facts = _facts(look(clients, _name(clients, endpoint)))
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        out.print(f"{name:>14}  {value}", soft_wrap=True, markup=False)


Variant = Annotated[str, typer.Option("--variant", help="The tuning variant, where there are several.")]


@endpoints.command()
def options(task: TaskName, variant: Variant = "") -> None:
    """Show the machines that Model Garden recommends for a tuned open model's weights; nothing is deployed."""
    from finetune_assets.serving.cloud.model_garden import list_deploy_options

    _, clients, weights, _ = _weights(task, variant)
    out.print(list_deploy_options(clients, weights), markup=False)


@endpoints.command("try")
def try_out(task: TaskName, variant: Variant = "") -> None:
    """Deploy a tuned open model by Model Garden to an endpoint of its own, to try it out; no release, no traffic split.

    Its machines cost money until `finetune endpoints delete` takes them away.
    """
    from finetune_assets.serving.cloud.endpoints import claim
    from finetune_assets.serving.cloud.model_garden import deploy_weights, garden_name

    run, clients, weights, candidate = _weights(task, variant)
    state = deploy_weights(
        clients, weights, name=garden_name(task, candidate), machines=run.config.cloud.endpoint,
    )  # fmt: skip
    claim(clients, state.name, task)
    out.print(f"{state.name} answers; it costs until `finetune endpoints delete {task} {state.name.split('/')[-1]}`")


def _weights(task: str, variant: str) -> "tuple[TaskRun, CloudClients, str, str]":
    """Return the weights of a task's newest open model in the bucket, and whose they are."""
    from finetune_assets.lineage.contenders import find_candidate

    run, clients = _open(task)
    found = find_candidate(run, variant)
    managed = found.adapter.manifest.get("managed", {}) if found.adapter else {}
    if not managed.get("weights_uri"):
        raise FinetuneError(
            "there are no weights in a bucket",
            where=f"{task}/tuned_adapter",
            found=str(managed.get("backend", "an adapter of this machine")),
            expected="a model tuned by backend open_model",
        )
    return run, clients, managed["weights_uri"], found.candidate


@endpoints.command()
def undeploy(
    task: TaskName,
    endpoint: Annotated[str, _NAME],
    model: Annotated[str, typer.Option("--model", help="Id of one deployed model; without it all of them.")] = "",
    yes: Yes = False,
) -> None:
    """Take models from an endpoint, so that their machines stop; traffic is moved first."""
    from finetune_assets.serving.cloud.endpoints import show as look
    from finetune_assets.serving.cloud.endpoints import undeploy as take

    run, clients = _open(task)
    name = _name(clients, endpoint)
    wanted = [model] if model else sorted(look(clients, name).ids)
    _refuse_live(run, wanted, yes=yes)
    for deployed in wanted:
        take(clients, name, deployed)
        out.print(f"undeployed {deployed}")


@endpoints.command()
def delete(task: TaskName, endpoint: Annotated[str, _NAME], yes: Yes = False) -> None:
    """Delete an endpoint with everything that is deployed there."""
    from finetune_assets.serving.cloud.endpoints import delete as remove
    from finetune_assets.serving.cloud.endpoints import find

    run, clients = _open(task)
    name = _name(clients, endpoint)
    state = find(clients, name)
    _refuse_live(run, sorted(state.ids) if state else [], yes=yes)
    remove(clients, name)
    out.print(f"deleted {name}" if state else f"{name} is not there")


def _refuse_live(run: "TaskRun", models: list[str], *, yes: bool) -> None:
    from finetune_assets.lineage.cloud.idle import live_model

    live = live_model(run)
    if live and live in models and not yes:
        raise FinetuneError(
            "the live release answers there",
            where=run.task,
            found=live,
            mend="deploy another release first, or say --yes: questions will then fail",
        )
