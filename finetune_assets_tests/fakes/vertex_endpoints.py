"""Endpoints: create, list, traffic, deploy, undeploy, delete. What they answer lies in vertex_predict.py."""

from __future__ import annotations

import re

from finetune_assets_tests.fakes.vertex_app import App, Call, page, route
from finetune_assets_tests.fakes.vertex_custom import check_machine
from finetune_assets_tests.fakes.vertex_models import find_version
from finetune_assets_tests.fakes.vertex_operations import effect, pending_on, start_operation
from finetune_assets_tests.fakes.vertex_store import Resource
from finetune_assets_tests.fakes.vertex_wire import (
    ApiError,
    Json,
    camel,
    check_names,
    invalid,
    not_found,
    precondition,
    stamp,
)

KIND = "Endpoint"
ENDPOINT_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?|[1-9][0-9]{0,9}")
PATCHABLE = {"trafficSplit", "displayName", "description", "labels"}


def show(it: Resource) -> Json:
    """Return an endpoint as clients see it."""
    return {**it.body, "name": it.name, "etag": f"{it.seq}-{it.private.get('count', 0)}"}


def new_endpoint(app: App, place: str, endpoint_id: str, body: Json) -> Resource:
    """Store a new endpoint.

    Raises:
        ApiError: 409: there is one with this id.
    """
    seq = app.store.next_seq()
    name = f"{place}/endpoints/{endpoint_id or seq}"
    if app.store.get(name) is not None:
        raise ApiError(409, f"Endpoint {name} already exists.")
    now = stamp(app.store.real_of(app.store.now()))
    kept = {key: value for key, value in body.items() if key not in {"deployedModels", "trafficSplit", "name"}}
    full = {**kept, "name": name, "createTime": now, "updateTime": now, "deployedModels": [], "trafficSplit": {}}
    return app.store.add(Resource(name, KIND, place, full, {"count": 0}, seq=seq))


@route("POST", r"endpoints")
def _create(app: App, call: Call) -> Json:
    body, wanted = camel(call.body), call.query.get("endpointId", "")
    if not body.get("displayName"):
        raise invalid("endpoint.display_name is required.")
    check_names(body)
    if wanted and not ENDPOINT_ID.fullmatch(wanted):
        raise invalid(f"Invalid endpoint_id: {wanted!r}.")
    it = new_endpoint(app, call.place, wanted, body)
    answer = {"name": it.name}
    return start_operation(app, call.version, it.name, 0.0, "Endpoint", answer, "CreateEndpointOperationMetadata")


@route("GET", r"endpoints")
def _list(app: App, call: Call) -> Json:
    return page(app, call, KIND, "endpoints", show)


@route("GET", r"(?P<rest>endpoints/[^/:]+)")
def _get(app: App, call: Call) -> Json:
    return show(app.find(call.name, KIND))


def check_split(split: Json, ids: set[str]) -> dict[str, int]:
    """Return a traffic split without its zeros' doubts.

    Raises:
        ApiError: 400: the sum is not 100, or it names a model that is not deployed.
    """
    found = {key: int(value) for key, value in split.items()}
    if any(value < 0 for value in found.values()) or sum(found.values()) != 100:
        raise invalid(f"Traffic split percentages must sum to 100, found {sum(found.values())}.")
    unknown = sorted(set(found) - ids)
    if unknown:
        raise invalid(f"Traffic split names deployed models {unknown} that are not deployed at the endpoint.")
    return found


def ids_of(it: Resource) -> set[str]:
    """Return the ids of the models deployed at an endpoint."""
    return {deployed["id"] for deployed in it.body["deployedModels"]}


@route("PATCH", r"(?P<rest>endpoints/[^/:]+)")
def _patch(app: App, call: Call) -> Json:
    it, change = app.find(call.name, KIND), camel(call.body)
    for path in call.query.get("updateMask", "").split(","):
        key = camel({path: 0}).popitem()[0]
        if key not in PATCHABLE:
            raise invalid(f"Invalid update mask: {path!r}.")
        if key == "trafficSplit":
            it.body[key] = check_split(change.get(key, {}), ids_of(it))
        else:
            it.body[key] = change.get(key, {} if key == "labels" else "")
    it.body["updateTime"] = stamp(app.store.real_of(app.store.now()))
    app.store.save(it)
    return show(it)


@route("DELETE", r"(?P<rest>endpoints/[^/:]+)")
def _delete(app: App, call: Call) -> Json:
    it = app.find(call.name, KIND)
    if it.body["deployedModels"]:
        raise precondition(f"The endpoint {it.name} has deployed models {sorted(ids_of(it))}; undeploy them first.")
    app.store.drop(it.name)
    return start_operation(app, call.version, it.name, 0.0, "google.protobuf.Empty", {}, "DeleteOperationMetadata")


