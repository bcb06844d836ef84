"""Model Registry: upload, versions, aliases, labels, deletion. Tuned models are registered here by their jobs."""

from __future__ import annotations

import re
from typing import Any

from finetune_assets_tests.fakes.vertex_app import App, Call, page, route
from finetune_assets_tests.fakes.vertex_operations import start_operation
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

KIND = "Model"
# What the service says of every model with a container; the SDK's deploy asks for it.
CUSTOM_MODEL = {
    "supportedDeploymentResourcesTypes": ["DEDICATED_RESOURCES"],
    "supportedInputStorageFormats": ["jsonl", "bigquery", "csv"],
    "supportedOutputStorageFormats": ["jsonl", "bigquery"],
}
ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]|[a-z]")


def find_version(app: App, name: str) -> tuple[Resource, str]:
    """Return (model, version) of `models/ID`, `models/ID@2` or `models/ID@alias`.

    Raises:
        ApiError: 404.
    """
    plain, _, wanted = name.partition("@")
    it = app.find(plain, KIND)
    versions: Json = it.private["versions"]
    if not wanted:
        wanted = "default"
    if wanted in versions:
        return it, wanted
    for number, body in versions.items():
        if wanted in body["versionAliases"]:
            return it, number
    raise not_found("Model version", name)


def register_version(app: App, place: str, model_id: str, body: Json, private: Json) -> tuple[Resource, str]:
    """Add a version to a model, making the model when it is new. Returns the model and the version's number."""
    name = f"{place}/models/{model_id}"
    it = app.store.get(name)
    if it is None:
        it = app.store.add(Resource(name, KIND, place, {}, {"versions": {}, "next": 1, "inner": {}}))
    number = str(it.private["next"])
    it.private["next"] += 1
    wanted = list(body.get("versionAliases", []))
    default = not it.private["versions"] or body.get("isDefaultVersion", True) or "default" in wanted
    aliases = [alias for alias in wanted if alias != "default"] + (["default"] if default else [])
    for other in it.private["versions"].values():
        other["versionAliases"] = [alias for alias in other["versionAliases"] if alias not in aliases]
    now = stamp(app.store.real_of(app.store.now()))
    shown = {key: value for key, value in body.items() if key not in {"isDefaultVersion", "name"}}
    shown = {**shown, "versionAliases": aliases, "createTime": now, "updateTime": now, "versionCreateTime": now}
    it.private["versions"][number] = {**shown, "versionUpdateTime": now, "versionId": number, "etag": f"v{number}"}
    it.private["inner"][number] = private
    app.store.save(it)
    return it, number


def show(it: Resource, number: str) -> Json:
    """Return a version as clients see it."""
    return {"name": it.name, **it.private["versions"][number], "etag": f"{it.seq}-{number}"}


def default_of(it: Resource) -> str:
    """Return the number of a model's default version."""
    return next(
        (number for number, body in it.private["versions"].items() if "default" in body["versionAliases"]),
        max(it.private["versions"], key=int),
    )


def check_aliases(aliases: list[str]) -> None:
    """Refuse an alias that looks like a version number or breaks the form.

    Raises:
        ApiError: 400.
    """
    for alias in aliases:
        if not ALIAS.fullmatch(alias.removeprefix("-")):
            raise invalid(f"Invalid version alias: {alias!r}. It must match [a-z][a-zA-Z0-9-]{{0,126}}[a-z0-9].")


@route("POST", r"models:upload")
def _upload(app: App, call: Call) -> Json:
    body = camel(call.body)
    model: Json = body.get("model", {})
    if not model.get("displayName"):
        raise invalid("model.display_name is required.")
    check_names(model)
    check_aliases(model.get("versionAliases", []))
    parent, wanted = body.get("parentModel", ""), body.get("modelId", "")
    if parent:
        app.find(parent.partition("@")[0], KIND)
        model_id = parent.partition("@")[0].rsplit("/", 1)[-1]
    else:
        model_id = wanted or str(app.store.next_seq())
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", model_id):
            raise invalid(f"Invalid model_id: {model_id!r}. Valid characters are [a-z0-9_-], at most 63.")
        if app.store.get(f"{call.place}/models/{model_id}") is not None:
            raise ApiError(409, f"Model {call.place}/models/{model_id} already exists.")
    # Only the alias makes a later version the default one; the SDK writes it unless is_default_version=False.
    fields = {**model, **CUSTOM_MODEL, "isDefaultVersion": "default" in model.get("versionAliases", [])}
    it, number = register_version(app, call.place, model_id, fields, {"lessons": []})
    answer = {"model": it.name, "modelVersionId": number}
    return start_operation(
        app, call.version, it.name, 0.0, "UploadModelResponse", answer, "UploadModelOperationMetadata"
    )


