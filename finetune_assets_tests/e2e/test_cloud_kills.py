"""A run whose job is at a provider is killed, told to stop, and cancelled: the job exists once, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from finetune_assets_tests.e2e.cloud import GEMINI, Cloud, cloud_at
from finetune_assets_tests.e2e.command import MadeHome, Said, instance_of, start
from finetune_assets_tests.e2e.processes import kill_everything, wait_for

# Virtual seconds in a real one: a job of five minutes takes ten of them, until somebody speeds the clock up.
SLOW, FAST = 0.5, 200.0
UNTIL = ("--until", "tuned_adapter")


@dataclass
class Story:
    """What happened to one request: its run was killed, stopped and cancelled, and then a person asked again."""

    cloud: Cloud
    jobs_after_kill: list[str] = field(default_factory=list)
    jobs_after_stop: list[str] = field(default_factory=list)
    stop_code: int = 0
    stop_said: str = ""
    state_after_stop: str = ""
    cancel_code: int = 0
    state_after_cancel: str = ""
    intent_after_cancel: str = ""
    refused: Said | None = None
    jobs_after_refusal: int = 0
    retried: Said | None = None
    end: Said | None = None


def log_of(cloud: Cloud) -> str:
    path = cloud.home.parent / "started.log"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def watching(cloud: Cloud) -> subprocess.Popen[str]:
    """Start the run and wait until it watches its job."""
    before = log_of(cloud).count("tuningJobs/")
    run = start(cloud.home, "run", GEMINI, *UNTIL, env=cloud.env())

    def has_job() -> bool:
        assert run.poll() is None, log_of(cloud)
        return log_of(cloud).count("tuningJobs/") > before

    try:
        wait_for(has_job, 90, "the run has its job")
    except BaseException:
        kill_everything(run)
        raise
    return run


def names(cloud: Cloud) -> list[str]:
    return [job["name"] for job in cloud.jobs()]


def state(cloud: Cloud) -> str:
    found: str = cloud.jobs()[0]["state"]
    return found


@pytest.fixture(scope="module")
def story(uploaded_home: MadeHome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with cloud_at(tmp_path_factory.mktemp("cloud-kills"), uploaded_home, speed=SLOW) as cloud:
        yield tell(cloud)


def tell(cloud: Cloud) -> Story:
    told = Story(cloud)

    run = watching(cloud)
    os.killpg(run.pid, signal.SIGKILL)
    kill_everything(run)
    told.jobs_after_kill = names(cloud)

    run = watching(cloud)
    run.terminate()
    try:
        told.stop_code = run.wait(60)
    finally:
        kill_everything(run)
    told.stop_said = log_of(cloud)
    told.state_after_stop, told.jobs_after_stop = state(cloud), names(cloud)

    run = watching(cloud)
    with instance_of(cloud.home) as instance:
        instance.report_run_canceling(instance.get_run_records(limit=1)[0].dagster_run)
    try:
        told.cancel_code = run.wait(60)
    finally:
        kill_everything(run)
    cloud.world.vertex.speed(FAST)
    wait_for(lambda: state(cloud) in {"JOB_STATE_CANCELLED", "JOB_STATE_SUCCEEDED"}, 30, "the job ends")
    told.state_after_cancel = state(cloud)

    told.refused = cloud.run(GEMINI, *UNTIL)
    told.intent_after_cancel = cloud.intents()[0].state
    told.jobs_after_refusal = len(cloud.jobs())

    told.retried = cloud.say("jobs", "retry", cloud.intents()[0].request_key, "--reason", "cancelled by mistake")
    told.end = cloud.run(GEMINI, *UNTIL)
    return told


def test_a_killed_run_leaves_one_job_and_the_next_attaches_to_it(story: Story) -> None:
    assert len(story.jobs_after_kill) == 1
    assert story.jobs_after_stop == story.jobs_after_kill


def test_a_run_that_is_told_to_stop_leaves_its_job_running_and_says_so(story: Story) -> None:
    assert story.stop_code == 130
    assert story.state_after_stop not in {"JOB_STATE_CANCELLING", "JOB_STATE_CANCELLED"}
    assert f"left {story.jobs_after_stop[0]} to its provider: run again to attach" in " ".join(story.stop_said.split())


def test_a_cancel_in_the_ui_cancels_the_job(story: Story) -> None:
    assert story.cancel_code == 130
    assert story.state_after_cancel == "JOB_STATE_CANCELLED"
    assert story.intent_after_cancel == "CANCELLED"


def test_a_cancelled_job_is_not_submitted_again_by_itself(story: Story) -> None:
    key = story.cloud.intents()[0].request_key
    assert story.refused is not None
    line = story.refused.one_error()
    assert "cancelled" in line
    assert f"finetune jobs retry {key}" in line
    assert story.jobs_after_refusal == 1


def test_a_person_opens_another_attempt_which_is_submitted_once(story: Story) -> None:
    assert story.retried is not None
    assert "attempt 2 is open" in story.retried.out
    assert story.end is not None
    assert story.end.code == 0, story.end.all
    jobs: list[dict[str, Any]] = story.cloud.jobs()
    assert [job["labels"]["attempt"] for job in jobs] == ["1", "2"]
    assert len({job["labels"]["run_key"] for job in jobs}) == 2
    assert len({job["labels"]["request_key"] for job in jobs}) == 1


def test_the_commands_tell_the_same_story(story: Story) -> None:
    key = story.cloud.intents()[0].request_key
    (job,) = story.cloud.say("jobs", "list", "--json").json()
    assert (job["key"], job["state"], job["attempt"]) == (key, "SUCCEEDED", 2)
    assert job["billed_usd"] > 0
    told = story.cloud.say("jobs", "show", key, "--json").json()
    states = [(event["attempt"], event["to"]) for event in told["events"]]
    assert (1, "CANCELLED") in states
    assert (2, "SUCCEEDED") in states
    assert any("cancelled by mistake" in event["note"] for event in told["events"])
    assert "every job at the provider is known here" in story.cloud.say("jobs", "adopt", GEMINI).all
    table = story.cloud.say("jobs", "list")
    assert table.code == 0
    assert "SUCCEEDED" in table.out


def test_of_an_unknown_job_one_line(story: Story) -> None:
    for verb, more in (("show", []), ("cancel", []), ("retry", ["--reason", "x"])):
        assert "no such job" in story.cloud.say("jobs", verb, "nothing", *more).one_error()


def test_nothing_is_said_that_nobody_should_read(story: Story) -> None:
    assert "Traceback" not in story.stop_said
    assert "Bearer" not in story.stop_said
