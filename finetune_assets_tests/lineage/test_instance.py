"""The shared instance: installed in the home, and swept of runs whose process has gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from finetune_assets.lineage.instance import (
    HOST_TAG,
    PID_TAG,
    STARTED_TAG,
    dagster_yaml,
    install_instance,
    is_dead,
    process_tags,
    sweep_dead_runs,
)
from finetune_assets.storage.home import Home


@dg.op
def nothing() -> None: ...


@dg.job
def idle() -> None:
    nothing()


def tags_of_a_dead_process() -> dict[str, str]:
    script = "from finetune_assets.lineage.instance import process_tags as t; import json; print(json.dumps(t()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    import json

    tags: dict[str, str] = json.loads(done.stdout)
    return tags


def test_the_home_gets_the_projects_instance(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    folder = install_instance(Home(tmp_path / "home"), environ)
    assert environ["DAGSTER_HOME"] == str(folder)
    assert (folder / "dagster.yaml").read_bytes() == dagster_yaml().read_bytes()
    (folder / "dagster.yaml").write_text("an older one")
    install_instance(Home(tmp_path / "home"), environ)
    assert (folder / "dagster.yaml").read_bytes() == dagster_yaml().read_bytes()


def test_this_process_is_alive_and_an_ended_one_is_dead() -> None:
    assert not is_dead(process_tags())
    gone = tags_of_a_dead_process()
    assert is_dead(gone)
    assert not is_dead({**gone, HOST_TAG: "another-host"}), "another host's processes are not ours to judge"
    assert not is_dead({}), "a run of the daemon carries no such tags"
    reused_pid = {**process_tags(), STARTED_TAG: "1.0"}
    assert is_dead(reused_pid), "the pid lives on in another process"
    assert reused_pid[PID_TAG] == str(os.getpid())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE),
        (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED),
    ],
)
def test_dead_runs_are_reported_and_living_ones_left(before: dg.DagsterRunStatus, after: dg.DagsterRunStatus) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        dead = instance.create_run_for_job(idle, status=before, tags=tags_of_a_dead_process())
        alive = instance.create_run_for_job(idle, status=before, tags=process_tags())
        assert sweep_dead_runs(instance) == [dead.run_id]
        statuses = {run.run_id: run.status for run in instance.get_runs()}
        assert statuses == {dead.run_id: after, alive.run_id: before}
        assert sweep_dead_runs(instance) == []
