"""`finetune trigger` and `finetune replay`: a person's run is on record, and the past is told as it was logged."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from finetune_assets.component import known_tasks
from finetune_assets.feedback.error_report import ErrorReport
from finetune_assets.feedback.trigger_log import TriggerLog
from finetune_assets.feedback.triggers.decision import ManualRequest
from finetune_assets.lineage.comparing import open_here
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.trigger_runs import KEY_TAG, decide_now
from finetune_assets.lineage.trigger_window import cases_of, predictions_of
from finetune_assets.storage.home import Home
from finetune_assets_tests.cli.conftest import Finetune
from finetune_assets_tests.e2e.tasks import write_task
from finetune_assets_tests.feedback import making

TASK = "tools"
HOUR = timedelta(hours=1)
END = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
START = END - 12 * HOUR
RULES: dict[str, Any] = {
    "fire_when": "error_cases",
    "min_error_cases": 3,
    "min_eligible_cases": 0,
    "cool_down_h": 2,
}


@pytest.fixture
def task(tmp_path: Path, platform_home: Path, monkeypatch: pytest.MonkeyPatch) -> TaskRun:
    """A task whose runs fail at once, for its source is not there; nor does it pre-train the embedded base."""
    told = {"triggers": RULES, "tuning": {"base_model": "nobody/none"}}
    for name, value in write_task(tmp_path / "tasks", TASK, rows=20, **told).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "tasks" / TASK / "data" / "rows.jsonl").unlink()
    return open_here(known_tasks(os.environ, wanted=TASK)[TASK], Home(platform_home).ensure())


def kinds(task: TaskRun) -> list[str]:
    now = datetime.now(UTC)
    return [record.kind for record in TriggerLog(task.database).records(TASK, now - HOUR, now + HOUR)]


def live(task: TaskRun) -> list[datetime]:
    """Have errors come in and the rules decide every hour; return when they asked for a run."""
    fired = []
    log = TriggerLog(task.database)
    with dg.DagsterInstance.ephemeral() as instance:
        cursor: str | None = None
        for step in range(12):
            now = START + step * HOUR
            decided = decide_now(instance, task, cursor, now)
            cursor = decided.cursor
            if decided.asks:
                fired.append(now)
                log.end(decided.decision.key, "success", by="test", at=now + HOUR / 2)
            numbers = range(step * 10, step * 10 + 2)
            made = [
                making.prediction(one, task=TASK, at=now + HOUR / 4, config=task.config.feedback) for one in numbers
            ]
            predictions_of(task).append(made)
            reports = [ErrorReport.of_prediction(one, "feedback", by="ada") for one in made]
            cases_of(task).report(reports, at=now + HOUR / 4)
    return fired


def test_a_run_by_hand_is_on_record_with_its_reason_and_its_end(
    finetune: Finetune, task: TaskRun, platform_home: Path
) -> None:
    said = finetune("trigger", TASK, "--reason", "the labels are new")
    assert said.code == 1, "its source is not there"
    now = datetime.now(UTC)
    log = TriggerLog(task.database)
    (record,) = log.records(TASK, now - HOUR, now + HOUR)
    assert (record.kind, record.reasons[0].partition(": ")[2]) == ("fire", "the labels are new")
    assert record.by.startswith("user:")
    standing = log.standing(TASK)
    assert not standing.in_flight, "its end is written down although the run failed"
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs(filters=dg.RunsFilter(tags={KEY_TAG: str(record.run_key)}))
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert (run.tags["finetune/trigger"], run.tags["finetune/namespace"]) == ("manual", "main")
    assert finetune("trigger", TASK, "--reason", "once more").code == 1
    assert kinds(task) == ["fire", "fire"], "a person does not wait for the cool-down"


def test_a_run_under_way_stands_in_the_way_of_a_person(finetune: Finetune, task: TaskRun) -> None:
    request = ManualRequest(reason="first", requested_by="ada", request_id="m1")
    with dg.DagsterInstance.ephemeral() as instance:
        assert decide_now(instance, task, None, datetime.now(UTC), manual=request).asks
    said = finetune("trigger", TASK, "--reason", "second")
    assert said.code == 1
    assert "no run was started" in said.error
    assert "wait for the run that is under way" in said.error
    assert kinds(task) == ["fire", "wait"]


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
def test_a_reason_is_asked_for(finetune: Finetune, task: TaskRun, reason: str) -> None:
    assert "manual trigger" in finetune("trigger", TASK, "--reason", reason).error
    assert kinds(task) == []


def test_replay_tells_what_was_logged(finetune: Finetune, task: TaskRun) -> None:
    fired = live(task)
    assert len(fired) > 2
    told = finetune("replay", TASK, "--from", START.isoformat(), "--to", (END - HOUR).isoformat(), "--json").json()
    assert told["decisions"] == 12
    assert [row["at"] for row in told["fired"]] == [at.isoformat() for at in fired]
    assert [row["at"] for row in told["logged"]] == [at.isoformat() for at in fired]
    assert [row["why"] for row in told["fired"]] == [row["why"] for row in told["logged"]]
    table = finetune("replay", TASK, "--from", START.isoformat(), "--to", (END - HOUR).isoformat()).out
    assert f"12 decisions from {START.isoformat()}" in table
    assert f"{len(fired)} runs, about $0.00" in table


def test_other_rules_are_compared_with_those_in_force(finetune: Finetune, task: TaskRun, tmp_path: Path) -> None:
    live(task)
    rules = tmp_path / "other.yaml"
    rules.write_text("triggers: {fire_when: error_cases, min_error_cases: 20, min_eligible_cases: 0}\n")
    span = ("--from", START.isoformat(), "--to", (END - HOUR).isoformat())
    told = finetune("replay", TASK, *span, "--policy", rules, "--json").json()
    compared = told["compared_with_rules_in_force"]
    assert [len(told["fired"]), compared["both"] + len(compared["only_these"])] == [1, 1]
    assert len(compared["only_in_force"]) > 2
    assert "only the rules in force" in finetune("replay", TASK, *span, "--policy", rules).out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{fire_when: error_casses}", "there is no rule `error_casses`"),
        ("{window_h: -1}", "window_h"),
        ("[1, 2", "rules cannot be read"),
        ("- a", "rules do not fit"),
    ],
)
def test_rules_that_do_not_fit_are_refused(
    finetune: Finetune, task: TaskRun, tmp_path: Path, text: str, says: str
) -> None:
    rules = tmp_path / "other.yaml"
    rules.write_text(text)
    assert says in finetune("replay", TASK, "--from", "2026-01-01", "--policy", rules).error
    assert "rules cannot be read" in finetune("replay", TASK, "--from", "2026-01-01", "--policy", tmp_path).error


def test_moments_that_are_none_are_refused(finetune: Finetune, task: TaskRun) -> None:
    assert "not a moment" in finetune("replay", TASK, "--from", "yesterday").error
    assert "an end after its start" in finetune("replay", TASK, "--from", "2026-02-01", "--to", "2026-01-01").error
