"""A job in the Cloud Storage stand-in: rows, the tiny base and the job file, as a backend would have put them there."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from finetune_assets.records.digests import digest_of_file
from finetune_assets.storage.gcs.calls import Patience
from finetune_assets.training.container.remote import Remote
from finetune_assets.tuning.config import LoraSettings, TuningConfig
from finetune_assets.tuning.container_job import ContainerJob, PipesPlace, RemoteFile, StoredBase
from finetune_assets.tuning.request import TuningRequest
from finetune_assets_tests.fakes.fixtures import StandIn, gcs, gcs_server  # noqa: F401
from finetune_assets_tests.training.conftest import conversations, write_rows

BASE_SUFFIXES = {".safetensors", ".json", ".jinja"}


@dataclasses.dataclass
class Placed:
    """A job that lies in the stand-in."""

    server: StandIn
    job: ContainerJob
    uri: str

    @property
    def bucket(self):
        return self.server.client().bucket("bkt")

    def names(self, prefix=""):
        return sorted(blob.name for blob in self.server.client().list_blobs("bkt", prefix=prefix))

    def json(self, name):
        return json.loads(self.bucket.blob(name).download_as_bytes())

    @property
    def remote(self):
        return Remote(self.server.client(), patience=Patience(deadline_s=5.0))


def put(bucket, name, data):
    bucket.blob(name).upload_from_string(data)
    return f"gs://{bucket.name}/{name}"


def job_of(server, folder, base, *, key="k1", rows=48, held_out=9, pipes=None, **settings):
    """Put rows, base and job file into the stand-in's bucket."""
    folder.mkdir(parents=True, exist_ok=True)
    bucket = server.client().bucket("bkt")
    train = write_rows(folder / "train.jsonl", conversations(rows))
    validation = write_rows(folder / "validation.jsonl", conversations(held_out, start=1000))
    values = {"epochs": 10, "batch_size": 8, "checkpoint_every": 5, "lora": LoraSettings(rank=4, dropout=0.05)}
    files = {path.name: digest_of_file(path) for path in sorted(base.iterdir()) if path.suffix in BASE_SUFFIXES}
    for name in files:
        put(bucket, f"base/{name}", (base / name).read_bytes())
    request = TuningRequest(
        task="toys",
        dataset_digest="d",
        train_digest=digest_of_file(train),
        validation_digest=digest_of_file(validation),
        base_digest="b",
        template_hash="t",
        config=TuningConfig(**(values | settings)),
    )
    job = ContainerJob(
        request=request,
        train=RemoteFile(uri=put(bucket, "rows/train.jsonl", train.read_bytes()), sha256=digest_of_file(train)),
        validation=RemoteFile(
            uri=put(bucket, "rows/validation.jsonl", validation.read_bytes()), sha256=digest_of_file(validation)
        ),
        base=StoredBase(uri="gs://bkt/base", files=files),
        output=f"gs://bkt/jobs/{key}",
        pipes=pipes,
    )
    return Placed(server, job, put(bucket, f"jobs/{key}/job.json", job.to_json()))


def place(key="k1"):
    return PipesPlace(
        context={"bucket": "bkt", "key": f"jobs/{key}/context.json"},
        messages={"bucket": "bkt", "key_prefix": f"jobs/{key}/pipes"},
    )


def start(placed: Placed, work: Path, *, sha256="", environ=None, uri=None):
    """Start the container's entry point in a process of its own, as Vertex AI does."""
    command = [sys.executable, "-m", "finetune_assets.training.container", "--job", uri or placed.uri]
    command += ["--work", str(work)] + (["--sha256", sha256] if sha256 else [])
    env = {**os.environ, **placed.server.environ, **(environ or {})}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def run(placed: Placed, work: Path, **options):
    """Run it to its end; return exit code, stdout and stderr."""
    process = start(placed, work, **options)
    out, err = process.communicate(timeout=300)
    return process.returncode, out.decode(), err.decode()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, tiny_base):
    """A job that nothing disturbed, as it lies in its stand-in, and what the container said."""
    folder = tmp_path_factory.mktemp("undisturbed-container")
    with gcs_server(folder / "gcs") as server:
        server.bucket("bkt")
        placed = job_of(server, folder, tiny_base)
        code, out, err = run(placed, folder / "work", sha256=placed.job.sha256)
        assert code == 0, err
        yield placed, out


@pytest.fixture
def expected(undisturbed):
    """The digest of the adapter that nothing disturbed."""
    return undisturbed[0].json("jobs/k1/model/manifest.json")["adapter_digest"]
