from __future__ import annotations

import json
from typing import Any

import pytest

from finetune_assets.tuning.backends.gemini import GeminiBackend
from finetune_assets.tuning.backends.open_model import OpenModelBackend
from finetune_assets.tuning.backends.protocol import Backend, JobStatus
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.errors import (
    AmbiguousError,
    MissingError,
    ModelDeniedError,
    QuotaError,
    RejectedError,
    UnavailableError,
)
from finetune_assets_tests.fakes.vertex import Vertex
from finetune_assets_tests.fakes.vertex_fixtures import poll
from finetune_assets_tests.tuning.backends.jobs import (
    GEMINI,
    LOCATION,
    OPEN,
    QUICK,
    cloud_config,
    job_request,
)

TUNED = f"projects/p1/locations/{LOCATION}/models/77@1"


def until_end(backend: Backend, job: JobStatus) -> JobStatus:
    return poll(lambda: backend.status(job.handle), lambda status: status.has_ended)


def test_a_job_elsewhere_is_looked_at_and_cancelled_there(clients: CloudClients) -> None:
    job = GeminiBackend(clients, QUICK).submit(job_request(GEMINI))
    moved = GeminiBackend(clients.at("europe-west4"), QUICK)
    assert moved.status(job.handle).handle == job.handle
    assert until_end(moved, job).state == "succeeded"
    assert moved.result(job.handle).model
    moved.cancel(job.handle)
    assert moved.owned() == []


def on_the_wire(vertex: Vertex, job: JobStatus) -> dict[str, Any]:
    found: dict[str, Any] = vertex._call("GET", f"/v1beta1/{job.handle}")
    return found


def test_gemini_is_asked_for_in_its_form(clients: CloudClients, vertex: Vertex) -> None:
    backend = GeminiBackend(clients, QUICK)
    request = job_request(GEMINI)
    job = backend.submit(request)
    sent = on_the_wire(vertex, job)
    assert sent["baseModel"] == "gemini-2.5-flash"
    assert sent["supervisedTuningSpec"] == {
        "trainingDatasetUri": "gs://bkt/datasets/d/train.jsonl",
        "validationDatasetUri": "gs://bkt/datasets/d/validation.jsonl",
        "hyperParameters": {"epochCount": "3", "adapterSize": "ADAPTER_SIZE_FOUR", "learningRateMultiplier": 1.0},
        "exportLastCheckpointOnly": False,
    }
    assert sent["labels"] == request.labels()
    assert sent["tunedModelDisplayName"] == request.display_name
    assert "serviceAccount" not in sent
    assert job.run_key == request.run_key
    assert job.link.endswith(f"tuningJob/{job.handle.rsplit('/', 1)[1]}?project=p1")


def test_account_and_key_travel_with_the_job(clients: CloudClients, vertex: Vertex) -> None:
    key = "projects/p1/locations/us-central1/keyRings/r/cryptoKeys/k"
    cloud = cloud_config(service_account="tuner@p1.iam.gserviceaccount.com", kms_key=key)
    sent = on_the_wire(vertex, GeminiBackend(clients, QUICK).submit(job_request(GEMINI, cloud=cloud)))
    assert sent["serviceAccount"] == "tuner@p1.iam.gserviceaccount.com"
    assert sent["encryptionSpec"] == {"kmsKeyName": key}


def test_a_whole_life(clients: CloudClients) -> None:
    backend = GeminiBackend(clients, QUICK)
    request = job_request(GEMINI)
    assert backend.find(request) == []
    job = backend.submit(request)
    assert [found.handle for found in backend.find(request)] == [job.handle]
    assert backend.find(job_request(GEMINI, rows="c")) == []
    ended = until_end(backend, job)
    assert ended.state == "succeeded"
    assert ended.started is not None
    assert ended.ended is not None
    result = backend.result(job.handle)
    assert result.model.startswith("projects/p1/locations/us-central1/models/")
    assert "@" in result.model
    assert "/endpoints/" in result.endpoint
    assert [checkpoint.epoch for checkpoint in result.checkpoints] == sorted(
        checkpoint.epoch for checkpoint in result.checkpoints
    )
    assert result.billable_tokens
    assert result.statistics["rows"] == 20
    assert result.statistics["truncated"] == 0
    assert result.statistics["input_tokens"]["max"] > 0
    json.dumps(result.raw)
    assert "sdk_http_response" not in result.raw
    assert [owned.handle for owned in backend.owned()] == [job.handle]
    backend.cancel(job.handle)  # has ended: fine


