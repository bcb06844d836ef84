"""batchPredictionJobs: JSON lines in, JSON lines out, for publisher models, tuned models and models of one's own."""

from __future__ import annotations

import json
import math
from typing import Any

from finetune_assets_tests.fakes.vertex_answers import guess, lessons_of, prompt_of, reply
from finetune_assets_tests.fakes.vertex_app import App, Call, page, route, settler, times
from finetune_assets_tests.fakes.vertex_custom import check_machine
from finetune_assets_tests.fakes.vertex_gcs import GcsError, split_uri
from finetune_assets_tests.fakes.vertex_models import find_version
from finetune_assets_tests.fakes.vertex_predict import SERVED, check_contents, content_answer, instance_answer
from finetune_assets_tests.fakes.vertex_store import Resource
from finetune_assets_tests.fakes.vertex_timeline import RUNNING, Phase, Timeline, build, finish
from finetune_assets_tests.fakes.vertex_tuned import PROJECT_NUMBER
from finetune_assets_tests.fakes.vertex_wire import (
    ApiError,
    Json,
    camel,
    check_names,
    dumps,
    invalid,
    not_found,
    precondition,
    rpc_status,
    stamp,
)

KIND = "BatchPredictionJob"
PHASES = [
    Phase("QUEUED", "JOB_STATE_QUEUED", "", 2.0),
    Phase("PENDING", "JOB_STATE_PENDING", "", 8.0),
    Phase("WORK", RUNNING, "", 90.0),
]
AGENT = f"service-{PROJECT_NUMBER}@gcp-sa-aiplatform.iam.gserviceaccount.com"


def _target(app: App, name: str) -> tuple[str, list[str], str]:
    """Return (kind, owners of the lessons, image or version) of the model that a batch asks."""
    if "publishers/" in name:
        model = name.rsplit("/", 1)[-1]
        if not model.startswith(SERVED):
            raise not_found("Publisher Model", name)
        return "gemini", [], model
    if "/endpoints/" in name:
        deployed = app.find(name, "Endpoint").body["deployedModels"]
        if not deployed:
            raise precondition(f"Endpoint {name} has no deployed model.")
        name = f"{deployed[0]['model']}@{deployed[0]['modelVersionId']}"
    it, number = find_version(app, name)
    inner = it.private["inner"].get(number, {})
    owners = lessons_of(app, it, number)
    if str(inner.get("base", "")).startswith("gemini"):
        return "gemini", owners, f"{it.name}@{number}"
    return "custom", owners, it.private["versions"][number].get("containerSpec", {}).get("imageUri", "")


@route("POST", r"batchPredictionJobs")
def _create(app: App, call: Call) -> Json:
    body = camel(call.body)
    name = body.get("model", "")
    if not name.startswith("projects/") and name:
        name = f"{call.place}/{name}"
    check_names(body)
    kind, owners, detail = _target(app, name)
    if not body.get("displayName"):
        raise invalid("display_name is required.")
    uris = body.get("inputConfig", {}).get("gcsSource", {}).get("uris", [])
    target = body.get("outputConfig", {}).get("gcsDestination", {}).get("outputUriPrefix", "")
    if body.get("inputConfig", {}).get("instancesFormat") != "jsonl" or not uris or not target:
        raise invalid("The stand-in takes batches of jsonl from Cloud Storage to Cloud Storage only.")
    try:
        for uri in [*uris, target]:
            split_uri(uri)
    except GcsError as error:
        raise invalid(error.message) from error
    if kind == "custom":
        machine = body.get("dedicatedResources", {}).get("machineSpec")
        if not machine:
            raise invalid("dedicated_resources.machine_spec is required for custom models.")
        check_machine(app, machine, int(body["dedicatedResources"].get("startingReplicaCount", 1) or 1))
    private = {"plan": app.store.take_plan("batch"), "kind": kind, "owners": owners, "detail": detail}
    it = Resource("", KIND, call.place, {**body, "state": "JOB_STATE_PENDING"}, private, seq=app.store.next_seq())
    it.name = it.body["name"] = f"{call.place}/batchPredictionJobs/{it.seq}"
    app.store.add(it)
    app.store.bear_witness(it)
    return show(app, it, build(it, PHASES, 0.0))


@settler
def _settle(app: App) -> float:
    now = app.store.now()
    found: dict[str, Timeline] = {}
    for it in app.store.alive(KIND):
        life = found[it.name] = build(it, PHASES, 0.0)
        if now < life.end_v:
            continue
        if life.end_state in {"JOB_STATE_SUCCEEDED", "JOB_STATE_PARTIALLY_SUCCEEDED"}:
            try:
                _run(app, it)
            except GcsError as problem:
                if problem.status == "UNAVAILABLE":
                    continue
                life.end_state, life.error = "JOB_STATE_FAILED", rpc_status(problem.status, problem.message)
        finish(app.store, it, life)
    app.cache["batches"] = found
    return min((life.end_v for life in found.values()), default=math.inf)


