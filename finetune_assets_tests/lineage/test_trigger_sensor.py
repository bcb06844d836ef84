"""The sensor that asks for runs: once for the same evidence, and otherwise it says what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from finetune_assets.component import read_task_folder
from finetune_assets.definitions import build_resources
from finetune_assets.defs.platform.definitions import platform_defs
from finetune_assets.feedback.error_report import ErrorReport
from finetune_assets.feedback.trigger_log import TriggerLog
from finetune_assets.feedback.triggers.decision import ManualRequest
from finetune_assets.feedback.triggers.replay import replay
from finetune_assets.lineage import error_cases, trigger_history
from finetune_assets.lineage.automation import job_name
from finetune_assets.lineage.comparing import open_here
from finetune_assets.lineage.graph import build_task_graph
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.lineage.trigger_runs import KEY_TAG, NEVER_STARTED, decide_now, give_up_unstarted, settle_ended
from finetune_assets.lineage.trigger_sensor import NO_TRIGGERS, build_trigger_sensors, sensor_name, trigger_result
from finetune_assets.lineage.trigger_window import cases_of, past_of, policy_of, predictions_of
from finetune_assets.resources.platform import Platform
from finetune_assets.storage.home import Home
from finetune_assets.storage.ledger import reserve
from finetune_assets_tests.e2e.tasks import write_task
from finetune_assets_tests.feedback import making

TASK = "tools"
NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
RULES: dict[str, Any] = {
    "enabled": True,
    "fire_when": "error_cases",
    "min_error_cases": 3,
    "min_eligible_cases": 0,
    "cool_down_h": 2,
}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def spec(tmp_path: Path, platform_home: Path) -> TaskSpec:
    write_task(tmp_path / "tasks", TASK, triggers=RULES)
    return read_task_folder(tmp_path / "tasks" / TASK)


@pytest.fixture
def task(spec: TaskSpec, platform_home: Path) -> TaskRun:
    return open_here(spec, Home(platform_home).ensure())


def tick(
    spec: TaskSpec, instance: dg.DagsterInstance, cursor: str | None = None, *, now: datetime = NOW
) -> dg.SensorResult:
    return trigger_result(spec, dg.build_sensor_context(instance, cursor=cursor), Platform(), now)


def told(result: dg.SensorResult) -> str:
    assert result.skip_reason is not None, result.run_requests
    assert not result.run_requests
    return str(result.skip_reason.skip_message)


def asked(result: dg.SensorResult) -> dg.RunRequest:
    (request,) = result.run_requests or ()
    return request


def go_wrong(task: TaskRun, numbers: range, *, at: datetime = NOW - HOUR, doubted: bool = False) -> None:
    """Answer, and have a person say that it is wrong, or the detector doubt it."""
    make = making.doubted if doubted else making.prediction
    made = [make(number, task=TASK, at=at, config=task.config.feedback) for number in numbers]
    predictions_of(task).append(made)
    if not doubted:
        cases_of(task).report([ErrorReport.of_prediction(one, "feedback", by="ada") for one in made], at=at)


def start(instance: dg.DagsterInstance, request: dg.RunRequest) -> str:
    """Do as the daemon does with a request."""

    @dg.op
    def nothing() -> None: ...

    @dg.job(name=job_name(TASK))
    def retrain() -> None:
        nothing()

    return instance.create_run_for_job(retrain, tags=dict(request.tags or {})).run_id


def end(instance: dg.DagsterInstance, run_id: str, *, success: bool) -> None:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    if success:
        event = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, run.job_name)
        instance.report_dagster_event(event, run_id)
    else:
        instance.report_run_failed(run, "the test says so")


def test_only_a_task_that_asks_for_it_has_the_sensor(tmp_path: Path, spec: TaskSpec) -> None:
    (sensor,) = build_trigger_sensors(spec)
    assert sensor.name == sensor_name(TASK) == "tools_error_threshold"
    assert (sensor.job_name, sensor.default_status) == ("retrain_tools", dg.DefaultSensorStatus.RUNNING)
    write_task(tmp_path / "others", "quiet")
    assert build_trigger_sensors(read_task_folder(tmp_path / "others" / "quiet")) == []
    write_task(tmp_path / "others", "waiting", triggers={"min_error_cases": 3})
    (stopped,) = build_trigger_sensors(read_task_folder(tmp_path / "others" / "waiting"))
    assert stopped.default_status == dg.DefaultSensorStatus.STOPPED, "nothing spends money unless YAML asks for it"


def test_a_task_without_rules_says_so(tmp_path: Path, platform_home: Path, instance: dg.DagsterInstance) -> None:
    write_task(tmp_path / "others", "quiet")
    assert told(tick(read_task_folder(tmp_path / "others" / "quiet"), instance)) == NO_TRIGGERS


def test_it_says_what_is_missing(spec: TaskSpec, task: TaskRun, instance: dg.DagsterInstance) -> None:
    go_wrong(task, range(2))
    assert told(tick(spec, instance)) == "need 1 more error case"


def test_it_fires_once_for_the_same_evidence(spec: TaskSpec, task: TaskRun, instance: dg.DagsterInstance) -> None:
    go_wrong(task, range(3))
    first = tick(spec, instance)
    request = asked(first)
    assert request.tags["finetune/trigger"] == "evidence"
    assert request.tags["finetune/task"] == TASK
    assert request.tags[KEY_TAG] == request.run_key
    for cursor in (first.cursor, None, "{garbage", '{"version": 99}'):
        again = asked(tick(spec, instance, cursor))
        assert again.run_key == request.run_key, "until its run is there, the same one is asked for"
    start(instance, request)
    for cursor in (first.cursor, None, "{garbage"):
        assert "wait for the run that is under way" in told(tick(spec, instance, cursor))
    fired = [one for one in TriggerLog(task.database).records(TASK, NOW - HOUR, NOW + HOUR) if one.kind == "fire"]
    assert [one.run_key for one in fired] == [request.run_key]


@pytest.mark.parametrize("success", [True, False])
def test_a_run_is_under_way_until_it_ended(
    spec: TaskSpec, task: TaskRun, instance: dg.DagsterInstance, *, success: bool
) -> None:
    go_wrong(task, range(3))
    request = asked(tick(spec, instance))
    run_id = start(instance, request)
    assert "wait for the run that is under way" in told(tick(spec, instance))
    assert TriggerLog(task.database).standing(TASK).in_flight
    end(instance, run_id, success=success)
    assert "cooling down" in told(tick(spec, instance))
    assert not TriggerLog(task.database).standing(TASK).in_flight
    later = tick(spec, instance, now=NOW + 3 * HOUR)
    assert asked(later).run_key != request.run_key, "after the cool-down the same cases ask again"


def test_a_crashed_run_that_is_started_again_has_not_ended(
    spec: TaskSpec, task: TaskRun, instance: dg.DagsterInstance
) -> None:
    go_wrong(task, range(3))
    request = asked(tick(spec, instance))
    run_id = start(instance, request)
    instance.add_run_tags(run_id, {"dagster/will_retry": "true"})
    end(instance, run_id, success=False)
    assert "wait for the run that is under way" in told(tick(spec, instance))
    end(instance, start(instance, request), success=True)
    assert settle_ended(instance, task, by="test")[0].endswith("ended: success")


def test_what_the_detector_doubts_counts_too(spec: TaskSpec, task: TaskRun, instance: dg.DagsterInstance) -> None:
    go_wrong(task, range(3), doubted=True)
    assert asked(tick(spec, instance)).run_key


def test_the_budget_stands_in_the_way(tmp_path: Path, platform_home: Path, instance: dg.DagsterInstance) -> None:
    write_task(tmp_path / "tasks", TASK, triggers=RULES, cloud={"budget": {"monthly_usd": 5.0}})
    spec = read_task_folder(tmp_path / "tasks" / TASK)
    task = open_here(spec, Home(platform_home).ensure())
    go_wrong(task, range(3))
    with task.database.session() as session:
        reserve(session, task=TASK, run_key="r", amount=6_000_000, limit=None, at=NOW)
    assert "$0.00 are left this month" in told(tick(spec, instance))


def manual(number: int) -> ManualRequest:
    return ManualRequest(reason="the new labels", requested_by="ada", request_id=f"m{number}")


def test_a_person_needs_no_rule_to_hold_but_waits_for_the_run_under_way(
    task: TaskRun, instance: dg.DagsterInstance
) -> None:
    decided = decide_now(instance, task, None, NOW, manual=manual(1))
    assert decided.asks
    assert decided.sentence == "asked for by ada: the new labels"
    assert decided.decision.tags()["finetune/trigger"] == "manual"
    second = decide_now(instance, task, None, NOW + timedelta(seconds=1), manual=manual(2))
    assert not second.asks
    assert "wait for the run that is under way" in second.sentence


def test_the_sensor_leaves_a_person_time_to_start_the_run(
    spec: TaskSpec, task: TaskRun, instance: dg.DagsterInstance
) -> None:
    decided = decide_now(instance, task, None, NOW, manual=manual(1))
    assert "wait for the run that is under way" in told(tick(spec, instance, now=NOW + timedelta(minutes=1)))
    late = asked(tick(spec, instance, now=NOW + timedelta(minutes=6)))
    assert late.run_key == decided.decision.key, "whoever asked is gone; the run is owed nevertheless"


def test_a_run_that_nobody_started_is_given_up(task: TaskRun, instance: dg.DagsterInstance) -> None:
    decided = decide_now(instance, task, None, NOW, manual=manual(1))
    assert give_up_unstarted(instance, task, NOW + timedelta(minutes=1), by="test") == []
    assert give_up_unstarted(instance, task, NOW + timedelta(minutes=6), by="test") == [decided.decision.key]
    assert decide_now(instance, task, None, NOW + timedelta(minutes=7), manual=manual(2)).asks
    assert NEVER_STARTED == "never started"


def test_a_damaged_file_of_predictions_is_a_reason_and_no_failure(
    spec: TaskSpec, platform_home: Path, instance: dg.DagsterInstance
) -> None:
    (platform_home / "predictions.db").write_bytes(b"no database" * 500)
    (sensor,) = build_trigger_sensors(spec)
    context = dg.build_sensor_context(instance, cursor="c", resources={"platform": Platform()})
    result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    assert told(result).startswith("the evidence cannot be looked at: the file of predictions is no database")
    assert result.cursor == "c"


def test_replay_agrees_with_the_log(spec: TaskSpec, task: TaskRun, instance: dg.DagsterInstance) -> None:
    began = NOW - 12 * HOUR
    cursor: str | None = None
    for step in range(12):
        now = began + step * HOUR
        result = tick(spec, instance, cursor, now=now)
        cursor = result.cursor
        for request in result.run_requests or ():
            TriggerLog(task.database).end(str(request.run_key), "success", by="test", at=now + HOUR / 2)
        go_wrong(task, range(step * 10, step * 10 + 2), at=now + HOUR / 4)
    policy = policy_of(task)
    events = past_of(task, policy, began, NOW - HOUR, HOUR)
    found = replay(events, policy, began, NOW - HOUR, HOUR, task=TASK)
    records = TriggerLog(task.database).records(TASK, began, NOW)
    assert [one.decided_at for one in found.fired] == [one.at for one in records if one.kind == "fire"]
    assert len(found.fired) > 2


def test_replay_sees_what_held_for_a_minute_between_its_steps(
    spec: TaskSpec, task: TaskRun, instance: dg.DagsterInstance
) -> None:
    began = NOW - 2 * HOUR
    go_wrong(task, range(3), at=began + HOUR / 4)
    asked = tick(spec, instance, None, now=began + HOUR / 2)
    assert len(asked.run_requests or ()) == 1
    for case in list(cases_of(task).cases(TASK)):
        cases_of(task).dismiss(case.case_id, "unusable", by="ada", at=began + 3 * HOUR / 4)
    policy = policy_of(task)
    events = list(past_of(task, policy, began, NOW, HOUR))
    assert replay(events, policy, began, NOW, HOUR, task=TASK).fired == ()
    looked = [one.at for one in TriggerLog(task.database).records(TASK, began, NOW)]
    found = replay(events, policy, began, NOW, HOUR, task=TASK, also=[*looked, began - HOUR, NOW + HOUR])
    assert [one.decided_at for one in found.fired] == looked == [began + HOUR / 2]


def test_the_assets_show_cases_and_history(
    spec: TaskSpec, task: TaskRun, platform_home: Path, instance: dg.DagsterInstance
) -> None:
    go_wrong(task, range(3))
    go_wrong(task, range(3, 5), doubted=True)
    cases, digest = error_cases.describe(task, NOW)
    assert (cases["new_cases"], cases["open_clusters"], cases["window_errors"]) == (3, 3, 3)
    assert cases["error_rate"] == pytest.approx(3 / 5)
    assert cases["error_rate_low"] < cases["error_rate"] < cases["error_rate_high"]
    assert "data:image/png" in cases["trend_chart"].value
    assert error_cases.describe(task, NOW)[1] == digest
    request = asked(tick(spec, instance))
    history, _ = trigger_history.describe(task, NOW + HOUR)
    assert (history["fired"], history["manual"], history["run_under_way"]) == (1, 0, True)
    (row,) = history["history"].value.records
    assert row.data["decision"] == "fire"
    assert row.data["run_key"] == str(request.run_key)[:12]
    assets = [error_cases.build_asset(spec), trigger_history.build_asset(spec)]
    result = dg.materialize(assets, instance=instance, resources=build_resources())
    made = result.asset_materializations_for_node(f"{TASK}__error_cases")[0]
    assert made.metadata["new_cases"].value == 5, "what the detector doubts is taken first"


def test_no_run_of_the_task_makes_them(spec: TaskSpec) -> None:
    graph = dg.Definitions.merge(build_task_graph(spec), platform_defs(), dg.Definitions(resources=build_resources()))
    keys = {key.to_user_string() for key in graph.resolve_job_def(job_name(TASK)).asset_layer.executable_asset_keys}
    assert not keys & {f"{TASK}/error_cases", f"{TASK}/trigger_history"}
    assert graph.resolve_sensor_def(sensor_name(TASK)).minimum_interval_seconds == 60