def test_it_goes_on_from_a_checkpoint_of_a_tuned_model(clients: CloudClients, vertex: Vertex) -> None:
    backend = GeminiBackend(clients, QUICK)
    first = until_end(backend, backend.submit(job_request(GEMINI)))
    model = backend.result(first.handle).model
    managed = {"adapter_size": 4, "continue_from": model, "checkpoint": "2"}
    sent = on_the_wire(vertex, backend.submit(job_request({**GEMINI, "managed": managed})))
    assert sent["preTunedModel"]["tunedModelName"] == model
    assert sent["preTunedModel"]["checkpointId"] == "2"


def test_preferences_and_teachers(clients: CloudClients) -> None:
    backend = GeminiBackend(clients, QUICK)
    dpo = backend.call_of(job_request({**GEMINI, "managed": {"adapter_size": 4, "method": "dpo", "beta": 0.2}}))
    assert dpo.config.method == "PREFERENCE_TUNING"
    assert dpo.config.beta == 0.2
    settings = {**OPEN, "managed": {"adapter_size": 16, "method": "distillation", "teacher": "qwen/qwen3-next"}}
    distilled = OpenModelBackend(clients, QUICK).call_of(job_request(settings))
    assert distilled.config.method == "DISTILLATION"
    assert distilled.config.base_teacher_model == "qwen/qwen3-next"


def test_an_open_model_is_asked_for_in_its_form(open_clients: CloudClients, vertex: Vertex) -> None:
    backend = OpenModelBackend(open_clients, QUICK)
    request = job_request(OPEN)
    job = backend.submit(request)
    sent = on_the_wire(vertex, job)
    assert sent["baseModel"] == "meta/llama3_1@llama-3.1-8b-instruct"
    assert sent["outputUri"] == request.output_uri
    assert sent["supervisedTuningSpec"]["tuningMode"] == "TUNING_MODE_PEFT_ADAPTER"
    assert sent["supervisedTuningSpec"]["hyperParameters"] == {
        "epochCount": "3",
        "adapterSize": "ADAPTER_SIZE_SIXTEEN",
        "learningRate": 2e-4,
        "batchSize": 8,
    }
    assert until_end(backend, job).state == "succeeded"
    result = backend.result(job.handle)
    assert result.weights_uri == f"{request.output_uri}/postprocess/node-0/checkpoints/final/"


def test_an_open_model_needs_no_tuned_model(open_clients: CloudClients, vertex: Vertex) -> None:
    vertex.settings(open_models_set_tuned_model=False)
    backend = OpenModelBackend(open_clients, QUICK)
    job = until_end(backend, backend.submit(job_request(OPEN)))
    result = backend.result(job.handle)
    assert result.model == ""
    assert result.weights_uri


def test_own_weights_and_all_weights(open_clients: CloudClients) -> None:
    settings = {
        "backend": "open_model",
        "base_model": "qwen/qwen3@qwen3-32b",
        "epochs": 1,
        "managed": {"mode": "full", "continue_from": "gs://bkt/weights/final"},
    }
    config = OpenModelBackend(open_clients, QUICK).call_of(job_request(settings)).config
    assert config.tuning_mode == "TUNING_MODE_FULL"
    assert config.custom_base_model == "gs://bkt/weights/final"
    assert config.adapter_size is None


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({**GEMINI, "managed": {"adapter_size": 4, "mode": "full"}}, "tuning.managed.mode"),
        ({**GEMINI, "managed": {}}, "tuning.managed.adapter_size"),
        ({**GEMINI, "epochs": 1.5}, "tuning.epochs"),
        ({**GEMINI, "learning_rate": 1e-4}, "tuning.learning_rate"),
        ({**GEMINI, "managed": {"adapter_size": 4, "continue_from": "gs://bkt/w"}}, "tuning.managed.continue_from"),
        ({**OPEN, "managed": {"adapter_size": 4, "method": "dpo"}}, "tuning.managed.method"),
        ({**OPEN, "managed": {"adapter_size": 4, "continue_from": TUNED}}, "tuning.managed.continue_from"),
        ({**OPEN, "managed": {"adapter_size": 4, "learning_rate_multiplier": 2.0}}, "tuning.managed"),
    ],
)
def test_settings_that_a_model_lacks_are_refused_here(
    clients: CloudClients, vertex: Vertex, settings: dict[str, Any], where: str
) -> None:
    backend = {"gemini": GeminiBackend, "open_model": OpenModelBackend}[settings["backend"]](clients, QUICK)
    with pytest.raises(RejectedError) as caught:
        backend.submit(job_request(settings))
    assert caught.value.where == where
    assert vertex.jobs() == []


