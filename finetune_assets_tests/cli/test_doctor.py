"""`finetune doctor`: everything is looked at, each line says found, expected and mend, and nothing is submitted."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from finetune_assets.lineage import machine_checks
from finetune_assets.lineage.machine_checks import Look
from finetune_assets.storage.database import Database
from finetune_assets.storage.home import Home
from finetune_assets.storage.intents import list_intents, mark, record_intent, request_cancel
from finetune_assets.storage.ledger import Reservation
from finetune_assets_tests.cli.cloud import TASK, CloudTask, cloud  # noqa: F401
from finetune_assets_tests.cli.conftest import Finetune, Said, build


@pytest.fixture(autouse=True)
def torch_was_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading torch takes seconds, and has a test of its own."""
    monkeypatch.setattr(machine_checks, "check_torch", lambda: Look("torch", "ok", "not looked at in this test"))


def looks(said: Said) -> dict[str, dict[str, Any]]:
    return {look["name"]: look for look in json.loads(said.out)["looks"]}


def test_this_machine_alone(finetune: Finetune) -> None:
    found = looks(finetune("doctor", "--json"))
    names = ["python", "packages", "home", "disk", "database", "dagster", "torch"]
    assert [name for name in found if not name.startswith("p")] == [name for name in names if not name.startswith("p")]
    assert found["home"]["state"] == found["dagster"]["state"] == "ok"
    assert {"port 3000", "port 8700"} < found.keys()


def test_a_ready_project_is_ok(finetune: Finetune, cloud: CloudTask) -> None:  # noqa: F811
    build(TASK)
    said = finetune("doctor", TASK, "--json")
    found = looks(said)
    assert said.json()["ready"] is True
    assert found["bucket access"]["found"] == "written, read and deleted"
    assert found["dataset"] == {
        "name": "dataset",
        "state": "ok",
        "found": found["dataset"]["found"],
        "expected": "",
        "mend": "",
    }
    assert "every rule of Gemini 2.5 Flash holds" in found["dataset"]["found"]
    agents = found["service agents service_agents"]
    assert agents["state"] == "warning"
    assert "gcloud storage buckets add-iam-policy-binding gs://bkt --member=serviceAccount:" in agents["mend"]
    assert list(cloud.gcs.client().list_blobs("bkt")) == []
    assert cloud.vertex.jobs() == []


def test_what_is_wrong_is_an_error_with_its_mend(finetune: Finetune, cloud: CloudTask) -> None:  # noqa: F811
    cloud.gcs.deny("storage.objects.create")
    cloud.vertex.settings(projects={"p1": "SERVICE_DISABLED"})
    said = finetune("doctor", TASK, "--json")
    found = looks(said)
    assert (said.code, json.loads(said.out)["ready"]) == (1, False)
    wrong = {name: look for name, look in found.items() if look["state"] == "error"}
    assert {"API API", "bucket access bucket_write"} <= wrong.keys()
    assert all(look["found"] and look["mend"] for look in wrong.values())
    assert found["dataset"]["state"] == "not checked"
    assert "--until validated_splits" in found["dataset"]["mend"]
    told = finetune("doctor", TASK)
    assert told.code == 1
    assert "      error  bucket access bucket_write: " in told.out
    assert "Traceback" not in told.out


@pytest.mark.parametrize("dry", [False, True])
def test_without_credentials_it_says_so_at_once(
    finetune: Finetune,
    cloud: CloudTask,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    dry: bool,
) -> None:
    build(TASK)
    for name in ("STORAGE_EMULATOR_HOST", "FINETUNE_VERTEX_ENDPOINT", "FINETUNE_ALLOW_EMULATOR"):
        monkeypatch.delenv(name)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    started = time.monotonic()
    said = finetune("doctor", TASK, "--json", *(["--dry-run"] if dry else []))
    assert time.monotonic() - started < 20
    if dry:
        (submission,) = json.loads(said.out)["submissions"]
        assert (said.code, submission["state"]) == (0, "would be submitted")
    else:
        found = looks(said)
        assert (said.code, found["credentials"]["state"]) == (1, "error")
        assert "gcloud auth application-default login" in found["credentials"]["mend"]
        assert found["dataset"]["state"] == "ok"


