"""The sensor that goes on where people approved over the gateway: once, and only where enough of them have."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from finetune_assets.component import read_task_folder
from finetune_assets.definitions import build_resources
from finetune_assets.defs.platform.definitions import platform_defs
from finetune_assets.lineage.approval_sensor import NOTHING, approval_result, build_approval_sensors, sensor_name
from finetune_assets.lineage.graph import build_task_graph
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.releases.approvals import write_decision
from finetune_assets.releases.config import ReleaseConfig
from finetune_assets.releases.deciding import decide
from finetune_assets.releases.registry import Registry
from finetune_assets.releases.review import kept_policy, newest_review
from finetune_assets.resources.platform import Platform
from finetune_assets.storage.database import Database
from finetune_assets.storage.home import Home
from finetune_assets.storage.stages import record_report
from finetune_assets_tests.e2e.tasks import write_task

TASK = "tools"
C, R = "c" * 64, "ab" * 32
TWO: dict[str, Any] = {"approval": "manual", "approvers": 2}


@pytest.fixture
def spec(tmp_path: Path, platform_home: Path) -> TaskSpec:
    write_task(tmp_path / "tasks", TASK, release=TWO)
    return read_task_folder(tmp_path / "tasks" / TASK)


@pytest.fixture
def db(platform_home: Path) -> Database:
    return Database.open(Home(platform_home).ensure().database_url)


def judge(db: Database, candidate: str = C, report: str = R, **policy: Any) -> int:
    registry = Registry(db)
    facts = {"base_model": "b", "request_key": "q", "dataset_digest": "d", "report_key": "k", "scores": {}}
    release = registry.register(TASK, candidate, report_digest=report, **facts)  # type: ignore[arg-type]
    registry.transition(release.id, "validated", by="gate")
    record_report(
        db,
        task=TASK,
        namespace="main",
        report_key="k",
        digest=report,
        candidate=candidate,
        baseline="",
        verdict="PASS",
        run_id="run",
        policy=kept_policy(ReleaseConfig(**(TWO | policy)), "rules"),
    )
    return release.id


def say(db: Database, by: str, channel: str = "api", decision: str = "approve") -> None:
    review = newest_review(db, TASK)
    assert review is not None
    decide(db, review, decision, approver=by, channel=channel, note="seen")  # type: ignore[arg-type]


def told(result: dg.SensorResult) -> str:
    assert result.skip_reason is not None, result.run_requests
    assert not result.run_requests
    return str(result.skip_reason.skip_message)


def tick(spec: TaskSpec, cursor: str | None = None) -> dg.SensorResult:
    return approval_result(spec, Platform(), cursor)


def test_only_a_task_that_people_approve_has_the_sensor(tmp_path: Path, spec: TaskSpec) -> None:
    (sensor,) = build_approval_sensors(spec)
    assert sensor.name == sensor_name(TASK) == "tools_approvals"
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    write_task(tmp_path / "others", "quiet", release={"approval": "automatic"})
    assert build_approval_sensors(read_task_folder(tmp_path / "others" / "quiet")) == []


def test_it_asks_for_the_run_once_when_the_last_of_them_approved_over_the_gateway(spec: TaskSpec, db: Database) -> None:
    assert told(tick(spec)) == NOTHING
    judge(db)
    assert "0 of 2 approvals" in told(tick(spec))
    say(db, "user:ann@desk", "cli")
    assert "1 of 2 approvals: user:ann@desk" in told(tick(spec))
    say(db, "key:bob")
    first = tick(spec)
    (request,) = first.run_requests or ()
    assert request.run_config["ops"]["tools__release_approval"]["config"] == {
        "candidate": C,
        "decision": "approve",
        "note": "",
        "code": "",
    }
    assert request.tags["finetune/task"] == TASK
    assert "was asked for" in told(tick(spec, first.cursor))
    for cursor in (None, "lost", ""):
        (again,) = tick(spec, cursor).run_requests or ()
        assert again.run_key == request.run_key, "Dagster starts a key once, whatever became of the cursor"


def test_whoever_approves_last_by_a_run_of_their_own_needs_no_other(spec: TaskSpec, db: Database) -> None:
    judge(db)
    say(db, "key:bob")
    say(db, "user:ann@desk", "cli")
    assert "whoever approved last deploys it" in told(tick(spec))


def test_a_rejection_and_a_new_report_ask_for_nothing(spec: TaskSpec, db: Database) -> None:
    judge(db)
    say(db, "key:ann")
    say(db, "key:bob")
    asked = tick(spec).run_requests
    assert asked
    say(db, "key:bob", decision="reject")
    assert "rejected by key:bob" in told(tick(spec))
    judge(db, report="ef" * 32)
    assert "0 of 2 approvals" in told(tick(spec))
    say(db, "key:ann")
    say(db, "key:bob")
    (other,) = tick(spec).run_requests or ()
    assert other.run_key != asked[0].run_key


def test_yaml_that_became_stricter_holds_it_back(spec: TaskSpec, db: Database) -> None:
    judge(db, approvers=1)
    say(db, "key:ann")
    release = Registry(db).release(TASK, C)
    assert release is not None
    assert release.state == "approved", "by the policy beside the report"
    assert "1 of 2 approvals" in told(tick(spec))


def test_what_is_live_or_rolled_back_asks_for_nothing(spec: TaskSpec, db: Database) -> None:
    registry, first = Registry(db), judge(db, "a" * 64)
    for name in ("key:ann", "key:bob"):
        say(db, name)
    registry.attach_manifest(first, "m")
    registry.move_pointer(TASK, first, expected_seq=0, action="deploy", by="x")
    assert told(tick(spec)) == NOTHING
    second = judge(db)
    for name in ("key:ann", "key:bob"):
        say(db, name)
    registry.attach_manifest(second, "m")
    registry.move_pointer(TASK, second, expected_seq=1, action="deploy", by="x")
    registry.move_pointer(TASK, first, expected_seq=2, action="rollback", by="x")
    assert "0 of 2 approvals" in told(tick(spec))


def test_a_database_that_is_none_is_a_reason_and_no_failure(spec: TaskSpec, platform_home: Path) -> None:
    (platform_home / "finetune.db").write_bytes(b"no database" * 500)
    (sensor,) = build_approval_sensors(spec)
    result = sensor(dg.build_sensor_context(cursor="c", resources={"platform": Platform()}))
    assert isinstance(result, dg.SensorResult)
    assert told(result).startswith("the approvals cannot be looked at")
    assert result.cursor == "c"


def test_a_tick_costs_little(spec: TaskSpec, db: Database) -> None:
    judge(db)
    with db.session() as session:
        for number in range(200):
            write_decision(
                session, task=TASK, candidate=C, report_digest=R, decision=("approve", "reject")[number % 2],
                approver="key:ann", authenticated=True, policy="manual", channel="api", note="", pointer_seq=0,
            )  # fmt: skip
    say(db, "key:ann")
    say(db, "key:bob")
    tick(spec)
    taken = []
    for _ in range(9):
        began = time.process_time()
        tick(spec)
        taken.append(time.process_time() - began)
    assert sorted(taken)[len(taken) // 2] < 0.1, f"seconds of the processor's time: {taken}"


def test_its_request_fits_the_form_of_the_asset(spec: TaskSpec, db: Database) -> None:
    judge(db)
    say(db, "key:ann")
    say(db, "key:bob")
    (request,) = tick(spec).run_requests or ()
    graph = dg.Definitions.merge(build_task_graph(spec), platform_defs(), dg.Definitions(resources=build_resources()))
    sensor = graph.resolve_sensor_def(sensor_name(TASK))
    job = graph.resolve_job_def(sensor.job_name)
    assert {key.path[-1] for key in job.asset_layer.executable_asset_keys} == {"release_approval", "deployed_endpoint"}
    assert dg.validate_run_config(job, request.run_config)
