"""From a request to an answer: routes, projects, transactions. The work itself lies in the rooms that add routes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from finetune_assets_tests.fakes.vertex_faults import check_faults
from finetune_assets_tests.fakes.vertex_gcs import Gcs
from finetune_assets_tests.fakes.vertex_store import Resource, Store
from finetune_assets_tests.fakes.vertex_wire import ApiError, Json, invalid, matches_filter, not_found, stamp

PLACE = r"/(?P<version>v1beta1|v1|ui)/projects/(?P<project>[^/:]+)/locations/(?P<location>[^/:]+)"


@dataclass
class Call:
    """One request, taken apart."""

    method: str
    path: str
    query: dict[str, str]
    raw: bytes
    headers: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> Json:
        """Return the JSON body; {} when there is none.

        Raises:
            ApiError: The body is no JSON object.
        """
        if not self.raw:
            return {}
        try:
            found = json.loads(self.raw)
        except ValueError as error:
            raise invalid("Invalid JSON payload received.") from error
        if not isinstance(found, dict):
            raise invalid("Invalid JSON payload received. Expected an object.")
        return found

    @property
    def version(self) -> str:
        """Return the API version of the call."""
        return self.params.get("version", "v1")

    @property
    def place(self) -> str:
        """Return projects/P/locations/L of the call."""
        return f"projects/{self.params['project']}/locations/{self.params['location']}"

    @property
    def name(self) -> str:
        """Return the full name of the resource of the path."""
        return f"{self.place}/{self.params['rest']}"


@dataclass
class Raw:
    """An answer that is no JSON object: server-sent events, a container's own answer."""

    data: bytes
    kind: str


Handler: TypeAlias = "Callable[[App, Call], Json | Raw]"
ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []
# Each returns the virtual time at which it has something to do again.
SETTLERS: list[Callable[[App], float]] = []


def route(method: str, pattern: str) -> Callable[[Handler], Handler]:
    """Register a handler for paths below projects/P/locations/L, or for a whole path that starts with a slash."""

    def register(handler: Handler) -> Handler:
        whole = pattern if pattern.startswith("/") else f"{PLACE}{'' if pattern.startswith(':') else '/'}{pattern}"
        ROUTES.append((method, re.compile(whole), handler))
        return handler

    return register


def settler(work: Callable[[App], float]) -> Callable[[App], float]:
    """Register work that moves stored jobs on as far as the clock allows; runs before requests, when there is some."""
    SETTLERS.append(work)
    return work


class App:
    """The whole stand-in without its socket."""

    def __init__(self, store: Store, gcs: Gcs) -> None:
        self.store, self.gcs = store, gcs
        self.cache: dict[str, Any] = {}

    def handle(self, call: Call) -> Json | Raw:
        """Answer a request; what it changed is committed when this returns.

        Raises:
            ApiError: The service's error answer.
        """
        for method, pattern, handler in ROUTES:
            hit = pattern.fullmatch(call.path)
            if method == call.method and hit is not None:
                call.params = {key: value or "" for key, value in hit.groupdict().items()}
                self._admit(call)
                with self.store.one_moment():
                    self.settle()
                    with self.store.transaction():
                        return handler(self, call)
        raise ApiError(404, f"The requested URL {call.path} was not found on this server.")

    def settle(self) -> None:
        """Move every job on as far as the clock allows."""
        changes, next_v = self.cache.get("settled", (-1, 0.0))
        if changes == self.store.changes and self.store.now() < next_v:
            return
        self.gcs.closed_buckets = self.store.settings["no_access_buckets"]
        with self.store.transaction():
            next_v = min(work(self) for work in SETTLERS)
        self.cache["settled"] = (self.store.changes, next_v)

    def _admit(self, call: Call) -> None:
        if call.path.startswith("/__"):
            return
        token = call.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if token and token in self.store.settings["refused_tokens"]:
            raise ApiError(
                401, "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or "
                "other valid authentication credential."
            )  # fmt: skip
        project = call.params.get("project", "")
        problem = self.store.settings["projects"].get(project)
        if problem:
            raise project_error(problem, project)

    def find(self, name: str, kind: str) -> Resource:
        """Return a stored resource.

        Raises:
            ApiError: 404.
        """
        found = self.store.get(name)
        if found is None or found.kind != kind:
            raise not_found(kind, name)
        return found


