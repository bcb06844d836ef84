"""Faults of the Vertex stand-in as google-genai meets them: lost answers, storms, and what a kill leaves behind."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.genai import errors, types

from finetune_assets_tests.fakes.fixtures import ThreadedGcs
from finetune_assets_tests.fakes.vertex import Vertex, running_vertex
from finetune_assets_tests.fakes.vertex_fixtures import (
    ended,
    gemini_rows,
    genai_client,
    poll,
    put_rows,
    tune,
)


@pytest.fixture
def client(vertex: Vertex) -> Any:
    return genai_client(vertex.url)


@pytest.mark.parametrize("fault", [{"status": 503, "when": "after_commit"}, {"cut": "after_commit"}])
def test_a_lost_answer_makes_two_jobs_when_it_is_blindly_retried(
    gcs: ThreadedGcs, vertex: Vertex, fault: dict[str, Any]
) -> None:
    training = put_rows(gcs, "train.jsonl", gemini_rows(9))
    vertex.faults([{"match": "POST .*tuningJobs$", "times": 1, **fault}])
    if "status" in fault:
        retry = types.HttpRetryOptions(attempts=3, initial_delay=0.01)
        tune(genai_client(vertex.url, retry_options=retry), training, labels={"run_key": "k"})
    else:
        with pytest.raises(httpx.HTTPError):
            tune(genai_client(vertex.url), training, labels={"run_key": "k"})
        tune(genai_client(vertex.url), training, labels={"run_key": "k"})
    assert len(vertex.jobs(run_key="k")) == 2


def test_faults_before_the_work_leave_no_job(gcs: ThreadedGcs, vertex: Vertex, client: Any) -> None:
    training = put_rows(gcs, "train.jsonl", gemini_rows(9))
    vertex.faults([{"match": "POST .*tuningJobs$", "status": 429, "times": 1, "headers": {"Retry-After": "7"}}])
    with pytest.raises(errors.ClientError) as caught:
        tune(client, training)
    assert caught.value.code == 429
    vertex.faults([{"match": "tuningJobs$", "cut": "before", "times": 1}])
    with pytest.raises(httpx.HTTPError):
        tune(client, training)
    assert vertex.jobs() == []
    vertex.faults([{"match": "tuningJobs$", "delay_s": 1.0, "when": "after_commit", "times": 1}])
    with pytest.raises(httpx.TimeoutException):
        tune(genai_client(vertex.url, timeout_ms=200), training)
    assert len(poll(vertex.jobs, lambda jobs: bool(jobs))) == 1
    assert vertex.log()[0]["status"] == 429


def test_a_storm_follows_its_seed(gcs: ThreadedGcs, vertex: Vertex, client: Any) -> None:
    job = tune(client, put_rows(gcs, "train.jsonl", gemini_rows(9)))
    runs = []
    for _ in range(2):
        vertex.faults([{"match": "GET", "status": 503, "probability": 0.5, "seed": 4}])
        runs.append("")
        for _ in range(40):
            try:
                client.tunings.get(name=job.name)
                runs[-1] += "."
            except errors.ServerError:
                runs[-1] += "x"
    assert runs[0] == runs[1]
    assert 10 < runs[0].count("x") < 30
    with pytest.raises(ValueError, match="unknown"):
        vertex.faults([{"match": "x", "statsu": 503}])


def test_names_may_carry_the_project_number(gcs: ThreadedGcs, vertex: Vertex, client: Any) -> None:
    vertex.settings(project_numbers={"p1": "123456789012"})
    job = tune(client, put_rows(gcs, "train.jsonl", gemini_rows(9)), labels={"run_key": "k"})
    assert job.name.startswith("projects/123456789012/locations/us-central1/tuningJobs/")
    job = ended(client, job)
    assert job.tuned_model.endpoint.startswith("projects/123456789012/")
    assert client.models.generate_content(model=job.tuned_model.endpoint, contents="x").text
    found = client.tunings.list(config=types.ListTuningJobsConfig(filter='labels.run_key="k"'))
    assert [it.name for it in found] == [job.name]
    assert vertex.jobs()[0]["name"].startswith("projects/p1/")


def test_gcs_that_is_away_only_delays_a_job(gcs: ThreadedGcs, vertex: Vertex, client: Any) -> None:
    training = put_rows(gcs, "train.jsonl", gemini_rows(9))
    gcs.fault({"match": ".*train.jsonl.*", "status": 503, "times": 5})
    assert ended(client, tune(client, training)).has_succeeded


def test_gemini_3_is_tuned_in_two_regions_and_served_multi_regionally(gcs: ThreadedGcs, vertex: Vertex) -> None:
    training = put_rows(gcs, "train.jsonl", gemini_rows(9))
    client = genai_client(vertex.url, "europe-west4")
    job = ended(client, tune(client, training, "gemini-3.5-flash"))
    assert "/locations/eu/endpoints/" in job.tuned_model.endpoint
    with pytest.raises(errors.ClientError, match="europe-west4"):
        tune(genai_client(vertex.url, "us-east5"), training, "gemini-3.5-flash")


def test_labels_keep_their_form(vertex: Vertex, client: Any) -> None:
    for labels in ({"run_key": "k" * 64}, {"Run": "k"}, {"run_key": "K"}):
        with pytest.raises(errors.ClientError, match="label"):
            tune(client, "gs://bkt/t.jsonl", labels=labels)


@pytest.mark.parametrize(("moment", "jobs"), [("before", 0), ("after_commit", 1)])
def test_a_fault_may_kill_the_stand_in_itself(tmp_path: Path, gcs: ThreadedGcs, moment: str, jobs: int) -> None:
    training = put_rows(gcs, "train.jsonl", gemini_rows(9))
    with running_vertex(tmp_path / "vx", gcs.url) as server:
        server.faults([{"match": "POST .*tuningJobs$", "kill": moment, "times": 1}])
        with pytest.raises(httpx.HTTPError):
            tune(genai_client(server.url), training)
        server.restart()
        assert len(server.jobs()) == jobs
        tune(genai_client(server.url), training)  # the fault has been used up
        assert len(server.jobs()) == jobs + 1


@pytest.mark.soak
def test_a_hundred_kills_lose_no_acknowledged_job(tmp_path: Path, gcs: ThreadedGcs) -> None:
    training = put_rows(gcs, "train.jsonl", gemini_rows(9))
    told: set[str] = set()
    with running_vertex(tmp_path / "vx", gcs.url, speed=0.0, tuning_quota=0) as server:
        for number in range(100):
            server.faults([{"match": "POST .*tuningJobs$", "kill": "after_commit", "skip": number % 5, "times": 1}])
            client = genai_client(server.url)
            try:
                for _ in range(6):
                    told.add(tune(client, training, labels={"run_key": "k"}).name)
            except httpx.HTTPError:
                server.restart()
            assert told <= {job["name"] for job in server.jobs(run_key="k")}
        assert len(server.jobs()) == len(told) + 100


def test_kill_9_loses_no_acknowledged_job(tmp_path: Path, gcs: ThreadedGcs) -> None:
    training = put_rows(gcs, "train.jsonl", gemini_rows(9))
    with running_vertex(tmp_path / "vx", gcs.url, speed=50.0, tuning_quota=0) as server:
        told: list[str] = []

        def submit() -> None:
            client = genai_client(server.url, timeout_ms=5_000)
            for _ in range(200):
                try:
                    told.append(tune(client, training, labels={"run_key": "k"}).name)
                except httpx.HTTPError:
                    return

        threads = [threading.Thread(target=submit) for _ in range(2)]
        for thread in threads:
            thread.start()
        poll(lambda: len(told), lambda count: count >= 20)
        server.kill()
        for thread in threads:
            thread.join()
        server.restart()
        found = {job["name"] for job in server.jobs(run_key="k")}
        assert set(told) <= found
        assert len(found) <= len(told) + 2  # at most one job of each thread whose answer was lost
        client = genai_client(server.url)
        server.speed(2000.0)
        job = poll(lambda: client.tunings.get(name=told[0]), lambda it: it.has_ended)
        assert job.has_succeeded
        server.restart()
        assert client.tunings.get(name=told[0]).tuned_model == job.tuned_model
        asked = "question number 4 about topic4"
        assert client.models.generate_content(model=job.tuned_model.endpoint, contents=asked).text == "answer 4"
