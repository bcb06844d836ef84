"""Publishing through kill -9 of either side, at named and at random points: nothing lost, nothing half."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from finetune_assets.storage.artifacts import Artifact, ArtifactStore
from finetune_assets.storage.gcs.calls import Patience
from finetune_assets.storage.gcs.errors import CloudStorageError
from finetune_assets.storage.gcs.store import GcsStore
from finetune_assets_tests.fakes.fixtures import PROJECT, RunningGcs, StandIn, running_gcs
from finetune_assets_tests.storage.gcs.conftest import HASTY, make_artifact

PATIENT = Patience(deadline_s=60, initial_s=0.02, maximum_s=0.3, timeout_s=20)
NAMES = ["deep/validation.jsonl", "manifest.json", "times.json", "train.jsonl"]

PUBLISHER = """
import sys
from pathlib import Path
from finetune_assets.storage.artifacts import ArtifactStore
from finetune_assets.storage.gcs.calls import Patience
from finetune_assets.storage.gcs.store import GcsStore
from finetune_assets_tests.fakes.fixtures import storage_client
url, local, work, key = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
patience = Patience(deadline_s=60, initial_s=0.05)
store = GcsStore(storage_client(url), "gs://bkt/runs", work=Path(work), patience=patience)
print(store.publish(ArtifactStore(Path(local)).open("uploaded_dataset", key)).digest)
"""


@contextmanager
def revived(server: RunningGcs) -> Iterator[list[int]]:
    """Start the server again whenever it has died; yields the list of its deaths."""
    deaths: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            if not server.alive:
                server.wait()
                deaths.append(1)
                server.start()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield deaths
    finally:
        over.set()
        thread.join()


def require_whole(server: StandIn, artifact: Artifact, target: Path) -> None:
    """What is in the bucket is this artifact, once, and comes back byte for byte."""
    store = GcsStore(server.client(), "gs://bkt/runs", patience=PATIENT)
    remote = store.open(artifact.kind, artifact.key)
    assert (remote.digest, remote.verify()) == (artifact.digest, [])
    prefix = f"runs/{artifact.kind}/{artifact.key}/"
    assert [blob.name.removeprefix(prefix) for blob in server.client().list_blobs("bkt", prefix=prefix)] == NAMES
    store.download(artifact.kind, artifact.key, target)
    for name in artifact.manifest["files"]:
        assert (target / name).read_bytes() == artifact.file(name).read_bytes()


@pytest.mark.parametrize("point", ["before", "after_commit"])
def test_the_server_dies_at_every_request_of_a_publish(tmp_path: Path, point: str) -> None:
    with running_gcs(tmp_path / "gcs") as server:
        server.bucket("bkt")
        for number in range(6):
            artifact = make_artifact(tmp_path / "local", key=f"k{number}")
            server.fault({"match": "storage/v1", "kill": point, "skip": number, "times": 1})
            with revived(server) as deaths:
                store = GcsStore(server.client(), "gs://bkt/runs", work=tmp_path / "work", patience=PATIENT)
                store.publish(artifact)
                deadline = time.monotonic() + 10
                while not deaths and time.monotonic() < deadline:
                    time.sleep(0.02)
            assert deaths, f"request {number} was not made"
            require_whole(server, artifact, tmp_path / "back" / str(number))


def publish_through_kills(tmp_path: Path, trials: int, seed: int) -> int:
    """Kill publishers at random moments until each artifact is whole; return how many were killed."""
    draw = random.Random(seed)
    killed = 0
    with running_gcs(tmp_path / "gcs") as server:
        server.bucket("bkt")
        for trial in range(trials):
            artifact = make_artifact(tmp_path / "local", key=f"k{trial}", text=draw.randbytes(2000).hex() * 3000)
            while True:
                process = subprocess.Popen(
                    [
                        sys.executable,
                        "-c",
                        PUBLISHER,
                        server.url,
                        str(tmp_path / "local"),
                        str(tmp_path / "w"),
                        artifact.key,
                    ],
                    cwd=PROJECT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                assert process.stdout is not None
                process.stdout.readline()
                timer = threading.Timer(draw.uniform(0.3, 1.6), process.send_signal, [signal.SIGKILL])
                timer.start()
                out, _ = process.communicate("\n")
                timer.cancel()
                if process.returncode == 0:
                    assert out.strip() == artifact.digest
                    break
                killed += 1
                # Half of it is never seen: there is a manifest, and then everything, or there is none.
                half = GcsStore(server.client(), "gs://bkt/runs", patience=PATIENT).find(artifact.kind, artifact.key)
                assert half is None or half.verify() == []
            require_whole(server, artifact, tmp_path / "back" / str(trial))
    return killed


def test_publishers_die_at_random(tmp_path: Path) -> None:
    publish_through_kills(tmp_path, 2, seed=1)


@pytest.mark.soak
def test_many_publishers_die_at_random(tmp_path: Path) -> None:
    assert publish_through_kills(tmp_path, 60, seed=2) > 20


def storm(gcs: StandIn, tmp_path: Path, seed: int) -> bool:
    """Publish and fetch under one half of failing requests; return whether it took more than one call."""
    artifact = make_artifact(tmp_path / f"local{seed}", key=f"k{seed}")
    draw = random.Random(seed)
    kinds = [{"status": 503}, {"status": 429}, {"status": 500, "after_commit": True}, {"status": 504}]
    kinds += [{"cut": cut} for cut in ("before", "after_commit", "mid_body")]
    gcs.fault({"match": "storage/v1", "probability": 0.5, "seed": seed, **draw.choice(kinds)})
    calls = 0
    for step in ("publish", "download"):
        while True:
            calls += 1
            store = GcsStore(gcs.client(), "gs://bkt/runs", work=tmp_path / "work", patience=HASTY)
            try:
                if step == "publish":
                    store.publish(artifact)
                else:
                    store.download(artifact.kind, artifact.key, tmp_path / f"out{seed}")
                break
            except CloudStorageError:
                assert calls < 50
    gcs.clear_faults()
    require_whole(gcs, artifact, tmp_path / f"out{seed}")
    return calls > 2


@pytest.mark.parametrize("seed", range(8))
def test_a_storm_ends_or_stops_with_an_error_and_goes_on(gcs: StandIn, tmp_path: Path, seed: int) -> None:
    storm(gcs, tmp_path, seed)


@pytest.mark.soak
def test_five_hundred_storms(gcs: StandIn, tmp_path: Path) -> None:
    again = sum(storm(gcs, tmp_path, seed) for seed in range(100, 600))
    assert again > 5, "no storm was strong enough to stop a call"


def test_a_local_store_can_take_a_download_over(gcs: StandIn, tmp_path: Path) -> None:
    artifact = make_artifact(tmp_path / "local")
    store = GcsStore(gcs.client(), "gs://bkt/runs", patience=PATIENT)
    store.publish(artifact)
    other = ArtifactStore(tmp_path / "other")
    store.download("uploaded_dataset", "k1", other.root / "uploaded_dataset" / "k1")
    found = other.open("uploaded_dataset", "k1")
    assert (found.digest, found.verify()) == (artifact.digest, [])
