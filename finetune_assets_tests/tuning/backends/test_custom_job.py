from __future__ import annotations

import json
from typing import Any

import pytest

from finetune_assets.tuning.backends.custom_job import CustomJobBackend
from finetune_assets.tuning.backends.machines import check_machine
from finetune_assets.tuning.backends.protocol import JobRequest
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.errors import (
    AmbiguousError,
    CloudError,
    MissingError,
    QuotaError,
    RejectedError,
    UnavailableError,
)
from finetune_assets.tuning.managed_config import CustomJobSettings
from finetune_assets_tests.fakes.fixtures import ThreadedGcs
from finetune_assets_tests.fakes.vertex import Vertex
from finetune_assets_tests.fakes.vertex_fixtures import poll
from finetune_assets_tests.tuning.backends.jobs import CUSTOM, QUICK, cloud_config, job_request

RECORD = {"loss": [[10, 2.0], [20, 1.0]], "validation_loss": [[20, 0.0]], "rows": 20, "truncated_rows": 1, "steps": 20}


def custom_request(settings: dict[str, Any] | None = None, **more: Any) -> JobRequest:
    custom = {**CUSTOM, "custom_job": {**CUSTOM["custom_job"], **(settings or {})}}
    where = {"container": "gs://bkt/jobs/x/job.json", "container_sha256": "c" * 64}
    return job_request(custom, **{**where, **more})


def on_the_wire(vertex: Vertex, handle: str) -> dict[str, Any]:
    found: dict[str, Any] = vertex._call("GET", f"/v1/{handle}")
    return found


def test_it_is_asked_for_in_its_form(clients: CloudClients, vertex: Vertex) -> None:
    cloud = cloud_config(service_account="tuner@p1.iam.gserviceaccount.com")
    request = custom_request({"spot": True, "replicas": 3, "max_hours": 2.0}, cloud=cloud)
    job = CustomJobBackend(clients, QUICK).submit(request)
    sent = on_the_wire(vertex, job.handle)
    spec = sent["jobSpec"]
    first, others = spec["workerPoolSpecs"]
    assert (int(first["replicaCount"]), int(others["replicaCount"])) == (1, 2)
    assert first["machineSpec"]["machineType"] == "g2-standard-12"
    assert first["machineSpec"]["acceleratorCount"] == 1
    assert first["containerSpec"]["command"] == ["python", "-m", "finetune_assets.training.container"]
    assert first["containerSpec"]["args"] == ["--job", request.container, "--sha256", request.container_sha256]
    assert first["containerSpec"]["imageUri"].endswith("a" * 64)
    assert first["diskSpec"] == {"bootDiskType": "pd-ssd", "bootDiskSizeGb": 200}
    assert spec["scheduling"]["timeout"] == "7200s"
    assert spec["scheduling"]["maxWaitDuration"] == "1800s"
    assert spec["scheduling"]["restartJobOnWorkerRestart"] is True
    assert spec["scheduling"]["strategy"] in (4, "SPOT")
    assert spec["baseOutputDirectory"]["outputUriPrefix"] == request.output_uri
    assert spec["serviceAccount"] == "tuner@p1.iam.gserviceaccount.com"
    assert not spec.get("enableWebAccess")
    assert sent["labels"] == request.labels()
    assert job.run_key == request.run_key


def test_a_whole_life(clients: CloudClients, gcs: ThreadedGcs) -> None:
    backend = CustomJobBackend(clients, QUICK)
    request = custom_request()
    assert backend.find(request) == []
    job = backend.submit(request)
    assert [found.handle for found in backend.find(request)] == [job.handle]
    record = request.output_uri.removeprefix("gs://bkt/") + "/model/training.json"
    ended = poll(lambda: backend.status(job.handle), lambda status: status.has_ended)
    assert ended.state == "succeeded"
    gcs.client().bucket("bkt").blob(record).upload_from_string(json.dumps(RECORD))
    result = backend.result(job.handle)
    assert result.weights_uri == f"{request.output_uri}/model/"
    assert result.losses == (
        {"step": 10.0, "train_loss": 2.0},
        {"step": 20.0, "train_loss": 1.0, "validation_loss": 0.0, "perplexity": 1.0},
    )
    assert result.statistics["truncated"] == 1
    assert [owned.handle for owned in backend.owned()] == [job.handle]
    backend.cancel(job.handle)


