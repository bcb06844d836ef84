"""The sensors of a cloud task against the stand-ins: what crashes left open is mended, what idles is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from finetune_assets.lineage.cloud.doors import open_clients
from finetune_assets.lineage.cloud.idle import idling
from finetune_assets.lineage.cloud.sensors import QUIET, build_cloud_sensors, idle_result, sweep_result
from finetune_assets.lineage.cloud.sweep import sweep_task
from finetune_assets.lineage.graph import build_task_graph
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.resources.platform import Platform
from finetune_assets.serving.cloud.deployments import deploy, deployed_id
from finetune_assets.serving.cloud.endpoints import ensure_endpoint, show
from finetune_assets.storage.intents import find_intent, mark, record_intent, request_cancel
from finetune_assets.tuning.backends.registry import backend_of
from finetune_assets.tuning.backends.submission import description_of
from finetune_assets.tuning.cloud.config import EndpointMachines
from finetune_assets_tests.cli.cloud import TASK, CloudTask, cloud  # noqa: F401
from finetune_assets_tests.fakes.fixtures import wait_until
from finetune_assets_tests.fakes.vertex_fixtures import gemini_rows, put_rows
from finetune_assets_tests.serving.cloud.conftest import CANDIDATE, OTHER, QUICK
from finetune_assets_tests.serving.cloud.test_model_registry import register
from finetune_assets_tests.tuning.backends.jobs import CUSTOM, job_request

OPEN = {"backend": "open_model", "base_model": "meta/llama3_1@llama-3.1-8b-instruct", "managed": {"adapter_size": 16}}
IMAGE = "us-docker.pkg.dev/p1/images/finetune@sha256:" + "a" * 64


def sensors(cloud: CloudTask) -> dict[str, dg.SensorDefinition]:  # noqa: F811
    return {sensor.name: sensor for sensor in build_cloud_sensors(cloud.spec())}


def tick(cloud: CloudTask, name: str, cursor: str | None = None) -> dg.SensorResult:  # noqa: F811
    """Evaluate a sensor as the daemon does."""
    platform = Platform(home_path=str(cloud.home))
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance, cursor=cursor, resources={"platform": platform})
        found = sensors(cloud)[f"{TASK}_{name}"](context)
    assert isinstance(found, dg.SensorResult)
    assert not found.run_requests
    return found


def told(result: dg.SensorResult) -> str:
    assert result.skip_reason is not None
    return str(result.skip_reason.skip_message)


def observed(result: dg.SensorResult) -> dict[str, dict[str, Any]]:
    events = result.asset_events or []
    return {event.asset_key.to_user_string(): dict(event.metadata) for event in events}


def submitted(cloud: CloudTask, *, rows: int = 120) -> tuple[str, str]:  # noqa: F811
    """Submit a job of the task as a process does that dies before it writes the handle down."""
    uri = put_rows(cloud.gcs, f"rows-{rows}.jsonl", gemini_rows(rows))
    job = job_request(rows=f"{rows:x}", cloud=cloud.open().config.cloud, train_uri=uri, validation_uri="")
    job = type(job)(**{**vars(job), "request": job.request.model_copy(update={"task": TASK})})
    key = job.request.request_key
    record_intent(
        cloud.open().database, key, task=TASK, backend="gemini", run_key_of=lambda _: job.run_key,
        request=description_of(job),
    )  # fmt: skip
    return key, backend_of("gemini", open_clients(cloud.open())).submit(job).handle


def test_only_a_cloud_task_has_them(cloud: CloudTask) -> None:  # noqa: F811
    found = sensors(cloud)
    assert list(found) == [f"{TASK}_job_sweep", f"{TASK}_idle_endpoints"]
    assert [sensor.minimum_interval_seconds for sensor in found.values()] == [300, 3600]
    assert {sensor.default_status for sensor in found.values()} == {dg.DefaultSensorStatus.RUNNING}
    assert {sensor.name for sensor in build_task_graph(cloud.spec()).sensors or []} == {*found, f"{TASK}_approvals"}
    cloud.change("tuning", backend="local", base_model="embedded", managed=None)
    assert sensors(cloud) == {}


def test_a_variant_in_the_cloud_is_enough(cloud: CloudTask) -> None:  # noqa: F811
    cloud.change(
        "tuning",
        backend="local",
        base_model="embedded",
        managed=None,
        variants={"own": {}, "large": {"backend": "gemini", "base_model": "gemini-2.5-flash"}},
    )
    assert len(sensors(cloud)) == 2


def test_a_quiet_sweep_says_so(cloud: CloudTask) -> None:  # noqa: F811
    result = tick(cloud, "job_sweep")
    assert (told(result), observed(result), result.cursor) == (QUIET, {}, "")


def test_an_orphan_is_adopted_and_told_once(cloud: CloudTask) -> None:  # noqa: F811
    cloud.vertex.plan({"kind": "tuning", "waiting_for_quota_s": 10**6})
    key, handle = submitted(cloud)
    result = tick(cloud, "job_sweep")
    assert told(result) == f"adopted {key}: {handle}"
    intent = find_intent(cloud.open().database, key)
    assert intent is not None
    assert (intent.handle, intent.state) == (handle, "SUBMITTED")
    assert list(observed(result)) == [f"{TASK}/tuned_adapter"]
    assert told(tick(cloud, "job_sweep", result.cursor)) == QUIET
    assert len(cloud.vertex.jobs()) == 1


def test_what_ended_is_written_down(cloud: CloudTask) -> None:  # noqa: F811
    key, handle = submitted(cloud)
    mark(cloud.open().database, key, "SUBMITTED", handle=handle)
    wait_until(lambda: cloud.vertex.jobs()[0]["state"] == "JOB_STATE_SUCCEEDED")
    assert told(tick(cloud, "job_sweep")) == f"finished {key}: succeeded"
    assert find_intent(cloud.open().database, key).state == "SUCCEEDED"  # type: ignore[union-attr]


def test_an_end_that_somebody_asked_for_is_asked_again(cloud: CloudTask) -> None:  # noqa: F811
    cloud.vertex.plan({"kind": "tuning", "waiting_for_quota_s": 10**6})
    key, handle = submitted(cloud)
    mark(cloud.open().database, key, "SUBMITTED", handle=handle)
    request_cancel(cloud.open().database, key, by="ada")
    assert told(tick(cloud, "job_sweep")) == f"cancelled {handle}: somebody asked for its end"


def test_a_job_that_nobody_claims_is_told_and_left(cloud: CloudTask) -> None:  # noqa: F811
    cloud.vertex.plan({"kind": "tuning", "waiting_for_quota_s": 10**6})
    uri = put_rows(cloud.gcs, "theirs.jsonl", gemini_rows(100))
    job = job_request(cloud=cloud.open().config.cloud, train_uri=uri, validation_uri="")
    others = backend_of("gemini", open_clients(cloud.open())).submit(job)
    assert told(tick(cloud, "job_sweep")) == QUIET, "that job is of another task"
    cloud.vertex.plan({"kind": "tuning", "waiting_for_quota_s": 10**6})
    own = type(job)(**{**vars(job), "request": job.request.model_copy(update={"task": TASK})})
    handle = backend_of("gemini", open_clients(cloud.open())).submit(own).handle
    result = tick(cloud, "job_sweep")
    assert told(result).startswith(f"nobody claims {handle}")
    assert observed(result)[f"{TASK}/tuned_adapter"]["unclaimed_jobs"].value == 1
    again = tick(cloud, "job_sweep", result.cursor)
    assert (told(again), observed(again)) == (told(result), {}), "the same news is observed once"
    assert {job["state"] for job in cloud.vertex.jobs()} & {"JOB_STATE_CANCELLED", "JOB_STATE_CANCELLING"} == set()
    assert others.handle not in told(again)


@pytest.mark.parametrize("name", ["job_sweep", "idle_endpoints"])
def test_a_service_that_is_away_is_a_reason_and_no_failure(
    cloud: CloudTask,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.delenv("FINETUNE_ALLOW_EMULATOR")
    assert "could not be looked at" in told(tick(cloud, name))


def serve(cloud: CloudTask, *candidates: str) -> str:  # noqa: F811
    """Deploy candidates of an open model at the task's endpoint and return its name."""
    cloud.change("tuning", **OPEN)
    cloud.change("cloud", endpoint={"idle_hours": 1.0})
    clients = open_clients(cloud.open())
    endpoint = ensure_endpoint(clients, TASK, patience=QUICK)
    for candidate in candidates:
        deploy(
            clients,
            endpoint.name,
            model=register(clients, candidate).name,
            candidate=candidate,
            display_name=f"{TASK} {candidate[:4]}",
            machines=EndpointMachines(),
            percent=10,
            patience=QUICK,
        )
    return endpoint.name


