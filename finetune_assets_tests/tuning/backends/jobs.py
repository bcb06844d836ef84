"""What the tests of this folder submit, and the clients with which they do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from finetune_assets.tuning.backends.protocol import JobRequest
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.config import CloudConfig
from finetune_assets.tuning.cloud.retries import ReadPolicy
from finetune_assets.tuning.config import TuningConfig
from finetune_assets.tuning.request import TuningRequest

PROJECT = "p1"
LOCATION = "us-central1"
# Reads are repeated as in earnest, only faster.
QUICK = ReadPolicy(first_s=0.005, longest_s=0.02)
GEMINI = {"backend": "gemini", "base_model": "gemini-2.5-flash", "epochs": 3, "managed": {"adapter_size": 4}}
OPEN = {
    "backend": "open_model",
    "base_model": "meta/llama3_1@llama-3.1-8b-instruct",
    "epochs": 3,
    "learning_rate": 2e-4,
    "managed": {"adapter_size": 16},
}
CUSTOM = {
    "backend": "custom_job",
    "epochs": 1,
    "custom_job": {"image": "us-docker.pkg.dev/p1/images/finetune@sha256:" + "a" * 64},
}


def cloud_config(**changes: Any) -> CloudConfig:
    polling = {"first_s": 0.01, "longest_s": 0.03, "visibility_s": 0.05}
    data = {"project": PROJECT, "location": LOCATION, "bucket": "gs://bkt", "polling": polling, **changes}
    return CloudConfig.model_validate(data)


def tuning_request(settings: dict[str, Any] | None = None, *, rows: str = "a") -> TuningRequest:
    return TuningRequest(
        task="router",
        dataset_digest="d" * 64,
        train_digest=(rows * 64)[:64],
        validation_digest="b" * 64,
        base_digest="base",
        template_hash="template",
        config=TuningConfig.model_validate(settings or GEMINI),
    )


def job_request(
    settings: dict[str, Any] | None = None,
    *,
    rows: str = "a",
    attempt: int = 1,
    cloud: CloudConfig | None = None,
    **changes: Any,
) -> JobRequest:
    request = tuning_request(settings, rows=rows)
    job = JobRequest(
        request=request,
        attempt=attempt,
        cloud=cloud or cloud_config(),
        train_uri="gs://bkt/datasets/d/train.jsonl",
        validation_uri="gs://bkt/datasets/d/validation.jsonl",
        output_uri=f"gs://bkt/jobs/{request.request_key}/{attempt}",
        facts={"dataset": "d" * 40},
    )
    return replace(job, **changes)


def clients_for(
    url: str, *, storage: Any = None, config: CloudConfig | None = None, timeout_s: float = 20.0
) -> CloudClients:
    environ = {"FINETUNE_VERTEX_ENDPOINT": url, "FINETUNE_ALLOW_EMULATOR": "1"}
    return CloudClients(config or cloud_config(), environ, storage=storage, timeout_s=timeout_s)
