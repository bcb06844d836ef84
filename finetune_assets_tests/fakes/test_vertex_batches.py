"""batchPredictionJobs of the stand-in: Gemini through google-genai, models of one's own through aiplatform."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.api_core import exceptions
from google.genai import errors, types

from finetune_assets_tests.fakes.fixtures import ThreadedGcs
from finetune_assets_tests.fakes.test_vertex_models import upload
from finetune_assets_tests.fakes.vertex import Vertex
from finetune_assets_tests.fakes.vertex_fixtures import (
    ended,
    gemini_rows,
    genai_client,
    init_aiplatform,
    open_rows,
    poll,
    put_rows,
    tune,
)


def lines(gcs: ThreadedGcs, folder: str, part: str) -> list[Any]:
    """Return the JSON lines of a job's output."""
    bucket, prefix = folder.removeprefix("gs://").split("/", 1)
    blobs = [blob for blob in gcs.client().list_blobs(bucket, prefix=prefix) if part in blob.name]
    return [json.loads(line) for blob in blobs for line in blob.download_as_text().splitlines()]


def requests(rows: list[Any]) -> list[Any]:
    """Return batch lines that ask the rows' questions."""
    return [{"request": {"contents": row["contents"][:1]}, "key": str(n)} for n, row in enumerate(rows)]


def finished(client: Any, job: Any) -> Any:
    """Wait for a Gemini batch's end."""
    return poll(lambda: client.batches.get(name=job.name), lambda it: it.done)


def test_a_gemini_batch_of_base_and_tuned(gcs: ThreadedGcs, vertex: Vertex) -> None:
    client = genai_client(vertex.url)
    rows = gemini_rows(12)
    tuned = ended(client, tune(client, put_rows(gcs, "train.jsonl", rows))).tuned_model
    source = put_rows(gcs, "in.jsonl", [*requests(rows), {"request": {"contents": []}, "key": "bad"}])
    right = {}
    for model in ("gemini-2.5-flash", tuned.endpoint, tuned.model):
        config = types.CreateBatchJobConfig(dest="gs://bkt/out", display_name="b")
        job = client.batches.create(model=model, src=source, config=config)
        job = finished(client, job)
        assert job.state.name == "JOB_STATE_SUCCEEDED", job.error
        assert (job.completion_stats.successful_count, job.completion_stats.failed_count) == (12, 1)
        found = {line["key"]: line for line in lines(gcs, job.output_info.gcs_output_directory, "predictions.jsonl")}
        assert len(found) == 13
        assert "contents" in found["bad"]["status"]
        texts = {
            key: line["response"]["candidates"][0]["content"]["parts"][0]["text"]
            for key, line in found.items()
            if not line["status"]
        }
        right[model] = sum(text == f"answer {key}" for key, text in texts.items())
    assert list(right.values()) == [0, 12, 12]
    assert len(list(client.batches.list())) == 3
    assert [job["kind"] for job in vertex.jobs()].count("BatchPredictionJob") == 3


def test_batches_that_fail_or_are_cancelled(gcs: ThreadedGcs, vertex: Vertex) -> None:
    client = genai_client(vertex.url)
    config = types.CreateBatchJobConfig(dest="gs://bkt/out", display_name="b")
    job = finished(client, client.batches.create(model="gemini-2.5-flash", src="gs://bkt/none.jsonl", config=config))
    assert (job.state.name, job.error.code) == ("JOB_STATE_FAILED", 5)
    vertex.speed(0.0)
    source = put_rows(gcs, "in.jsonl", requests(gemini_rows(3)))
    job = client.batches.create(model="gemini-2.5-flash", src=source, config=config)
    client.batches.cancel(name=job.name)
    assert client.batches.get(name=job.name).state.name == "JOB_STATE_CANCELLING"
    vertex.speed(0.0, advance=10.0)
    assert client.batches.get(name=job.name).state.name == "JOB_STATE_CANCELLED"
    with pytest.raises(errors.ClientError):
        client.batches.cancel(name=job.name)
    client.batches.delete(name=job.name)
    with pytest.raises(errors.ClientError):
        client.batches.get(name=job.name)
    with pytest.raises(errors.ClientError):
        client.batches.create(model="publishers/meta/models/none", src=source, config=config)


def test_a_batch_of_a_model_of_ones_own(gcs: ThreadedGcs, vertex: Vertex) -> None:
    aiplatform = init_aiplatform(vertex.url)
    rows = open_rows(10)
    put_rows(gcs, "train.jsonl", rows)
    source = put_rows(gcs, "in.jsonl", [{"prompt": row["prompt"]} for row in rows])
    model = upload(aiplatform, serving_container_environment_variables={"T": "gs://bkt/train.jsonl"})
    job = model.batch_predict(
        job_display_name="b",
        gcs_source=source,
        gcs_destination_prefix="gs://bkt/out",
        machine_type="g2-standard-12",
        accelerator_type="NVIDIA_L4",
        accelerator_count=1,
        starting_replica_count=1,
        max_replica_count=1,
        labels={"run_key": "k"},
        sync=False,
    )
    job.wait_for_resource_creation()
    done = poll(lambda: aiplatform.BatchPredictionJob(job.resource_name), lambda it: it.end_time is not None)
    assert done.state.name == "JOB_STATE_SUCCEEDED"
    assert done.completion_stats.successful_count == 10
    found = lines(gcs, done.output_info.gcs_output_directory, "prediction.results")
    wanted = {row["prompt"]: row["completion"] for row in rows}
    assert {line["instance"]["prompt"]: line["prediction"] for line in found} == wanted
    assert len(aiplatform.BatchPredictionJob.list(filter='labels.run_key="k"')) == 1
    job.wait()
    with pytest.raises(exceptions.GoogleAPICallError, match="machine"):
        model.batch_predict(job_display_name="b", gcs_source=source, gcs_destination_prefix="gs://bkt/out", sync=True)
