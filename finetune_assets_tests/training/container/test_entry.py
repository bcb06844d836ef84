"""Whole starts of the container against the Cloud Storage stand-in, each in a process of its own."""

import json
import os
import signal
import socket

import pytest

from finetune_assets.records.digests import digest_of_file
from finetune_assets.training.checkpoints import SEAL
from finetune_assets.training.container.entry import main
from finetune_assets.training.digest import adapter_digest
from finetune_assets.tuning.container_job import (
    BAD_JOB_EXIT,
    STOPPED_EXIT,
    STORAGE_FAILED_EXIT,
    TRAINING_FAILED_EXIT,
    ContainerResult,
)
from finetune_assets_tests.fakes.fixtures import wait_until
from finetune_assets_tests.training.container.conftest import job_of, put, run, start

pytestmark = pytest.mark.slow


def sealed(placed, folder="jobs/k1/checkpoints"):
    return [name for name in placed.names(folder) if name.endswith(SEAL)]


def test_the_result_is_an_adapter_with_its_manifest(undisturbed, tmp_path):
    placed, out = undisturbed
    result = ContainerResult.model_validate(placed.json("jobs/k1/model/manifest.json"))
    assert sorted(result.files) == ["adapter_config.json", "adapter_model.safetensors", "training.json"]
    for name, file in result.files.items():
        blob = placed.bucket.get_blob(f"jobs/k1/model/{name}")
        blob.download_to_filename(tmp_path / name)
        assert (blob.crc32c, blob.size, blob.generation) == (file.crc32c, file.bytes, file.generation)
        assert digest_of_file(tmp_path / name) == file.sha256
    assert adapter_digest(tmp_path) == result.adapter_digest
    told = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert told[-1] == {"kind": "finished", "adapter_digest": result.adapter_digest}
    steps = [line["step"] for line in told if line["kind"] == "progress" and line["loss"] is not None]
    assert steps == list(range(1, 61))


def test_the_manifest_is_written_last_and_a_seal_after_its_files(undisturbed):
    placed, _ = undisturbed
    written = [
        line["path"] for line in placed.server.log() if line["method"] in {"POST", "PUT"} and line["status"] < 300
    ]
    assert written  # the order is what the generations say:
    blobs = list(placed.server.client().list_blobs("bkt", prefix="jobs/k1/"))
    order = [blob.name for blob in sorted(blobs, key=lambda blob: blob.generation)]
    assert order[-1] == "jobs/k1/model/manifest.json"
    for seal in sealed(placed):
        folder = seal.removesuffix(SEAL)
        assert [name for name in order if name.startswith(folder)][-1] == seal


def test_vertex_names_the_folders_and_a_finished_job_trains_nothing_again(gcs, tiny_base, tmp_path):
    placed = job_of(gcs, tmp_path / "job", tiny_base, epochs=1)
    folders = {"AIP_MODEL_DIR": "gs://bkt/vertex/model/", "AIP_CHECKPOINT_DIR": "gs://bkt/vertex/checkpoints/"}
    # A file of an earlier start that got no further: it is replaced.
    put(placed.bucket, "vertex/model/training.json", b'{"of": "an earlier start"}')
    code, _, err = run(placed, tmp_path / "first", environ=folders)
    assert code == 0, err
    assert placed.json("vertex/model/training.json")["steps"] == 6
    assert sealed(placed, "vertex/checkpoints")
    assert placed.names("jobs") == ["jobs/k1/job.json"]

    before = placed.bucket.get_blob("vertex/model/manifest.json").generation
    code, out, _ = run(placed, tmp_path / "second", environ=folders)
    assert code == 0
    assert "an earlier start of this job finished" in out
    assert '"progress"' not in out
    assert placed.bucket.get_blob("vertex/model/manifest.json").generation == before

    # The same folder for another request is a mistake of the submitter.
    other = job_of(gcs, tmp_path / "other", tiny_base, key="k2", epochs=2)
    code, _, err = run(other, tmp_path / "third", environ=folders)
    assert code == BAD_JOB_EXIT
    assert "another request's result" in err