def _one_at_a_time(app: App, it: Resource) -> None:
    busy = [operation.name for operation in pending_on(app, it.name)]
    if busy:
        raise precondition(f'There are other operations running on the resource "{it.name}". Operation(s) are: {busy}.')


@route("POST", r"(?P<rest>endpoints/[^/:]+):deployModel")
def _deploy(app: App, call: Call) -> Json:
    it, body = app.find(call.name, KIND), camel(call.body)
    deployed: Json = body.get("deployedModel", {})
    model, number = find_version(app, deployed.get("model", ""))
    wanted = str(deployed.get("id", ""))
    if wanted and not re.fullmatch(r"[0-9]{1,10}", wanted):
        raise invalid(f"Invalid deployed_model.id: {wanted!r}. It must be 1-10 characters of [0-9].")
    coming = {
        operation.private["work"][1]["deployed"]["id"]
        for operation in pending_on(app, it.name)
        if _is_deploy(operation)
    }
    if wanted in ids_of(it) | coming:
        raise ApiError(409, f"DeployedModel with id {wanted} already exists at {it.name}.")
    _one_at_a_time(app, it)
    _check_resources(app, deployed)
    deployed_id = wanted or str(app.store.next_seq())
    split = {deployed_id if key == "0" else key: value for key, value in body.get("trafficSplit", {}).items()}
    if split:
        check_split(split, ids_of(it) | {deployed_id})
    now = stamp(app.store.real_of(app.store.now()))
    deployed = {**deployed, "id": deployed_id, "model": model.name, "modelVersionId": number, "createTime": now}
    work = ("deploy", {"endpoint": it.name, "deployed": deployed, "split": split})
    seconds = app.store.settings["operation_seconds"].get("deploy", 60.0)
    words = ("DeployModelResponse", {}, "DeployModelOperationMetadata")
    return start_operation(app, call.version, it.name, seconds, *words, work)


def _is_deploy(operation: Resource) -> bool:
    return bool(operation.private["work"]) and operation.private["work"][0] == "deploy"


def _check_resources(app: App, deployed: Json) -> None:
    dedicated = deployed.get("dedicatedResources")
    if dedicated is None:
        if not {"automaticResources", "sharedResources"} & set(deployed):
            raise invalid("One of dedicated_resources, automatic_resources or shared_resources must be set.")
        return
    if int(dedicated.get("minReplicaCount", 0) or 0) < 1:
        raise invalid("dedicated_resources.min_replica_count must be at least 1.")
    check_machine(app, dedicated.get("machineSpec", {}), int(dedicated["minReplicaCount"]))


@effect("deploy")
def _deployed(app: App, operation: Resource, work: Json) -> Json:
    it = app.find(work["endpoint"], KIND)
    it.body["deployedModels"].append(work["deployed"])
    if work["split"]:
        it.body["trafficSplit"] = check_split(work["split"], ids_of(it))
    it.body["updateTime"] = stamp(app.store.real_of(operation.end_v or 0.0))
    app.store.save(it)
    return {"deployedModel": work["deployed"]}


@route("POST", r"(?P<rest>endpoints/[^/:]+):undeployModel")
def _undeploy(app: App, call: Call) -> Json:
    it, body = app.find(call.name, KIND), camel(call.body)
    wanted = str(body.get("deployedModelId", ""))
    if wanted not in ids_of(it):
        raise not_found("DeployedModel", f"{wanted} of {it.name}")
    _one_at_a_time(app, it)
    split = {key: value for key, value in body.get("trafficSplit", {}).items() if key != wanted or int(value)}
    rest = ids_of(it) - {wanted}
    if split and rest:
        check_split(split, rest)
    elif rest and it.body["trafficSplit"].get(wanted, 0):
        raise precondition(f"DeployedModel {wanted} still has traffic; give a traffic_split that takes it away.")
    work = ("undeploy", {"endpoint": it.name, "id": wanted, "split": split})
    seconds = app.store.settings["operation_seconds"].get("undeploy", 10.0)
    words = ("UndeployModelResponse", {}, "UndeployModelOperationMetadata")
    return start_operation(app, call.version, it.name, seconds, *words, work)


@effect("undeploy")
def _undeployed(app: App, operation: Resource, work: Json) -> Json:
    it = app.find(work["endpoint"], KIND)
    it.body["deployedModels"] = [one for one in it.body["deployedModels"] if one["id"] != work["id"]]
    if not it.body["deployedModels"]:
        it.body["trafficSplit"] = {}
    elif work["split"]:
        it.body["trafficSplit"] = check_split(work["split"], ids_of(it))
    else:
        it.body["trafficSplit"].pop(work["id"], None)
    app.store.save(it)
    return {}
