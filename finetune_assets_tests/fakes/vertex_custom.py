"""customJobs: create, get, list, cancel; timed simulations, or containers that really run (vertex_containers.py)."""

from __future__ import annotations

import math
import re
import signal
import time

from finetune_assets_tests.fakes import vertex_containers as containers
from finetune_assets_tests.fakes.vertex_app import App, Call, page, route, settler, times
from finetune_assets_tests.fakes.vertex_gcs import GcsError, split_uri
from finetune_assets_tests.fakes.vertex_store import Resource
from finetune_assets_tests.fakes.vertex_timeline import RUNNING, Phase, Timeline, build, finish
from finetune_assets_tests.fakes.vertex_tuned import PROJECT_NUMBER, write_weights
from finetune_assets_tests.fakes.vertex_wire import (
    ApiError,
    Json,
    accelerator_name,
    camel,
    check_names,
    invalid,
    precondition,
    rpc_status,
    seconds_of,
    strategy_name,
)

KIND = "CustomJob"
PHASES = [
    Phase("QUEUED", "JOB_STATE_QUEUED", "", 2.0),
    Phase("CAPACITY", "JOB_STATE_PENDING", "", 18.0),
    Phase("WORK", RUNNING, "", 280.0),
]
FOREVER = 1e12
WEEK_S = 7 * 24 * 3600.0
# Machine families that come with their accelerators and the ones that they take (machine types page, 2026-10).
FAMILIES = {"g2": {"NVIDIA_L4"}, "a2-high": {"NVIDIA_TESLA_A100"}, "a2-ultra": {"NVIDIA_A100_80GB"}}
FAMILIES |= {"a3-high": {"NVIDIA_H100_80GB"}, "a3-mega": {"NVIDIA_H100_MEGA_80GB"}}
FAMILIES |= {"a3-ultra": {"NVIDIA_H200_141GB"}, "a4-high": {"NVIDIA_B200"}}


def check_machine(app: App, machine: Json, count: int) -> None:
    """Refuse a machine without its accelerators, or more accelerators than the quota.

    Raises:
        ApiError: 400 or 429.
    """
    kind, accelerator = machine.get("machineType", ""), accelerator_name(machine.get("acceleratorType"))
    if not kind:
        raise invalid("machine_type is required.")
    number = int(machine.get("acceleratorCount", 0) or 0)
    for family, fitting in FAMILIES.items():
        if kind.startswith(family) and (accelerator not in fitting or number < 1):
            raise invalid(
                f'Machine type "{kind}" requires accelerator {sorted(fitting)}, found {accelerator or "none"}.'
            )
    if accelerator and accelerator != "ACCELERATOR_TYPE_UNSPECIFIED" and number < 1:
        raise invalid("accelerator_count must be positive when accelerator_type is set.")
    quota = app.store.settings["machine_quota"].get(accelerator)
    if quota is not None and number * count > quota:
        metric = f"aiplatform.googleapis.com/custom_model_training_{accelerator.lower()}_gpus"
        raise ApiError(429, f"The following quota metrics exceed quota limits: {metric}")


def _check(app: App, body: Json) -> None:
    spec = body.get("jobSpec", {})
    if not body.get("displayName"):
        raise invalid("display_name is required.")
    pools = [pool for pool in spec.get("workerPoolSpecs", []) if pool]
    if not pools:
        raise invalid("worker_pool_specs must not be empty.")
    for pool in pools:
        if not pool.get("containerSpec", {}).get("imageUri") and not pool.get("pythonPackageSpec"):
            raise invalid("Either container_spec.image_uri or python_package_spec is required.")
        check_machine(app, pool.get("machineSpec", {}), int(pool.get("replicaCount", 1) or 1))
    base = spec.get("baseOutputDirectory", {}).get("outputUriPrefix", "")
    if base:
        try:
            split_uri(base)
        except GcsError as error:
            raise invalid(error.message) from error


@route("POST", r"customJobs")
def _create(app: App, call: Call) -> Json:
    body = camel(call.body)
    check_names(body)
    _check(app, body)
    private = {"plan": app.store.take_plan("custom"), "container": app.store.settings["run_containers"]}
    it = Resource("", KIND, call.place, {**body, "state": "JOB_STATE_PENDING"}, private, seq=app.store.next_seq())
    it.name = it.body["name"] = f"{call.place}/customJobs/{it.seq}"
    app.store.add(it)
    app.store.bear_witness(it)
    return show(app, it, build(it, _phases(it), 0.0))


