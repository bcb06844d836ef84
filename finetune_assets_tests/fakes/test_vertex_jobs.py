"""customJobs of the stand-in through aiplatform: simulated and really run, refusals, preemption, kill -9."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions

from finetune_assets_tests.fakes.fixtures import ThreadedGcs
from finetune_assets_tests.fakes.vertex import Vertex, running_vertex
from finetune_assets_tests.fakes.vertex_fixtures import init_aiplatform, poll

L4 = {"machine_type": "g2-standard-12", "accelerator_type": "NVIDIA_L4", "accelerator_count": 1}
UPLOAD = """
import json, os, sys, urllib.request
for name in ("AIP_MODEL_DIR", "AIP_CHECKPOINT_DIR", "AIP_TENSORBOARD_LOG_DIR"):
    assert os.environ[name].startswith("gs://bkt/jobs/"), os.environ[name]
assert os.environ["FINETUNE_ALLOW_EMULATOR"] == "1"
def put(name, data):
    url = os.environ["STORAGE_EMULATOR_HOST"] + "/upload/storage/v1/b/bkt/o?uploadType=media&name=" + name
    urllib.request.urlopen(urllib.request.Request(url, data=data.encode(), method="POST"))
"""


def submit(aiplatform: Any, name: str = "j", pools: list[Any] | None = None, base: str = "", **more: Any) -> Any:
    """Submit a custom job."""
    command, scheduling = more.pop("command", None), more.pop("scheduling", {})
    container: dict[str, Any] = {"image_uri": "eu-docker.pkg.dev/p1/r/trainer@sha256:00", "args": more.pop("args", [])}
    if command:
        container["command"] = command
    pool = {"machine_spec": more.pop("machine", L4), "replica_count": 1, "container_spec": container}
    job = aiplatform.CustomJob(
        display_name=name, worker_pool_specs=pools or [pool], base_output_dir=base or f"gs://bkt/jobs/{name}", **more
    )
    job.submit(create_request_timeout=20, **scheduling)
    return job


def wait(job: Any, timeout_s: float = 30.0) -> str:
    """Wait for a job's end and return its state."""
    return str(poll(lambda: job.state.name, lambda state: state.split("_")[-1] in ENDS, timeout_s))


ENDS = {"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"}


@pytest.fixture
def aiplatform(vertex: Vertex) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield init_aiplatform(vertex.url)


def test_a_simulated_job_keeps_what_it_was_given(gcs: ThreadedGcs, vertex: Vertex, aiplatform: Any) -> None:
    strategy = aiplatform.compat.types.custom_job.Scheduling.Strategy.SPOT
    scheduling = {"scheduling_strategy": strategy, "timeout": 3600, "restart_job_on_worker_restart": True}
    job = submit(aiplatform, labels={"run_key": "k"}, scheduling={**scheduling, "max_wait_duration": 1800})
    assert wait(job) == "JOB_STATE_SUCCEEDED"
    again = aiplatform.CustomJob.get(job.resource_name)
    spec = again.gca_resource.job_spec
    assert spec.scheduling.strategy == strategy
    assert spec.scheduling.timeout.seconds == 3600
    assert spec.worker_pool_specs[0].machine_spec.accelerator_type.name == "NVIDIA_L4"
    assert spec.base_output_directory.output_uri_prefix == "gs://bkt/jobs/j"
    assert [it.resource_name for it in aiplatform.CustomJob.list(filter='labels.run_key="k"')] == [job.resource_name]
    assert aiplatform.CustomJob.list(filter='labels.run_key="other"') == []
    assert [blob.name for blob in gcs.client().list_blobs("bkt", prefix="jobs/j/model/")]
    assert [job["kind"] for job in vertex.jobs(run_key="k")] == ["CustomJob"]