def test_a_success_without_a_record_is_none(clients: CloudClients, vertex: Vertex) -> None:
    vertex.settings(simulated_outputs=False)
    backend = CustomJobBackend(clients, QUICK)
    job = backend.submit(custom_request())
    poll(lambda: backend.status(job.handle), lambda status: status.has_ended)
    with pytest.raises(MissingError, match="left no record"):
        backend.result(job.handle)


def test_a_cancelled_job_ends(clients: CloudClients, vertex: Vertex) -> None:
    vertex.speed(50.0)
    backend = CustomJobBackend(clients, QUICK)
    job = backend.submit(custom_request())
    backend.cancel(job.handle)
    assert poll(lambda: backend.status(job.handle), lambda status: status.has_ended).state == "cancelled"
    with pytest.raises(RejectedError):
        backend.result(job.handle)
    with pytest.raises(MissingError):
        backend.status(job.handle + "404")


@pytest.mark.parametrize("fault", [*({"status": code} for code in (503, 500, 504, 429)), {"cut": "before"}])
def test_reads_are_repeated_and_creates_are_not(clients: CloudClients, vertex: Vertex, fault: dict[str, Any]) -> None:
    backend = CustomJobBackend(clients, QUICK)
    request = custom_request()
    vertex.faults([{"match": "GET", "times": 4, **fault}])
    assert backend.find(request) == []
    vertex.faults([{"match": "GET", **fault}])
    with pytest.raises((UnavailableError, QuotaError)):
        backend.find(request)
    vertex.faults([{"match": "POST", **fault}])
    with pytest.raises((AmbiguousError, QuotaError)):
        backend.submit(request)
    assert vertex.fault_hits() == [1]
    assert vertex.jobs() == []


def test_an_answer_that_got_lost_is_ambiguous(clients: CloudClients, vertex: Vertex) -> None:
    backend = CustomJobBackend(clients, QUICK)
    vertex.faults([{"match": "POST", "cut": "after_commit", "times": 1}])
    with pytest.raises(AmbiguousError):
        backend.submit(custom_request())
    assert len(backend.find(custom_request())) == 1


def test_what_is_missing_is_said_before_anything_is_sent(clients: CloudClients, vertex: Vertex) -> None:
    for request in (custom_request({"image": ""}), custom_request(container=""), custom_request(output_uri="")):
        with pytest.raises(CloudError):
            CustomJobBackend(clients, QUICK).submit(request)
    assert vertex.jobs() == []


@pytest.mark.parametrize(
    ("machine", "kind", "count", "fits"),
    [
        ("g2-standard-12", "NVIDIA_L4", 1, True),
        ("g2-standard-12", "NVIDIA_L4", 2, False),
        ("g2-standrd-12", "NVIDIA_L4", 1, False),
        ("a3-highgpu-8g", "NVIDIA_H100_80GB", 8, True),
        ("a2-highgpu-1g", "NVIDIA_L4", 1, False),
        ("n1-standard-8", "NVIDIA_TESLA_T4", 3, False),
        ("n1-standard-8", "NVIDIA_TESLA_T4", 2, True),
        ("n1-standard-8", "", 0, True),
        ("n2-standard-8", "NVIDIA_L4", 1, False),
        ("g2-standard-12", "", 1, False),
        ("x9-standard-8", "NVIDIA_Z1", 1, True),
    ],
)
def test_machines_carry_their_accelerators(machine: str, kind: str, count: int, fits: bool) -> None:
    settings = CustomJobSettings(machine_type=machine, accelerator_type=kind, accelerator_count=count)
    if fits:
        check_machine(settings)
        return
    with pytest.raises(RejectedError, match="does not carry"):
        check_machine(settings)