def test_without_filters_all_jobs_are_looked_through(clients: CloudClients, vertex: Vertex) -> None:
    backend = GeminiBackend(clients, QUICK)
    job = backend.submit(job_request(GEMINI))
    backend.submit(job_request(GEMINI, rows="c"))
    vertex.settings(list_filter=False)
    assert [found.handle for found in backend.find(job_request(GEMINI))] == [job.handle]
    assert len(backend.owned()) == 2


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 500}, {"status": 504}, {"status": 429}, {"cut": "before"}]
)
def test_reads_are_repeated_and_creates_are_not(clients: CloudClients, vertex: Vertex, fault: dict[str, Any]) -> None:
    backend = GeminiBackend(clients, QUICK)
    vertex.faults([{"match": "GET", "times": 4, **fault}])
    assert backend.find(job_request(GEMINI)) == []
    vertex.faults([{"match": "GET", **fault}])
    with pytest.raises((UnavailableError, QuotaError)):
        backend.find(job_request(GEMINI))
    vertex.faults([{"match": "POST", **fault}])
    with pytest.raises((AmbiguousError, QuotaError)):
        backend.submit(job_request(GEMINI))
    assert vertex.fault_hits() == [1]
    assert vertex.jobs() == []


def test_an_answer_that_got_lost_is_ambiguous(clients: CloudClients, vertex: Vertex) -> None:
    backend = GeminiBackend(clients, QUICK)
    vertex.faults([{"match": "POST", "cut": "after_commit", "times": 1}])
    with pytest.raises(AmbiguousError):
        backend.submit(job_request(GEMINI))
    assert len(backend.find(job_request(GEMINI))) == 1


def test_a_failed_job_says_why(clients: CloudClients, vertex: Vertex) -> None:
    backend = GeminiBackend(clients, QUICK)
    vertex.plan({"fail": {"code": "INTERNAL", "message": "Internal error occurred.", "at": "tuning"}})
    ended = until_end(backend, backend.submit(job_request(GEMINI)))
    assert (ended.state, ended.error) == ("failed", "Internal error occurred.")
    assert ended.error_code == 13
    with pytest.raises(RejectedError, match="no result"):
        backend.result(ended.handle)


def test_states_that_are_new_count_as_not_ended(clients: CloudClients, vertex: Vertex) -> None:
    backend = GeminiBackend(clients, QUICK)
    vertex.plan({"unknown_state": "JOB_STATE_MEDITATING", "durations": {"WORK": 4000.0}})
    job = backend.submit(job_request(GEMINI))
    status = poll(lambda: backend.status(job.handle), lambda found: found.state == "unknown" or found.has_ended)
    assert status.state == "unknown"
    assert "MEDITATING" in status.provider_state


def test_waiting_for_quota_is_a_phase(clients: CloudClients, vertex: Vertex) -> None:
    backend = GeminiBackend(clients, QUICK)
    vertex.plan({"waiting_for_quota_s": 4000.0})
    job = backend.submit(job_request(GEMINI))
    status = poll(lambda: backend.status(job.handle), lambda found: found.phase != "queued")
    assert (status.state, status.phase) == ("waiting", "quota")
    backend.cancel(job.handle)
    assert until_end(backend, job).state == "cancelled"


def test_truncated_rows_are_told(clients: CloudClients, vertex: Vertex) -> None:
    backend = GeminiBackend(clients, QUICK)
    vertex.plan({"truncated": [3, 7]})
    result = backend.result(until_end(backend, backend.submit(job_request(GEMINI))).handle)
    assert result.statistics["truncated"] == 2


def test_what_is_not_there_is_missing(clients: CloudClients) -> None:
    backend = GeminiBackend(clients, QUICK)
    handle = "projects/p1/locations/us-central1/tuningJobs/404"
    with pytest.raises(MissingError):
        backend.status(handle)
    backend.cancel(handle)


def test_a_denied_model_is_its_own_error(open_clients: CloudClients, vertex: Vertex) -> None:
    vertex.settings(denied_models=["qwen/qwen3@qwen3-32b"])
    settings = {**OPEN, "base_model": "qwen/qwen3@qwen3-32b"}
    with pytest.raises(ModelDeniedError) as caught:
        OpenModelBackend(open_clients, QUICK).submit(job_request(settings))
    assert "qwen/qwen3@qwen3-32b" in caught.value.what
    assert "qwen3" in caught.value.mend
    assert vertex.jobs() == []