def later(hours: float = 30.0) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


def test_an_endpoint_that_was_just_deployed_is_not_idle(cloud: CloudTask) -> None:  # noqa: F811
    serve(cloud, CANDIDATE)
    result = tick(cloud, "idle_endpoints")
    assert told(result) == "1 endpoints, none of them idle; no machine runs for too long"
    assert observed(result) == {}


def test_a_job_is_looked_after_where_it_was_submitted(cloud: CloudTask) -> None:  # noqa: F811
    """A task that moved, and one of another project, leave no job behind and report none as gone."""
    cloud.vertex.plan({"kind": "tuning", "waiting_for_quota_s": 10**6})
    key, handle = submitted(cloud)
    assert sweep_task(cloud.open(), by="test").adopted == {key: handle}
    strange, job = "f" * 20, job_request(rows="f")
    record_intent(
        cloud.open().database, strange, task="other", backend="gemini", run_key_of=lambda _: job.run_key,
        request={"project": "p2", "location": "us-central1"},
    )  # fmt: skip
    mark(cloud.open().database, strange, "SUBMITTED", handle="projects/p2/locations/us-central1/tuningJobs/7")
    cloud.change("cloud", project="p3", location="europe-west4")
    assert sweep_task(cloud.open(), by="test").is_quiet
    cloud.vertex.speed(advance=10.0**7)
    report = sweep_task(cloud.open(), by="test")
    assert (report.finished, report.lost, report.problems) == ({key: "succeeded"}, [], [])