def _phases(it: Resource) -> list[Phase]:
    if it.private["container"]:
        return [*PHASES[:2], Phase("WORK", RUNNING, "", FOREVER)]
    limit = seconds_of(_scheduling(it).get("timeout"), WEEK_S)
    work = float(it.private["plan"].get("durations", {}).get("WORK", PHASES[2].seconds))
    # A planned preemption starts the work anew after half of it.
    restarts = int(it.private["plan"].get("preempt", 0))
    return [*PHASES[:2], Phase("WORK", RUNNING, "", min(limit, work * (1 + restarts / 2)))]


def _scheduling(it: Resource) -> Json:
    found: Json = it.body["jobSpec"].get("scheduling", {})
    return found


def _agent(it: Resource) -> str:
    account: str = it.body["jobSpec"].get("serviceAccount", "")
    return account or f"service-{PROJECT_NUMBER}@gcp-sa-aiplatform-cc.iam.gserviceaccount.com"


@settler
def _settle(app: App) -> float:
    now = app.store.now()
    found: dict[str, Timeline] = {}
    for it in app.store.alive(KIND):
        life = build(it, _phases(it), 0.0)
        end = _found_out(app, it, life, now)
        if end is not None:
            it.private["end"] = end
            app.store.save(it)
            life = build(it, _phases(it), 0.0)
        if now >= life.end_v and _harvest(app, it, life):
            if it.private["container"]:
                containers.kill(app, it)
            finish(app.store, it, life)
        else:
            found[it.name] = life
    app.cache["custom"] = found
    if app.store.settings["run_containers"] and found:
        return now  # look at the processes each time
    # Besides their ends: images and buckets are looked at when the work begins, waiting may be over before.
    return min((now if life.start_of("WORK") > now else life.end_v for life in found.values()), default=math.inf)


def _end(state: str, now: float, word: str = "", message: str = "") -> Json:
    return {"v": now, "state": f"JOB_STATE_{state}", **({"error": rpc_status(word, message)} if word else {})}


def _found_out(app: App, it: Resource, life: Timeline, now: float) -> Json | None:
    """Return how the job ends when that is now known: no machine, no image, no bucket, its containers, its deadline."""
    if "end" in it.private or it.ended:
        return None
    wait = seconds_of(_scheduling(it).get("maxWaitDuration"), 24 * 3600.0)
    spot = strategy_name(_scheduling(it).get("strategy")) in {"SPOT", "FLEX_START"}
    if spot and wait > 0 and life.start_of("CAPACITY") + wait <= min(now, life.end_of("CAPACITY") - 1e-6):
        message = "Resources are insufficient in region; the job waited longer than max_wait_duration."
        return _end("FAILED", life.start_of("CAPACITY") + wait, "RESOURCE_EXHAUSTED", message)
    if now < life.start_of("WORK") or life.end_v < life.start_of("WORK"):
        return None
    if "checked" not in it.private:
        problem = _problem_at_start(app, it)
        if problem is not None:
            return _end("FAILED", life.start_of("WORK"), *problem)
        it.private["checked"] = 1
        app.store.save(it)
    return _watch(app, it, now) if it.private["container"] else None


def _problem_at_start(app: App, it: Resource) -> tuple[str, str] | None:
    images = app.store.settings["images"]
    for pool in it.body["jobSpec"]["workerPoolSpecs"]:
        image = pool.get("containerSpec", {}).get("imageUri", "")
        if image and images is not None and not any(re.search(pattern, image) for pattern in images):
            return "NOT_FOUND", f'Failed to pull image "{image}": the image was not found or access was denied.'
    base = it.body["jobSpec"].get("baseOutputDirectory", {}).get("outputUriPrefix", "")
    if base and app.gcs.url:
        try:
            if not app.gcs.has_bucket(split_uri(base)[0], _agent(it)):
                return (
                    "PERMISSION_DENIED",
                    f"{_agent(it)} does not have storage access to {base} (or it may not exist).",
                )
        except GcsError as problem:
            if problem.status != "UNAVAILABLE":
                return problem.status, problem.message
    return None