def test_sigkill_and_a_new_machine_give_the_same_weights(expected, gcs, tiny_base, tmp_path):
    placed = job_of(gcs, tmp_path / "job", tiny_base)
    process = start(placed, tmp_path / "first")
    wait_until(lambda: sealed(placed), 120)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert "jobs/k1/model/manifest.json" not in placed.names()

    code, out, err = run(placed, tmp_path / "second")
    assert code == 0, err
    assert placed.json("jobs/k1/model/manifest.json")["adapter_digest"] == expected
    assert 5 <= placed.json("jobs/k1/model/training.json")["resumed_from"] < 60
    assert "checkpoint of step" in out


def test_notice_leaves_a_checkpoint_and_the_next_start_goes_on(expected, gcs, tiny_base, tmp_path):
    placed = job_of(gcs, tmp_path / "job", tiny_base, checkpoint_every=1000)
    process = start(placed, tmp_path / "first")
    for line in process.stdout:
        if b'"progress"' in line:
            break
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == STOPPED_EXIT
    assert len(sealed(placed)) == 1
    assert "jobs/k1/model/manifest.json" not in placed.names()

    code, _, err = run(placed, tmp_path / "second")
    assert code == 0, err
    assert placed.json("jobs/k1/model/training.json")["resumed_from"] >= 1
    assert placed.json("jobs/k1/model/manifest.json")["adapter_digest"] == expected


def test_half_and_torn_checkpoints_are_passed_over(expected, gcs, tiny_base, tmp_path):
    placed = job_of(gcs, tmp_path / "job", tiny_base)
    code, _, err = run(placed, tmp_path / "first")
    assert code == 0, err
    for name in placed.names("jobs/k1/model"):
        placed.bucket.blob(name).delete()
    newest = next(name for name in sealed(placed) if "checkpoint-60" in name).removesuffix(SEAL)
    put(placed.bucket, f"{newest}optimizer.pt", b"torn")
    half = newest.replace("checkpoint-60", "checkpoint-99")
    put(placed.bucket, f"{half}adapter_model.safetensors", b"half")

    code, out, err = run(placed, tmp_path / "second")
    assert code == 0, err
    assert "not continued from checkpoint-60 in Cloud Storage" in out
    assert "checkpoint-99" not in out
    assert placed.json("jobs/k1/model/training.json")["resumed_from"] == 55
    assert placed.json("jobs/k1/model/manifest.json")["adapter_digest"] == expected


def quick(capsys, *arguments, environ):
    code = main([*arguments], environ)
    return code, capsys.readouterr()


@pytest.mark.parametrize("uri", ["gs://bkt/jobs/none/job.json", "gs://nowhere/jobs/k/job.json", "/tmp/job.json"])
def test_a_missing_job_is_one_line(gcs, capsys, monkeypatch, uri):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url)
    code, told = quick(capsys, "--job", uri, environ=gcs.environ)
    assert code == BAD_JOB_EXIT
    assert uri in told.err
    assert len(told.err.splitlines()) == 1


def test_rows_that_were_changed_are_refused(gcs, tiny_base, tmp_path):
    placed = job_of(gcs, tmp_path / "job", tiny_base)
    put(placed.bucket, "rows/train.jsonl", b'{"messages": []}\n')
    code, out, err = run(placed, tmp_path / "work")
    assert code == BAD_JOB_EXIT
    assert "a file is not the one that the job names at gs://bkt/rows/train.jsonl" in err
    assert json.loads(out.splitlines()[-1])["exit_code"] == BAD_JOB_EXIT
    assert placed.names("jobs") == ["jobs/k1/job.json"]


def test_a_job_file_that_was_changed_is_refused(gcs, tiny_base, tmp_path, capsys, monkeypatch):
    placed = job_of(gcs, tmp_path / "job", tiny_base)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url)
    put(placed.bucket, "jobs/k1/job.json", placed.job.to_json().replace('"toys"', '"boys"'))
    code, told = quick(capsys, "--job", placed.uri, "--sha256", placed.job.sha256, environ=gcs.environ)
    assert code == BAD_JOB_EXIT
    assert "job file is not the one that was submitted" in told.err


