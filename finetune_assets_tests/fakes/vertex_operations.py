"""Long-running operations: nested names, `/ui/` polling, Any answers of the version that made the call.

What an operation will do is stored with it and happens when the clock reaches its time, also after a restart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from finetune_assets_tests.fakes.vertex_app import App, Call, route, settler
from finetune_assets_tests.fakes.vertex_store import Resource
from finetune_assets_tests.fakes.vertex_wire import ApiError, Json, any_of, not_found, rpc_status, stamp

KIND = "Operation"
Effect: TypeAlias = "Callable[[App, Resource, Json], Json]"
# Effects by name: (app, operation, its arguments) -> the response's fields. An ApiError fails the operation.
EFFECTS: dict[str, Effect] = {}


def effect(name: str) -> Callable[[Effect], Effect]:
    """Register what an operation does at its end."""

    def register(work: Effect) -> Effect:
        EFFECTS[name] = work
        return work

    return register


def start_operation(
    app: App,
    version: str,
    target: str,
    seconds: float,
    message: str,
    answer: Json,
    metadata: str,
    work: tuple[str, Json] | None = None,
) -> Json:
    """Store an operation below its target and return it as clients see it.

    Args:
        app: The stand-in.
        version: The API version of the call; the answer's type is of that version.
        target: The full name that the operation's name is nested in.
        seconds: Virtual seconds until it is done.
        message: The answer's message, or google.protobuf.Empty.
        answer: The answer's fields, when there is no work.
        metadata: The metadata's message.
        work: (effect, arguments) to do at the end.
    """
    number = app.store.next_seq()
    place = "/".join(target.split("/")[:4])
    version = "v1" if version == "ui" else version
    plan = app.store.take_plan("operation") if work else {}
    seconds = float(plan.get("duration_s", seconds))
    private = {"version": version, "message": message, "answer": answer, "target": target, "work": work, "plan": plan}
    now = stamp(app.store.real_of(app.store.now()))
    meta = any_of(version, metadata, {"genericMetadata": {"createTime": now, "updateTime": now}})
    it = Resource(f"{target}/operations/{number}", KIND, place, {"metadata": meta}, private, seq=number)
    app.store.add(it)
    it.end_v = it.created_v + seconds
    app.store.save(it)
    if seconds <= 0:
        _end(app, it)
    return show(it)


def show(it: Resource) -> Json:
    """Return an operation as clients see it."""
    shown = {"name": it.name, **it.body}
    if it.ended:
        shown["done"] = True
    return shown


def pending_on(app: App, target: str) -> list[Resource]:
    """Return the operations that still work on a resource."""
    return [it for it in app.store.alive(KIND) if it.private["target"] == target]


def _end(app: App, it: Resource) -> None:
    it.ended = True
    private = it.private
    try:
        fail = private["plan"].get("fail")
        if fail:
            raise ApiError(500, fail.get("message", "Internal error"), fail.get("status", "INTERNAL"))
        answer = EFFECTS[private["work"][0]](app, it, private["work"][1]) if private["work"] else private["answer"]
        it.body["response"] = any_of(private["version"], private["message"], answer)
    except ApiError as error:
        it.body["error"] = rpc_status(error.body()["error"]["status"], error.message)
    app.store.save(it)


@settler
def _settle(app: App) -> float:
    now = app.store.now()
    for it in app.store.alive(KIND):
        if it.end_v is not None and it.end_v <= now:
            _end(app, it)
    return min((it.end_v for it in app.store.alive(KIND) if it.end_v is not None), default=math.inf)


@route("GET", r"(?P<rest>.*operations/[^/:]+)")
def _get(app: App, call: Call) -> Json:
    it = app.store.get(call.name)
    if it is None or it.kind != KIND:
        raise not_found("Operation", call.name)
    return show(it)


@route("POST", r"(?P<rest>.*operations/[^/:]+):wait")
def _wait(app: App, call: Call) -> Json:
    return _get(app, call)


@route("POST", r"(?P<rest>.*operations/[^/:]+):cancel")
def _cancel(app: App, call: Call) -> Json:
    it = app.find(call.name, KIND)
    if not it.ended:
        it.ended = True
        it.body["error"] = rpc_status("CANCELLED", "The operation was cancelled.")
        app.store.save(it)
    return {}
