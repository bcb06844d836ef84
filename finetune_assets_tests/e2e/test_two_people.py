"""Two people approve: one on the command line, one over a real gateway; the sensor's run makes the release live."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest

from finetune_assets.cli.chain import current_user
from finetune_assets.cli.running import first_line
from finetune_assets.definitions import build_defs
from finetune_assets.lineage.approval_sensor import sensor_name
from finetune_assets.lineage.runtime import asset_key
from finetune_assets.releases import approvals
from finetune_assets.releases.registry import Registry
from finetune_assets.resources.platform import Platform
from finetune_assets.serving.process import start_gateway
from finetune_assets.storage.api_keys import KeyBook
from finetune_assets.storage.home import Home
from finetune_assets_tests.e2e.command import (
    MANUAL,
    TASK,
    candidate_of,
    click,
    database,
    finetune,
    instance_of,
    live_release,
    result,
)

TWO = MANUAL | {"FINETUNE_CHILDCARE__RELEASE__APPROVERS": "2"}


def approve_over_http(home: Path, folder: Path, name: str) -> dict[str, Any]:
    """Do as a person with a key does: look at what waits, and decide on just that."""
    key, _ = KeyBook(database(home)).create(name, ["approve"])
    with (
        start_gateway(Home(home), log=folder / "gateway.log") as gateway,
        httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client,
    ):
        (waits,) = client.get(f"/v1/tasks/{TASK}/candidates").raise_for_status().json()["candidates"]
        body = {name: waits[name] for name in ("candidate", "report")} | {"decision": "approve", "note": "read it too"}
        told: dict[str, Any] = client.post(f"/v1/tasks/{TASK}/approvals", json=body).raise_for_status().json()
    return waits | told


def tick(home: Path, instance: dg.DagsterInstance) -> dg.SensorResult:
    sensor = build_defs().resolve_sensor_def(sensor_name(TASK))
    found = sensor(dg.build_sensor_context(instance, resources={"platform": Platform(home_path=str(home))}))
    assert isinstance(found, dg.SensorResult)
    return found


def start(home: Path, instance: dg.DagsterInstance, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    """Do as the daemon does with a request."""
    defs = build_defs()
    job = defs.resolve_job_def(defs.resolve_sensor_def(sensor_name(TASK)).job_name)
    config = {
        **request.run_config,
        "resources": {"platform": {"config": {"home_path": str(home)}}},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
    return job.execute_in_process(instance=instance, run_config=config, tags=dict(request.tags), raise_on_error=False)


def state(home: Path) -> str:
    release = Registry(database(home)).release(TASK, candidate_of(home))
    assert release is not None
    return release.state


def test_one_on_the_command_line_and_one_over_http(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TWO.items():
        monkeypatch.setenv(name, value)
    ran = finetune(home, "run", TASK, env=TWO)
    assert ran.code == 0, ran.all
    assert "2 people have to approve it" in ran.out
    candidate = candidate_of(home)[:12]

    first = finetune(home, "approve", TASK, candidate, "--note", "read the critical rows", env=TWO)
    assert first.code == 0, first.all
    assert f"1 of 2 approvals: {current_user()}" in first.out
    assert f"another person runs: finetune approve {TASK} {candidate}" in first.out
    assert (state(home), live_release(home)) == ("validated", None)
    again = finetune(home, "approve", TASK, candidate, env=TWO)
    assert again.code == 0, again.all
    assert "1 of 2 approvals" in again.out, "the same person is not two"
    with instance_of(home) as instance:
        assert "1 of 2 approvals" in str(tick(home, instance).skip_reason)
        assert instance.get_latest_materialization_event(asset_key(TASK, "release_approval")) is None

    told = approve_over_http(home, tmp_path, "bob")
    assert [one["approver"] for one in told["decisions"]] == [current_user()]
    assert (told["outcome"], told["state"], told["approvals"]) == ("approve", "approved", 2)
    assert live_release(home) is None, "a decision deploys nothing by itself"

    with instance_of(home) as instance:
        (request,) = tick(home, instance).run_requests or ()
        done = start(home, instance, request)
        failures = [event.step_failure_data.error for event in done.all_events if event.is_step_failure]
        assert done.success, first_line(failures[0])
        event = instance.get_latest_materialization_event(asset_key(TASK, "release_approval"))
    assert event is not None
    assert event.asset_materialization is not None
    shown = event.asset_materialization.metadata
    assert shown["approver"].value == f"{current_user()}, key:bob"
    rows = [record.data for record in shown["approvals"].value.records]  # type: ignore[union-attr]
    assert [(row["approver"], row["channel"], row["note"]) for row in rows] == [
        (current_user(), "cli", "read the critical rows"),
        ("key:bob", "api", "read it too"),
    ]
    live = live_release(home)
    assert live is not None
    assert (live.candidate, live.deployed_by) == (candidate_of(home), f"{current_user()}, key:bob")

    kept = finetune(home, "approvals", TASK, "--json", env=TWO).json()
    assert [(row["approver"], row["channel"]) for row in kept["decisions"]] == [
        (current_user(), "cli"),
        ("key:bob", "api"),
    ]
    assert {row["report"] for row in kept["decisions"]} == {result(home, "validation_report").digest}
    assert kept["waits"] is None
    table = finetune(home, "approvals", TASK, env=TWO)
    assert "key:bob" in table.out


def test_a_policy_that_was_raised_and_a_state_made_by_hand_do_not_go_live(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in TWO.items():
        monkeypatch.setenv(name, value)
    first = finetune(home, "approve", TASK, candidate_of(home)[:12], env=TWO)
    assert first.code == 0, first.all
    registry = Registry(database(home))
    release = registry.release(TASK, candidate_of(home))
    assert release is not None
    registry.transition(release.id, "approved", by="somebody")
    for form, stage in (
        (None, "deployed_endpoint"),
        ({"candidate": candidate_of(home), "decision": "approve", "note": "", "code": ""}, "release_approval"),
    ):
        done = click(home, stage, form=form)
        assert not done.success
        assert "1 of 2 approvals" in done.error
    assert live_release(home) is None
    code = approvals.issue_code(
        database(home), task=TASK, candidate=candidate_of(home), decision="approve", approver="user:bob@desk"
    )
    form = {"candidate": candidate_of(home), "decision": "approve", "note": "seen", "code": code}
    done = click(home, "release_approval", form=form)
    assert done.success, done.error
    assert [one.channel for one in approvals.history(database(home), TASK)] == ["cli", "launchpad"]
    assert click(home, "deployed_endpoint").success