def test_a_variable_that_points_elsewhere_is_an_error(
    finetune: Finetune,
    cloud: CloudTask,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FINETUNE_ALLOW_EMULATOR")
    found = looks(finetune("doctor", TASK, "--json"))
    assert found["credentials"]["state"] == "error"
    assert "FINETUNE_ALLOW_EMULATOR" in json.dumps(found["credentials"])


def test_a_dry_run_shows_the_whole_request_and_writes_nothing(
    finetune: Finetune,
    cloud: CloudTask,  # noqa: F811
) -> None:
    build(TASK)
    told = finetune("doctor", TASK, "--dry-run", "--json").json()
    (submission,) = told["submissions"]
    assert (submission["state"], submission["why"]) == ("would be submitted", [])
    request = submission["request"]
    assert request["base_model"] == "gemini-2.5-flash"
    assert request["training_dataset"]["gcs_uri"].startswith("gs://bkt/x/uploaded_dataset/")
    assert request["config"]["validation_dataset"]["gcs_uri"].endswith("gemini/validation.jsonl")
    assert (request["config"]["epoch_count"], request["config"]["adapter_size"]) == (2, "ADAPTER_SIZE_FOUR")
    assert request["config"]["labels"]["run_key"] == submission["run_key"]
    estimate = submission["estimate"]
    assert 0 < estimate["low"] < estimate["mid"] < estimate["high"]
    assert estimate["parts"][0]["name"] == "training tokens"
    assert (told["budget"]["limit"], told["budget"]["left"]) == (5.0, 5.0)
    database = Database.open(Home(cloud.home).database_url)
    assert list_intents(database) == []
    assert cloud.vertex.jobs() == []
    assert list(cloud.gcs.client().list_blobs("bkt")) == []
    plain = finetune("doctor", TASK, "--dry-run")
    assert "gemini: would be submitted" in plain.out
    assert "$5.00 left of $5.00" in plain.out


def test_a_dry_run_says_why_it_would_be_refused(finetune: Finetune, cloud: CloudTask) -> None:  # noqa: F811
    before = finetune("doctor", TASK, "--dry-run")
    assert (before.code, "there are no rows yet" in before.out) == (1, True)
    build(TASK)
    cloud.change("cloud", budget={"monthly_usd": 0.001}, smoke={"required": True})
    said = finetune("doctor", TASK, "--dry-run", "--json")
    (submission,) = json.loads(said.out)["submissions"]
    assert (said.code, submission["state"]) == (1, "refused")
    assert "smoke" in submission["why"][0]
    assert "does not fit the month's budget" in submission["why"][1]


def test_a_dry_run_knows_what_is_under_way(finetune: Finetune, cloud: CloudTask) -> None:  # noqa: F811
    build(TASK)
    (first,) = finetune("doctor", TASK, "--dry-run", "--json").json()["submissions"]
    database = Database.open(Home(cloud.home).database_url)
    key = first["request_key"]
    reservation = Reservation(low=1, mid=2, high=3, limit=None, prices_as_of="2026-09-30")
    record_intent(
        database, key, task=TASK, backend="gemini", run_key_of=lambda attempt: "r" * 40, reservation=reservation
    )
    mark(database, key, "RUNNING", handle="projects/p1/locations/us-central1/tuningJobs/1", phase="tuning")
    assert finetune("doctor", TASK, "--dry-run", "--json").json()["submissions"][0]["state"].startswith("under way")
    request_cancel(database, key, by="x")
    mark(database, key, "CANCELLED")
    (last,) = finetune("doctor", TASK, "--dry-run", "--json").json()["submissions"]
    assert last["state"] == f"CANCELLED: `finetune jobs retry {key}` opens another attempt"


def test_a_custom_job_is_shown_without_its_base(finetune: Finetune, cloud: CloudTask) -> None:  # noqa: F811
    image = "us-docker.pkg.dev/p1/images/finetune@sha256:" + "a" * 64
    cloud.change("tuning", backend="custom_job", base_model="no-such/model", managed=None, custom_job={"image": image})
    cloud.change("cloud", budget={"monthly_usd": 50})
    build(TASK)
    (submission,) = finetune("doctor", TASK, "--dry-run", "--json").json()["submissions"]
    assert submission["state"] == "would be submitted"
    pool = submission["request"]["worker_pool_specs"][0]
    assert pool["container_spec"]["image_uri"] == image
    assert pool["container_spec"]["env"] == [{"name": "RUN_KEY", "value": "NOT-KNOWN-YET"}]
    assert submission["run_key"] == "not known before the base model is here"
    assert submission["request"]["timeout"] == 6 * 3600


def test_a_dry_run_needs_a_task(finetune: Finetune) -> None:
    assert finetune("doctor", "--dry-run").code == 2