def test_an_idle_endpoint_is_told_with_hours_and_dollars(cloud: CloudTask) -> None:  # noqa: F811
    name = serve(cloud, CANDIDATE)
    cloud.change("cloud", endpoint={"idle_hours": 1.0, "on_idle": "undeploy"})
    unknown = idling(cloud.open(), None, later())
    assert show(open_clients(cloud.open()), name).ids == {deployed_id(CANDIDATE)}, "nobody knows is not nobody asked"
    (row,) = unknown.endpoints
    assert (row["usd_a_day"], row["last_asked"], row["undeployed"]) == (47.52, "not known", "")
    with dg.DagsterInstance.ephemeral() as instance:
        result = idle_result(unknown, TASK, dg.build_sensor_context(instance))
    told_of = observed(result)[f"{TASK}/deployed_endpoint"]
    assert told_of["idle_usd_a_day"].value == 47.52
    assert told_of["idle_hours"].value == pytest.approx(30, abs=0.1)
    assert "$47.52 a day, still deployed; when it was asked is not known" in told(result)


def test_what_is_live_is_never_undeployed(cloud: CloudTask, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    name = serve(cloud, CANDIDATE, OTHER)
    monkeypatch.setattr("finetune_assets.lineage.cloud.idle.live_model", lambda _: deployed_id(OTHER))
    assert idling(cloud.open(), {}, later()).endpoints[0]["undeployed"] == "", "the policy is to report"
    asked = {name: later(29.5)}
    assert idling(cloud.open(), asked, later()).endpoints == []
    cloud.change("cloud", endpoint={"idle_hours": 1.0, "on_idle": "undeploy"})
    (row,) = idling(cloud.open(), {}, later()).endpoints
    assert row["undeployed"] == deployed_id(CANDIDATE)
    assert show(open_clients(cloud.open()), name).ids == {deployed_id(OTHER)}


def test_a_price_that_nobody_knows_is_said_to_be_unknown(cloud: CloudTask) -> None:  # noqa: F811
    serve(cloud, CANDIDATE)
    (row,) = idling(cloud.open(), None, later(24 * 365)).endpoints
    assert row["usd_a_day"] == "not known", "prices of a year ago are none"


def test_a_machine_that_runs_for_too_long_is_told(cloud: CloudTask) -> None:  # noqa: F811
    cloud.change("tuning", backend="custom_job", base_model="x/y", managed=None, custom_job={"image": IMAGE})
    uri = put_rows(cloud.gcs, "job.json", [{}])
    cloud.vertex.plan({"kind": "custom", "durations": {"WORK": 20_000}})
    job = job_request(CUSTOM, cloud=cloud.open().config.cloud, container=uri, container_sha256="0" * 64)
    job = type(job)(**{**vars(job), "request": job.request.model_copy(update={"task": TASK})})
    backend = backend_of("custom_job", open_clients(cloud.open()))
    handle = backend.submit(job).handle
    wait_until(lambda: backend.status(handle).started is not None)
    cloud.vertex.speed(1.0)
    assert idling(cloud.open(), None, later(2)).machines == []
    found = idling(cloud.open(), None, later(8))
    (row,) = found.machines
    assert (row["job"], row["max_hours"], row["usd_a_day"]) == (handle, 6.0, 47.52)
    with dg.DagsterInstance.ephemeral() as instance:
        result = idle_result(found, TASK, dg.build_sensor_context(instance))
    assert observed(result)[f"{TASK}/tuned_adapter"]["overdue_jobs"].value == 1


def test_the_sensors_load_with_the_definitions(cloud: CloudTask) -> None:  # noqa: F811
    spec = TaskSpec(config=cloud.spec().config, folder=cloud.spec().folder)
    graph = dg.Definitions.merge(build_task_graph(spec), dg.Definitions(resources=_resources()))
    assert graph.resolve_sensor_def(f"{TASK}_job_sweep").minimum_interval_seconds == 300
    assert sweep_task(cloud.open(), by="test").is_quiet
    with dg.DagsterInstance.ephemeral() as instance:
        assert told(sweep_result(cloud.open(), dg.build_sensor_context(instance))) == QUIET


def _resources() -> dict[str, Any]:
    from finetune_assets.definitions import build_resources

    return build_resources()