def _watch(app: App, it: Resource, now: float) -> Json | None:
    """Start, preempt, restart or end the containers of a job."""
    private = it.private
    if "cancel_v" in private:
        if "told" not in private:
            private["told"] = 1
            containers.kill(app, it, signal.SIGTERM)
            app.store.save(it)
        return None
    if "started" not in private:
        private["attempt"] = private.get("attempt", 0) + 1
        private["started"] = time.time()
        problem = containers.start(app, it)
        app.store.save(it)
        return _end("FAILED", now, "INVALID_ARGUMENT", problem) if problem else None
    found = containers.outcome(app, it)
    bad = [(name, status) for name, status, _ in found if status]
    if bad:
        name, status = bad[0]
        message = (
            f"The replica {name} exited with a non-zero status of {status}. {containers.stderr_tail(app, it, name)}"
        )
        return _end("FAILED", now, "INVALID_ARGUMENT", message.strip())
    if all(status == 0 for _, status, _ in found):
        return _end("SUCCEEDED", now)
    if any(status is None and not alive for _, status, alive in found):
        return _lost(app, it, now)
    limit = seconds_of(_scheduling(it).get("timeout"), WEEK_S)
    if time.time() - private["started"] > limit:
        containers.kill(app, it)
        return _end("EXPIRED", now, "DEADLINE_EXCEEDED", f"The job ran longer than its timeout of {limit:.0f} s.")
    if _preempt_now(app, it):
        private["preempted"] = private.get("preempted", 0) + 1
        containers.kill(app, it)
        return _lost(app, it, now)
    return None


def _preempt_now(app: App, it: Resource) -> bool:
    plan = it.private["plan"]
    if it.private.get("preempted", 0) >= int(plan.get("preempt", 0)):
        return False
    if time.time() - it.private["started"] < float(plan.get("preempt_after_s", 0.5)):
        return False
    wanted = plan.get("preempt_when_object")
    if not wanted:
        return True
    base = it.body["jobSpec"].get("baseOutputDirectory", {}).get("outputUriPrefix", "")
    try:
        return any(re.search(wanted, name) for name in app.gcs.names(base, _agent(it)))
    except GcsError:
        return False


def _lost(app: App, it: Resource, now: float) -> Json | None:
    """Start the job anew after its machine was taken away, or end it when it may not be."""
    containers.kill(app, it)
    tries = it.private["attempt"]
    if _scheduling(it).get("disableRetries") or tries > containers.MAX_PREEMPTIONS:
        return _end("FAILED", now, "UNAVAILABLE", "The replica workerpool0-0 was preempted and retries are disabled.")
    del it.private["started"]
    app.store.save(it)
    return None


def _harvest(app: App, it: Resource, life: Timeline) -> bool:
    base = it.body["jobSpec"].get("baseOutputDirectory", {}).get("outputUriPrefix", "")
    simulated = not it.private["container"] and app.store.settings["simulated_outputs"]
    if life.end_state != "JOB_STATE_SUCCEEDED" or not (simulated and base and app.gcs.url):
        return True
    try:
        write_weights(app, it, f"{base.rstrip('/')}/model")
    except GcsError as problem:
        return problem.status != "UNAVAILABLE"
    return True


def show(app: App, it: Resource, life: Timeline | None = None) -> Json:
    """Return a custom job as clients see it."""
    if it.ended:
        return {**it.body, **times(app, it, it.private.get("start_v") or it.created_v, it.end_v)}
    life = life or app.cache["custom"][it.name]
    now = app.store.now()
    shown = {**it.body, "state": life.state_at(now)}
    unknown = it.private["plan"].get("unknown_state")
    if unknown and life.at(now)[0].key == "WORK":
        shown["state"] = unknown
    start = life.start_of("WORK")
    return {**shown, **times(app, it, start if now >= start else None, None)}


@route("GET", r"customJobs")
def _list(app: App, call: Call) -> Json:
    return page(app, call, KIND, "customJobs", lambda it: show(app, it))


@route("GET", r"(?P<rest>customJobs/[^/:]+)")
def _get(app: App, call: Call) -> Json:
    return show(app, app.find(call.name, KIND))


@route("POST", r"(?P<rest>customJobs/[^/:]+):cancel")
def _cancel(app: App, call: Call) -> Json:
    it = app.find(call.name, KIND)
    if it.ended:
        raise precondition(f"The custom job {it.name} is in state {it.body['state']} and can't be cancelled.")
    it.private.setdefault("cancel_v", app.store.now())
    app.store.save(it)
    return {}
