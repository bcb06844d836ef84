"""tuningJobs: create, get, list, cancel, and how a job lives. What a job reads and makes lies in vertex_tuned.py."""

from __future__ import annotations

import math
from typing import Any

from finetune_assets_tests.fakes.vertex_app import App, Call, page, route, settler, times
from finetune_assets_tests.fakes.vertex_catalogue import (
    check_encryption,
    check_place,
    check_spec,
    known_model,
)
from finetune_assets_tests.fakes.vertex_gcs import GcsError, split_uri
from finetune_assets_tests.fakes.vertex_models import find_version
from finetune_assets_tests.fakes.vertex_store import Resource
from finetune_assets_tests.fakes.vertex_timeline import RUNNING, Phase, Timeline, build, finish, schedule
from finetune_assets_tests.fakes.vertex_tuned import agent_of, examine, harvest, spec_of
from finetune_assets_tests.fakes.vertex_wire import ApiError, Json, camel, check_names, invalid, not_found, precondition

KIND = "TuningJob"
PHASES = [
    Phase("QUEUED", "JOB_STATE_QUEUED", "", 2.0),
    Phase("PENDING", "JOB_STATE_PENDING", "", 3.0),
    Phase("QUOTA", RUNNING, "TUNING_JOB_STATE_WAITING_FOR_QUOTA", 0.0),
    Phase("PROCESSING", RUNNING, "TUNING_JOB_STATE_PROCESSING_DATASET", 20.0),
    Phase("CAPACITY", RUNNING, "TUNING_JOB_STATE_WAITING_FOR_CAPACITY", 10.0),
    Phase("WORK", RUNNING, "TUNING_JOB_STATE_TUNING", 240.0),
    Phase("POST", RUNNING, "TUNING_JOB_STATE_POST_PROCESSING", 25.0),
]
METHODS = {
    "supervisedTuningSpec": "supervised",
    "preferenceOptimizationSpec": "preference",
    "distillationSpec": "distillation",
}


def _method(body: Json) -> tuple[str, str]:
    found = [(key, method) for key, method in METHODS.items() if key in body]
    if len(found) != 1:
        raise invalid(f"Exactly one tuning spec must be set, one of {sorted(METHODS)}.")
    return found[0]


def _base_of(app: App, body: Json) -> tuple[str, list[str]]:
    """Return the base model's name and whose lessons the new model starts from."""
    before = body.get("preTunedModel")
    if before is None:
        if not body.get("baseModel"):
            raise invalid("base_model is required.")
        return body["baseModel"], []
    name = before.get("tunedModelName", "")
    it, number = find_version(app, name)
    inner = it.private["inner"].get(number, {})
    if not inner.get("base"):
        raise invalid(f"The model {name} is not a tuned model.")
    wanted = before.get("checkpointId")
    if wanted and wanted not in inner["checkpoints"]:
        raise not_found("checkpoint", f"{wanted} of {name}, which has {inner['checkpoints']}")
    before.update(tunedModelName=f"{it.name}@{number}", baseModel=inner["base"])
    before["checkpointId"] = wanted or (inner["checkpoints"] or ["1"])[-1]
    return inner["base"], inner["lessons"]


def _check_urls(spec: Json) -> None:
    for key in ("trainingDatasetUri", "validationDatasetUri"):
        uri = spec.get(key)
        if key == "trainingDatasetUri" and not uri:
            raise invalid("training_dataset_uri is required.")
        if uri and uri.startswith("gs://"):
            split_uri(uri)
        elif uri and not uri.startswith("projects/"):
            raise invalid(f"Invalid dataset URI: {uri}. It must start with gs://.")


@route("POST", r"tuningJobs")
def _create(app: App, call: Call) -> Json:
    body = camel(call.body)
    check_names(body)
    key, method = _method(body)
    base, lessons = _base_of(app, body)
    model = known_model(app.store, base)
    location = call.params["location"]
    check_place(model, location)
    check_spec(model, method, body[key], body)
    check_encryption(model, location, body)
    spec = spec_of(body)
    _check_urls(spec)
    private: dict[str, Any] = {"plan": app.store.take_plan("tuning"), "quota_class": model.family, "lessons": lessons}
    private.update(form=_form(model.family, method), model=model.name, max_tokens=model.max_tokens, method=method)
    _check_quota(app, model.family)
    it = Resource("", KIND, call.place, {**body, "state": "JOB_STATE_QUEUED"}, private, seq=app.store.next_seq())
    it.name = it.body["name"] = f"{call.place}/tuningJobs/{it.seq}"
    it.body.setdefault("baseModel", base)
    it.body["experiment"] = f"{call.place}/metadataStores/default/contexts/tuning-experiment-{it.seq}"
    if app.store.settings["check_dataset_at_create"]:
        try:
            problem = examine(app, it)
        except GcsError as error:
            raise ApiError(503, error.message) from error
        if problem:
            raise ApiError({7: 403, 5: 404}.get(problem["code"], 400), problem["message"])
    app.store.add(it)
    app.store.bear_witness(it)
    return show(app, it, build(it, PHASES, 0.0))


