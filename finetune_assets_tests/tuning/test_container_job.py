import json

import pytest
from pydantic import ValidationError

from finetune_assets.records.digests import digest_of_text
from finetune_assets.tuning.config import TuningConfig
from finetune_assets.tuning.container_job import (
    ContainerJob,
    HubBase,
    PipesPlace,
    RemoteFile,
    StoredBase,
    container_arguments,
    split_uri,
)
from finetune_assets.tuning.request import TuningRequest

A, B = "a" * 64, "b" * 64


def job(**changes):
    request = TuningRequest(
        task="toys",
        dataset_digest="d",
        train_digest=A,
        validation_digest=B,
        base_digest="b",
        template_hash="t",
        config=TuningConfig(),
    )
    values = {
        "request": request,
        "train": RemoteFile(uri="gs://bkt/rows/train.jsonl", sha256=A),
        "validation": RemoteFile(uri="gs://bkt/rows/validation.jsonl", sha256=B),
        "base": StoredBase(uri="gs://bkt/base/", files={"model.safetensors": A}),
        "output": "gs://bkt/jobs/k",
    }
    return ContainerJob(**(values | changes))


def test_it_reads_back_and_its_digest_is_the_files():
    first = job()
    assert ContainerJob.model_validate_json(first.to_json()) == first
    assert first.sha256 == digest_of_text(first.to_json())
    assert container_arguments("gs://bkt/j.json", first.sha256) == [
        "--job",
        "gs://bkt/j.json",
        "--sha256",
        first.sha256,
    ]


def test_the_base_is_one_of_two_kinds():
    hub = HubBase(id="acme/tiny", revision="0" * 40, files={"model.safetensors": A})
    assert ContainerJob.model_validate_json(job(base=hub).to_json()).base == hub


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("train", RemoteFile(uri="gs://bkt/rows/train.jsonl", sha256=B)),
        ("validation", None),
        ("output", "https://bkt/jobs"),
        ("output", "gs://bkt/jobs/*"),
        ("secrets", {"HF_TOKEN": "hf_abcdef"}),
        ("secrets", {"PASSWORD": "projects/p/secrets/x/versions/1"}),
    ],
)
def test_what_does_not_fit_is_refused(field, value):
    with pytest.raises(ValidationError):
        job(**{field: value})


@pytest.mark.parametrize(
    "name",
    ["../model.safetensors", "/etc/x.json", "a\\b.json", "pytorch_model.bin", "modeling.py", "*.json", "./a.json"],
)
def test_no_base_file_leaves_its_folder_or_runs_code(name):
    with pytest.raises(ValidationError):
        StoredBase(uri="gs://bkt/base", files={name: A})


@pytest.mark.parametrize("revision", ["main", "0" * 39, "v1.0"])
def test_a_hub_base_is_pinned_to_a_commit(revision):
    with pytest.raises(ValidationError):
        HubBase(id="acme/tiny", revision=revision, files={"model.safetensors": A})


@pytest.mark.parametrize(
    ("context", "messages"), [({}, {"bucket": "b"}), ({"data": {}}, {}), ({"bucket": "b"}, {"bucket": "b"})]
)
def test_a_line_to_dagster_is_whole(context, messages):
    with pytest.raises(ValidationError):
        PipesPlace(context=context, messages=messages)


def test_every_field_says_what_it_is():
    schema = json.dumps(ContainerJob.model_json_schema())
    assert schema.count('"description"') > 20
    assert split_uri("gs://bkt/a/b") == ("bkt", "a/b")
    assert split_uri("gs://bkt") == ("bkt", "")
