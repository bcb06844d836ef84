"""What surrounds a trigger's window: releases with what they gained, and what the next run would cost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from finetune_assets.component import read_task_folder
from finetune_assets.feedback.triggers.events import WentLive
from finetune_assets.feedback.triggers.policy import TriggerPolicy
from finetune_assets.lineage.comparing import open_here
from finetune_assets.lineage.judging import REPORT
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.trigger_window import next_cost, past_of, window_of
from finetune_assets.releases.registry import Registry
from finetune_assets.storage.files import write_json_atomic
from finetune_assets.storage.home import Home
from finetune_assets_tests.cli.cloud import CloudTask, cloud  # noqa: F401
from finetune_assets_tests.e2e.tasks import write_task

TASK = "tools"
NOW = datetime.now(UTC)
RULES = TriggerPolicy.model_validate({"fire_when": "label_drift", "adaptive": {"enabled": True}})
CONFUSION = {"level": "label", "labels": ["a", "b"], "columns": ["a", "b", "(no valid answer)"]}


@pytest.fixture
def task(tmp_path: Path, platform_home: Path) -> TaskRun:
    write_task(tmp_path / "tasks", TASK, rows=20)
    return open_here(read_task_folder(tmp_path / "tasks" / TASK), Home(platform_home).ensure())


def release(task: TaskRun) -> None:
    """Make a release live whose report counts its answers."""
    report: dict[str, Any] = {
        "comparison": {"candidate": 0.9, "difference": 0.02},
        "confusion": {**CONFUSION, "counts": [[5, 1, 1], [2, 3, 0]]},
    }
    with task.artifacts.create(REPORT, "r1") as staging:
        write_json_atomic(staging.path / "report.json", report)
        artifact = staging.commit({"task": TASK})
    registry = Registry(task.database)
    made = registry.register(
        TASK, "c" * 40, base_model="b", request_key="q", dataset_digest="d",
        report_key=artifact.key, report_digest=artifact.digest, scores={}, artifact_key="m",
    )  # fmt: skip
    for state in ("validated", "approved"):
        registry.transition(made.id, state, by="test")  # type: ignore[arg-type]
    registry.move_pointer(TASK, made.id, expected_seq=0, action="deploy", by="test")


class _OneLevel(TaskRun):
    def task_type(self) -> Any:
        class Labels:
            label_levels = ("label",)

        return Labels()


def test_the_live_release_tells_its_answers_and_its_gain(task: TaskRun) -> None:
    assert window_of(task, RULES, NOW).live_since is None
    release(task)
    one_level = _OneLevel(**{name: getattr(task, name) for name in task.__dataclass_fields__})
    seen = window_of(one_level, RULES, NOW)
    assert dict(seen.reference_labels) == {"a": 7, "b": 4}
    assert [dict(row) for row in seen.history] == [{"gain": 0.02, "accuracy": 0.9}]
    assert seen.live_since is not None
    assert window_of(task, RULES, NOW).reference_labels == {}, "one level alone does not tell a label of two"
    quiet = window_of(one_level, TriggerPolicy(), NOW)
    assert (quiet.reference_labels, quiet.history) == ({}, ()), "no rule asks for them"
    end = datetime.now(UTC) + timedelta(hours=1)
    (live,) = [one for one in past_of(one_level, RULES, NOW, end, timedelta(hours=1)) if isinstance(one, WentLive)]
    assert (dict(live.reference_labels), dict(live.figures)) == ({"a": 7, "b": 4}, dict(seen.history[0]))


def test_a_release_whose_report_is_gone_tells_nothing(task: TaskRun, tmp_path: Path) -> None:
    release(task)
    bare = replace(task, artifacts=type(task.artifacts)(tmp_path / "empty"))
    seen = window_of(bare, RULES, NOW)
    assert (seen.reference_labels, seen.history) == ({}, ())


def test_a_run_on_this_machine_costs_nothing(task: TaskRun) -> None:
    assert next_cost(task) == 0.0


def test_the_cost_of_a_cloud_run_without_rows_is_unknown(cloud: CloudTask) -> None:  # noqa: F811
    assert next_cost(cloud.open()) is None