def _form(family: str, method: str) -> str:
    if family == "open":
        return "prompts" if method == "distillation" else "open"
    return "preference" if method == "preference" else "gemini"


def _check_quota(app: App, family: str) -> None:
    quota, store = app.store.settings["tuning_quota"], app.store
    if not store.settings["tuning_quota_rejects"] or quota <= 0:
        return
    if sum(it.private["quota_class"] == family for it in store.alive(KIND)) >= quota:
        name = (
            "global_concurrent_tuning_jobs"
            if family == "gemini"
            else "global_concurrent_managed_oss_model_fine_tuning_jobs"
        )
        raise ApiError(429, f"Quota exceeded for aiplatform.googleapis.com/{name} with base model: {family}.")


def lives(app: App) -> dict[str, Timeline]:
    """Return the lives of all tuning jobs that have not ended."""
    return schedule(app.store, KIND, PHASES, app.store.settings["tuning_quota"])


@settler
def _settle(app: App) -> float:
    now = app.store.now()
    moved = True
    while moved:
        found = lives(app)
        app.cache["tuning"] = found
        moved = any([_move(app, it, found[it.name], now) for it in app.store.alive(KIND)])
    waits = [life.end_v for life in found.values()]
    waits += [found[it.name].start_of("PROCESSING") for it in app.store.alive(KIND) if "examined" not in it.private]
    return min(waits, default=math.inf)


def _move(app: App, it: Resource, life: Timeline, now: float) -> bool:
    """Read a job's data, end it, or leave it. Returns whether the other jobs' lives may have changed."""
    if now >= life.start_of("PROCESSING") and "examined" not in it.private and life.end_v > life.start_of("PROCESSING"):
        try:
            error = examine(app, it)
        except GcsError:
            if now < life.end_of("PROCESSING"):
                return False
            it.private["stall_v"] = now + 1.0  # Cloud Storage is away: the job goes on processing
            app.store.save(it)
            return False
        it.private["examined"] = 1
        if error is not None and life.end_v > life.end_of("PROCESSING"):
            it.private["end"] = {"v": life.end_of("PROCESSING"), "state": "JOB_STATE_FAILED", "error": error}
        app.store.save(it)
        return True
    if now < life.end_v:
        return False
    if life.end_state in {"JOB_STATE_SUCCEEDED", "JOB_STATE_PARTIALLY_SUCCEEDED"}:
        try:
            harvest(app, it)
        except GcsError as problem:
            if problem.status == "UNAVAILABLE":
                return False
            it.private["end"] = {"v": life.end_v, "state": "JOB_STATE_FAILED", "error": _denied(it, problem)}
            app.store.save(it)
            return True
    finish(app.store, it, life)
    return True


def _denied(it: Resource, problem: GcsError) -> Json:
    return {"code": 7, "message": f"{agent_of(it)} could not write the output: {problem.message}"}


def show(app: App, it: Resource, life: Timeline | None = None) -> Json:
    """Return a tuning job as clients see it."""
    shown = dict(it.body)
    if it.ended:
        return {**shown, **times(app, it, it.private.get("start_v"), it.end_v)}
    life = life or app.cache["tuning"][it.name]
    now = app.store.now()
    phase, start, end = life.at(now)
    shown["state"] = life.state_at(now)
    if phase.fine:
        shown["tuningJobState"] = phase.fine
    unknown = it.private.get("plan", {}).get("unknown_state")
    if phase.key == "WORK":
        share = min(1.0, (now - start) / max(1e-9, end - start))
        if unknown and share < 0.5:
            shown["state"] = unknown
        shown["tuningJobMetadata"] = _progress(it, share)
    started = life.slot_v if life.slot_v is not None and now >= life.slot_v else None
    return {**shown, **times(app, it, started, None)}


def _progress(it: Resource, share: float) -> Json:
    epochs, steps = it.private.get("epochs", 1), it.private.get("steps", 1)
    return {"completedEpochCount": str(int(epochs * share)), "completedStepCount": str(int(steps * share))}


@route("GET", r"tuningJobs")
def _list(app: App, call: Call) -> Json:
    return page(app, call, KIND, "tuningJobs", lambda it: show(app, it))


@route("GET", r"(?P<rest>tuningJobs/[^/:]+)")
def _get(app: App, call: Call) -> Json:
    return show(app, app.find(call.name, KIND))


@route("POST", r"(?P<rest>tuningJobs/[^/:]+):cancel")
def _cancel(app: App, call: Call) -> Json:
    it = app.find(call.name, KIND)
    if it.ended:
        raise precondition(f"The tuning job {it.name} is in state {it.body['state']} and can't be cancelled.")
    it.private.setdefault("cancel_v", app.store.now())
    app.store.save(it)
    return {}