def test_a_job_file_of_another_form_names_the_field_and_shows_no_value(gcs, tiny_base, tmp_path, capsys, monkeypatch):
    placed = job_of(gcs, tmp_path / "job", tiny_base)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url)
    put(placed.bucket, "jobs/k1/job.json", json.dumps({**json.loads(placed.job.to_json()), "secret": "s3cr3t"}))
    code, told = quick(capsys, "--job", placed.uri, environ=gcs.environ)
    assert code == BAD_JOB_EXIT
    assert "job.json: secret" in told.err
    assert "s3cr3t" not in told.err


def test_a_denied_bucket_says_which_role(gcs, tiny_base, tmp_path, capsys, monkeypatch):
    placed = job_of(gcs, tmp_path / "job", tiny_base)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url)
    gcs.deny("storage.objects.get")
    code, told = quick(capsys, "--job", placed.uri, environ=gcs.environ)
    assert code == STORAGE_FAILED_EXIT
    assert "roles/storage.objectViewer" in told.err


def test_training_that_fails_says_why(gcs, tiny_base, tmp_path):
    placed = job_of(gcs, tmp_path / "job", tiny_base, max_length=16)
    code, out, err = run(placed, tmp_path / "work")
    assert code == TRAINING_FAILED_EXIT
    assert "no rows to train on" in err
    assert json.loads(out.splitlines()[-1])["kind"] == "failed"


@pytest.mark.parametrize(
    "environ", [{}, {"FINETUNE_ALLOW_EMULATOR": "1", "STORAGE_EMULATOR_HOST": "http://10.1.2.3:1"}]
)
def test_another_host_is_refused(capsys, environ):
    environ = {"STORAGE_EMULATOR_HOST": "http://127.0.0.1:1", **environ}
    code, told = quick(capsys, "--job", "gs://bkt/job.json", environ=environ)
    assert code == BAD_JOB_EXIT
    assert "a stand-in for a cloud service is not allowed here" in told.err


def test_a_storm_is_waited_out(expected, gcs, tiny_base, tmp_path):
    placed = job_of(gcs, tmp_path / "job", tiny_base)
    gcs.fault(
        {"match": "/o", "status": 503, "probability": 0.15, "seed": 1},
        {"match": "upload", "cut": "after_commit", "probability": 0.15, "seed": 2},
        {"match": "download", "cut": "mid_body", "probability": 0.15, "seed": 3},
    )
    code, _, err = run(placed, tmp_path / "work")
    gcs.clear_faults()
    assert code == 0, err
    assert placed.json("jobs/k1/model/manifest.json")["adapter_digest"] == expected


def test_two_machines_train_together(gcs, tiny_base, tmp_path):
    """Two containers with Vertex AI's CLUSTER_SPEC, rendezvous over loopback; the first one stores and tells."""
    placed = job_of(gcs, tmp_path / "job", tiny_base, epochs=2)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pools = {"workerpool0": [f"127.0.0.1:{port}"], "workerpool1": ["127.0.0.1:9"]}

    def machine(kind):
        spec = json.dumps({"cluster": pools, "environment": "cloud", "task": {"type": kind, "index": 0}})
        return start(placed, tmp_path / kind, environ={"CLUSTER_SPEC": spec})

    machines = [machine(kind) for kind in pools]
    told = [process.communicate(timeout=240) for process in machines]
    assert [process.returncode for process in machines] == [0, 0], [err.decode()[-1500:] for _, err in told]
    record = placed.json("jobs/k1/model/training.json")
    assert (record["rows"], record["steps"]) == (48, 6)  # 8 rows on each of two machines: 3 steps an epoch
    assert placed.json("jobs/k1/model/manifest.json")["adapter_digest"] == record["adapter_digest"]
    assert b'"progress"' in told[0][0]
    assert b'"progress"' not in told[1][0]