def _run(app: App, it: Resource) -> None:
    """Answer every line and write the output files.

    Raises:
        GcsError: The input can't be read, is broken, or the output can't be written.
    """
    good, bad = [], []
    work = _gemini_line if it.private["kind"] == "gemini" else _custom_line
    for uri in it.body["inputConfig"]["gcsSource"]["uris"]:
        for number, text in enumerate(app.gcs.read(uri, AGENT).decode().splitlines(), 1):
            if not text.strip():
                continue
            try:
                line = json.loads(text)
            except ValueError as error:
                raise GcsError("INVALID_ARGUMENT", f"Line {number} of {uri} is not valid JSON.") from error
            answer = work(app, it, line)
            (bad if answer.get("status") or "error" in answer else good).append(answer)
    target = it.body["outputConfig"]["gcsDestination"]["outputUriPrefix"].rstrip("/")
    shown = "model" if it.private["kind"] == "gemini" else it.body["displayName"]
    # The real folder's name carries the time; the job's number keeps it the same after a restart.
    folder = f"{target}/prediction-{shown}-{stamp(it.created)}"
    for name, lines in _files(it, good, bad).items():
        app.gcs.write(f"{folder}/{name}", "".join(f"{dumps(line)}\n" for line in lines).encode(), AGENT)
    it.body["outputInfo"] = {"gcsOutputDirectory": folder}
    it.body["completionStats"] = {
        "successfulCount": str(len(good)),
        "failedCount": str(len(bad)),
        "incompleteCount": "0",
    }


def _files(it: Resource, good: list[Json], bad: list[Json]) -> dict[str, list[Json]]:
    if it.private["kind"] == "gemini":
        # The order of the output is not the order of the input: nobody may count on it.
        return {"predictions.jsonl": list(reversed(good + bad))}
    files = {"prediction.results-00000-of-00001": list(reversed(good))}
    if bad:
        files["prediction.errors_stats-00000-of-00001"] = bad
    return files


def _gemini_line(app: App, it: Resource, line: Any) -> Json:
    request = line.get("request") if isinstance(line, dict) else None
    answer: Json = {**line} if isinstance(line, dict) else {"request": line}
    answer["processed_time"] = stamp(it.created)
    try:
        if not isinstance(request, dict):
            raise invalid("The line has no request.")
        check_contents(request)
    except ApiError as error:
        return {**answer, "status": f"Bad Request: {error.message}", "response": {}}
    prompt = prompt_of(request)
    text = reply(app, it.private["owners"], prompt) if it.private["owners"] else guess(prompt)
    return {**answer, "status": "", "response": content_answer(request, text, it.private["detail"])}


def _custom_line(app: App, it: Resource, line: Any) -> Json:
    text = reply(app, it.private["owners"], prompt_of(line))
    return {"instance": line, "prediction": instance_answer(it.private["detail"], line, text)}


def show(app: App, it: Resource, life: Timeline | None = None) -> Json:
    """Return a batch job as clients see it."""
    if it.ended:
        return {**it.body, **times(app, it, it.created_v, it.end_v)}
    life = life or app.cache["batches"][it.name]
    now = app.store.now()
    start = life.start_of("WORK")
    return {**it.body, "state": life.state_at(now), **times(app, it, start if now >= start else None, None)}


@route("GET", r"batchPredictionJobs")
def _list(app: App, call: Call) -> Json:
    return page(app, call, KIND, "batchPredictionJobs", lambda it: show(app, it))


@route("GET", r"(?P<rest>batchPredictionJobs/[^/:]+)")
def _get(app: App, call: Call) -> Json:
    return show(app, app.find(call.name, KIND))


@route("POST", r"(?P<rest>batchPredictionJobs/[^/:]+):cancel")
def _cancel(app: App, call: Call) -> Json:
    it = app.find(call.name, KIND)
    if it.ended:
        raise precondition(f"The batch prediction job {it.name} is in state {it.body['state']}.")
    it.private.setdefault("cancel_v", app.store.now())
    app.store.save(it)
    return {}


@route("DELETE", r"(?P<rest>batchPredictionJobs/[^/:]+)")
def _delete(app: App, call: Call) -> Json:
    from finetune_assets_tests.fakes.vertex_operations import start_operation

    it = app.find(call.name, KIND)
    if not it.ended:
        raise precondition(f"The batch prediction job {it.name} has not ended.")
    app.store.drop(it.name)
    return start_operation(app, call.version, it.name, 0.0, "google.protobuf.Empty", {}, "DeleteOperationMetadata")