@route("GET", r"models")
def _list(app: App, call: Call) -> Json:
    return page(app, call, KIND, "models", lambda it: show(it, default_of(it)))


@route("GET", r"(?P<rest>models/[^/:]+):listVersions")
def _versions(app: App, call: Call) -> Json:
    it = app.find(call.name.partition("@")[0], KIND)
    return {"models": [show(it, number) for number in sorted(it.private["versions"], key=int, reverse=True)]}


@route("GET", r"(?P<rest>models/[^/:]+)")
def _get(app: App, call: Call) -> Json:
    return show(*find_version(app, call.name))


@route("PATCH", r"(?P<rest>models/[^/:]+)")
def _patch(app: App, call: Call) -> Json:
    it, number = find_version(app, call.name)
    change = camel(call.body)
    for path in call.query.get("updateMask", "").split(","):
        key = camel({path: 0}).popitem()[0]
        if key not in {"labels", "displayName", "description", "versionDescription"}:
            raise invalid(f"Invalid update mask: {path!r}.")
        it.private["versions"][number][key] = change.get(key, {} if key == "labels" else "")
    it.private["versions"][number]["updateTime"] = stamp(app.store.real_of(app.store.now()))
    app.store.save(it)
    return show(it, number)


@route("POST", r"(?P<rest>models/[^/:]+):mergeVersionAliases")
def _merge(app: App, call: Call) -> Json:
    it, number = find_version(app, call.name)
    aliases: list[str] = camel(call.body).get("versionAliases", [])
    check_aliases(aliases)
    added = [alias for alias in aliases if not alias.startswith("-")]
    removed = {alias[1:] for alias in aliases if alias.startswith("-")}
    versions = it.private["versions"]
    if "default" in removed:
        raise invalid("The alias default can't be removed; it can only be moved.")
    missing = removed - set(versions[number]["versionAliases"])
    if missing:
        raise invalid(f"Version {number} has no alias {sorted(missing)}.")
    for body in versions.values():
        body["versionAliases"] = [alias for alias in body["versionAliases"] if alias not in added]
    kept = [alias for alias in versions[number]["versionAliases"] if alias not in removed]
    versions[number]["versionAliases"] = kept + added
    app.store.save(it)
    return show(it, number)


def deployments(app: App, name: str, number: str | None) -> list[str]:
    """Return the endpoints at which a model (or one version of it) is deployed."""
    return [
        endpoint.name
        for endpoint in app.store.of_kind("Endpoint")
        for deployed in endpoint.body.get("deployedModels", [])
        if deployed["model"] == name and number in {None, deployed.get("modelVersionId")}
    ]


@route("DELETE", r"(?P<rest>models/[^/:]+):deleteVersion")
def _delete_version(app: App, call: Call) -> Json:
    it, number = find_version(app, call.name)
    _refuse_deployed(app, it, number)
    if "default" in it.private["versions"][number]["versionAliases"] and len(it.private["versions"]) > 1:
        raise precondition(f"Version {number} is the default version; move the alias default first.")
    if len(it.private["versions"]) == 1:
        raise precondition("Can't delete the last version; delete the model.")
    del it.private["versions"][number]
    app.store.save(it)
    return _deleted(app, call, it)


@route("DELETE", r"(?P<rest>models/[^/:@]+)")
def _delete(app: App, call: Call) -> Json:
    it = app.find(call.name, KIND)
    _refuse_deployed(app, it, None)
    app.store.drop(it.name)
    return _deleted(app, call, it)


def _refuse_deployed(app: App, it: Resource, number: str | None) -> None:
    found = deployments(app, it.name, number)
    if found:
        raise precondition(f"The Model {it.name} is deployed at {found}; undeploy it first.")


def _deleted(app: App, call: Call, it: Resource) -> Json:
    answer: dict[str, Any] = {}
    return start_operation(app, call.version, it.name, 0.0, "google.protobuf.Empty", answer, "DeleteOperationMetadata")