def test_a_job_can_be_cancelled_once(vertex: Vertex, aiplatform: Any) -> None:
    vertex.speed(0.0)
    job = submit(aiplatform)
    assert job.state.name == "JOB_STATE_QUEUED"
    vertex.speed(0.0, advance=100.0)
    assert job.state.name == "JOB_STATE_RUNNING"
    job.cancel()
    assert job.state.name == "JOB_STATE_CANCELLING"
    vertex.speed(0.0, advance=10.0)
    assert job.state.name == "JOB_STATE_CANCELLED"
    with pytest.raises(exceptions.BadRequest):
        job.cancel()


@pytest.mark.parametrize(
    ("machine", "error", "said"),
    [
        ({"machine_type": "g2-standard-12"}, exceptions.InvalidArgument, "accelerator"),
        ({**L4, "accelerator_type": "NVIDIA_TESLA_T4"}, exceptions.InvalidArgument, "accelerator"),
        ({**L4, "accelerator_count": 8}, exceptions.TooManyRequests, "custom_model_training_nvidia_l4_gpus"),
    ],
)
def test_machines_that_are_refused(vertex: Vertex, aiplatform: Any, machine: Any, error: Any, said: str) -> None:
    vertex.settings(machine_quota={"NVIDIA_L4": 4})
    with pytest.raises(exceptions.GoogleAPICallError, match=said) as caught:
        submit(aiplatform, machine=machine)
    assert isinstance(caught.value, (error, exceptions.BadRequest))
    assert vertex.jobs() == []


def test_jobs_that_fail_by_themselves(vertex: Vertex, aiplatform: Any) -> None:
    vertex.settings(images=["other"])
    job = submit(aiplatform)
    assert wait(job) == "JOB_STATE_FAILED"
    assert (job.error.code, "pull image" in job.error.message) == (5, True)
    vertex.settings(images=None)
    job = submit(aiplatform, base="gs://nobody/jobs")
    assert wait(job) == "JOB_STATE_FAILED"
    assert job.error.code == 7
    vertex.plan({"kind": "custom", "waiting_for_capacity_s": 4000})
    spot = aiplatform.compat.types.custom_job.Scheduling.Strategy.SPOT
    job = submit(aiplatform, scheduling={"scheduling_strategy": spot, "max_wait_duration": 600})
    assert wait(job) == "JOB_STATE_FAILED"
    assert job.error.code == 8
    vertex.plan({"fail": {"code": 13, "message": "Internal error."}})
    job = submit(aiplatform)
    assert wait(job) == "JOB_STATE_FAILED"
    assert job.error.message == "Internal error."


def test_a_container_really_runs(gcs: ThreadedGcs, vertex: Vertex, aiplatform: Any) -> None:
    vertex.settings(run_containers=True)
    code = UPLOAD + "put('seen', ' '.join(sys.argv[1:]) + os.environ['RUN_KEY'])"
    container = {"image_uri": "i", "command": ["python", "-c", code], "args": ["--rows", "7"]}
    container["env"] = [{"name": "RUN_KEY", "value": "k9"}]
    job = submit(aiplatform, pools=[{"machine_spec": L4, "replica_count": 1, "container_spec": container}])
    assert wait(job) == "JOB_STATE_SUCCEEDED", job.error
    assert gcs.client().bucket("bkt").blob("seen").download_as_text() == "--rows 7k9"


def test_a_container_that_fails_says_so(gcs: ThreadedGcs, vertex: Vertex, aiplatform: Any) -> None:
    vertex.settings(run_containers=True)
    job = submit(aiplatform, command=["python", "-c", "raise SystemExit('out of rows')"])
    assert wait(job) == "JOB_STATE_FAILED"
    assert "non-zero status of 1" in job.error.message
    assert "out of rows" in job.error.message
    job = submit(aiplatform, "k")
    assert wait(job) == "JOB_STATE_FAILED"
    vertex.settings(image_commands={"trainer": ["python", "-c", "print(1)"]})
    assert wait(submit(aiplatform, "l")) == "JOB_STATE_SUCCEEDED"


