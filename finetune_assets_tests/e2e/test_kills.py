"""A run that is killed or cancelled: nothing of it goes on, it is reported, and the next one ends in equal weights."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest

from finetune_assets.storage.files import read_json
from finetune_assets_tests.e2e.command import (
    MANUAL,
    TASK,
    MadeHome,
    Said,
    digests,
    finetune,
    instance_of,
    result,
    start,
)
from finetune_assets_tests.e2e.processes import checkpoints, gone, kill_everything, trainers, wait_for

# Checkpoints more often than by default; how often is no part of what is trained.
ENV = {**MANUAL, "FINETUNE_CHILDCARE__TUNING__CHECKPOINT_EVERY": "40"}


@dataclass
class Story:
    """What happened to one home: four runs were stopped in the middle of training, the fifth ran to its end."""

    home: Path
    trainers_seen: list[int] = field(default_factory=list)
    seconds_to_trainers_end: float = 0.0
    state_after_kill: str = ""
    running_state: str = ""
    cancel_code: int = 0
    cancel_seconds: float = 0.0
    cancel_state: str = ""
    trainers_end_with_cancel: bool = False
    stop_code: int = 0
    stop_said: str = ""
    stop_state: str = ""
    trainers_end_with_stop: bool = False
    group_kill_ended_trainers: bool = False
    end: Said | None = None


def training(home: Path):
    """Start the run and wait until it has written a new checkpoint; return it with its training processes."""
    before = checkpoints(home)
    run = start(home, "run", TASK, env=ENV)

    def has_begun() -> bool:
        assert run.poll() is None, (home.parent / "started.log").read_text()
        return bool(checkpoints(home) - before)

    try:
        wait_for(has_begun, 180, "the trainer writes a checkpoint")
    except BaseException:
        kill_everything(run)
        raise
    found = trainers(run)
    assert found, "the run has no trainer"
    return run, found


def newest_run(home: Path) -> dg.DagsterRun:
    with instance_of(home) as instance:
        return instance.get_run_records(limit=1)[0].dagster_run


@pytest.fixture(scope="module")
def story(fresh_home, tmp_path_factory: pytest.TempPathFactory) -> Story:
    return tell(fresh_home(tmp_path_factory.mktemp("kills") / "home"))


def tell(home: Path) -> Story:
    told = Story(home)

    run, processes = training(home)
    told.trainers_seen.append(len(processes))
    run.kill()
    run.wait(10)
    told.seconds_to_trainers_end = wait_for(lambda: gone(processes), 30, "the trainer ends with its parent")
    told.running_state = newest_run(home).status.value
    told.state_after_kill = finetune(home, "status", "--json", env=ENV).json()[0]["last_run"]["state"]

    run, processes = training(home)
    record = newest_run(home)
    began = time.monotonic()
    with instance_of(home) as instance:
        instance.report_run_canceling(record)
    try:
        told.cancel_code = run.wait(60)
    finally:
        kill_everything(run)
    told.cancel_seconds = time.monotonic() - began
    told.trainers_end_with_cancel = gone(processes)
    told.cancel_state = newest_run(home).status.value

    run, processes = training(home)
    run.terminate()
    try:
        told.stop_code = run.wait(60)
    finally:
        kill_everything(run)
    told.trainers_end_with_stop = gone(processes)
    told.stop_said = (home.parent / "started.log").read_text(encoding="utf-8").splitlines()[-1]
    told.stop_state = newest_run(home).status.value

    run, processes = training(home)
    os.killpg(run.pid, signal.SIGKILL)
    kill_everything(run)
    wait_for(lambda: gone(processes), 5, "the trainer ends with the group of its parent")
    told.group_kill_ended_trainers = True

    told.end = finetune(home, "run", TASK, env=ENV)
    return told


def test_a_trainer_does_not_outlive_a_killed_parent(story: Story) -> None:
    assert story.trainers_seen[0] >= 1
    assert story.seconds_to_trainers_end < 5


def test_a_killed_run_is_reported_failed_by_the_next_status(story: Story) -> None:
    assert story.running_state == "STARTED"
    assert story.state_after_kill == "FAILURE"


def test_cancelling_in_the_ui_ends_the_run_and_its_trainer(story: Story) -> None:
    assert story.cancel_seconds < 30
    assert story.cancel_state == "CANCELED"
    assert story.trainers_end_with_cancel
    assert story.cancel_code == 130


def test_a_run_that_is_told_to_stop_says_so_and_stops_its_trainer(story: Story) -> None:
    assert story.stop_code == 130
    assert story.stop_said == "stopped; run the same command again, it resumes"
    assert story.stop_state in {"FAILURE", "CANCELED"}
    assert story.trainers_end_with_stop


def test_a_kill_of_the_whole_group_leaves_no_trainer(story: Story) -> None:
    assert story.group_kill_ended_trainers


def test_the_run_after_four_interruptions_ends_in_the_same_digests(story: Story, judged_home: MadeHome) -> None:
    assert story.end is not None
    assert story.end.code == 0, story.end.all
    assert digests(story.home) == digests(judged_home.path)


def test_it_went_on_from_a_checkpoint(story: Story) -> None:
    training_record = read_json(result(story.home, "tuned_adapter").file("training.json"))
    assert training_record["resumed_from"] >= 160