def project_error(problem: str, project: str) -> ApiError:
    """Return the 403 of a project's state: SERVICE_DISABLED, CONSUMER_INVALID, BILLING_DISABLED, PERMISSION."""
    service = "aiplatform.googleapis.com"
    words = {
        "SERVICE_DISABLED": f"Vertex AI API has not been used in project {project} before or it is disabled. Enable it "
        f"by visiting https://console.developers.google.com/apis/api/{service}/overview?project={project} then retry.",
        "CONSUMER_INVALID": f"Permission denied on resource project {project}.",
        "BILLING_DISABLED": f"This API method requires billing to be enabled. Please enable billing on project "
        f"#{project} then retry.",
    }
    if problem not in words:
        message = (
            "Permission 'aiplatform.tuningJobs.create' denied on resource "
            f"'//aiplatform.googleapis.com/projects/{project}' (or it may not exist)."
        )
        return ApiError(403, message)
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": problem, "domain": "googleapis.com"}
    return ApiError(
        403, words[problem], details=[{**info, "metadata": {"consumer": f"projects/{project}", "service": service}}]
    )


def page(app: App, call: Call, kind: str, key: str, show: Callable[[Resource], Json]) -> Json:
    """Answer a list request: filter, list visibility, pages.

    Raises:
        ApiError: 400 on a filter when the switch `list_filter` is off.
    """
    wanted = call.query.get("filter", "")
    if wanted and not app.store.settings["list_filter"]:
        raise invalid("Invalid filter: filtering is not supported for this resource.")
    delay = app.store.settings["list_visibility_delay_s"]
    visible = [it for it in app.store.of_parent(kind, call.place) if delay <= 0 or it.created + delay <= _real_now()]
    bodies = [show(it) for it in visible]
    found = [body for body in bodies if not wanted or matches_filter(wanted, body)]
    size = min(int(call.query.get("pageSize") or 100) or 100, 100)
    start = int(call.query.get("pageToken") or 0)
    answer: Json = {key: found[start : start + size]}
    if start + size < len(found):
        answer["nextPageToken"] = str(start + size)
    return answer


def _real_now() -> float:
    import time

    return time.time()


def times(app: App, it: Resource, start_v: float | None, end_v: float | None) -> Json:
    """Return createTime, startTime, endTime and updateTime of a job."""
    shown = {"createTime": stamp(it.created)}
    if start_v is not None:
        shown["startTime"] = stamp(max(it.created, app.store.real_of(start_v)))
    if end_v is not None:
        shown["endTime"] = stamp(max(it.created, app.store.real_of(end_v)))
    shown["updateTime"] = shown.get("endTime") or stamp(max(it.created, app.store.real_of(app.store.now())))
    return shown


@route("POST", r"/__faults")
def _faults(app: App, call: Call) -> Json:
    specs = json.loads(call.raw or b"[]")
    try:
        check_faults(specs)
    except (ValueError, re.error) as error:
        raise invalid(str(error)) from error
    app.store.set_faults(specs)
    return {"faults": len(specs)}


@route("GET", r"/__faults")
def _faults_seen(app: App, call: Call) -> Json:
    return {"faults": [{**spec, "seen": seen, "hits": hits} for _, spec, seen, hits in app.store.faults()]}


@route("POST", r"/__plan")
def _plan(app: App, call: Call) -> Json:
    app.store.add_plan(call.body)
    return {}


@route("POST", r"/__speed")
def _speed(app: App, call: Call) -> Json:
    return app.store.set_clock(call.body.get("speed"), float(call.body.get("advance", 0)))


@route("POST", r"/__settings")
def _settings(app: App, call: Call) -> Json:
    try:
        return app.store.set_settings(call.body)
    except ValueError as error:
        raise invalid(str(error)) from error


@route("GET", r"/__log")
def _log(app: App, call: Call) -> Json:
    return {"log": app.store.read_log()}


@route("GET", r"/__jobs")
def _jobs(app: App, call: Call) -> Json:
    found = app.store.witnesses()
    for job in found:
        stored = app.store.get(job["name"])
        job["state"] = _state(app, stored)
    return {"jobs": found}


def _state(app: App, stored: Resource | None) -> str | None:
    if stored is None or stored.ended:
        return None if stored is None else str(stored.body["state"])
    for kind in ("tuning", "custom", "batches"):
        life = app.cache.get(kind, {}).get(stored.name)
        if life is not None:
            return str(life.state_at(app.store.now()))
    return str(stored.body["state"])


@route("GET", r"/__ready")
def _ready(app: App, call: Call) -> Json:
    return {"ready": True}