def test_a_preempted_container_starts_anew(gcs: ThreadedGcs, vertex: Vertex, aiplatform: Any) -> None:
    vertex.settings(run_containers=True)
    code = UPLOAD + (
        "import time, urllib.error\n"
        "seen = os.environ['STORAGE_EMULATOR_HOST'] + '/storage/v1/b/bkt/o/jobs%2Fj%2Fcheckpoints%2F1'\n"
        "try: urllib.request.urlopen(seen)\n"
        "except urllib.error.HTTPError: put('jobs/j/checkpoints/1', 'x'); time.sleep(60)\n"
        "put('resumed', 'yes')"
    )
    vertex.plan({"preempt": 1, "preempt_after_s": 0.0, "preempt_when_object": "checkpoints/1"})
    job = submit(aiplatform, command=["python", "-c", code])
    assert wait(job) == "JOB_STATE_SUCCEEDED", job.error
    assert gcs.client().bucket("bkt").blob("resumed").exists()
    vertex.plan({"preempt": 1, "preempt_after_s": 0.1})
    job = submit(aiplatform, "k", command=["sleep", "60"], scheduling={"disable_retries": True})
    assert wait(job) == "JOB_STATE_FAILED"
    assert "preempted" in job.error.message


def test_cancel_and_timeout_end_the_process(gcs: ThreadedGcs, vertex: Vertex, aiplatform: Any, tmp_path: Path) -> None:
    vertex.settings(run_containers=True)
    job = submit(aiplatform, command=["sleep", "60"])
    poll(lambda: job.state.name, lambda state: state == "JOB_STATE_RUNNING")
    time.sleep(0.3)
    job.cancel()
    assert wait(job) == "JOB_STATE_CANCELLED"
    job = submit(aiplatform, "k", command=["sleep", "60"], scheduling={"timeout": 1})
    assert wait(job) == "JOB_STATE_EXPIRED"


def test_two_pools_know_each_other(gcs: ThreadedGcs, vertex: Vertex, aiplatform: Any) -> None:
    vertex.settings(run_containers=True)
    code = UPLOAD + (
        "spec = json.loads(os.environ['CLUSTER_SPEC'])\n"
        "put('node-' + spec['task']['type'] + str(spec['task']['index']), json.dumps(spec['cluster']))"
    )
    pool = {"machine_spec": L4, "container_spec": {"image_uri": "i", "command": ["python", "-c", code]}}
    job = submit(aiplatform, pools=[{**pool, "replica_count": 1}, {**pool, "replica_count": 2}])
    assert wait(job) == "JOB_STATE_SUCCEEDED", job.error
    found = {blob.name: blob.download_as_text() for blob in gcs.client().list_blobs("bkt", prefix="node-")}
    assert set(found) == {"node-workerpool00", "node-workerpool10", "node-workerpool11"}
    assert len(set(found.values())) == 1


def test_a_container_outlives_a_kill_of_the_stand_in(gcs: ThreadedGcs, tmp_path: Path) -> None:
    code = UPLOAD + "import time; put('begun-%d' % os.getpid(), 'x'); time.sleep(1.5); put('done', 'x')"
    with running_vertex(tmp_path / "vx", gcs.url, speed=2000.0, run_containers=True) as server:
        aiplatform = init_aiplatform(server.url)
        job = submit(aiplatform, labels={"run_key": "k"}, command=["python", "-c", code])
        poll(lambda: [blob.name for blob in gcs.client().list_blobs("bkt", prefix="begun")], bool)
        server.kill()
        time.sleep(0.2)
        server.restart()
        job = aiplatform.CustomJob.get(job.resource_name)
        assert wait(job) == "JOB_STATE_SUCCEEDED", job.error
        assert len(list(gcs.client().list_blobs("bkt", prefix="begun"))) == 1
        assert len(server.jobs(run_key="k")) == 1
